"""What will go out next: the messages that wait, and the occurrences of recurring ones that have no row yet."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import Session

from app import metrics
from app.appointments.models import Appointment
from app.contacts import service as contacts
from app.contacts.models import Contact
from app.logs import get_logger
from app.messages.models import Message, Recurrence
from app.messages.recurrence import occurrences
from app.messages.recurring import rule_of
from app.messages.states import Status

MOST_RECURRING = 1000
"""Recurring messages that are worked out for one page; a workspace with more is told so."""
PREVIEW = 160
"""Characters of a text."""

Place = tuple[datetime, str]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """Something that will go out: a message, or an occurrence of a recurring one that has no row yet.

    ``appointment_id`` and ``contact_id`` are the public ones.
    """

    due_at: datetime
    expected_at: datetime
    row: Message | Recurrence
    appointment_id: str | None = None
    contact_id: str | None = None

    @property
    def place(self) -> Place:
        """Where it stands in the list."""
        return self.due_at, self.row.id

    @property
    def message(self) -> Message | None:
        """The message; None where there is none yet."""
        return self.row if isinstance(self.row, Message) else None

    @property
    def preview(self) -> str | None:
        """The beginning of its text; None for one that is written when it is sent."""
        return self.row.body[:PREVIEW] or None


@dataclass(frozen=True, slots=True)
class Page:
    """``is_complete`` is False where there are more recurring messages than were worked out."""

    items: Sequence[Item]
    has_more: bool
    is_complete: bool


def page(
    session: Session, workspace_id: str, *, now: datetime, until: datetime, after: Place | None, limit: int
) -> Page:
    """What is due before ``until``, in the order in which it is due, from after a place on.

    What waits and yet cannot go out is not in it: of an older plan, of no use any more, or to somebody who has opted
    out. What is late (a retry, a paused account) still is.
    """
    recurring = session.scalars(
        select(Recurrence)
        .where(Recurrence.workspace_id == workspace_id, Recurrence.status == "active")
        .order_by(Recurrence.id)
        .limit(MOST_RECURRING + 1)
    ).all()
    waiting = _waiting(session, workspace_id, now, until, after, limit + 1)
    coming = heapq.merge(*(_coming(row, now, until, after) for row in recurring[:MOST_RECURRING]), key=_place)
    merged = list(islice(heapq.merge(waiting, coming, key=_place), limit + 1))
    return Page(merged[:limit], len(merged) > limit, len(recurring) <= MOST_RECURRING)


def _place(item: Item) -> Place:
    return item.place


def _waiting(
    session: Session, workspace_id: str, now: datetime, until: datetime, after: Place | None, limit: int
) -> list[Item]:
    query = (
        select(Message, Appointment.public_id, Contact.public_id)
        .outerjoin(Appointment, Appointment.id == Message.appointment_id)
        .outerjoin(Contact, Contact.id == Message.contact_id)
        .where(
            Message.workspace_id == workspace_id,
            Message.status == Status.SCHEDULED,
            Message.due_at < until,
            Message.valid_until > now,
            or_(Message.appointment_id.is_(None), Appointment.revision == Message.plan_revision),
            ~contacts.is_suppressed(Message.workspace_id, Message.channel, Message.to_address),
        )
        .order_by(Message.due_at, Message.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Message.due_at >= after[0], tuple_(Message.due_at, Message.id) > after)
    return [
        Item(
            due_at=message.due_at,
            expected_at=max(message.slot_at or message.scheduled_at, message.scheduled_at),
            row=message,
            appointment_id=appointment_id,
            contact_id=contact_id,
        )
        for message, appointment_id, contact_id in session.execute(query)
    ]


def _coming(row: Recurrence, now: datetime, until: datetime, after: Place | None) -> Iterator[Item]:
    """The occurrences that have no row yet: those after the recurrence's cursor, which are in the future."""
    left = None if row.count is None else row.count - row.made
    # With a count every occurrence from the cursor on has to be counted, the skipped ones too.
    start = row.cursor_at if left is not None else max(row.cursor_at, now)
    try:
        for run in takewhile(lambda run: run.at < until, islice(occurrences(rule_of(row), start), left)):
            if run.at > now and (after is None or (run.at, row.id) > after):
                yield Item(run.at, run.at, row)
    except (ValueError, KeyError) as error:  # a zone that left the tz database must not hide all the others
        metrics.errors.inc("recurrence")
        log.error("recurrence cannot be planned", recurrence_id=row.id, error=str(error))
