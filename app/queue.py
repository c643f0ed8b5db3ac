"""The queue seen from the application: nudges by dotted name.

A job carries an id and nothing else: no text, no number, no secret; what to do is read from SQL when it runs. Adding
the same nudge twice is harmless (the claim in SQL decides), and so is losing one (feeder or sweep add it again). The
functions live in ``jobs``, which the application never imports; the names are kept here and a test resolves each.
"""

import atexit
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import cast

import redis
from flask import Flask, current_app
from redis.commands.core import Script
from rq import Queue
from rq.job import Job
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from app import clock, metrics, scripts
from app.batcher import Batcher
from app.circuit import Circuit
from app.extensions import redis_client, settings
from app.logs import get_logger

SEND_QUEUE = "send"
UPKEEP_QUEUE = "upkeep"
QUEUES = (SEND_QUEUE, UPKEEP_QUEUE)
"""In order of priority."""

SEND = "jobs.send"
RECONCILE = "jobs.reconcile"
REFRESH = "jobs.refresh"
PROBE = "jobs.probe"
SANDBOX_REPORT = "jobs.sandbox_report"
FUNCTIONS = (SEND, RECONCILE, REFRESH, PROBE, SANDBOX_REPORT)

JOB_TIMEOUT_S = 120
FAILURE_TTL_S = 7 * 86_400
"""Seed 004's removeOnFail; successes leave Redis at once, their history is in SQL (resolution D20)."""

WAKE_CHANNEL = "bellhop:scheduler:wake"
"""Published when something is due sooner than what the scheduler sleeps for."""
HEARTBEAT_KEY = "bellhop:scheduler:heartbeat"
MARK_KEY = "bellhop:feeder:mark"
"""How far the feeder has come in the send queue (``app.messages.feeding``)."""
NONE_OF_OURS_KEY = "bellhop:feeder:none-of-ours"
"""Says that a full schedule has been read and holds nothing of ours."""
ADD_BATCH = 500
"""A script holds Redis up while it runs: a few milliseconds at this size."""
LOST_AFTER_S = 10.0
"""A moment's patience: a job that is in no list has perhaps just been taken by a stock worker."""
READABLE = 5000
"""Of a list that is longer we do not ask who is in it: its length explains why one of them still waits."""

MOST_WAITING = 10_000
"""Requests whose nudges wait for a Redis that hangs; beyond that they are left to the feeder."""
REST_S = 0.01
"""Between two such batches, in seconds: a nudge alone goes at once, in a crowd it is this late at most."""
LAST_ADD_S = 2.0
"""What a process that ends takes for those that wait."""

_ADD = scripts.read("add")
_ADDER = "bellhop.adder"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Nudge:
    """One job: call ``function`` with ``argument`` at ``at`` (aware; None is now). ``job_id`` is deterministic."""

    function: str
    argument: str
    job_id: str
    at: datetime | None = None
    queue: str = SEND_QUEUE


def send_nudge(row_id: str, revision: int, at: datetime | None) -> Nudge:
    """The nudge that sends a message. The revision changes with every new due time, and so does the RQ id."""
    return Nudge(SEND, row_id, f"{row_id}-{revision}", at)


def too_early(waits: Sequence[tuple[str, int, timedelta]]) -> list[Nudge]:
    """Nudges for jobs that found themselves too early: row id, revision, and how long each still has to wait.

    They are for so long ahead on Redis' own clock, which was the one to wake the job: where it is ahead of ours, the
    due time itself has passed there already. Each has an id of its own, since the job's is in use while it runs.
    """
    try:
        now = _redis_now()
    except redis.RedisError as error:
        _missed("enqueue", [row_id for row_id, *_ in waits], error)
        return []
    mark = f"{int(now.timestamp() * 1e6):x}"
    return [Nudge(SEND, row_id, f"{row_id}-{revision}-again{mark}", now + wait) for row_id, revision, wait in waits]


def _redis_now() -> datetime:
    if clock.override() is not None:
        return clock.now()
    seconds, microseconds = redis_client().time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


