"""Whatever happens, a sender carries no more than its rate allows, and every message goes out.

Hypothesis makes up the stories; the witness is the provider's own log.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from app.channels.base import Failure
from app.database import writing
from app.messages import pacing
from app.messages.models import Attempt, Message
from app.workspaces import service as workspaces
from tests.conftest import NOON
from tests.jobs.dying import dies_at_step
from tests.jobs.support import THROTTLED, TRANSIENT
from tests.world import SENDER, World

OTHER = "+19876543299"
RATE = 2
TEXTS = {1: "a", 2: "a" * 200, 3: "ä" * 350}
"""By their segments."""

sends = st.tuples(
    st.just("send"), st.sampled_from([SENDER, SENDER, OTHER]), st.sampled_from([1, 1, 2, 3]), st.integers(1, 12)
)
passes = st.tuples(st.just("pass"), st.sampled_from([0.1, 0.5, 0.5, 2, 7, 60]))
answers = st.tuples(st.just("answer"), st.sampled_from([TRANSIENT, THROTTLED]))
picks = st.integers(0, 100)
moves = st.one_of(
    sends,
    passes,
    passes,
    answers,
    st.tuples(st.just("cancel"), picks),
    st.tuples(st.just("die"), st.integers(1, 12)),
    st.tuples(st.just("flush")),
)


class Story:
    """One example: messages of known length from two senders."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.segments: dict[str, int] = {}
        self.jobs: list[str] = []
        self.flushes = 0

    def send(self, sender: str, segments: int, count: int) -> None:
        for _ in range(count):
            body = f"{len(self.jobs):03}{TEXTS[segments]}"
            self.segments[body] = segments
            self.jobs.append(self.world.salon.send(body=body, fromNumber=sender))

    def passing(self, seconds: float) -> None:
        self.world.live(seconds, step=seconds)

    def answer(self, failure: Failure) -> None:
        self.world.provider.script.append(failure)

    def cancel(self, number: int) -> None:
        for job_id in self.jobs[number : number + 10]:
            self.world.salon.cancel(job_id)

    def die(self, number: int) -> None:
        with dies_at_step(self.world, number):
            self.world.live(1, step=1)

    def flush(self) -> None:
        self.world.redis.flushall()
        self.flushes += 1

    def tell(self, what: str, *how: Any) -> None:
        """One move."""
        tellers: dict[str, Callable[..., None]] = {
            "send": self.send,
            "pass": self.passing,
            "answer": self.answer,
            "cancel": self.cancel,
            "die": self.die,
            "flush": self.flush,
        }
        tellers[what](*how)

    def check(self) -> None:
        """All that was taken, in any stretch of time, is what the rate allows and a little more; and nobody is left."""
        for sender in (SENDER, OTHER):
            taken = [record for record in self.world.provider.log if record.sender == sender]
            for first in range(len(taken)):
                carried = 0
                for record in taken[first:]:
                    segments = self.segments[record.body]
                    carried += segments
                    seconds = (record.created_at - taken[first].created_at).total_seconds()
                    spare = pacing.BURST.total_seconds() * RATE * (1 + self.flushes)
                    assert carried <= RATE * seconds + spare + segments + 0.001
        assert {message.status for message in self.world.messages()} <= {"sent", "cancelled", "failed"}
        accepted = [record.body for record in self.world.provider.log]
        assert len(accepted) == len(set(accepted))


@contextmanager
def story(world: World) -> Iterator[Story]:
    """A story in a world in which nothing has happened yet; at its end time passes until everybody has gone."""
    with writing() as session:
        session.execute(delete(Attempt))
        session.execute(delete(Message))
    world.redis.flushall()
    world.clock.set(NOON)
    world.provider.log.clear()
    world.provider.script.clear()
    told = Story(world)
    yield told
    world.provider.script.clear()
    for _ in range(120):
        if all(message.status not in ("scheduled", "sending", "unknown") for message in world.messages()):
            break
        world.live(15, step=5)
    told.check()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_story_sends_more_than_the_rate_or_leaves_anybody_behind(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "AHEAD", timedelta(seconds=10))
    world = make_world(sender_rate=RATE)
    with writing() as session:
        workspaces.add_sender(session, "ws_salon", "sms", OTHER)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(moves, min_size=3, max_size=9))
    def tell(told: list[tuple[Any, ...]]) -> None:
        with story(world) as one:
            for move in told:
                one.tell(*move)

    tell()
