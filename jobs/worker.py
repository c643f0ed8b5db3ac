"""The worker process: ``python -m jobs.worker``.

A subclass of RQ's worker that takes and finishes jobs in batches and works on many at once with threads. Sends go
through ``jobs.sending``; everything else, foreign jobs included, runs in a small lane of its own, the foreign ones
with RQ's own bookkeeping. rq-dashboard sees it as it sees any RQ worker.
"""

import signal
import sys
import threading
import time
from types import FrameType

import redis
from flask import Flask
from rq import Queue, SimpleWorker
from rq.exceptions import NoSuchJobError
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import import_attribute
from rq.worker import WorkerStatus

from app import logs, metrics, queue
from app.extensions import make_redis
from app.settings import Settings, load_or_exit
from jobs import redis_jobs, sending
from jobs.context import app as process_app
from jobs.lanes import Lane
from jobs.redis_jobs import RedisJobs, Taken

PREFETCH = 0.25
"""Messages claimed beyond the threads, as a share: a thread that ends finds the next one there."""
UPKEEP_THREADS = 8
IDLE_S = 1
DRAIN_S = 24.0
"""Within Heroku's 30 s between SIGTERM and SIGKILL."""
WORKER_TTL_S = 30

log = logs.get_logger(__name__)


class Worker(SimpleWorker):
    """Many jobs at once in one process, and a stop that loses none of them."""

    def __init__(self, app: Flask, settings: Settings, connection: redis.Redis, stop: threading.Event) -> None:
        super().__init__(
            list(queue.QUEUES),
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._app = app
        self._stop = stop
        self._jobs = RedisJobs(connection, self.name, queue.QUEUES)
        self._held: dict[str, Taken] = {}
        self._change = threading.Condition()
        self._capacity = round(settings.worker_concurrency * (1 + PREFETCH)) + UPKEEP_THREADS
        self._sending = sending.Sending(app, self._jobs, settings.worker_concurrency, self._finished)
        self._upkeep: Lane[Taken] = Lane("upkeep", UPKEEP_THREADS, self._run)

    def run(self) -> None:
        """Work until the stop event is set, then drain.

        Raises:
            redis.RedisError: at the start only; later a Redis that is away is waited for.
        """
        self.bootstrap("WARNING", "", "")
        self._sending.start()
        self._upkeep.start()
        keeper = threading.Thread(target=self._keep_alive, name="keeper", daemon=True)
        keeper.start()
        try:
            while not self._stop.is_set():
                try:
                    self._step()
                except redis.RedisError as error:
                    metrics.errors.inc("worker")
                    log.warning("redis does not answer, trying again", error=str(error))
                    self._stop.wait(0.5)
        finally:
            self._drain()
            keeper.join(timeout=5)
            try:
                self.teardown()
            except redis.RedisError as error:
                log.warning("could not sign off", error=str(error))

    def _step(self) -> None:
        free = self._await_room()
        if not free:
            return
        taken = self._jobs.take(free)
        if not taken:
            self._jobs.wait(IDLE_S)
            return
        with self._change:
            self._held.update((job.execution_id, job) for job in taken)
        sends = [job for job in taken if job.function == queue.SEND]
        for job in taken:
            if job.function != queue.SEND:
                self._upkeep.put(job)
        if sends:
            self._sending.claim(sends)

    def _await_room(self) -> int:
        with self._change:
            if len(self._held) >= self._capacity:
                self._change.wait(IDLE_S)
            return self._capacity - len(self._held)

    def _finished(self, jobs: list[Taken]) -> None:
        sending.finish(self._jobs, jobs)
        self._let_go(jobs)

    def _let_go(self, jobs: list[Taken]) -> None:
        with self._change:
            for job in jobs:
                self._held.pop(job.execution_id, None)
            self._change.notify()

    def _run(self, taken: Taken) -> None:
        """One job that is not a send: ours by its name, a foreign one as RQ would run it."""
        with self._app.app_context():
            try:
                if taken.function is None:
                    self._run_foreign(taken)
                    return
                import_attribute(taken.function)(taken.argument)
            except Exception:  # a job's defect is recorded with the job, and must not end the thread
                metrics.errors.inc("job")
                log.exception("job failed", job_id=taken.job_id, function=taken.function)
                self._record_failure(taken)
            else:
                sending.finish(self._jobs, [taken])
            finally:
                self._let_go([taken])

    def _run_foreign(self, taken: Taken) -> None:
        target = queue.rq_queue(taken.queue, self.connection)
        try:
            job = Job.fetch(taken.job_id, connection=self.connection, serializer=JSONSerializer)
        except NoSuchJobError:
            return
        execution = self._execution(taken, job)
        job.started_at = execution.created_at
        try:
            value = job.perform()
        except Exception:  # noqa: BLE001  as RQ's own worker does: whatever a job raises is its failure
            self._finalize_failure(job, target, execution, sys.exc_info())
        else:
            self._finalize_success(job, target, execution, value)

    def _record_failure(self, taken: Taken) -> None:
        try:
            job = Job.fetch(taken.job_id, connection=self.connection, serializer=JSONSerializer)
            target: Queue = queue.rq_queue(taken.queue, self.connection)
            self._finalize_failure(job, target, self._execution(taken, job), sys.exc_info())
        except (NoSuchJobError, redis.RedisError) as error:
            log.warning("failure could not be recorded", job_id=taken.job_id, error=str(error))

    def _execution(self, taken: Taken, job: Job) -> Execution:
        execution = Execution(taken.execution_id, taken.job_id, self.connection, self.name)
        execution._job = job
        return execution

    def _keep_alive(self) -> None:
        """Renew leases, show signs of life, and put back what dead workers left: each two seconds."""
        done = threading.Event()
        while not (self._stop.is_set() and not self._held):
            try:
                with self._change:
                    held = list(self._held.values())
                self._jobs.renew(held)
                self._stay_registered()
                self.set_state(WorkerStatus.BUSY if held else WorkerStatus.IDLE)
                self.heartbeat()
                if back := self._jobs.reap():
                    metrics.errors.inc("worker_died")
                    log.error("jobs of a dead worker went back to their queue", jobs=back[:10], count=len(back))
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
            except redis.RedisError as error:
                log.warning("leases not renewed", error=str(error))
            for stuck in self._upkeep.abandon_older_than(queue.JOB_TIMEOUT_S):
                metrics.errors.inc("stuck")
                log.error("job takes too long, given up", job_id=stuck.job_id, function=stuck.function)
                self._let_go([stuck])
            done.wait(redis_jobs.RENEW_EVERY_S)
            if self._stop.is_set() and not self._held:
                return

    def _stay_registered(self) -> None:
        """After a flush nobody knows us any more, and RQ writes its list of workers only at birth."""
        if not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)
            self.register_birth()

    def _drain(self) -> None:
        # Upkeep that has not begun comes back to another worker when its lease ends; nobody waits for it.
        self._let_go(self._upkeep.take_back())
        self._upkeep.stop()
        deadline = time.monotonic() + DRAIN_S
        self._sending.drain(DRAIN_S)
        self._upkeep.join(deadline)


def main() -> None:
    """Work until told to stop."""
    settings = load_or_exit()
    logs.configure(settings)
    metrics.start_flusher(make_redis(settings.redis_address))
    stop = threading.Event()

    def request_stop(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, request_stop)
    app = process_app()
    with app.app_context():
        while not stop.is_set():
            try:
                Worker(app, settings, make_redis(settings.redis_address, socket_timeout=IDLE_S + 5), stop).run()
            except redis.RedisError as error:
                metrics.errors.inc("worker")
                log.warning("redis does not answer, trying again", error=str(error))
                stop.wait(1)
    log.info("worker stopped")


if __name__ == "__main__":
    main()
