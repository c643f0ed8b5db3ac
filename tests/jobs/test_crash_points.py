"""kill -9 of a worker or scheduler at each named step of its batched way, with one queue and with three.

`test_crashes` tries every step of the way of single jobs; here whole batches are taken, claimed, settled and
finished, as ``jobs.worker`` does it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from rq.utils import import_attribute

from app import queue
from app.channels.base import FailureKind
from app.messages import claims, delivery, settling, sweep
from jobs.redis_jobs import RedisJobs
from jobs.scheduler import Scheduler
from tests.jobs.support import TRANSIENT, Crash, bodies
from tests.world import World

MESSAGES = 6
ANSWERED = ("accepted", FailureKind.TRANSIENT.value)
POINTS = {
    "promote": (Scheduler, "turn"),
    "pop": (RedisJobs, "take"),
    "claim": (claims, "claim"),
    "send": (delivery, "post"),
    "settle": (settling, "settle"),
    "retry write": (settling, "settle"),
    "finish": (RedisJobs, "finish"),
}


@pytest.fixture(params=[("send",), ("urgent", "send", "upkeep")], ids=["one queue", "three queues"])
def queues(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The queues of the installation; where there is one, upkeep goes there too."""
    names: tuple[str, ...] = request.param
    monkeypatch.setattr(queue, "QUEUES", names)
    monkeypatch.setattr(queue, "UPKEEP_QUEUE", names[-1])
    return names


@contextmanager
def dies(point: str, when: str) -> Iterator[list[str]]:
    """Within the block everything is one process, which dies just before or after a step; says so in the list."""
    owner, name = POINTS[point]
    work, died = getattr(owner, name), list[str]()

    def step(*arguments: Any, **named: Any) -> None:
        if when == "after":
            work(*arguments, **named)
        died.append(point)
        raise Crash(point)

    with patch.object(owner, name, step):
        try:
            yield died
        except Crash:
            return


class BatchWorker:
    """The steps of ``jobs.worker``, one after the other and in one thread."""

    def __init__(self, world: World, name: str, queues: tuple[str, ...]) -> None:
        self._world = world
        self.jobs = RedisJobs(world.redis, name, queues)

    def turn(self) -> int:
        """Take whatever is there and carry it to its end; returns how many jobs that were."""
        taken, provider = self.jobs.take(100), self._world.providers
        made = claims.claim([job.argument for job in taken if job.function == queue.SEND], provider)
        results = [(claim, result) for claim in made if (result := delivery.post(claim, provider)) is not None]
        if results:
            settling.settle(results, provider)
        for job in taken:
            if job.function != queue.SEND:
                import_attribute(str(job.function))(job.argument)
        self.jobs.finish(taken)
        return len(taken)


def ask(world: World, queues: tuple[str, ...]) -> dict[str, str]:
    """Messages that are due in six seconds, and whose nudges lie in all of the queues; job ids by text."""
    tenants = (world.salon, world.outsider)
    jobs = {f"Text {n}": tenants[n % 2].delay(0.1, to=f"+1234567890{n}", body=f"Text {n}") for n in range(MESSAGES)}
    world.redis.flushall()
    rows = [world.message(job_id) for job_id in jobs.values()]
    nudges = [queue.send_nudge(row.id, row.revision, row.scheduled_at) for row in rows]
    queue.add([replace(nudge, queue=queues[n % len(queues)]) for n, nudge in enumerate(nudges)])
    return jobs


def somebody_else_goes_on(world: World, heir: BatchWorker) -> None:
    """Other processes, until nothing is left to do; the dead leader's lease has run out."""
    for _ in range(16):
        world.clock.advance(seconds=15)
        heir.jobs.reap()
        sweep.sweep()
        world.redis.delete(Scheduler.scheduler_lock_key)
        Scheduler(world.redis).promote_due()
        while heir.turn():
            pass
        if {message.status for message in world.messages()} == {"sent"}:
            return


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_death_with_a_batch_in_hand_loses_and_doubles_nothing(
    world: World, queues: tuple[str, ...], point: str, when: str
) -> None:
    jobs = ask(world, queues)
    world.clock.advance(seconds=6)
    if point == "retry write":
        world.provider.script.extend([TRANSIENT] * MESSAGES)

    with dies(point, when) as died:
        Scheduler(world.redis).promote_due()
        BatchWorker(world, "the one that dies", queues).turn()
    assert died
    world.provider.script.clear()

    heir = BatchWorker(world, "the one that lives", queues)
    heir_s_own = world.salon.send(body="Not in the dead one's hands")
    heir.turn()
    assert world.message(heir_s_own).status == "sent"

    somebody_else_goes_on(world, heir)
    assert sorted(bodies(world)) == sorted([*jobs, "Not in the dead one's hands"])
    for body, job_id in jobs.items():
        message = world.message(job_id)
        assert message.status == "sent", body
        answered = [attempt for attempt in world.attempts(job_id) if attempt.outcome in ANSWERED]
        assert message.attempts_used == len(answered), body
    assert [queue.present(name) for name in queues] == [set()] * len(queues)
