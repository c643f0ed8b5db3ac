"""Caps: the most that a workspace lets itself send in a day and in a month, counted before it is spent.

What a message costs is reserved before it is claimed, first due first, under a lock on the workspace's two counters:
two workers never pass a cap between them. A retry on the same day is not counted again, one on another day moves its
count there. What does not fit waits for the next period if it is still of use then. What ended unsent is given back
by the sweep. Nothing is counted for workspaces without caps.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import events, metrics, queue
from app.database import insert_ignore, reading, writing
from app.logs import get_logger
from app.messages.budget import Cost, Limit, Wanted, allocate, limits_of, next_start, periods
from app.messages.models import Message
from app.messages.states import Reason, Status
from app.messages.unsent import end_unsent
from app.workspaces import audit, preferences
from app.workspaces.models import Usage
from app.workspaces.preferences import Chosen

WARN_PERCENT = 80
REMINDERS_FROM = time(8)
"""When a reminder that waited for another day goes out: nobody wants one at midnight (D12)."""
BATCH = 1000
_UNSENT = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)

log = get_logger(__name__)


@dataclass(slots=True)
class Admitted:
    """Whom the claim may take, and whom it must not take but has to deal with."""

    going: list[str]
    refused: list[str] = field(default_factory=list)


def admit(message_ids: Sequence[str], now: datetime) -> Admitted:
    """Those of the messages that may be claimed at ``now`` as far as caps go; the others are given a time, or end.

    What is not due or not waiting is never let through to the claim where there are caps: it might become claimable in
    between, uncounted.
    """
    capped = {key: chosen for key, chosen in preferences.current().items() if chosen.preferences.caps.any}
    admitted = Admitted(list(message_ids))
    concerned = _concerned(message_ids, capped) if capped and message_ids else set()
    if not concerned:
        return admitted
    nudges: list[queue.Nudge] = []
    announcements: list[Callable[[], None]] = []
    going: set[str] = set()
    with writing() as session:
        rows = session.execute(
            select(*_COLUMNS).where(Message.id.in_(concerned)).order_by(Message.id).with_for_update()
        ).all()
        due = [row for row in rows if row.status == Status.SCHEDULED and row.scheduled_at <= now < row.valid_until]
        for workspace_id in sorted({row.workspace_id for row in due}):
            own = sorted((row for row in due if row.workspace_id == workspace_id), key=lambda row: (row.due_at, row.id))
            going.update(_reserve(session, workspace_id, capped[workspace_id], own, now, nudges, announcements))
    queue.try_add(nudges)
    for announce in announcements:
        announce()
    held = {row.id for row in due} - going
    admitted.going = [one for one in message_ids if one in going or one not in concerned]
    admitted.refused = [one for one in message_ids if one in concerned - going - held]
    return admitted


_COLUMNS = (
    Message.id,
    Message.workspace_id,
    Message.status,
    Message.channel,
    Message.segments,
    Message.due_at,
    Message.scheduled_at,
    Message.valid_until,
    Message.revision,
    Message.attempt,
    Message.reminder_type,
    Message.counted_on,
    Message.counted_segments,
    Message.counted_spend,
)


def _concerned(message_ids: Sequence[str], capped: Container[str]) -> set[str]:
    with reading() as session:
        rows = session.execute(select(Message.id, Message.workspace_id).where(Message.id.in_(message_ids)))
        return {row.id for row in rows if row.workspace_id in capped}


def _counted(row: Any) -> Cost:
    return Cost(row.counted_segments or 0, row.counted_spend or 0)


def _reserve(
    session: Session,
    workspace_id: str,
    chosen: Chosen,
    rows: Sequence[Any],
    now: datetime,
    nudges: list[queue.Nudge],
    announcements: list[Callable[[], None]],
) -> list[str]:
    """Count what fits, and write down what does not; returns who may go."""
    day, month = periods(now, chosen.zone)
    limits = limits_of(chosen.preferences.caps, day, month)
    prices = chosen.preferences.prices
    wanted = [
        Wanted(
            row.id,
            Cost(row.segments if row.channel == "sms" else 1, prices.cost(row.channel, row.segments)),
            row.counted_on,
            _counted(row),
        )
        for row in rows
    ]
    before = {period for row in rows if row.counted_on for period in (row.counted_on, row.counted_on[:7])}
    counters = _lock(session, workspace_id, {day, month} | before)
    used = {period: Cost(counter.segments, counter.spend) for period, counter in counters.items()}
    result = allocate(wanted, used, limits, day, month)
    _write(counters, used)
    if result.granted:
        counted = [
            {"id": message_id, "counted_on": day, "counted_segments": cost.segments, "counted_spend": cost.spend}
            for message_id, cost in result.granted.items()
        ]
        session.execute(update(Message), counted)
    for row in rows:
        if row.id in result.held:
            nudges += _hold(session, row, result.held[row.id], chosen.zone, now)
    for period in (day, month):
        announcements += _note(
            session, counters[period], limits[period], used[period], period in result.held.values(), now
        )
    return result.going


def _lock(session: Session, workspace_id: str, names: Iterable[str]) -> dict[str, Usage]:
    """A workspace's counters of some periods, held until the transaction ends."""
    ordered = sorted(names)
    rows = [{"workspace_id": workspace_id, "period": period, "segments": 0, "spend": 0} for period in ordered]
    insert_ignore(session, Usage, rows, returning=Usage.period)
    counters = session.scalars(
        select(Usage)
        .where(Usage.workspace_id == workspace_id, Usage.period.in_(ordered))
        .order_by(Usage.period)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {counter.period: counter for counter in counters}


def _write(counters: Mapping[str, Usage], used: Mapping[str, Cost]) -> None:
    for period, counter in counters.items():
        counter.segments, counter.spend = used[period].segments, used[period].spend


_UNCOUNTED = {"counted_on": None, "counted_segments": None, "counted_spend": None}


def _hold(session: Session, row: Any, full: str, zone: ZoneInfo, now: datetime) -> list[queue.Nudge]:
    """It waits for the next period, or ends if it is of no use by then."""
    at = next_start(full, zone, REMINDERS_FROM if row.reminder_type else time(0))
    waits = row.valid_until > at
    values: dict[str, Any] = dict(_UNCOUNTED)
    if waits:
        values |= {"scheduled_at": at, "slot_at": None, "revision": row.revision + 1}
    else:
        end_unsent(session, row, Reason.CAP_REACHED, now)
    session.execute(update(Message).where(Message.id == row.id).values(**values))
    metrics.caps.inc("deferred" if waits else "ended")
    return [queue.send_nudge(row.id, row.revision + 1, at)] if waits else []


def _note(
    session: Session, counter: Usage, limit: Limit, used: Cost, is_full: bool, now: datetime
) -> list[Callable[[], None]]:
    """What the owner is to hear of, once in a period: that a cap is near, and that it has kept a message back."""
    percent = limit.percent(used)
    if percent is None:
        return []
    news: list[Callable[[], None]] = []
    if percent >= WARN_PERCENT and counter.warned_at is None:
        counter.warned_at = now
        news.append(_news(session, counter, "warned", percent))
    if is_full and counter.reached_at is None:
        counter.reached_at = now
        news.append(_news(session, counter, "reached", percent))
    return news


def _news(session: Session, counter: Usage, word: str, percent: int) -> Callable[[], None]:
    workspace_id, period = counter.workspace_id, counter.period
    after = {"segments": counter.segments, "spend": counter.spend, "percent": percent}
    audit.record(session, workspace_id, audit.SYSTEM, f"cap.{word}", period, after=after)

    def announce() -> None:
        metrics.caps.inc(word)
        log.warning(f"cap {word}", workspace_id=workspace_id, period=period, percent=percent)
        signal = events.cap_warned if word == "warned" else events.cap_reached
        signal.send(workspace_id=workspace_id, period=period, percent=percent)

    return announce


def refund(_now: datetime) -> int:
    """Give back what was counted for messages that ended unsent; returns how many.

    Not for those that are held because nobody knows: they may have gone out.
    """
    ended = (
        Message.counted_on.is_not(None),
        Message.status.in_(_UNSENT),
        Message.reason.is_distinct_from(Reason.HELD_UNKNOWN),
    )
    with reading() as session:
        if session.scalar(select(Message.id).where(*ended).limit(1)) is None:
            return 0
    with writing() as session:
        rows = session.execute(
            select(*_COLUMNS).where(*ended).order_by(Message.id).limit(BATCH).with_for_update()
        ).all()
        for workspace_id in sorted({row.workspace_id for row in rows}):
            own = [row for row in rows if row.workspace_id == workspace_id]
            names = {period for row in own for period in (row.counted_on, row.counted_on[:7])}
            counters = _lock(session, workspace_id, names)
            used = {period: Cost(counter.segments, counter.spend) for period, counter in counters.items()}
            for row in own:
                for period in (row.counted_on, row.counted_on[:7]):
                    used[period] -= _counted(row)
            _write(counters, used)
        session.execute(update(Message).where(Message.id.in_([row.id for row in rows])).values(**_UNCOUNTED))
    return len(rows)
