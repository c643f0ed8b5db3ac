"""The scheduler process: ``python -m jobs.scheduler``.

A subclass of rq-scheduler's Scheduler with one Lua script a turn (``app/scripts/promote.lua``), which elects the
leader, renews its lease, moves everything due from RQ's schedules to their queues, and says when the next is due. The
leader sleeps until then, woken over pub/sub when something sooner is added. Several may run; one leads. The feeder
and the sweep run beside it.
"""

import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import cast
from uuid import uuid4

import redis
from flask import Flask
from redis.client import PubSub
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import utcformat
from rq_scheduler import Scheduler as StockScheduler

from app import clock, logs, metrics, queue, scripts
from app.extensions import make_redis
from app.messages import sweep
from app.settings import load_or_exit
from jobs.context import app as process_app
from jobs.feeder import feed_forever
from jobs.periodic import next_run

LEASE_MS = 3000
PRECISE_S = 0.002
MAX_SLEEP_S = 1.0
"""Covers wake-ups that pub/sub lost, entries that others add directly, and the lease's renewal."""
BEAT_EVERY_S = 1.0
"""A sign of life, of one that leads and of one that waits to lead alike."""
BATCH = 500
POISON_KEY = "bellhop:scheduler:poison"
"""Entries that could not be promoted, by the time at which they were put aside."""

log = logs.get_logger(__name__)


class Scheduler(StockScheduler):  # type: ignore[misc]
    """Promotes what is due while it holds rq-scheduler's lock; a stock ``rqscheduler`` finds the lock taken."""

    def __init__(self, connection: redis.Redis) -> None:
        super().__init__(connection=connection, interval=1)
        self.token = uuid4().hex
        self.leads = False
        self.promoted = 0
        self._blocked: frozenset[bytes] = frozenset()
        self._names: tuple[str, ...] = queue.QUEUES
        self._names_read_at = float("-inf")
        self._promote = connection.register_script(scripts.read("promote"))
        self._release = connection.register_script(scripts.read("release"))
        self._reschedule = connection.register_script(scripts.read("reschedule"))

    def turn(self) -> float:
        """Promote what is due; returns the seconds until there is more to do (0: at once), at most `MAX_SLEEP_S`."""
        keys = [self.scheduler_lock_key, self.scheduled_jobs_key]
        for name in self._queue_names():
            keys += (f"rq:scheduled:{name}", f"rq:queue:{name}")
        now = clock.override()
        leads, moved, wait, periodic, poison, blocked = self._promote(
            keys=keys,
            args=[
                self.token,
                LEASE_MS,
                BATCH,
                utcformat(clock.now()),
                POISON_KEY,
                "" if now is None else repr(now),
            ],
        )
        if bool(leads) != self.leads:
            self.leads = bool(leads)
            log.info("scheduler leads" if self.leads else "another scheduler leads", scheduler=self.name)
        self.promoted = int(moved)
        for job_id in poison:
            self._report_poison(job_id, "its key holds something that is not a job")
        self._report_blocked(frozenset(blocked))
        if not self.leads:
            return min(max(int(wait), 0) / 1000 + 0.01, MAX_SLEEP_S)
        for job_id in periodic:
            self._promote_periodic(job_id)
        return MAX_SLEEP_S if wait < 0 else min(int(wait) / 10_000, MAX_SLEEP_S)

    def _queue_names(self) -> Sequence[str]:
        """Our queues, and every other one that RQ knows here: schedules and retries in those are promoted as well."""
        now = time.monotonic()
        if now - self._names_read_at >= MAX_SLEEP_S:
            known = cast(set[bytes], self.connection.smembers(Queue.redis_queues_keys))
            others = {_readable(key).removeprefix(Queue.redis_queue_namespace_prefix) for key in known}
            self._names = (*queue.QUEUES, *sorted(others.difference(queue.QUEUES)))
            self._names_read_at = now
        return self._names

    def promote_due(self) -> int:
        """Promote until nothing is due; returns how many jobs moved."""
        total = 0
        while self.turn() == 0 or self.promoted:
            total += self.promoted
        return total

    def release(self) -> None:
        """Hand the leadership over at once, if it is ours."""
        self._release(keys=[self.scheduler_lock_key], args=[self.token, queue.WAKE_CHANNEL])

    def _promote_periodic(self, entry: bytes) -> None:
        """Entries of rq-scheduler's own API (cron, interval, repeat): the next time is set before the job is pushed.

        A crash in between loses one run and doubles none; everything of ours that must not be lost is a row in SQL.
        """
        score = self.connection.zscore(self.scheduled_jobs_key, entry)
        if score is None:
            return
        try:
            job_id = entry.decode()  # an id that is not UTF-8 is somebody else's
            job = Job.fetch(job_id, connection=self.connection, serializer=JSONSerializer)
            _ = job.args  # reads the payload, which is where a foreign serializer shows
            following = next_run(job.meta, float(score), clock.now())
        except redis.RedisError:
            raise
        except Exception as error:  # noqa: BLE001  whatever is wrong with one entry must not stop all the others
            self.connection.zrem(self.scheduled_jobs_key, entry)
            self.connection.zadd(POISON_KEY, {entry: clock.now().timestamp()})
            self._report_poison(entry, str(error))
            return
        moved = self._reschedule(
            keys=[self.scheduler_lock_key, self.scheduled_jobs_key],
            args=[self.token, job_id, repr(float(score)), "" if following is None else repr(following)],
        )
        if moved:
            job.save_meta()
            self.get_queue_for_job(job).enqueue_job(job, at_front=bool(job.enqueue_at_front))

    def _report_poison(self, entry: bytes, why: str) -> None:
        metrics.errors.inc("scheduler_entry")
        log.error("entry cannot be promoted, put aside", job_id=_readable(entry), error=why)

    def _report_blocked(self, keys: frozenset[bytes]) -> None:
        """Each such key once, and not at every turn."""
        for key in sorted(keys - self._blocked):
            metrics.errors.inc("poison")
            log.error("key holds something else than it should, what it is for is left out", key=_readable(key))
        self._blocked = keys

    def get_queue_for_job(self, job: Job) -> Queue:
        """The job's queue, with the serializer that all of ours use."""
        return queue.rq_queue(job.origin, self.connection)


