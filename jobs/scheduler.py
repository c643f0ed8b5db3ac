"""The scheduler process: ``python -m jobs.scheduler``.

Promotes what is due from RQ's schedule to its queues, and runs the sweep beside it. A subclass of rq-scheduler's
Scheduler; what stock does badly for us is replaced: due times are floats, jobs are JSON, and a lost Redis is
survived. Pushing comes before removing, so a crash in between leaves a second nudge, which the claim in SQL makes
harmless.
"""

import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

import redis
from flask import Flask
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer
from rq_scheduler import Scheduler as StockScheduler
from sqlalchemy.exc import SQLAlchemyError

from app import clock, logs, metrics, queue
from app.extensions import make_redis
from app.messages import sweep
from app.settings import load
from jobs.context import app as process_app

TICK_S = 0.25
BATCH = 500

log = logs.get_logger(__name__)


class Scheduler(StockScheduler):  # type: ignore[misc]
    """Promotes RQ's scheduled jobs and rq-scheduler's own entries while it holds rq-scheduler's lock."""

    def __init__(self, connection: redis.Redis) -> None:
        super().__init__(connection=connection, interval=1)

    def promote_due(self) -> int:
        """Put every job whose time has come into its queue; returns how many. Does nothing while another one leads."""
        if not self.acquire_lock():
            return 0
        try:
            promoted = sum(self._promote(queue.rq_queue(name, self.connection)) for name in queue.QUEUES)
            return promoted + self._promote_periodic()
        finally:
            self.remove_lock()

    def _promote(self, target: Queue) -> int:
        registry = ScheduledJobRegistry(queue=target)
        due = self.connection.zrangebyscore(registry.key, "-inf", clock.now().timestamp(), start=0, num=BATCH)
        for job_id in (raw.decode() for raw in due):
            try:
                job = Job.fetch(job_id, connection=self.connection, serializer=JSONSerializer)
            except NoSuchJobError:
                self.connection.zrem(registry.key, job_id)  # its hash is gone; the sweep makes a new one if need be
                continue
            with self.connection.pipeline(transaction=True) as pipe:
                target.enqueue_job(job, pipeline=pipe)
                pipe.zrem(registry.key, job_id)
                pipe.execute()
        return len(due)

    def _promote_periodic(self) -> int:
        """Entries that somebody made with rq-scheduler's own API; one that cannot be read is reported and left out."""
        promoted = 0
        due = self.connection.zrangebyscore(self.scheduled_jobs_key, 0, clock.now().timestamp(), start=0, num=BATCH)
        for job_id in (raw.decode() for raw in due):
            try:
                job = Job.fetch(job_id, connection=self.connection, serializer=JSONSerializer)
                _ = job.args  # reads the payload, which is where a foreign serializer shows
                self.enqueue_job(job)
                promoted += 1
            except redis.RedisError:
                raise
            except Exception as error:  # noqa: BLE001  whatever is wrong with one entry must not stop all the others
                self.connection.zrem(self.scheduled_jobs_key, job_id)
                metrics.errors.inc("scheduler_entry")
                log.error("periodic entry cannot be promoted, dropped", job_id=job_id, error=str(error))
        return promoted

    def get_queue_for_job(self, job: Job) -> Queue:
        """The job's queue, with the serializer that all of ours use."""
        return queue.rq_queue(job.origin, self.connection)


def _beat(connection: redis.Redis) -> None:
    connection.set(queue.HEARTBEAT_KEY, clock.now().timestamp(), ex=60)


def promote_forever(scheduler: Scheduler, stop: threading.Event) -> None:
    """The promoting loop; Redis may go and come back."""
    while not stop.is_set():
        try:
            _beat(scheduler.connection)
            full = scheduler.promote_due() >= BATCH
        except redis.RedisError as error:
            metrics.errors.inc("scheduler")
            log.warning("redis does not answer, trying again", error=str(error))
            stop.wait(1)
            continue
        if not full:
            stop.wait(TICK_S)


def sweep_forever(app: Flask, stop: threading.Event) -> None:
    """The sweeping loop, in a thread of its own so that a slow database does not delay promotion."""
    with app.app_context():
        while not stop.is_set():
            try:
                sweep.sweep()
            except (SQLAlchemyError, redis.RedisError) as error:
                metrics.errors.inc("sweep")
                log.error("sweep failed", error=str(error).splitlines()[0])
            stop.wait(sweep.INTERVAL_S)


def run(app: Flask, connection: redis.Redis, signals: Iterable[signal.Signals]) -> None:
    """Schedule until one of the signals comes."""
    stop = threading.Event()

    def request_stop(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in signals:
        signal.signal(name, request_stop)
    sweeper = threading.Thread(target=sweep_forever, args=(app, stop), name="sweep", daemon=True)
    sweeper.start()
    scheduler = Scheduler(connection)
    promote_forever(scheduler, stop)
    sweeper.join(timeout=20)
    log.info("scheduler stopped")


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


def main(*_args: Any) -> None:
    """Run as a process."""
    settings = load()
    logs.configure(settings)
    connection = make_redis(settings.redis_address)
    metrics.start_flusher(connection)
    check_eviction(connection)
    run(process_app(), connection, (signal.SIGINT, signal.SIGTERM))


if __name__ == "__main__":
    main()
