"""Taking in a list of people: every row is judged before anything is stored, and all of it is stored or nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.api.body import validate
from app.contacts import csv_format, service
from app.contacts.csv_format import FIELD, Record
from app.contacts.models import Consent, Contact
from app.contacts.schemas import NewContact
from app.errors import Invalid
from app.ids import new_id
from app.rows import insert_rows

OnDuplicate = Literal["error", "skip", "update"]
MAX_PROBLEMS = 100
"""Lines that an answer names; of more than that it tells the number."""
_LOOK_UP = 2_000

Problems = dict[str, list[str]]
_KEYS = {"contactId": "public_id", "phone": "phone", "email": "email"}


@dataclass(frozen=True, slots=True)
class Row:
    """A good row: its line, its values by column of the table (those that the file gives), and the caller's own id."""

    line: int
    public_id: str | None
    values: dict[str, Any]

    def identities(self) -> Iterator[tuple[str, str]]:
        """By what it is the same person as another: the API's field, and the value."""
        for name, column in _KEYS.items():
            value = self.public_id if column == "public_id" else self.values.get(column)
            if value is not None:
                yield name, value


@dataclass(slots=True)
class Result:
    """What an import did, in rows."""

    created: int = 0
    updated: int = 0
    skipped: list[int] = field(default_factory=list)
    """Their lines."""


def judge(raw: bytes) -> list[Row]:
    """The rows of a file, all of them good.

    Raises:
        Invalid: with each line and field at fault.
    """
    problems: Problems = {}
    rows: list[Row] = []
    first: dict[tuple[str, str], int] = {}
    for record in csv_format.read(raw):
        try:
            row = _row(record)
        except Invalid as error:
            for name, texts in error.fields.items():
                problems.setdefault(f"lines.{record.line}.{name.partition('.')[0]}", []).extend(texts)
            continue
        for key in row.identities():
            if first.setdefault(key, row.line) != row.line:
                problems.setdefault(f"lines.{row.line}.{key[0]}", []).append(f"is on line {first[key]} already")
        rows.append(row)
    _raise_if(problems)
    return rows


def _row(record: Record) -> Row:
    cells = record.cells
    given: dict[str, Any] = {name: cell for name, cell in cells.items() if not name.startswith(FIELD)}
    if "tags" in given:
        given["tags"] = [tag for tag in given["tags"].replace(",", ";").split(";") if tag.strip()]
    own = {name.removeprefix(FIELD): cell for name, cell in cells.items() if name.startswith(FIELD)}
    checked = validate(NewContact, given | ({"fields": own} if own else {}))
    service.check_phone(checked.phone)
    named = checked.model_fields_set - {"contact_id", "name"}
    values = {name: getattr(checked, name) for name in named}
    if checked.name is not None:
        values["first_name"], values["last_name"] = service.split_name(checked.name)
    return Row(record.line, checked.contact_id, values)


def _raise_if(problems: Problems) -> None:
    if not problems:
        return
    lines = len({key.split(".")[1] for key in problems})
    shown = dict(list(problems.items())[:MAX_PROBLEMS])
    text = "1 line is" if lines == 1 else f"{lines} lines are"
    raise Invalid(f"{text} not valid; nothing was stored.", fields=shown)


def store(
    session: Session, workspace_id: str, rows: Sequence[Row], on_duplicate: OnDuplicate, consent: str | None
) -> Result:
    """Store good rows. Who is known already is an error, left alone, or given what the file says.

    ``consent``: the kind that is put on record for everybody who is stored or changed, with the source ``import``.

    Raises:
        Invalid: with each line at fault.
        IntegrityError: somebody else has stored one of them meanwhile.
    """
    known = _Known(session, workspace_id, rows)
    problems: Problems = {}
    result = Result()
    new: list[dict[str, Any]] = []
    changed: dict[str, int] = {}
    for row in rows:
        found = known.of(row)
        if not found:
            new.append(service.new_row(workspace_id, row.public_id, row.values))
        elif on_duplicate == "skip":
            result.skipped.append(row.line)
        elif on_duplicate == "error":
            for name, contact in found.items():
                problems[f"lines.{row.line}.{name}"] = [f"belongs to the contact {contact.public_id}"]
        else:
            problem = _change(row, found, changed)
            if problem:
                problems[f"lines.{row.line}.{problem[0]}"] = [problem[1]]
    _raise_if(problems)
    session.flush()
    insert_rows(session, Contact, new)
    if consent is not None:
        _consent(session, workspace_id, [*(row["id"] for row in new), *changed], consent)
    result.created, result.updated = len(new), len(changed)
    return result


class _Known:
    """The contacts that some rows may be about."""

    def __init__(self, session: Session, workspace_id: str, rows: Sequence[Row]) -> None:
        self._by_key: dict[tuple[str, str], Contact] = {}
        for name, column in _KEYS.items():
            values = [value for row in rows for key, value in row.identities() if key == name]
            for start in range(0, len(values), _LOOK_UP):
                some = values[start : start + _LOOK_UP]
                query = select(Contact).where(Contact.workspace_id == workspace_id, getattr(Contact, column).in_(some))
                for contact in session.scalars(query):
                    self._by_key[name, getattr(contact, column)] = contact

    def of(self, row: Row) -> dict[str, Contact]:
        """Whom a row is about, by the field that says so."""
        return {key[0]: self._by_key[key] for key in row.identities() if key in self._by_key}


def _change(row: Row, found: dict[str, Contact], changed: dict[str, int]) -> tuple[str, str] | None:
    """Give a contact what its row says; returns the field and what is wrong with it, where that cannot be."""
    contact = next(iter(found.values()))
    for name, other in found.items():
        if other is not contact:
            return name, f"belongs to the contact {other.public_id}, and the line is about {contact.public_id}"
    if row.public_id not in (None, contact.public_id):
        return "contactId", f"is not that of the contact with this {next(iter(found))}, {contact.public_id}"
    if contact.id in changed:
        return next(iter(found)), f"is of the same contact as line {changed[contact.id]}"
    changed[contact.id] = row.line
    for name, value in row.values.items():
        setattr(contact, name, {**contact.fields, **value} if name == "fields" else value)
    contact.updated_at = clock.now()
    return None


def _consent(session: Session, workspace_id: str, contact_ids: Iterable[str], kind: str) -> None:
    now = clock.now()
    rows = [
        {
            "id": new_id(),
            "workspace_id": workspace_id,
            "contact_id": contact_id,
            "kind": kind,
            "source": "import",
            "given_at": now,
        }
        for contact_id in contact_ids
    ]
    insert_rows(session, Consent, rows)
