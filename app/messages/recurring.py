"""Recurrences in the database: creating, pausing, and making their messages.

Each occurrence becomes a message of its own a little before it is due, so that it can be seen, cancelled and sent
like any other. The cursor moves in the transaction that writes the rows, and the occurrence key is unique: two
schedulers, or one that died half-way, make each occurrence once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import clock, ids, metrics, queue
from app.database import reading, writing
from app.errors import Conflict, NotFound
from app.logs import get_logger
from app.messages import service
from app.messages.models import Message, Recurrence
from app.messages.recurrence import Occurrence, Rule, catch_up, next_runs, occurrences
from app.messages.service import DEFAULT_VALIDITY, Draft, Stored
from app.messages.states import Reason, Status

GRACE = timedelta(hours=1)
"""An occurrence missed while everything was down is still sent within this time, the latest one only."""
AHEAD = timedelta(minutes=15)
"""Rows are made this long before they are due; the sweep runs every few seconds."""
BATCH = 500

log = get_logger(__name__)


def rule_of(row: Recurrence) -> Rule:
    """The pure rule behind a row, which was checked when it was stored."""
    return Rule(
        crons=tuple(row.crons),
        timezone=row.timezone,
        until=row.until,
        count=row.count,
        skip_dates=frozenset(date.fromisoformat(day) for day in row.skip_dates),
    )


def upcoming(row: Recurrence, n: int = 3) -> list[str]:
    """The next runs as the API shows them, in the recurrence's zone; none unless it is active.

    Occurrences that have their rows already are in the future still, so counting starts from now and not from the
    cursor.
    """
    if row.status != "active":
        return []
    now = clock.now()
    remaining = None
    if row.count is not None:
        ahead = sum(1 for _ in takewhile(lambda run: run.at <= row.cursor_at, occurrences(rule_of(row), now)))
        remaining = row.count - row.made + ahead
    return [run.isoformat() for run in next_runs(rule_of(row), now, n, remaining)]


def create(session: Session, row: Recurrence) -> list[Stored]:
    """Store a recurrence and the messages that are due soon."""
    session.add(row)
    session.flush()
    return _make(session, row, clock.now())[0]


def find(session: Session, workspace_id: str, recurrence_id: str) -> Recurrence:
    """A recurrence of a workspace.

    Raises:
        NotFound: there is none of this id here.
    """
    row = session.get(Recurrence, recurrence_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFound("There is no such recurring message in this workspace.")
    return row


def in_workspace(workspace_id: str, limit: int = 1000) -> list[Recurrence]:
    """The recurrences of a workspace, newest first."""
    with reading() as session:
        return list(
            session.scalars(
                select(Recurrence)
                .where(Recurrence.workspace_id == workspace_id)
                .order_by(Recurrence.created_at.desc(), Recurrence.id.desc())
                .limit(limit)
            )
        )


@dataclass(frozen=True, slots=True)
class _Change:
    allowed: tuple[str, ...]
    to: str


_CHANGES = {
    "pause": _Change(("active",), "paused"),
    "resume": _Change(("paused",), "active"),
    "cancel": _Change(("active", "paused"), "cancelled"),
}


def change(workspace_id: str, recurrence_id: str, action: str, *, keep: bool = True) -> Recurrence:
    """Pause, resume or cancel; repeating an action gives the same answer.

    Pausing and cancelling call off the occurrences that wait already; resuming brings those back that are not due yet,
    and those that fell into the pause stay cancelled. ``keep=False`` only tries it out.

    Raises:
        NotFound: no such recurrence. Conflict: it is over, or was never paused.
    """
    now = clock.now()
    wanted = _CHANGES[action]
    made: list[Stored] = []
    nudges: list[queue.Nudge] = []
    dropped: list[str] = []
    with writing(keep=keep) as session:
        row = find(session, workspace_id, recurrence_id)
        changed = session.scalar(
            update(Recurrence)
            .where(Recurrence.id == row.id, Recurrence.status.in_(wanted.allowed))
            .values(status=wanted.to)
            .returning(Recurrence)
            .execution_options(populate_existing=True)
        )
        if changed is None:
            session.refresh(row)
            if row.status != wanted.to:
                raise Conflict(f"The recurring message is {row.status}.", code=f"already_{row.status}")
        elif action == "resume":
            nudges = _reinstate(session, row.id, now)
            row.cursor_at = max(row.cursor_at, now)
            made = _make(session, row, now)[0]
        else:
            reason = Reason.RECURRENCE_PAUSED if action == "pause" else Reason.RECURRENCE_CANCELLED
            dropped = _call_off(session, row.id, reason, now)
    if keep:
        service.announce(made)
        queue.try_add(nudges)
        queue.remove(dropped)
    return row


def _call_off(session: Session, recurrence_id: str, reason: Reason, now: datetime) -> list[str]:
    rows = session.execute(
        update(Message)
        .where(Message.recurrence_id == recurrence_id, Message.status == Status.SCHEDULED)
        .values(status=Status.CANCELLED, reason=reason, finished_at=now)
        .returning(Message.id, Message.revision)
    )
    return [queue.send_nudge(row.id, row.revision, None).job_id for row in rows]


def _reinstate(session: Session, recurrence_id: str, now: datetime) -> list[queue.Nudge]:
    rows = session.execute(
        update(Message)
        .where(
            Message.recurrence_id == recurrence_id,
            Message.status == Status.CANCELLED,
            Message.reason == Reason.RECURRENCE_PAUSED,
            Message.scheduled_at > now,
        )
        .values(status=Status.SCHEDULED, reason=None, finished_at=None, revision=Message.revision + 1)
        .returning(Message.id, Message.revision, Message.scheduled_at)
    )
    return [queue.send_nudge(row.id, row.revision, row.scheduled_at) for row in rows]


def materialise_all(now: datetime) -> int:
    """Make what every active recurrence needs next; returns how many messages were made.

    A recurrence that cannot be read (a zone that left the tz database, say) is reported and does not stop the others.
    """
    made = 0
    last = ""
    while True:
        with reading() as session:
            batch = list(
                session.scalars(
                    select(Recurrence.id)
                    .where(Recurrence.status == "active", Recurrence.id > last)
                    .order_by(Recurrence.id)
                    .limit(BATCH)
                )
            )
        for recurrence_id in batch:
            try:
                made += _materialise(recurrence_id, now)
            except (ValueError, KeyError) as error:
                metrics.errors.inc("recurrence")
                log.error("recurrence cannot be planned", recurrence_id=recurrence_id, error=str(error))
        if len(batch) < BATCH:
            return made
        last = batch[-1]


def _materialise(recurrence_id: str, now: datetime) -> int:
    total = 0
    for _ in range(20):  # a long gap is caught up in several transactions, and over several sweeps
        with reading() as session:
            row = session.get_one(Recurrence, recurrence_id)
            if row.status != "active" or not _has_work(row, now):
                return total
        with writing() as session:
            row = session.get_one(Recurrence, recurrence_id, with_for_update=True)
            if row.status != "active":
                return total
            stored, more = _make(session, row, now)
        service.announce(stored)
        total += len(stored)
        if not more:
            break
    return total


def _has_work(row: Recurrence, now: datetime) -> bool:
    following = None if _is_exhausted(row) else next(occurrences(rule_of(row), row.cursor_at), None)
    return following.at <= now + AHEAD if following else row.cursor_at <= now


def _is_exhausted(row: Recurrence) -> bool:
    return row.count is not None and row.made >= row.count


def _make(session: Session, row: Recurrence, now: datetime) -> tuple[list[Stored], bool]:
    """Write the rows for what was missed, what is due and what is due soon; True if there is more to catch up."""
    rule = rule_of(row)
    remaining = None if row.count is None else row.count - row.made
    caught = catch_up(rule, row.cursor_at, now, GRACE, BATCH, remaining)
    drafts = [_draft(row, occurrence, Reason.MISSED) for occurrence in caught.missed]
    cursor = caught.cursor
    if caught.due is not None:
        drafts.append(_draft(row, caught.due, last=len(drafts) + 1 == remaining))
    if not caught.more:
        left = BATCH if remaining is None else min(max(remaining - len(drafts), 0), BATCH)
        soon = list(takewhile(lambda run: run.at <= now + AHEAD, islice(occurrences(rule, cursor), left)))
        for occurrence in soon:
            drafts.append(_draft(row, occurrence, last=len(drafts) + 1 == remaining))
        cursor = soon[-1].at if soon else cursor
    stored = service.store_occurrences(session, drafts)
    row.cursor_at = cursor
    row.made += len(drafts)
    # Not before the last one is due: until then it waits, and can be paused and called off.
    ended = _is_exhausted(row) or next(occurrences(rule, cursor), None) is None
    if ended and not caught.more and cursor <= now:
        row.status = "completed"
    session.flush()
    return stored, caught.more


def _draft(row: Recurrence, occurrence: Occurrence, skipped: Reason | None = None, *, last: bool = False) -> Draft:
    """An occurrence as a message. It is of no use any more once the next one is due: rows that were made ahead of an
    outage must not go out all together after it.
    """
    following = None if skipped or last else next(occurrences(rule_of(row), occurrence.at), None)
    valid_until = occurrence.at + DEFAULT_VALIDITY
    return Draft(
        workspace_id=row.workspace_id,
        to=row.to_address,
        sender=row.from_address,
        body=row.body,
        media_urls=row.media_urls,
        due_at=occurrence.at,
        due_text=occurrence.at.astimezone(ZoneInfo(row.timezone)).isoformat(),
        valid_until=min(valid_until, following.at) if following else valid_until,
        job_id=ids.keyed_job_id(row.workspace_id, row.id, occurrence.key),
        recurrence_id=row.id,
        occurrence_key=occurrence.key,
        skipped=skipped,
    )


def new_row(
    workspace_id: str, channel: str, to: str, sender: str, body: str, media_urls: Sequence[str], rule: Rule
) -> Recurrence:
    """A recurrence that begins now."""
    now = clock.now()
    return Recurrence(
        id=ids.new_id(),
        workspace_id=workspace_id,
        status="active",
        channel=channel,
        to_address=to,
        from_address=sender,
        body=body,
        media_urls=list(media_urls),
        crons=list(rule.crons),
        timezone=rule.timezone,
        until=rule.until,
        count=rule.count,
        skip_dates=sorted(day.isoformat() for day in rule.skip_dates),
        cursor_at=now,
        made=0,
        created_at=now,
    )