def _readable(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def promote_forever(scheduler: Scheduler, stop: threading.Event, helpers: Sequence[threading.Thread] = ()) -> None:
    """The promoting loop: sleep until the next due instant or a wake-up. Redis may go and come back.

    Raises:
        RuntimeError: one of the ``helpers`` has ended; the leadership is given up.
    """
    try:
        _promote_until(scheduler, stop, helpers)
    finally:
        try:
            scheduler.release()
        except redis.RedisError as error:
            log.warning("leadership not released, its lease will end", error=str(error))


def _check_threads(helpers: Sequence[threading.Thread], stop: threading.Event) -> None:
    """A scheduler without its sweep or its feeder would do half its work: better it ends, and is started again."""
    dead = [helper.name for helper in helpers if not helper.is_alive()]
    if dead and not stop.is_set():  # told to stop, they end on their own
        raise RuntimeError(f"threads of the scheduler have ended: {dead}")


def _promote_until(scheduler: Scheduler, stop: threading.Event, helpers: Sequence[threading.Thread]) -> None:
    wake: PubSub | None = None
    beaten_at = float("-inf")
    while not stop.is_set():
        _check_threads(helpers, stop)
        try:
            if wake is None:
                wake = scheduler.connection.pubsub(ignore_subscribe_messages=True)
                wake.subscribe(queue.WAKE_CHANNEL)
            due = time.monotonic() + scheduler.turn()
            if time.monotonic() - beaten_at >= BEAT_EVERY_S:
                # Only after a good turn: a scheduler that lives and cannot promote is not there.
                scheduler.connection.set(queue.HEARTBEAT_KEY, clock.now().timestamp(), ex=60)
                beaten_at = time.monotonic()
            sleep_until(due, wake)
        except redis.RedisError as error:
            metrics.errors.inc("scheduler")
            log.warning("redis does not answer, trying again", error=str(error))
            if wake is not None:
                wake.close()
                wake = None
            stop.wait(0.5)


def sleep_until(due: float, wake: PubSub) -> None:
    """Return at an instant of the monotonic clock, or when the wake-up comes.

    Waiting for the socket, because a blocking command of Redis would come back up to 100 ms late; and the last bit
    without it, because that wait is rounded to milliseconds.
    """
    pause = due - time.monotonic() - PRECISE_S
    if pause > 0 and wake.get_message(timeout=pause) is not None:
        return
    time.sleep(max(min(due - time.monotonic(), PRECISE_S), 0))


def sweep_forever(app: Flask, scheduler: Scheduler, stop: threading.Event) -> None:
    """The sweeping loop, in a thread of its own so that a slow database does not delay promotion."""
    with app.app_context():
        while not stop.is_set():
            if scheduler.leads:
                sweep.sweep()  # it reports what fails, and goes on
            stop.wait(sweep.INTERVAL_S)


def check_eviction(connection: redis.Redis) -> None:
    """Say so where a full Redis would throw jobs away: SQL still has them, but they would be late."""
    try:
        policy = connection.info("memory").get("maxmemory_policy")
    except redis.RedisError as error:
        log.warning("eviction policy unknown", error=str(error))
        return
    if policy not in (None, "noeviction"):
        metrics.errors.inc("eviction_policy")
        log.error("redis evicts keys when it is full; set maxmemory-policy to noeviction", policy=policy)


def main() -> None:
    """Schedule until told to stop."""
    settings = load_or_exit()
    logs.configure(settings)
    connection = make_redis(settings.redis_address)
    metrics.start_flusher(connection)
    check_eviction(connection)
    stop = threading.Event()

    def request_stop(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, request_stop)
    scheduler = Scheduler(connection)

    def leads() -> bool:
        return scheduler.leads

    app = process_app()
    helpers = [
        threading.Thread(target=sweep_forever, args=(app, scheduler, stop), name="sweep", daemon=True),
        threading.Thread(target=feed_forever, args=(app, leads, stop), name="feeder", daemon=True),
    ]
    for helper in helpers:
        helper.start()
    promote_forever(scheduler, stop, helpers)
    for helper in helpers:
        helper.join(timeout=10)
    log.info("scheduler stopped")


if __name__ == "__main__":
    main()
