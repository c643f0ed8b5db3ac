"""Pacing: a sender carries so many segments a second, and messages wait for its turns without holding anything.

Turns are given by one script in Redis, which all workers share. Who waits for one is written down in SQL, so that a
lost Redis loses no place. There are two kinds of waiting, told apart by the row alone:

* *promised*: ``slot_at == scheduled_at``. The turn is this message's. Turns are promised half a minute ahead and no
  more: of a bulk of 10,000 that is called off, only that much of the sender's time is lost.
* *in line*: ``slot_at > scheduled_at``. Who finds no turn so soon stands in line in SQL, first due first; ``slot_at``
  is when its turn may come. The sweep hands out turns as they come near. Should it not, the message comes by itself
  at ``scheduled_at``, a moment before, and asks again.

A claim ends the waiting (``slot_at`` is None again): a retry asks anew. So does who comes late for its turn and finds
the sender busy with others, as after an outage, which therefore does not end in a burst.
"""

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    bindparam,
    func,
    literal_column,
    select,
    type_coerce,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningUpdate

from app import clock, metrics, queue, scripts
from app.database import UtcDateTime, batch, given_rows, reading
from app.extensions import redis_client
from app.logs import get_logger
from app.messages import rates
from app.messages.models import Message
from app.messages.rates import Rates
from app.messages.states import Status

AHEAD = timedelta(seconds=30)
"""How far ahead turns are promised: several sweeps, so that a sender is never idle for want of one."""
BURST = timedelta(seconds=5)
"""How much more than its rate a sender may send at once when messages come late for their turns."""
COMES_EARLY = timedelta(seconds=5)
"""How long before its expected turn a message in line comes by itself."""
HAND_OUT = 2000
"""Turns that one sweep hands out for one sender."""
SENDERS = 500
"""Senders that one sweep looks after, those with the nearest turn first; the others' messages come by themselves."""

_PACE = scripts.read("pace")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wait:
    """A message that does not go now: when it comes back, and when its turn is then."""

    message_id: str
    revision: int
    scheduled_at: datetime
    slot_at: datetime


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row that wants a turn. ``line_end``: the last time in its sender's line; None if nobody stands there."""

    id: str
    from_address: str
    segments: int
    due_at: datetime
    scheduled_at: datetime
    slot_at: datetime | None
    valid_until: datetime
    revision: int
    line_end: datetime | None = None


_COLUMNS = (
    Message.id,
    Message.from_address,
    Message.segments,
    Message.due_at,
    Message.scheduled_at,
    Message.slot_at,
    Message.valid_until,
    Message.revision,
)


def _stands_in_line(message: type[Message]) -> tuple[ColumnElement[bool], ...]:
    # The status is written out, so that the planner sees that the partial index fits.
    waits = message.status == literal_column("'scheduled'", String)
    return waits, message.slot_at.is_not(None), message.slot_at > message.scheduled_at


def admit(message_ids: Sequence[str]) -> list[str]:
    """Those of the messages that may be claimed now, as far as their senders' rates go; the others are given a time.

    Whoever is not due or not waiting any more passes: the claim has the last word on everything but the turn. Without a
    rate it costs nothing, and without Redis everything passes: the provider has a queue of its own.
    """
    allowed = rates.current()
    if not allowed.pace_somebody:
        return list(message_ids)
    now = clock.now()
    paced = [row for row in _due(message_ids, now) if allowed.of(row.from_address)]
    if not paced:
        return list(message_ids)
    paced.sort(key=lambda row: (row.due_at, row.id))
    # Who is new stands behind those who are in line already.
    behind = [row for row in paced if row.slot_at is None and row.line_end is not None]
    asking = [row for row in paced if row.slot_at is not None or row.line_end is None]
    try:
        answers = _turns([(row, "keep" if row.slot_at == row.scheduled_at else "ask") for row in asking], allowed)
    except redis.RedisError as error:
        metrics.errors.inc("pacing")
        log.warning("no turns without Redis, sending at once", count=len(paced), error=str(error))
        return list(message_ids)
    waits = [wait for row, answer in zip(asking, answers, strict=True) if (wait := _promised(row, answer))]
    full = [row for row, answer in zip(asking, answers, strict=True) if answer == "full"]
    _write(waits + _in_line(sorted(behind + full, key=lambda row: (row.due_at, row.id)), allowed, now))
    going = {row.id for row, answer in zip(asking, answers, strict=True) if answer == "go"}
    held = {row.id for row in paced} - going
    return [message_id for message_id in message_ids if message_id not in held]


def hand_out_turns(now: datetime) -> int:
    """Promise the turns of the near future to those who stand in line, first due first; returns how many."""
    with reading() as session:
        in_line = select(Message.from_address).where(*_stands_in_line(Message)).group_by(Message.from_address)
        senders = list(session.scalars(in_line.order_by(func.min(Message.slot_at)).limit(SENDERS)))
    allowed, handed = rates.current(), 0
    for sender in senders:
        first = _first_in_line(sender, allowed.of(sender), now)
        answers = _turns([(row, "book") for row in first], allowed)
        waits = [wait for row, answer in zip(first, answers, strict=True) if (wait := _promised(row, answer))]
        handed += _write(waits)
        # The nudges for the times at which they would have come by themselves.
        queue.remove([queue.send_nudge(one.message_id, one.revision, None).job_id for one in waits])
    return handed