def check_nudge(function: str, row_id: str, at: datetime) -> Nudge:
    """The nudge that asks the provider about a message, at its ``next_check_at``.

    The time in the id makes each look a job of its own, also when an earlier one was lost.
    """
    job_id = f"{function.rpartition('.')[2]}-{row_id}-{int(at.timestamp() * 1000)}"
    return Nudge(function, row_id, job_id, at, UPKEEP_QUEUE)


def probe_nudge(account: str, now: datetime) -> Nudge:
    """The nudge that asks a provider whether a paused account works again, once a second at most."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", account)  # RQ takes no other characters in an id
    return Nudge(PROBE, account, f"probe-{name}-{int(now.timestamp())}", queue=UPKEEP_QUEUE)


def rq_queue(name: str, connection: redis.Redis | None = None) -> Queue:
    """One of our queues, with the JSON serializer that all of them use."""
    return Queue(name, connection=connection or redis_client(), serializer=JSONSerializer)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of nudges: how many went in, how many are left to the feeder, and jobs that may have been lost."""

    added: int = 0
    left: int = 0
    doubtful: frozenset[str] = frozenset()

    def __add__(self, other: "Added") -> "Added":
        return Added(self.added + other.added, self.left + other.left, self.doubtful | other.doubtful)


def add(nudges: Sequence[Nudge], *, replace: bool = False) -> int:
    """Put nudges into Redis, leaving alone those that are there already; returns how many went in.

    Sends that are due beyond the horizon, or for which there is no room, are left to the feeder. ``replace`` overwrites
    jobs of the same id (for those that Redis claims to have and has lost).

    Raises:
        redis.RedisError: Redis does not answer; nothing or some went in, and adding again is safe.
    """
    return put(_near(nudges), replace=replace).added


def _near(nudges: Sequence[Nudge]) -> list[Nudge]:
    """Those that Redis should know already."""
    horizon = clock.now() + timedelta(minutes=settings().horizon_minutes)
    return [one for one in nudges if one.queue != SEND_QUEUE or one.at is None or one.at <= horizon]


def heal(nudges: Sequence[Nudge]) -> Added:
    """Put nudges into Redis, and put those anew that Redis believes to have and that are in no list.

    Raises:
        redis.RedisError: as for `add`.
    """
    result = put(nudges, patience_s=LOST_AFTER_S)
    for name in QUEUES:
        doubtful = [one for one in nudges if one.queue == name and one.job_id in result.doubtful]
        if doubtful and rq_queue(name).count <= READABLE:
            found = present(name)
            result += put([one for one in doubtful if one.job_id not in found], replace=True)
    return result


def put(nudges: Sequence[Nudge], *, replace: bool = False, patience_s: float | None = None) -> Added:
    """The script behind `add` and `heal` (``app/scripts/add.lua``).

    Raises:
        redis.RedisError: as for `add`.
    """
    result = Added()
    if not nudges:
        return result
    script = redis_client().register_script(_ADD)
    for name in QUEUES:
        chosen = [nudge for nudge in nudges if nudge.queue == name]
        for start in range(0, len(chosen), ADD_BATCH):
            result += _put(script, name, chosen[start : start + ADD_BATCH], replace, patience_s)
    return result


def _put(script: Script, name: str, nudges: Sequence[Nudge], replace: bool, patience_s: float | None) -> Added:
    key = f"rq:queue:{name}"
    now = clock.override()
    arguments: list[str | int | float] = [
        key,
        name,
        utcformat(clock.now()),
        JOB_TIMEOUT_S,
        FAILURE_TTL_S,
        "1" if replace else "",
        WAKE_CHANNEL,
        "" if now is None else repr(now),
        settings().horizon_max if name == SEND_QUEUE else "",
        "" if patience_s is None else patience_s,
    ]
    for nudge in nudges:
        arguments += (nudge.job_id, payload(nudge), "" if nudge.at is None else repr(nudge.at.timestamp()))
    keys = [f"rq:scheduled:{name}", key, Queue.redis_queues_keys, MARK_KEY, NONE_OF_OURS_KEY]
    added, left, *doubtful = script(keys=keys, args=arguments)
    return Added(added, left, frozenset(job_id.decode() for job_id in doubtful))


