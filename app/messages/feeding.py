"""Feeding: which messages Redis should know, and in which order they come to it.

Redis holds what is due within the horizon, of that the first ``HORIZON_MAX``. The mark, a key in Redis, says how far
the feeder has come: a message before the mark is put into Redis by whoever commits it, one at the mark or beyond is
left to the feeder. The feeder moves the mark first and reads the database afterwards, so one of the two sees every
message: either its committer read the new mark, or it was committed before that and the feeder's query shows it. Where
Redis is full the add script pulls the mark back, and the feeder begins there when there is room again.

The mark also carries the epoch of the feeder that set it. Another feeder's, or none at all, means that Redis was
emptied, replaced, or led by somebody else, and the feeder starts again with what is due first.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast

import redis
from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.sql import ColumnElement

from app import queue
from app.channels import accounts
from app.channels.registry import providers
from app.database import UtcDateTime, reading
from app.messages.models import Message
from app.messages.states import Status

LOW_WATER = 0.75
"""A full Redis is fed again once no more than this is left: in few large pieces, and never behind the workers."""
MARK_TTL_S = 60
"""Where no feeder lives, its mark goes too, and everybody puts in what is due within the horizon."""


class Place(NamedTuple):
    """A place in the order in which messages are due. Those of one instant are in the order of their ids."""

    at: datetime
    id: str


START = Place(datetime(1970, 1, 1, tzinfo=UTC), "")


def end_of(at: datetime) -> Place:
    """The place after everything that is due at this instant."""
    return Place(at, "z")  # row ids are 32 hex digits


class Waiting(NamedTuple):
    """A message that waits for its time."""

    id: str
    revision: int
    scheduled_at: datetime
    valid_until: datetime
    channel: str

    @property
    def next_place(self) -> Place:
        """The first place after this message."""
        return Place(self.scheduled_at, f"{self.id}0")

    def nudge(self) -> queue.Nudge:
        """The job that sends it."""
        return queue.send_nudge(self.id, self.revision, self.scheduled_at)


class Mark(NamedTuple):
    """What the key in Redis says: whose mark it is, and how far that feeder has come."""

    epoch: str
    place: Place


def read_mark(fields: Sequence[bytes | None]) -> Mark | None:
    """The mark from its fields ``epoch``, ``at``, ``id`` in Redis, None where it is missing."""
    epoch, at, row_id = fields
    if epoch is None or at is None or row_id is None:
        return None
    return Mark(epoch.decode(), Place(datetime.fromtimestamp(float(at), UTC), row_id.decode()))


def publish(connection: redis.Redis, mark: Mark) -> Mark | None:
    """Set the mark; returns the one before, read in the same step: nobody can pull it back unseen in between.

    Raises:
        redis.RedisError: perhaps it was set, perhaps not; only from the beginning nobody is passed over.
    """
    with connection.pipeline(transaction=True) as pipe:
        pipe.hmget(queue.MARK_KEY, "epoch", "at", "id")
        place = ["at", repr(mark.place.at.timestamp()), "id", mark.place.id]
        pipe.hset(queue.MARK_KEY, items=["epoch", mark.epoch, *place])
        pipe.expire(queue.MARK_KEY, MARK_TTL_S)
        before = cast(list[bytes | None], pipe.execute()[0])
    return read_mark(before)


def waiting(start: Place, end: Place, limit: int) -> list[Waiting]:
    """Scheduled messages from ``start`` up to but without ``end``, by keyset: each batch costs the same."""
    query = (
        select(Message.id, Message.revision, Message.scheduled_at, Message.valid_until, Message.channel)
        .where(_scheduled(), _is_from(start), ~_is_from(end))
        .order_by(Message.scheduled_at, Message.id)
        .limit(limit)
    )
    with reading() as session:
        return [Waiting(*row) for row in session.execute(query)]


def count_from(place: Place) -> int:
    """How many messages are at this place or after it: all of those that Redis need not know."""
    with reading() as session:
        return session.scalar(select(func.count()).where(_scheduled(), _is_from(place))) or 0


def paused_channels() -> frozenset[str]:
    """The channels whose provider refuses our account at the moment."""
    with reading() as session:
        return providers().channels_of(accounts.paused_accounts(session))


def worth_a_nudge(rows: Sequence[Waiting], now: datetime, *, paused: frozenset[str]) -> list[Waiting]:
    """Of what is due while an account is paused only that which has lost its use: a nudge then says so in its row."""
    return [row for row in rows if row.channel not in paused or row.scheduled_at > now or row.valid_until <= now]


class Walk:
    """An audit that never ends: what Redis should have is read again and again, a few rows a step, and healed.

    It finds what was committed and not added because the process died in between, and what Redis has lost of itself.
    ``finished`` says that a walk has come to its end, and ``seen`` how many rows it saw.
    """

    def __init__(self, every: timedelta, reach: timedelta) -> None:
        """A walk from the first message that waits to those due within ``reach``, begun once in ``every``."""
        self._every = every
        self._reach = reach
        self.restart()

    def restart(self) -> None:
        """Begin anew at the next step."""
        self._begun_at = START.at
        self._place: Place | None = None
        self.finished, self.seen = False, 0

    def step(self, now: datetime, end: Place, budget: int, *, paused: frozenset[str]) -> int:
        """Look at up to ``budget`` rows before ``end``; returns how many nudges were missing.

        Raises:
            redis.RedisError, SQLAlchemyError: the next step looks at the same rows again.
        """
        if self._place is None:
            if now < self._begun_at + self._every:
                return 0
            self._begun_at, self._place, self.finished, self.seen = now, START, False, 0
        rows = waiting(self._place, min(end, end_of(now + self._reach)), budget)
        healed = queue.heal([row.nudge() for row in worth_a_nudge(rows, now, paused=paused)]).added
        self.seen += len(rows)
        self._place = rows[-1].next_place if len(rows) == budget else None
        self.finished = self._place is None
        return healed


def _scheduled() -> ColumnElement[bool]:
    # Written into the statement, not sent beside it: only so a cached plan can use the index of the scheduled ones.
    return Message.status == literal(Status.SCHEDULED.value, literal_execute=True)


def _is_from(place: Place) -> ColumnElement[bool]:
    # A comparison of rows, and not `a > x OR (a = x AND b > y)`: that one reads all of an instant again for each batch.
    row = tuple_(Message.scheduled_at, Message.id)
    return row >= tuple_(literal(place.at, UtcDateTime()), literal(place.id))
