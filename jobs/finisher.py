"""Telling Redis that jobs are done, as many at a time as have come together."""

from collections.abc import Callable, Sequence

import redis

from app import logs, metrics
from app.batcher import Batcher
from jobs.redis_jobs import RedisJobs, Taken

log = logs.get_logger(__name__)


def finisher(jobs: RedisJobs, let_go: Callable[[list[Taken]], None]) -> Batcher[Taken]:
    """A thread that forgets finished jobs. ``let_go`` gets each batch when Redis has been told (or is away)."""

    def work(done: list[Taken]) -> None:
        finish(jobs, done)
        let_go(done)

    return Batcher("finisher", work)


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
