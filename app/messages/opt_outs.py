"""Opting out and in by hand: what a person said by phone or at the counter counts like a STOP."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contacts import service as contacts
from app.contacts.models import MANUAL, STOP, Contact, Suppression
from app.errors import Conflict, invalid_field
from app.messages.service import cancel_pending_to


def opt_out(session: Session, contact: Contact, channel: str | None, source: str = MANUAL) -> list[str]:
    """Let nothing reach a person on one channel or on all, and call off what waits; returns the RQ job ids to remove.

    Raises:
        Invalid: the person has no address of this channel.
    """
    dropped: list[str] = []
    for name, address in _concerned(contact, channel).items():
        contacts.suppress(session, [contact.workspace_id], name, address, source)
        dropped += cancel_pending_to(session, [contact.workspace_id], name, address)
    return dropped


def opt_in(session: Session, contact: Contact, channel: str | None) -> None:
    """Allow messages again on one channel or on all.

    Raises:
        Invalid: the person has no address of this channel. Conflict: the person has said STOP; only their own START
            lifts that.
    """
    concerned = _concerned(contact, channel)
    said_stop = session.scalars(
        select(Suppression.channel).where(
            Suppression.workspace_id == contact.workspace_id,
            Suppression.address.in_(concerned.values()),
            Suppression.channel.in_(concerned),
            Suppression.source == STOP,
        )
    ).all()
    if said_stop:
        raise Conflict(
            f"This person has said STOP ({', '.join(sorted(said_stop))}): only their own START lifts that.",
            code="said_stop",
        )
    for name, address in concerned.items():
        contacts.lift(session, [contact.workspace_id], name, address)


def _concerned(contact: Contact, channel: str | None) -> dict[str, str]:
    known = contacts.addresses(contact)
    if channel is None:
        return known
    if channel not in known:
        raise invalid_field("channel", "is one on which this contact has no address")
    return {channel: known[channel]}