def _first_in_line(sender: str, rate: float, now: datetime) -> list[_Candidate]:
    """As many as a sender can carry in the time for which turns are promised."""
    most = min(math.ceil(rate * AHEAD.total_seconds()), HAND_OUT) if rate else HAND_OUT
    with reading() as session:
        rows = session.execute(
            select(*_COLUMNS)
            .where(*_stands_in_line(Message), Message.from_address == sender, Message.valid_until > now)
            .order_by(Message.due_at, Message.id)
            .limit(most)
        )
        return [_Candidate(*row) for row in rows]


def _due(message_ids: Sequence[str], now: datetime) -> list[_Candidate]:
    """Who could be claimed now."""
    values = {"given": json.dumps([{"id": message_id} for message_id in message_ids]), "now": now}
    with reading() as session:
        return [_Candidate(*row) for row in session.execute(_find(session.get_bind().dialect.name), values)]


@functools.cache
def _find(dialect: str) -> Any:
    given, other = given_rows(dialect, {"id": String}), aliased(Message)
    line_end = (
        select(func.max(other.slot_at))
        .where(other.from_address == Message.from_address, *_stands_in_line(other))
        .scalar_subquery()
    )
    now = bindparam("now", type_=UtcDateTime)
    return select(*_COLUMNS, type_coerce(line_end, UtcDateTime)).where(
        Message.id.in_(select(given.c.id)),
        Message.status == Status.SCHEDULED,
        Message.scheduled_at <= now,
        Message.valid_until > now,
    )


def _turns(asking: Sequence[tuple[_Candidate, str]], allowed: Rates) -> list[str]:
    """What the script answers to each, in order.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    if not asking:
        return []
    senders = {sender: number for number, sender in enumerate(dict.fromkeys(row.from_address for row, _ in asking), 1)}
    now = clock.override()
    arguments: list[str | int | float] = [
        AHEAD.total_seconds(),
        BURST.total_seconds(),
        "" if now is None else repr(now),
    ]
    for row, purpose in asking:
        takes = allowed.seconds(row.from_address, row.segments)
        arguments += (senders[row.from_address], purpose, repr(takes), repr(row.valid_until.timestamp()))
    script = redis_client().register_script(_PACE)
    return [answer.decode() for answer in cast(list[bytes], script(keys=[_key(s) for s in senders], args=arguments))]


def _key(sender: str) -> str:
    """A number has no place in the names of keys, where tools and logs show it."""
    return f"bellhop:pace:{hashlib.sha256(sender.encode()).hexdigest()[:24]}"


def _promised(row: _Candidate, answer: str) -> _Wait | None:
    """A turn of its own; None for who goes, and for who finds no turn so soon.

    A turn after the end of its validity is not taken: the message comes back at that end, and is closed as expired.
    """
    if answer in ("go", "full"):
        return None
    at = row.valid_until if answer == "late" else datetime.fromtimestamp(float(answer), UTC)
    return _Wait(row.id, row.revision, at, at)


def _in_line(rows: Iterable[_Candidate], allowed: Rates, now: datetime) -> list[_Wait]:
    """Places at the end of the line, each with the time at which its turn may come."""
    ends: dict[str, datetime] = {}
    waits = []
    for row in rows:
        end = ends.get(row.from_address) or max(row.line_end or now, now + AHEAD)
        takes = timedelta(seconds=allowed.seconds(row.from_address, row.segments))
        slot_at = ends[row.from_address] = end + takes
        waits.append(_Wait(row.id, row.revision, min(slot_at - COMES_EARLY, row.valid_until), slot_at))
    return waits


def _write(waits: Sequence[_Wait]) -> int:
    """Write waits down, as far as their rows are what they were, and nudge those that are near; returns how many."""
    if not waits:
        return 0
    given = [
        {
            "id": one.message_id,
            "revision": one.revision,
            "scheduled_at": _text(one.scheduled_at),
            "slot_at": _text(one.slot_at),
        }
        for one in waits
    ]
    with batch() as connection:
        written = connection.execute(_wait(connection.dialect.name), {"given": json.dumps(given)}).all()
    metrics.deferred.inc(by=len(written))
    queue.try_add([queue.send_nudge(*row) for row in written])
    return len(written)


@functools.cache
def _wait(dialect: str) -> ReturningUpdate[str, int, datetime]:
    wait = given_rows(dialect, {"id": String, "revision": Integer, "scheduled_at": String, "slot_at": String})
    # Locked in the order of their ids, as in a claim: two workers wait for each other, and never in a circle.
    rows = select(Message.id).where(Message.id.in_(select(wait.c.id))).order_by(Message.id).with_for_update()
    return (
        update(Message)
        .where(
            Message.id.in_(rows),
            Message.id == wait.c.id,
            Message.revision == wait.c.revision,
            Message.status == Status.SCHEDULED,
        )
        .values(
            scheduled_at=_instant(dialect, wait.c.scheduled_at),
            slot_at=_instant(dialect, wait.c.slot_at),
            revision=Message.revision + 1,
        )
        .returning(Message.id, Message.revision, Message.scheduled_at)
    )


def _text(at: datetime) -> str:
    """An instant as SQLite keeps it; PostgreSQL reads the same, once it is told that it is UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _instant(dialect: str, text: ColumnElement[str]) -> ColumnElement[datetime]:
    return type_coerce(text, UtcDateTime) if dialect == "sqlite" else sql_cast(text + "+00", UtcDateTime)
