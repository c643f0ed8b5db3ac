"""Lists of people as CSV: reading what spreadsheets write, and writing what they can open without harm.

A cell that begins like a formula would be run by the spreadsheet that opens it, so it gets an apostrophe before it
(OWASP, "CSV Injection"); reading takes it away again. A phone number begins with ``+`` and is treated alike, which also
keeps the plus sign: without the apostrophe a spreadsheet reads a number and drops it.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.contacts.models import Contact
from app.contacts.schemas import FIELD_NAME
from app.errors import Invalid, invalid_field

MAX_ROWS = 20_000
MAX_COLUMNS = 200
DELIMITERS = (",", ";", "\t")
COLUMNS = ("contactId", "firstName", "lastName", "phone", "email", "timezone", "tags", "notes")
FIELD = "field:"

_ALIASES = {
    "contactId": ("contactid", "id", "externalid", "customerid", "clientid", "patientid"),
    "name": ("name", "fullname", "contact", "contactname", "customer", "customername", "client", "clientname"),
    "firstName": ("firstname", "first", "givenname", "forename"),
    "lastName": ("lastname", "last", "surname", "familyname"),
    "phone": ("phone", "phonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "telephone", "tel"),
    "email": ("email", "emailaddress", "mail"),
    "timezone": ("timezone", "tz"),
    "tags": ("tags", "tag", "groups", "group", "labels"),
    "notes": ("notes", "note", "comments", "comment"),
}
_BY_ALIAS = {alias: column for column, aliases in _ALIASES.items() for alias in aliases}
# OWASP names the first six; the full-width ones are what Japanese spreadsheets read as the same.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_PHONE_FILLING = re.compile(r"[\s().\-\u00ad\u2010-\u2015/]")


@dataclass(frozen=True, slots=True)
class Record:
    """A row: the line on which it begins, and its cells that are not blank, by column."""

    line: int
    cells: dict[str, str]


def guard(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """What `guard` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def decode(raw: bytes) -> str:
    """The text of a file.

    Raises:
        Invalid: it is empty, not UTF-8, or holds the NUL character.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _about("is UTF-16; save it as CSV UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        # Windows-1252 would turn any other encoding into names with wrong letters, and nobody would notice.
        raise _about(f"is not UTF-8 (line {line}); save it as CSV UTF-8") from None
    if not text.strip():
        raise _about("is empty")
    if "\0" in text:
        raise _about(f"must not contain the NUL character (line {text.count(chr(10), 0, text.index(chr(0))) + 1})")
    return text


def read(raw: bytes) -> list[Record]:
    """The rows of a file, each by the columns that its first line names; blank lines are left out.

    Raises:
        Invalid: with what is wrong, and on which line.
    """
    text = decode(raw)
    lines = _lines(text, _delimiter(text))
    header = next(lines)[1]
    columns = _columns(header)
    records: list[Record] = []
    for line, cells in lines:
        if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
            raise _about(f"has {len(cells)} cells on line {line}, and {len(columns)} columns")
        filled = {column: cell for column, cell in zip(columns, cells, strict=False) if cell.strip()}
        if not filled:
            continue
        if len(records) == MAX_ROWS:
            raise _about(f"has more than {MAX_ROWS} rows; divide it")
        records.append(Record(line, {column: _clean(column, cell) for column, cell in filled.items()}))
    if not records:
        raise _about("has no row below its first line")
    return records


def _clean(column: str, cell: str) -> str:
    plain = unguard(cell.strip() if column != "notes" and not column.startswith(FIELD) else cell)
    return _PHONE_FILLING.sub("", plain) if column == "phone" else plain


def _delimiter(text: str) -> str:
    """The one that makes the most of the first line's words known; the comma where none does."""

    def known(delimiter: str) -> int:
        try:
            header = next(_lines(text, delimiter))[1]
        except Invalid:
            return -1
        return sum(_column(cell) is not None for cell in header)

    return max(DELIMITERS, key=known)


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins: one in quotes may go over several."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = "a quotation mark is not closed" if "end of data" in str(error) else str(error)
            raise _about(f"cannot be read from line {line} on: {problem}") from None
        yield line, cells
        line = reader.line_num + 1


def _column(title: str) -> str | None:
    plain = title.strip()
    if plain.lower().startswith(FIELD):
        name = plain[len(FIELD) :].strip()
        return f"{FIELD}{name}" if FIELD_NAME.fullmatch(name) else None
    return _BY_ALIAS.get(re.sub(r"[\s_.\-]", "", plain.lower()))


def _columns(header: Sequence[str]) -> list[str]:
    if len(header) > MAX_COLUMNS:
        raise _about(f"has more than {MAX_COLUMNS} columns")
    columns: list[str] = []
    for number, title in enumerate(header, start=1):
        column = _column(title)
        if column is None:
            shown = "".join(char for char in title.strip()[:40] if char.isprintable())
            raise _about(
                f"has a column that is not known: {number}, “{shown}”. Known are {', '.join(_ALIASES)}, and your own "
                f"fields as {FIELD}NAME"
            )
        if column in columns:
            raise _about(f"names {column} twice in its first line")
        columns.append(column)
    if not {"phone", "email"} & set(columns):
        raise _about("needs a first line with the names of its columns, phone or email among them")
    return columns


def _about(message: str) -> Invalid:
    return invalid_field("file", message)


def write(contacts: Sequence[Contact]) -> str:
    """People as a file that `read` understands: the same people."""
    names = sorted({name for contact in contacts for name in contact.fields})
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *(f"{FIELD}{name}" for name in names)])
    for contact in contacts:
        cells = (
            contact.public_id,
            contact.first_name,
            contact.last_name,
            contact.phone or "",
            contact.email or "",
            contact.timezone or "",
            ";".join(contact.tags),
            contact.notes,
            *(contact.fields.get(name, "") for name in names),
        )
        writer.writerow([guard(cell) for cell in cells])
    return out.getvalue()
