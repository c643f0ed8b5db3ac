"""The worker process: ``python -m jobs.worker [queue ...]``; without names it takes from all of ours.

A subclass of RQ's worker that takes and finishes jobs in batches and works on many at once with threads. Sends go
through ``jobs.sending``; everything else, foreign jobs included, runs in a small lane of its own, the foreign ones
with RQ's own bookkeeping. rq-dashboard sees it as it sees any RQ worker.
"""

import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import redis
from flask import Flask
from rq import Queue, SimpleWorker
from rq.exceptions import NoSuchJobError
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.utils import import_attribute
from rq.worker import WorkerStatus

from app import logs, metrics, queue
from app.extensions import make_redis
from app.settings import Settings, load_or_exit
from jobs import redis_jobs
from jobs.context import app as process_app
from jobs.finisher import finisher
from jobs.foreign import ForeignJob, NoSignals
from jobs.lanes import Lane, TimeIsUp
from jobs.queue_watch import QueueWatch
from jobs.redis_jobs import RedisJobs, Taken
from jobs.rooms import Rooms
from jobs.sending import Sending

UPKEEP_THREADS = 8
GATHER_S = 0.01
"""How long a busy worker waits until it has room for a batch: one claim for many messages."""
IDLE_S = 1
DRAIN_S = 24.0
"""Within Heroku's 30 s between SIGTERM and SIGKILL."""
DRAIN_POLL_S = 0.2
WORKER_TTL_S = 30
REDIS_TIMEOUT_S = 5.0

log = logs.get_logger(__name__)


