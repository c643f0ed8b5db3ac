"""Opting out and in again."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import ColumnElement

from app.contacts.models import Contact, Suppression
from app.database import insert_ignore
from app.ids import new_id

SqlText = ColumnElement[str] | InstrumentedAttribute[str] | str


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
) -> Contact:
    """The person with this number or, failing that, this address; a new contact where there is none."""
    found = _find(session, workspace_id, phone, email)
    if found is not None:
        return found
    first, _, last = (name or "").partition(" ")
    row_id = new_id()
    row = {
        "id": row_id,
        "workspace_id": workspace_id,
        "public_id": public_id or f"contact_{row_id}",
        "first_name": first_name or first,
        "last_name": last_name or last,
        "phone": phone,
        "email": email,
    }
    insert_ignore(session, Contact, [row], returning=Contact.id)
    return (
        session.get(Contact, row_id) or _find(session, workspace_id, phone, email) or session.get_one(Contact, row_id)
    )


def _find(session: Session, workspace_id: str, phone: str | None, email: str | None) -> Contact | None:
    for column, value in ((Contact.phone, phone), (Contact.email, email)):
        if value is not None:
            found = session.scalar(select(Contact).where(Contact.workspace_id == workspace_id, column == value))
            if found is not None:
                return found
    return None
