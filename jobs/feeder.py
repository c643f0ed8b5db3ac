"""The feeder, a thread of the scheduler process: it keeps Redis supplied with what is due within the horizon.

Only the leader feeds. Each tick is one cheap look at Redis, and what follows from it is bounded
(``app.messages.feeding`` has the reasoning). A second feeder does no harm: whatever both add is added once.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import redis
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import clock, logs, metrics, queue
from app.extensions import redis_client, settings
from app.messages import feeding
from app.messages.feeding import Mark, Place, Walk

TICK_S = 0.5
BUSY_TICK_S = 0.1
"""While there is more to feed than there is room for, or a beginning has not been audited."""
BATCH = 2000
BATCHES = 25
"""What one tick feeds at most: about a second, after which the audits have their turn."""
AUDIT_ROWS = 1000
"""What each audit looks at in one tick."""
NEAR, NEAR_EVERY = timedelta(minutes=5), timedelta(seconds=5)

log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at Redis shows: the mark, entries in all, those of them that are due, and which server it is."""

    mark: Mark | None
    used: int
    queued: int
    server: str | None


@dataclass(slots=True)
class Refill:
    """A start from the beginning: why, since when (monotonic seconds), how many were added so far."""

    reason: str
    begun: float
    added: int = 0
    filled: bool = False

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return round(time.monotonic() - self.begun, 3)


class Feeder:
    """One leader's feeding, from its first tick to its last. Lives in an app context, in one thread."""

    def __init__(self) -> None:
        self._epoch = uuid4().hex
        self._horizon = timedelta(minutes=settings().horizon_minutes)
        self._near = Walk(NEAR_EVERY, NEAR)
        self._wide = Walk(self._horizon / 12, self._horizon)
        self._cursor = feeding.START
        self._refill: Refill | None = None
        self._server: str | None = None
        self._paused: frozenset[str] = frozenset()
        self._anew: str | None = "leads"

    def tick(self) -> float:
        """Look, feed, audit; returns the seconds until the next tick.

        Raises:
            redis.RedisError, SQLAlchemyError: the next tick goes on from the same place.
        """
        now = clock.now()
        sight = self._look()
        paused = feeding.paused_channels()
        if reason := self._why_anew(sight, resumed=bool(self._paused - paused)):
            self._begin(reason)
        elif sight.mark:
            self._cursor = min(self._cursor, sight.mark.place)
        self._server, self._paused = sight.server, paused
        # What is due fits while the list has room, whatever fills the schedule: perhaps others do.
        full = sight.queued if self._cursor.at <= now else sight.used
        pause = self._feed(feeding.end_of(now + self._horizon), full)
        self._audit(sight.queued)
        return min(pause, BUSY_TICK_S) if self._refill else pause

    def _look(self) -> Sight:
        with redis_client().pipeline(transaction=False) as pipe:
            pipe.hmget(queue.MARK_KEY, "epoch", "at", "id")
            pipe.expire(queue.MARK_KEY, feeding.MARK_TTL_S)
            pipe.zcard(f"rq:scheduled:{queue.SEND_QUEUE}")
            pipe.llen(f"rq:queue:{queue.SEND_QUEUE}")
            pipe.info("server")
            *answers, server = pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, redis.RedisError):
                raise answer
        fields, _, scheduled, queued = answers
        # A server that does not tell its name is taken for the same one.
        name = server.get("run_id") if isinstance(server, dict) else None
        return Sight(feeding.read_mark(fields), scheduled + queued, queued, name)

    def _why_anew(self, sight: Sight, *, resumed: bool) -> str | None:
        if self._anew:
            return self._anew
        if sight.mark is None:
            return "emptied"
        if sight.mark.epoch != self._epoch:
            return "another"
        if sight.server != self._server:
            return "restarted"  # with the mark, and perhaps without its last second
        return "resumed" if resumed else None

    def _begin(self, reason: str) -> None:
        """Start with what is due first; until the feeding is through, all is left to it."""
        feeding.publish(redis_client(), Mark(self._epoch, feeding.START))
        self._cursor = feeding.START
        self._refill = Refill(reason, time.monotonic())
        for walk in (self._near, self._wide):
            walk.restart()
        self._anew = None
        metrics.refills.inc(reason)
        log.info("feeding from the beginning", reason=reason)

    def _feed(self, end: Place, used: int) -> float:
        # At a beginning the whole of Redis is gone over, full or not: what is due first may be what is missing.
        beginning = self._refill is not None and not self._refill.filled
        if self._cursor >= end:
            return TICK_S
        if used >= feeding.LOW_WATER * settings().horizon_max and not beginning:
            return BUSY_TICK_S
        self._anew = "failed"  # if the answer gets lost: it says whether somebody had pulled the mark back
        before = feeding.publish(redis_client(), Mark(self._epoch, end))
        self._anew = None
        if before is None or before.epoch != self._epoch:
            self._begin("emptied" if before is None else "another")
            return 0
        self._cursor = min(self._cursor, before.place)
        for _ in range(BATCHES):
            rows = feeding.waiting(self._cursor, end, BATCH)
            worth = feeding.worth_a_nudge(rows, clock.now(), paused=self._paused)
            result = queue.put([row.nudge() for row in worth])
            self._cursor = rows[-1].next_place if len(rows) == BATCH else end
            self._count(result.added, "feed")
            if result.left:
                self._note_filled(full=True)
                return BUSY_TICK_S
            if self._cursor == end:
                self._note_filled(full=False)
                return TICK_S
        return 0

    def _audit(self, queued: int) -> None:
        if self._refill and not self._refill.filled:
            return
        # A long queue explains why what is in it waits, and what is due soon would only join it.
        walks = (self._near, self._wide) if queued <= queue.READABLE else (self._wide,)
        for walk in walks:
            self._count(walk.step(clock.now(), self._cursor, AUDIT_ROWS, paused=self._paused), "audit")
        if self._refill and self._wide.finished:
            self._note("redis audited", within=self._wide.seen, beyond=feeding.count_from(self._cursor))
            metrics.refilled.observe(self._refill.seconds)
            self._refill = None

    def _note_filled(self, *, full: bool) -> None:
        if self._refill and not self._refill.filled:
            self._refill.filled = True
            self._note("redis filled", full=full)

    def _note(self, event: str, **facts: object) -> None:
        if refill := self._refill:
            log.info(event, reason=refill.reason, added=refill.added, seconds=refill.seconds, **facts)

    def _count(self, added: int, source: str) -> None:
        if added:
            metrics.fed.inc(source, by=added)
        if added and self._refill:
            self._refill.added += added
        elif added and source == "audit":
            log.warning("nudges were missing in redis", count=added)


def feed_forever(app: Flask, leads: Callable[[], bool], stop: threading.Event) -> None:
    """Feed while this process leads, in a thread of its own: neither database nor Redis holds up the promotion."""
    feeder: Feeder | None = None
    with app.app_context():
        while not stop.is_set():
            pause = TICK_S
            try:
                feeder = (feeder or Feeder()) if leads() else None
                if feeder:
                    pause = feeder.tick()
            except (SQLAlchemyError, redis.RedisError) as error:
                metrics.errors.inc("feeder")
                log.error("feeding failed, trying again", error=str(error).splitlines()[0])
            except Exception:  # a defect must not leave Redis without a feeder until the next start
                metrics.errors.inc("feeder")
                log.exception("feeding failed unexpectedly")
            stop.wait(pause)
