"""People: finding, making and changing them, and their opting out and in again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import ColumnElement

from app import clock, events
from app.channels.phone import Channel, addresses_by_channel, check_address
from app.contacts.models import MANUAL, PROVIDER, Contact, Suppression
from app.database import insert_ignore
from app.errors import Conflict, NotFound, invalid_field
from app.extensions import settings
from app.ids import new_id

SqlText = ColumnElement[str] | InstrumentedAttribute[str] | str

PLANNED_BY = ("phone", "email", "timezone")
"""What the reminders of a person's appointments follow from."""


def suppress(session: Session, workspace_ids: Sequence[str], channel: str, address: str, source: str) -> int:
    """Let no message of these workspaces and this channel reach an address; returns how many are new."""
    rows = [
        {"workspace_id": workspace_id, "channel": channel, "address": address, "source": source}
        for workspace_id in workspace_ids
    ]
    return len(insert_ignore(session, Suppression, rows, returning=Suppression.id)) if rows else 0


def lift(session: Session, workspace_ids: Sequence[str], channel: str, address: str) -> int:
    """Allow messages again; returns how many opt-outs there were."""
    lifted = session.scalars(
        delete(Suppression)
        .where(Suppression.workspace_id.in_(workspace_ids))
        .where(Suppression.channel == channel, Suppression.address == address)
        .returning(Suppression.id)
    )
    return len(list(lifted))


def is_suppressed(
    workspace_id: SqlText,
    channel: SqlText,
    address: SqlText,
) -> ColumnElement[bool]:
    """The condition "has opted out", for use inside other statements."""
    return exists(
        select(Suppression.id).where(
            Suppression.workspace_id == workspace_id,
            Suppression.channel == channel,
            Suppression.address == address,
        )
    )


def check_phone(phone: str | None) -> None:
    """Judge a number as strictly as ``PHONE_STRICTNESS`` says.

    Raises:
        Invalid: naming ``phone``.
    """
    problem = phone and check_address(phone, settings().phone_strictness)
    if problem:
        raise invalid_field("phone", problem)


def split_name(name: str) -> tuple[str, str]:
    """A name in one piece as first name and the rest."""
    first, _, rest = name.strip().partition(" ")
    return first, rest.strip()


def full_name(contact: Contact) -> str:
    """First and last name in one piece; empty where neither is known."""
    return f"{contact.first_name} {contact.last_name}".strip()


def addresses(contact: Contact) -> dict[str, str]:
    """Where a person can be reached, by channel."""
    known = addresses_by_channel(contact.phone, contact.email)
    return {channel: address for channel, address in known.items() if address}


def opted_out(session: Session, workspace_id: str, contacts: Iterable[Contact]) -> dict[str, list[str]]:
    """The channels on which each of some people (by row id) must not be written to."""
    wanted = {contact.id: addresses(contact) for contact in contacts}
    every = [address for by_channel in wanted.values() for address in by_channel.values()]
    rows = session.execute(
        select(Suppression.channel, Suppression.address).where(
            Suppression.workspace_id == workspace_id, Suppression.address.in_(every)
        )
    )
    out = {tuple(row) for row in rows}
    return {
        contact_id: [channel for channel, address in by_channel.items() if (channel, address) in out]
        for contact_id, by_channel in wanted.items()
    }


def find(session: Session, workspace_id: str, public_id: str, *, lock: bool = False) -> Contact:
    """A person by the id that the API knows; ``lock`` keeps others from changing them meanwhile.

    Raises:
        NotFound: no such contact in this workspace.
    """
    query = select(Contact).where(
        Contact.workspace_id == workspace_id, Contact.public_id == public_id, Contact.erased_at.is_(None)
    )
    contact = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if contact is None:
        raise NotFound("There is no such contact in this workspace.")
    return contact


