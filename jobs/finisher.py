"""Telling Redis that jobs are done, as many at a time as have come together."""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import redis

from app import logs, metrics
from jobs.redis_jobs import RedisJobs, Taken

BATCH = 500

log = logs.get_logger(__name__)


class Finisher:
    """A thread that forgets finished jobs. ``let_go`` gets each batch when Redis has been told (or is away)."""

    def __init__(self, jobs: RedisJobs, let_go: Callable[[list[Taken]], None]) -> None:
        self._jobs = jobs
        self._let_go = let_go
        self._done: SimpleQueue[Sequence[Taken] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="finisher", daemon=True)

    def start(self) -> None:
        """Start the thread. Call it after any fork."""
        self.thread.start()

    def put(self, jobs: Sequence[Taken]) -> None:
        """These jobs are done, their outcome is stored."""
        self._done.put(jobs)

    def stop(self, seconds: float) -> None:
        """Finish what has been put, and end; waits at most so long."""
        self._done.put(None)
        self.thread.join(seconds)

    def _run(self) -> None:
        more = True
        while more:
            batch: list[Taken] = []
            given = self._done.get()
            while given is not None:
                batch += given
                if len(batch) >= BATCH:
                    break
                try:
                    given = self._done.get_nowait()
                except Empty:
                    break
            more = given is not None
            if batch:
                finish(self._jobs, batch)
                self._let_go(batch)


def finish(jobs: RedisJobs, done: Sequence[Taken]) -> None:
    """Forget finished jobs; a Redis that is away keeps them as started, and they come back as nudges that claim
    nothing.
    """
    try:
        lost = jobs.finish(done)
    except redis.RedisError as error:
        metrics.errors.inc("finish")
        log.warning("finished jobs could not be removed", count=len(done), error=str(error))
        return
    if lost:
        # Another worker was given them meanwhile: harmless, because a row is claimed only once, but worth a line.
        log.warning("finished jobs whose lease had been taken", jobs=lost[:10], count=len(lost))