class Worker(SimpleWorker):
    """Many jobs at once in one process, and a stop that loses none of them."""

    death_penalty_class = NoSignals
    job_class = ForeignJob

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        connection: redis.Redis,
        stop: threading.Event,
        queues: Sequence[str] = queue.QUEUES,
    ) -> None:
        super().__init__(
            list(queues),
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._app = app
        self._stop = stop
        self._jobs = RedisJobs(connection, self.name, queues)
        self._watch = QueueWatch(connection)
        self._over = threading.Event()
        self._rooms = Rooms(queues, settings.worker_concurrency, UPKEEP_THREADS, self._watch.ring)
        self._finisher = finisher(self._jobs, self._rooms.leave)
        self._sending = Sending(app, settings.worker_concurrency, self._finisher.put, self._rooms.leave, stop)
        self._upkeep: Lane[Taken] = Lane("upkeep", UPKEEP_THREADS, self._run, app.app_context, interrupt=True)
        self._keeper = threading.Thread(target=self._keep_alive, name="keeper", daemon=True)

    def run(self) -> None:
        """Work until the stop event is set, then drain.

        Raises:
            redis.RedisError: at the start only; later a Redis that is away is waited for.
        """
        self.bootstrap("WARNING", "", "")
        self._finisher.start()
        self._sending.start()
        self._upkeep.start()
        self._keeper.start()
        try:
            while not self._stop.is_set():
                self._check_threads()
                try:
                    self._step()
                except redis.RedisError as error:
                    metrics.errors.inc("worker")
                    log.warning("redis does not answer, trying again", error=str(error))
                    self._stop.wait(0.5)
        finally:
            self._stop.set()  # also where a defect has brought us here
            self._drain()
            self._keeper.join(timeout=5)
            try:
                self.teardown()
            except redis.RedisError as error:
                log.warning("could not sign off", error=str(error))

    def _check_threads(self) -> None:
        """A worker that has lost a thread to a defect would go on and do half its work: better it ends, and is started
        again.
        """
        dead = [
            part.name for part in (self._keeper, self._sending.settler, self._finisher.thread) if not part.is_alive()
        ]
        if dead:
            raise RuntimeError(f"threads of the worker have ended: {dead}")

    def _step(self) -> None:
        found = False
        for room in self._rooms.await_room(GATHER_S):
            taken = self._jobs.take(room.free, room.queues)
            found = found or bool(taken)
            self._rooms.enter(taken)
            for job in taken:
                if job.function != queue.SEND:
                    self._upkeep.put(job)
            if sends := [job for job in taken if job.function == queue.SEND]:
                self._sending.claim(sends)
        if not found:
            self._watch.wait(IDLE_S, self._rooms.queues_with_room())

    def _run(self, taken: Taken) -> None:
        """One job that is not a send: a plain one by its name, any other as RQ would run it."""
        try:
            if taken.function is None:
                self._run_foreign(taken)
                self._rooms.leave([taken])
                return
            import_attribute(taken.function)(taken.argument)
        except TimeIsUp:  # the watchdog has recorded it
            raise
        except BaseException:  # a job's defect, sys.exit() too, is recorded with the job, and must not end the thread
            metrics.errors.inc("job")
            log.exception("job failed", job_id=taken.job_id, function=taken.function)
            self._record_failure(taken, sys.exc_info())
        else:
            self._finisher.put([taken])

    def _run_foreign(self, taken: Taken) -> None:
        target = queue.rq_queue(taken.queue, self.connection)
        try:
            job = ForeignJob.fetch(taken.job_id, connection=self.connection, serializer=JSONSerializer)
        except NoSuchJobError:
            return
        execution = self._execution(taken, job)
        job.started_at = execution.created_at
        try:
            value = job.perform()
        except TimeIsUp:
            raise
        except BaseException:  # noqa: BLE001  as RQ's own worker does: whatever a job raises, SystemExit too, is its failure
            self._finalize_failure(job, target, execution, sys.exc_info())
        else:
            self._finalize_success(job, target, execution, value)

    def _record_failure(self, taken: Taken, problem: Any) -> None:
        try:
            job = ForeignJob.fetch(taken.job_id, connection=self.connection, serializer=JSONSerializer)
            target: Queue = queue.rq_queue(taken.queue, self.connection)
            self._finalize_failure(job, target, self._execution(taken, job), problem)
        except (NoSuchJobError, redis.RedisError) as error:
            log.warning("failure could not be recorded", job_id=taken.job_id, error=str(error))
        finally:
            self._rooms.leave([taken])

    def _execution(self, taken: Taken, job: Job) -> Execution:
        execution = Execution(taken.execution_id, taken.job_id, self.connection, self.name)
        execution._job = job
        return execution

    def _keep_alive(self) -> None:
        """Each two seconds, until the last job is done: renew leases, show signs of life, put back what dead workers
        left.
        """
        with self._app.app_context():
            while not self._over.is_set() and not (self._stop.is_set() and not self._rooms.held()):
                try:
                    self._show_life()
                except redis.RedisError as error:
                    log.warning("leases not renewed", error=str(error))
                self._give_up_stuck()
                if self._stop.wait(redis_jobs.RENEW_EVERY_S):
                    time.sleep(DRAIN_POLL_S)  # what is being sent needs its lease until it is settled

    def _show_life(self) -> None:
        held = self._rooms.held()
        self._jobs.renew(held)
        self._stay_registered()
        self.set_state(WorkerStatus.BUSY if held else WorkerStatus.IDLE)
        self.heartbeat()
        reaped = self._jobs.reap()
        if back := reaped.back:
            metrics.errors.inc("worker_died")
            log.error("jobs of a dead worker went back to their queue", jobs=back[:10], count=len(back))
        if poison := reaped.poison:
            metrics.errors.inc("poison", by=len(poison))
            log.error("jobs have outlived too many workers, given up", jobs=poison[:10], count=len(poison))
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()

    def _give_up_stuck(self) -> None:
        """Time limits without signals: the job has failed, and its thread is replaced."""
        self._sending.give_up()
        for stuck in self._upkeep.give_up(lambda job: job.timeout_s):
            metrics.errors.inc("stuck")
            log.error("job takes too long, given up", job_id=stuck.job_id, function=stuck.function)
            problem = JobTimeoutException(f"Task exceeded maximum timeout value ({stuck.timeout_s:g} seconds)")
            self._record_failure(stuck, (JobTimeoutException, problem, None))

    def _stay_registered(self) -> None:
        """After a flush nobody knows us any more, and RQ writes its list of workers only at birth."""
        if not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)
            self.register_birth()

    def _drain(self) -> None:
        # Upkeep that has not begun comes back to another worker when its lease ends; nobody waits for it.
        self._rooms.leave(self._upkeep.take_back())
        self._upkeep.stop()
        deadline = time.monotonic() + DRAIN_S
        self._sending.drain(DRAIN_S)
        self._upkeep.join(deadline)
        self._finisher.stop(max(deadline - time.monotonic(), 1))
        self._over.set()
        self._watch.close()


def main(queues: Sequence[str] = queue.QUEUES) -> None:
    """Work on some queues, the first one first, until told to stop."""
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
                Worker(
                    app, settings, make_redis(settings.redis_address, socket_timeout=REDIS_TIMEOUT_S), stop, queues
                ).run()
            except redis.RedisError as error:
                metrics.errors.inc("worker")
                log.warning("redis does not answer, trying again", error=str(error))
                stop.wait(1)
    log.info("worker stopped")


if __name__ == "__main__":
    main(sys.argv[1:] or queue.QUEUES)
