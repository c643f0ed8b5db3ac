"""The worker process: ``python -m jobs.worker``.

RQ's SimpleWorker (no fork: a job takes milliseconds, a fork more) in a loop that outlives a lost Redis.
"""

import signal
import threading
from types import FrameType

import redis
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import UnixSignalDeathPenalty
from rq.utils import now
from rq.worker import WorkerStatus

from app import logs, metrics, queue
from app.extensions import make_redis
from app.settings import load
from jobs.context import app as process_app

IDLE_S = 1

log = logs.get_logger(__name__)


class Worker(SimpleWorker):
    """An RQ worker that stops between two jobs and nowhere else."""

    death_penalty_class = UnixSignalDeathPenalty

    def __init__(self, stop: threading.Event, connection: redis.Redis) -> None:
        super().__init__(
            list(queue.QUEUES),
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=30,
            maintenance_interval=15,
            log_job_description=False,
        )
        self._stop = stop

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Finish what is running, however often the signal comes.

        RQ's own handler raises out of whatever line runs at that moment, which may be between taking a job and
        starting it, and takes a second signal (Ctrl-C reaches the whole group, and the supervisor sends one too) for a
        forced stop.
        """
        self._shutdown_requested_date = now()
        self._stop_requested = True
        self._stop.set()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a job in short steps, so that a stop is noticed; an error of Redis ends this worker's life.

        Raises:
            StopRequested: a signal came; no job has been taken. redis.RedisError: Redis does not answer.
        """
        self.set_state(WorkerStatus.IDLE)
        while not self._stop_requested:
            self.heartbeat()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            try:
                taken = self.queue_class.dequeue_any(
                    self._ordered_queues,
                    IDLE_S,
                    connection=self.connection,
                    job_class=self.job_class,
                    serializer=self.serializer,
                    death_penalty_class=self.death_penalty_class,
                )
            except DequeueTimeout:
                continue
            if taken is not None:
                taken[0].redis_server_version = self.get_redis_server_version()
                return taken
        raise StopRequested


def main() -> None:
    """Work until told to stop."""
    settings = load()
    logs.configure(settings)
    metrics.start_flusher(make_redis(settings.redis_address))
    stop = threading.Event()

    def request_stop(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    with process_app().app_context():
        while not stop.is_set():
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, request_stop)
            try:
                Worker(stop, make_redis(settings.redis_address, socket_timeout=None)).work(logging_level="WARNING")
            except redis.RedisError as error:
                metrics.errors.inc("worker")
                log.warning("redis does not answer, trying again", error=str(error))
            stop.wait(1)
    log.info("worker stopped")


if __name__ == "__main__":
    main()
