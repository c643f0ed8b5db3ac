"""What follows when a person opts out: the entry in the list, and the end of what waits for them.

By address, as a STOP comes; or by contact, for what a person said by phone or at the counter, which counts alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import events, queue
from app.contacts import service as contacts
from app.contacts.models import MANUAL, STOP, Contact, Suppression
from app.errors import Conflict, invalid_field
from app.messages.service import cancel_pending_to


@dataclass(frozen=True, slots=True)
class OptOut:
    """An opt-out that is stored; `announce` it once it is committed."""

    workspace_ids: Sequence[str]
    channel: str
    address: str
    dropped_jobs: Sequence[str]

    def announce(self) -> None:
        """Take the jobs out of Redis, and tell whoever listens."""
        queue.remove(self.dropped_jobs)
        for workspace_id in self.workspace_ids:
            events.opted_out.send(workspace_id=workspace_id, channel=self.channel, address=self.address)


def opt_out(session: Session, workspace_ids: Sequence[str], channel: str, address: str, source: str) -> OptOut:
    """Let no message of these workspaces and this channel reach an address any more. Again is harmless."""
    contacts.suppress(session, workspace_ids, channel, address, source)
    return OptOut(workspace_ids, channel, address, cancel_pending_to(session, workspace_ids, channel, address))


def opt_out_contact(session: Session, contact: Contact, channel: str | None) -> list[OptOut]:
    """Let nothing reach a person on one channel or on all.

    Raises:
        Invalid: the person has no address of this channel.
    """
    return [
        opt_out(session, [contact.workspace_id], name, address, MANUAL)
        for name, address in _concerned(contact, channel).items()
    ]


def opt_in_contact(session: Session, contact: Contact, channel: str | None) -> None:
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
