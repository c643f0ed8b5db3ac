"""kill -9 at every step: whatever a process had just done or was about to do, each message goes out once."""

from collections.abc import Callable

import pytest

from app.channels.base import FailureKind
from tests.jobs.dying import dies_at_step
from tests.jobs.support import (
    CONFIGURATION,
    THROTTLED,
    TRANSIENT,
    UNREACHABLE,
    bodies,
    lose_quietly,
    report,
)
from tests.world import World

MOST_STEPS = 60
STEPS = ("commit", "redis transaction", "request")
ANSWERS = ("accepted", FailureKind.TRANSIENT)


def send_now(world: World, body: str) -> None:
    world.salon.send(body=body)
    world.work()


def send_later(world: World, body: str) -> None:
    world.salon.delay(0.1, body=body)
    world.live(10)


def after(*answers: object) -> Callable[[World, str], None]:
    """Sending when the provider's first answers are these."""

    def run(world: World, body: str) -> None:
        world.provider.script.extend(answers)  # type: ignore[arg-type]
        world.salon.send(body=body)
        world.live(60, step=20)

    return run


def accepted_and_lost(world: World, body: str) -> None:
    after(world.provider.accept_then_lose)(world, body)


def moved(world: World, body: str) -> None:
    job_id = world.salon.delay(1, body=body)
    answer = {"jobId": job_id, "workspaceId": "ws_salon", "delayMinutes": 0.25}
    world.salon.post("/api/trigger/reschedule-job", answer)
    world.live(20)


def recurring(world: World, body: str) -> None:
    rule = world.salon.text(body=body, cron="* * * * *", timezone="UTC", count=1)
    world.salon.post("/api/trigger/schedule-recurring", rule)
    world.live(60, step=20)


def reported_early(world: World, body: str) -> None:
    world.provider.script.append(world.provider.accept_then_lose)
    job_id = world.salon.send(body=body)
    world.work()
    report(world, job_id, "delivered")


SCENARIOS: dict[str, Callable[[World, str], None]] = {
    "now": send_now,
    "later": send_later,
    "moved": moved,
    "recurring": recurring,
    "refused for now": after(TRANSIENT),
    "throttled": after(THROTTLED),
    "out of reach": after(UNREACHABLE),
    "account refused": after(CONFIGURATION),
    "accepted and lost": accepted_and_lost,
    "not accepted and lost": after(lose_quietly),
    "reported early": reported_early,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_at_any_step_loses_and_doubles_nothing(world: World, name: str) -> None:
    deaths: list[str] = []
    unborn: list[int] = []
    for number in range(1, MOST_STEPS):
        body = f"Text {number}"
        with dies_at_step(world, number) as steps:
            SCENARIOS[name](world, body)
        world.provider.script.clear()
        world.live(240, step=20)  # somebody else goes on

        stored = [message for message in world.messages() if message.body == body]
        assert bodies(world).count(body) == len(stored) <= 1, steps.reached
        for message in stored:
            assert message.status in ("sent", "delivered"), steps.reached
            answered = [attempt for attempt in world.attempts(message.job_id) if attempt.outcome in ANSWERS]
            assert message.attempts_used == len(answered), steps.reached
        if len(steps.reached) < number:
            break
        deaths.append(steps.reached[-1])
        if not stored:
            unborn.append(number)
    else:
        raise AssertionError(f"more than {MOST_STEPS} steps")
    # Only before the first commit of the message is there nothing to send, and nobody was told that there is.
    assert unborn == [n for n in range(1, 4) if deaths[:n].count("after commit") < 2 and n in unborn]
    assert set(deaths) == {f"{when} {what}" for when in ("before", "after") for what in STEPS}
