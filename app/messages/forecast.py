"""Will it all go out in time? What a bulk is told of senders that are too slow for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.channels.segments import count_segments
from app.messages import rates as sender_rates
from app.messages.models import Message
from app.messages.rates import Rates
from app.messages.service import Draft
from app.messages.states import Status

LOOK_BACK = timedelta(hours=4)
"""What was due longer ago is over by now, unless its caller gave it a longer validity than the usual one."""
MOST_OTHERS = 20_000
"""Rows that are counted at most: a bound on what a bulk may cost. With more than that the forecast is too kind."""


@dataclass(frozen=True, slots=True)
class Load:
    """Segments that a sender has to carry from an instant on; of no use any more at ``valid_until`` (None: never)."""

    sender: str
    due_at: datetime
    segments: int
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TooSlow:
    """A sender that cannot carry all: how many messages miss their validity, and when the last of them all is out."""

    sender: str
    rate: float
    affected: int
    last_slot: datetime


def too_slow(asked: Iterable[Load], others: Iterable[Load], rates: Rates, now: datetime) -> list[TooSlow]:
    """The senders that need longer for the messages of a request than these are valid.

    ``others`` is what the same senders have to carry besides; it comes first where both are due at the same instant.
    A message whose turn would come too late takes none, so those behind it come sooner.
    """
    lines: dict[str, list[tuple[Load, bool]]] = {}
    for own, loads in ((False, others), (True, asked)):
        for load in loads:
            if rates.of(load.sender):
                lines.setdefault(load.sender, []).append((load, own))
    found = (_ahead(sender, line, rates, now) for sender, line in lines.items())
    return [one for one in found if one.affected]


def _ahead(sender: str, line: Sequence[tuple[Load, bool]], rates: Rates, now: datetime) -> TooSlow:
    free = whole = last = now
    affected = 0
    for load, own in sorted(line, key=lambda entry: entry[0].due_at):
        takes = timedelta(seconds=rates.seconds(sender, load.segments))
        free, whole = max(free, load.due_at), max(whole, load.due_at)
        if own:
            last = whole
        whole += takes
        if load.valid_until is not None and free >= load.valid_until:
            affected += 1
        else:
            free += takes
    return TooSlow(sender, rates.of(sender), affected, last)


def of_bulk(session: Session, drafts: Sequence[Draft], now: datetime) -> list[TooSlow]:
    """The senders that are too slow for a request whose messages are not stored yet.

    Beside them stands what the workspace has planned already; of other workspaces that share the sender nobody is told.
    """
    rates = sender_rates.current(session)
    asked = [
        Load(draft.sender, draft.due_at, count_segments(draft.body).segments, draft.valid_until)
        for draft in (drafts if rates.pace_somebody else ())
        if rates.of(draft.sender)
    ]
    if not asked:
        return []
    times = [load.due_at for load in asked]
    planned = (
        select(Message.from_address, Message.due_at, Message.segments)
        .where(
            Message.workspace_id == drafts[0].workspace_id,
            Message.status == Status.SCHEDULED,
            Message.due_at.between(min(times) - LOOK_BACK, max(times)),
            Message.from_address.in_({load.sender for load in asked}),
        )
        .order_by(Message.due_at)
        .limit(MOST_OTHERS)
        .subquery()
    )
    rows = session.execute(
        select(planned.c.from_address, planned.c.due_at, func.sum(planned.c.segments)).group_by(
            planned.c.from_address, planned.c.due_at
        )
    )
    return too_slow(asked, (Load(*row) for row in rows), rates, now)
