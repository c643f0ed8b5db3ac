"""The worker process: ``python -m jobs.worker``.

RQ's SimpleWorker (no fork: a job takes milliseconds, a fork more) in a loop that outlives a lost Redis.
"""

import signal
import threading
from types import FrameType

import redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from rq.timeouts import UnixSignalDeathPenalty

from app import logs, metrics, queue
from app.extensions import make_redis
from app.settings import load
from jobs.context import app as process_app

log = logs.get_logger(__name__)


class Worker(SimpleWorker):
    """An RQ worker that treats every signal as "finish what you have", as often as it comes."""

    death_penalty_class = UnixSignalDeathPenalty
    max_connection_wait_time = 2.0
    asked_to_stop = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Warm shutdown. RQ makes a second signal a forced one; Ctrl-C reaches the whole group and may come twice."""
        self.asked_to_stop = True
        self.handle_warm_shutdown_request()
        self._shutdown()


def main() -> None:
    """Work until told to stop."""
    settings = load()
    logs.configure(settings)
    stop = threading.Event()
    connection = make_redis(settings.redis_url or "redis://127.0.0.1:6379/0", socket_timeout=None)
    metrics.start_flusher(make_redis(settings.redis_url or "redis://127.0.0.1:6379/0"))

    def request_stop(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    with process_app().app_context():
        while not stop.is_set():
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, request_stop)
            try:
                worker = Worker(
                    list(queue.QUEUES),
                    connection=connection,
                    serializer=JSONSerializer,
                    worker_ttl=30,
                    maintenance_interval=15,
                    log_job_description=False,
                )
                worker.work(logging_level="WARNING")
                if worker.asked_to_stop:
                    break
            except redis.RedisError as error:
                metrics.errors.inc("worker")
                log.warning("redis does not answer, trying again", error=str(error))
            stop.wait(1)
    log.info("worker stopped")


if __name__ == "__main__":
    main()
