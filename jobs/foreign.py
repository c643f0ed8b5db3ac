"""RQ's own classes, with those of their habits mended that threads and milliseconds do not bear.

For jobs that others enqueue with RQ's API: they are run with RQ's own bookkeeping (results, retries, dependents,
callbacks), in a thread.
"""

from datetime import timedelta

from redis.client import Pipeline
from rq import Queue
from rq.job import Job, JobStatus
from rq.timeouts import BaseDeathPenalty

from app import clock


class NoSignals(BaseDeathPenalty):
    """RQ limits a job's time with SIGALRM, which only the main thread may use. Here the worker's watchdog does it."""

    def setup_death_penalty(self) -> None:
        """Nothing to set up."""

    def cancel_death_penalty(self) -> None:
        """Nothing to cancel."""


class ForeignJob(Job):
    """A job whose retry is planned in one transaction, and to the microsecond."""

    def retry(self, queue: Queue, pipeline: Pipeline) -> None:
        """Plan the next try; everything happens when ``pipeline`` is executed.

        RQ writes the status at once and the schedule later: a worker killed in between leaves a job that says
        ``scheduled`` and is in no schedule. And RQ cuts the time to whole seconds: it comes up to one too early.
        """
        interval = self.get_retry_interval()
        if not interval:
            super().retry(queue, pipeline)
            return
        self.retries_left = (self.retries_left or 1) - 1
        due_at = clock.now() + timedelta(seconds=interval)
        self._status = JobStatus.SCHEDULED
        self.save(pipeline=pipeline)
        pipeline.zadd(queue.scheduled_job_registry.key, {self.id: due_at.timestamp()})
        pipeline.sadd(queue.redis_queues_keys, queue.key)