def new_row(workspace_id: str, public_id: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """A row for a new contact, with all its columns, from those that are known."""
    row_id, now = new_id(), clock.now()
    empty = {"first_name": "", "last_name": "", "phone": None, "email": None, "timezone": None, "notes": ""}
    return {
        **empty,
        "tags": [],
        "fields": {},
        **values,
        "id": row_id,
        "workspace_id": workspace_id,
        "public_id": public_id or f"contact_{row_id}",
        "created_at": now,
        "updated_at": now,
    }


def create(session: Session, workspace_id: str, public_id: str | None, values: dict[str, Any]) -> Contact:
    """Store a new contact; ``values`` by column.

    Raises:
        Conflict: the id, the phone number or the email address is another's.
    """
    row = new_row(workspace_id, public_id, values)
    if not insert_ignore(session, Contact, [row], returning=Contact.id):
        raise _taken(session, row)
    return session.get_one(Contact, row["id"])


def change(session: Session, contact: Contact, values: dict[str, Any]) -> Contact:
    """Change some columns of a contact that is locked.

    Raises:
        Conflict: the phone number or the email address is another's. Invalid: neither of the two is left.
    """
    if not values.get("phone", contact.phone) and not values.get("email", contact.email):
        raise invalid_field("phone" if "phone" in values else "email", "is the only address: give another one first")
    phone, email = contact.phone, contact.email
    plans_follow = any(values.get(name, getattr(contact, name)) != getattr(contact, name) for name in PLANNED_BY)
    try:
        with session.begin_nested():
            session.execute(update(Contact).where(Contact.id == contact.id).values(**values, updated_at=clock.now()))
    except IntegrityError:
        raise _taken(session, {"workspace_id": contact.workspace_id, **values}, besides=contact.id) from None
    session.refresh(contact)
    _carry_opt_outs_over(session, contact, addresses_by_channel(phone, email))
    if plans_follow:
        events.contact_changing.send(
            session=session, workspace_id=contact.workspace_id, contact_id=contact.id, phone=phone, email=email
        )
    return contact


def _carry_opt_outs_over(session: Session, contact: Contact, before: Mapping[Channel, str | None]) -> None:
    """Who did not want messages does not want them on a new number either, until the business knows better.

    The new opt-out is `MANUAL`, whatever the old one was: a STOP from a number that was not theirs at all is no reason
    why they could only be reached after a START. An email address that bounced is left behind for good.
    """
    for channel, address in addresses(contact).items():
        old = before.get(channel)  # type: ignore[call-overload]
        if old is None or old == address:
            continue
        out = select(Suppression.id).where(
            Suppression.workspace_id == contact.workspace_id,
            Suppression.channel == channel,
            Suppression.address == old,
        )
        if channel == "email":
            out = out.where(Suppression.source != PROVIDER)
        if session.scalar(out) is not None:
            suppress(session, [contact.workspace_id], channel, address, MANUAL)


_UNIQUE = {"contactId": "public_id", "phone": "phone", "email": "email"}


def _taken(session: Session, row: dict[str, Any], besides: str = "") -> Conflict:
    """Who stands in the way of a row, by field."""
    fields: dict[str, list[str]] = {}
    for field, column in _UNIQUE.items():
        if row.get(column) is None:
            continue
        other = session.scalar(
            select(Contact.public_id).where(
                Contact.workspace_id == row["workspace_id"],
                getattr(Contact, column) == row[column],
                Contact.id != besides,
            )
        )
        if other is not None:
            fields[field] = [f"belongs to the contact {other}"]
    names = " and ".join(fields) or "contact"
    return Conflict(f"There is a contact with this {names} already.", fields=fields, code="contact_exists")


def find_or_create(
    session: Session,
    workspace_id: str,
    *,
    phone: str | None,
    email: str | None,
    name: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    public_id: str | None = None,
    timezone: str | None = None,
) -> Contact:
    """The person with this number or, failing that, this address; a new contact where there is none (seed 000, step A).

    What is not known yet of a person is filled in; what is known stays as it is, because anybody can type somebody
    else's number into a public form. Where number and address belong to two people, it is the one with the number, and
    nothing is filled in. Of several at once exactly one makes the contact: the unique indexes decide.

    Raises:
        Conflict: nobody has the number or the address, and ``public_id`` is another's.
    """
    first, last = split_name(name or "")
    known = {
        "first_name": first_name or ("" if last_name else first),
        "last_name": last_name or ("" if first_name else last),
        "phone": phone,
        "email": email.lower() if email else None,
        "timezone": timezone,
    }
    found = _by_address(session, workspace_id, known["phone"], known["email"])
    if found is None:
        row = new_row(workspace_id, public_id, known)
        if insert_ignore(session, Contact, [row], returning=Contact.id):
            return session.get_one(Contact, row["id"])
        found = _by_address(session, workspace_id, known["phone"], known["email"])
        if found is None:
            raise _taken(session, row)
    return _fill_in(session, found, known)


def _by_address(session: Session, workspace_id: str, phone: str | None, email: str | None) -> Contact | None:
    for column, value in ((Contact.phone, phone), (Contact.email, email)):
        if value:
            found = session.scalar(select(Contact).where(Contact.workspace_id == workspace_id, column == value))
            if found is not None:
                return found
    return None


def _fill_in(session: Session, contact: Contact, known: dict[str, str | None]) -> Contact:
    """Each column only where it is still empty in the database, whatever another request has just written there."""
    other = _by_address(session, contact.workspace_id, None, known["email"])
    if other is not None and other.id != contact.id:
        return contact
    blank = {name: value for name, value in known.items() if value and not getattr(contact, name)}
    if contact.first_name or contact.last_name:
        blank = {name: value for name, value in blank.items() if not name.endswith("_name")}
    if not blank:
        return contact
    for name, value in blank.items():
        column = getattr(Contact, name)
        still_blank = or_(column.is_(None), column == "")
        try:
            with session.begin_nested():
                session.execute(update(Contact).where(Contact.id == contact.id, still_blank).values({name: value}))
        except IntegrityError:
            continue  # somebody else has been given this address meanwhile: then it is not this one's
    session.refresh(contact)
    return contact
