"""Opting out and in again."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import ColumnElement

from app.contacts.models import Suppression
from app.database import insert_ignore

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