def payload(nudge: Nudge) -> str:
    """What RQ calls a job's data: function, instance, arguments, keyword arguments."""
    return json.dumps([nudge.function, None, [nudge.argument], {}], separators=(",", ":"))


def add_in_background(app: Flask) -> Batcher[Nudge]:
    """From now on `try_add` returns at once in this app: a thread of its own adds, for many requests at a time."""
    adder = Batcher[Nudge]("adder", _add_late, most=ADD_BATCH, rest_s=REST_S, around=app.app_context)
    app.extensions[_ADDER] = adder
    atexit.register(adder.stop, LAST_ADD_S)
    return adder


def try_add(nudges: Sequence[Nudge]) -> None:
    """`add`, for callers whose truth is already committed: what a Redis that is away, or hangs, does not take is left
    to the feeder.
    """
    nudges = _near(nudges)
    if not nudges:
        return
    adder: Batcher[Nudge] | None = current_app.extensions.get(_ADDER)
    if adder is None:
        _try_now(nudges)
    elif adder.backlog < MOST_WAITING:
        adder.put(nudges)
    else:
        metrics.left_out.inc(by=len(nudges))


def _try_now(nudges: Sequence[Nudge]) -> None:
    try:
        if not _guarded(partial(add, nudges)):
            metrics.left_out.inc(by=len(nudges))
    except redis.RedisError as error:
        _missed("enqueue", [nudge.job_id for nudge in nudges], error)


def _add_late(nudges: list[Nudge]) -> None:
    try:
        _try_now(nudges)
    except Exception:  # a defect must not end the thread: all later nudges would wait for the feeder
        metrics.errors.inc("enqueue")
        log.exception("nudges could not be added, the feeder will", count=len(nudges))


def remove(job_ids: Sequence[str], queue: str = SEND_QUEUE) -> None:
    """Take cancelled or superseded nudges out of Redis, as far as it answers: the claim refuses them anyway."""
    if not job_ids:
        return
    try:
        _guarded(partial(_remove, job_ids, queue))
    except redis.RedisError as error:
        _missed("remove", job_ids, error)


def _remove(job_ids: Sequence[str], queue: str) -> None:
    # Of a job that waits in the list already only the hash goes. Whoever pops its id finds that it is worth nothing,
    # and to look for it here would hold Redis up: LREM reads the whole list.
    connection = redis_client()
    with connection.pipeline(transaction=True) as pipe:
        pipe.zrem(ScheduledJobRegistry(queue, connection=connection).key, *job_ids)
        pipe.delete(*(Job.key_for(job_id) for job_id in job_ids))
        pipe.execute()


def _missed(what: str, job_ids: Sequence[str], error: Exception) -> None:
    metrics.errors.inc(what)
    log.warning("redis failed, the sweep makes up for it", what=what, jobs=list(job_ids[:10]), error=str(error))


def _guarded(attempt: Callable[[], object]) -> bool:
    """Try, unless Redis has just failed; says whether it was tried."""
    circuit = _circuit(redis_client())
    if not circuit.may_try():
        return False
    try:
        attempt()
    except redis.RedisError:
        circuit.failed()
        raise
    circuit.worked()
    return True


@lru_cache(maxsize=8)
def _circuit(_client: redis.Redis) -> Circuit:
    """The state of a client's Redis, as this process has found it."""
    return Circuit()


def present(queue: str) -> set[str]:
    """The ids of all jobs that wait in a queue or run: what a worker has or will get without our help."""
    rq = rq_queue(queue)
    started = StartedJobRegistry(queue, connection=rq.connection, serializer=JSONSerializer)
    # Both at one moment, so that a job on its way from one to the other is seen. A mark past its time is that of a
    # worker that died; RQ itself removes it only when some worker cleans up.
    with rq.connection.pipeline(transaction=True) as pipe:
        pipe.lrange(rq.key, 0, -1)
        pipe.zrangebyscore(started.key, clock.now().timestamp(), "+inf")
        queued, running = cast(tuple[list[bytes], list[bytes]], pipe.execute())
    return {*(job_id.decode() for job_id in queued), *(started.parse_job_id(entry.decode()) for entry in running)}
