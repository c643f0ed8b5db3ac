"""Taking jobs from Redis and giving them back, in batches: one script each way, whatever the number of jobs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import redis
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.utils import utcformat

from app import clock, queue, scripts

LEASE_S = 10
"""How long a worker's entries stay its own without a renewal."""
RENEW_EVERY_S = 2.0
PLAIN_FIELDS = 11
"""Fields of a job that ``app.queue`` made, once it is started; more means that somebody gave it more than a plain
end. The count of reaps is not among them: ``claim.lua`` leaves it out.
"""
MOST_REAPS = 3
"""How often a job whose worker died goes back to its queue; after that it is taken for what killed them."""
_SEND_BEGINS = f'["{queue.SEND}",'
"""How the payload of a send of ours begins (`app.queue.payload`)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that this worker holds. ``function`` is None for a job that is not made as ours are."""

    queue: str
    job_id: str
    execution_id: str
    function: str | None
    argument: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Reaped:
    """The ids of jobs whose worker died: those that went back to their queue, and those that were given up."""

    back: list[str]
    poison: list[str]


class RedisJobs:
    """One worker's dealings with its queues. Used by one thread at a time, but for `renew`."""

    def __init__(self, connection: redis.Redis, worker_name: str, queues: Sequence[str]) -> None:
        self._worker = worker_name
        self._queues = list(queues)
        self._claim = connection.register_script(scripts.read("claim"))
        self._done = connection.register_script(scripts.read("done"))
        self._reap = connection.register_script(scripts.read("reap"))
        self._renew = connection.register_script(scripts.read("renew"))

    def take(self, n: int, queues: Sequence[str] | None = None) -> list[Taken]:
        """Up to ``n`` jobs, the first queue's first; of all our queues or of some.

        Raises:
            redis.RedisError: nothing was taken, or it was and the lease will return it.
        """
        names = self._queues if queues is None else queues
        if not names or n <= 0:
            return []
        raw = self._claim(
            keys=[f"rq:queue:{name}" for name in names],
            args=[n, LEASE_S, self._worker, utcformat(clock.now()), uuid4().hex[:24], _time(), *names],
        )
        fields = [raw[start : start + 6] for start in range(0, len(raw), 6)]
        return [_taken(*one) for one in fields]

    def finish(self, jobs: Sequence[Taken]) -> list[str]:
        """Forget jobs that succeeded; returns the ids of those that were not ours any more."""
        if not jobs:
            return []
        lost = self._done(keys=[f"rq:worker:{self._worker}"], args=[self._worker, *_triplets(jobs)])
        return [job_id.decode() for job_id in lost]

    def renew(self, jobs: Sequence[Taken]) -> int:
        """Renew the leases of what is in flight; returns how many are still ours."""
        return int(self._renew(args=[LEASE_S, _time(), *_triplets(jobs)])) if jobs else 0

    def reap(self) -> Reaped:
        """Put jobs back whose worker died. After `MOST_REAPS` a send is dropped, and the feeder adds it again where SQL
        says so; any other job is put among RQ's failed ones.
        """
        reaped = Reaped([], [])
        for name in self._queues:
            back, poison = self._reap(
                keys=[f"rq:wip:{name}", f"rq:queue:{name}", f"rq:failed:{name}"],
                args=[500, _time(), MOST_REAPS, _SEND_BEGINS, utcformat(clock.now()), DEFAULT_FAILURE_TTL],
            )
            reaped.back.extend(job_id.decode(errors="backslashreplace") for job_id in back)
            reaped.poison.extend(job_id.decode(errors="backslashreplace") for job_id in poison)
        return reaped


def _time() -> str:
    now = clock.override()
    return "" if now is None else repr(now)


def _triplets(jobs: Sequence[Taken]) -> list[str]:
    return [word for job in jobs for word in (job.queue, job.job_id, job.execution_id)]


def _taken(
    name: bytes, job_id: bytes, execution_id: bytes, payload: bytes, timeout: bytes | None, fields: int
) -> Taken:
    function, argument = _plain(payload) if fields <= PLAIN_FIELDS else (None, "")
    limit = float(timeout or 0)
    # RQ writes -1 for a job without a limit; then ours holds.
    return Taken(
        name.decode(),
        job_id.decode(),
        execution_id.decode(),
        function,
        argument,
        limit if limit > 0 else queue.JOB_TIMEOUT_S,
    )


def _plain(payload: bytes) -> tuple[str | None, str]:
    """Function and argument of a job as `app.queue` makes them, None for any other: it takes RQ's own way."""
    try:
        function, instance, arguments, keywords = json.loads(payload)
    except ValueError:  # zlib, pickle, or another shape
        return None, ""
    if instance is None and len(arguments) == 1 and isinstance(arguments[0], str) and not keywords:
        return str(function), arguments[0]
    return None, ""
