"""What a change does to the reminders of an appointment, as it is told and as it is carried on in Redis."""

from dataclasses import dataclass, field
from datetime import datetime

from app import queue
from app.appointments.matching import Existing
from app.messages import service as messages
from app.messages.service import Draft, Stored
from app.messages.states import Reason
from app.reminders.planner import Planned


@dataclass(frozen=True, slots=True)
class Entry:
    """A reminder as an answer names it."""

    job_id: str
    reminder_type: str
    channel: str
    due_at: datetime
    was_due_at: datetime | None = None
    reason: Reason | None = None


@dataclass(slots=True)
class Diff:
    """What became of a plan's reminders, and what is to be done in Redis once that is committed."""

    moved: list[Entry] = field(default_factory=list)
    added: list[Entry] = field(default_factory=list)
    cancelled: list[Entry] = field(default_factory=list)
    already_sent: list[Entry] = field(default_factory=list)
    written: list[tuple[Stored, Draft]] = field(default_factory=list)
    """The rows of a first plan: all that there is to show of it."""
    stored: list[Stored] = field(default_factory=list)
    nudges: list[queue.Nudge] = field(default_factory=list)
    dropped_jobs: list[str] = field(default_factory=list)

    def announce(self) -> None:
        """After the commit."""
        messages.announce(self.stored)
        queue.try_add(self.nudges)
        queue.remove(self.dropped_jobs)


def entry(planned: Planned) -> Entry:
    """A planned reminder."""
    return Entry(planned.job_id, planned.reminder_type, planned.channel, planned.due_at, reason=planned.reason)


def entry_of(row: Existing, planned: Planned | None = None, reason: Reason | None = None) -> Entry:
    """One that exists; with ``planned`` it was moved there."""
    due_at = planned.due_at if planned else row.due_at
    was = row.due_at if planned else None
    return Entry(row.job_id, row.reminder_type, row.channel, due_at, was, reason)
