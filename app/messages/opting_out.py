"""What follows when a person opts out: the entry in the list, and the end of what waits for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app import events, queue
from app.contacts import service as contacts
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
