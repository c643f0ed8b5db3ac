"""Nobody falls between accepting and feeding, whatever comes between two steps, whoever dies there or sleeps."""

from collections.abc import Callable
from contextlib import suppress
from itertools import combinations_with_replacement
from typing import Any

import pytest
import redis

from app import queue
from app.messages import feeding, service
from app.messages.feeding import Walk
from app.messages.service import Stored
from jobs.feeder import Feeder
from tests.jobs.support import Crash, bodies
from tests.jobs.waiting import accept, commit, held, scheduled
from tests.world import World

MINUTE = 60.0
MOMENTS = ("before the mark moves", "between mark and query", "after the query", "after all")


@pytest.fixture(autouse=True)
def _no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the audit would heal must not have been lost in the first place."""
    monkeypatch.setattr(Walk, "step", lambda *_args, **_kwargs: 0)


def at_moments(monkeypatch: pytest.MonkeyPatch, then: Callable[[str], None]) -> None:
    """Call ``then`` with each moment that one feeding passes through."""
    publish, waiting = feeding.publish, feeding.waiting

    def published(*args: Any) -> Any:
        then(MOMENTS[0])
        mark = publish(*args)
        then(MOMENTS[1])
        return mark

    def queried(*args: Any) -> Any:
        rows = waiting(*args)
        then(MOMENTS[2])
        return rows

    monkeypatch.setattr(feeding, "publish", published)
    monkeypatch.setattr(feeding, "waiting", queried)


def feed_with(world: World, steps: list[tuple[str, Callable[[], None]]]) -> None:
    """One tick of the feeder, with other processes' steps at these moments."""
    left = list(steps)

    def then(moment: str) -> None:
        while left and left[0][0] == moment:
            left.pop(0)[1]()

    with pytest.MonkeyPatch.context() as patch:
        at_moments(patch, then)
        world.feeder.tick()
    then(MOMENTS[3])
    assert left == []


@pytest.mark.parametrize("moments", list(combinations_with_replacement(MOMENTS, 2)), ids=" / ".join)
@pytest.mark.parametrize("within", [-1.0, 0.0, 1.0])
def test_a_message_that_is_committed_and_added_while_the_feeder_passes_is_fed_once(
    world: World, moments: tuple[str, str], within: float
) -> None:
    world.repair()
    world.clock.advance(seconds=10)  # the mark is now ten seconds short of the horizon
    stored: list[Stored] = []

    def commits() -> None:
        stored.extend(commit(world, [60 * MINUTE - 5 + within]))

    feed_with(world, [(moments[0], commits), (moments[1], lambda: service.announce(stored))])

    assert held(world) == [stored[0].id]


@pytest.mark.parametrize("moments", list(combinations_with_replacement(MOMENTS, 2)), ids=" / ".join)
def test_in_the_midst_of_an_instant_too(
    world: World, moments: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.feeder.BATCH", 2)
    old = [one.id for one in commit(world, [MINUTE] * 3)]
    stored: list[Stored] = []
    world.feeder.tick()
    world.redis.flushall()

    def commits() -> None:
        stored.extend(commit(world, [MINUTE]))

    # The feeder begins by moving its mark to the start, so each moment before the query comes twice.
    feed_with(world, [(moments[0], commits), (moments[1], lambda: service.announce(stored))])

    assert sorted(scheduled(world)) == sorted([*old, stored[0].id])


@pytest.mark.parametrize("moment", MOMENTS[:3])
def test_a_feeder_that_dies_half_way_is_followed_by_one_that_begins_anew(world: World, moment: str) -> None:
    world.repair()
    rows = [one.id for one in commit(world, [10, 20 * MINUTE])]
    world.clock.advance(seconds=5)

    def dies() -> None:
        raise Crash(moment)

    with suppress(Crash):
        feed_with(world, [(moment, dies)])
    world.another_leads()

    assert held(world) == rows


def test_a_feeder_whose_word_to_redis_got_no_answer_begins_anew(world: World) -> None:
    world.repair()
    row = commit(world, [20 * MINUTE])[0].id  # as if it had been turned away, and the mark pulled back to it
    publish = feeding.publish

    def answer_is_lost(*args: Any) -> None:
        publish(*args)
        raise redis.TimeoutError("no answer")

    world.clock.advance(seconds=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeding, "publish", answer_is_lost)
        with pytest.raises(redis.TimeoutError):
            world.feeder.tick()
    world.feeder.tick()

    assert held(world) == [row]


@pytest.mark.parametrize("moment", MOMENTS[:3])
def test_a_leader_that_slept_and_goes_on_feeding_does_no_harm(world: World, moment: str) -> None:
    world.repair()
    world.clock.advance(minutes=10)
    rows = [one.id for one in commit(world, [55 * MINUTE, MINUTE])]
    heir = Feeder()
    more: list[str] = []

    def another_leads() -> None:
        heir.tick()
        world.clock.advance(minutes=10)
        more.extend(accept(world, [55 * MINUTE]))
        heir.tick()

    feed_with(world, [(moment, another_leads)])
    heir.tick()

    assert scheduled(world) == [rows[1], rows[0], more[0]]
    assert accept(world, [MINUTE])[0] in scheduled(world)


def test_two_who_both_think_that_they_lead_lose_and_double_nothing(world: World) -> None:
    first, second = Feeder(), Feeder()
    rows: list[str] = []
    for _ in range(6):
        rows += accept(world, [30, 59.5 * MINUTE]) + [one.id for one in commit(world, [61 * MINUTE])]
        first.tick()
        world.clock.advance(minutes=1)
        second.tick()
        rows += accept(world, [90])
    world.clock.advance(minutes=5)
    first.tick()
    second.tick()

    assert sorted(held(world)) == sorted(rows)


def test_without_any_feeder_everybody_helps_himself(world: World) -> None:
    rows = accept(world, [0, MINUTE])
    world.repair()
    world.redis.delete(queue.MARK_KEY)  # its time has run out
    rows += accept(world, [2 * MINUTE, 59 * MINUTE])

    assert held(world) == rows


def test_what_is_due_does_not_wait_for_a_feeder_that_stands_still(world: World) -> None:
    world.repair()
    world.clock.advance(minutes=61)
    world.salon.send(body="Now")
    world.work()
    assert bodies(world) == ["Now"]
