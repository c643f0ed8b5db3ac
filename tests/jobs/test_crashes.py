"""kill -9 at every step: whatever a process had just done or was about to do, each message goes out once."""

from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import update

from app.channels.base import FailureKind
from app.database import writing
from app.messages import rates
from app.messages.models import Message
from app.messages.rates import Rates
from tests.jobs.dying import dies_at_step
from tests.jobs.support import (
    CONFIGURATION,
    TRANSIENT,
    bodies,
    lose_quietly,
    report,
)
from tests.world import PERSON, SENDER, World

MOST_STEPS = 100
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
        job_id = world.salon.send(body=body)
        world.work()
        for _ in range(12):
            if world.message(job_id).status == "sent":
                break
            world.live(20, step=20)

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


def in_line(world: World, body: str) -> None:
    world.clock.advance(minutes=2)  # the sender is free, whatever went before
    with patch.object(rates, "current", lambda _session=None: Rates({"sms": 0.02}, {})):
        texts = [(f"Before {body}", 0.01), (body, 0.02)]
        messages = [{"to": PERSON, "body": text, "delayMinutes": minutes} for text, minutes in texts]
        answer = {"workspaceId": "ws_salon", "fromNumber": SENDER, "messages": messages}
        world.salon.post("/api/trigger/schedule-bulk", answer)
        for seconds in (1, 25, 25):
            world.live(seconds, step=seconds)


SCENARIOS: dict[str, Callable[[World, str], None]] = {
    "now": send_now,
    "later": send_later,
    "moved": moved,
    "recurring": recurring,
    "refused for now": after(TRANSIENT),
    "account refused": after(CONFIGURATION),
    "accepted and lost": accepted_and_lost,
    "not accepted and lost": after(lose_quietly),
    "reported early": reported_early,
    "in line": in_line,
}


def somebody_else_goes_on(world: World) -> None:
    """Until nothing is left to do, and then a little longer; what was accepted has its final report by then."""
    for _ in range(12):
        world.live(20, step=20)
        if all(message.status in ("sent", "delivered") for message in world.messages()):
            break
    world.live(20, step=20)
    with writing() as session:
        session.execute(update(Message).values(next_check_at=None))


ON_BOTH = ("now", "not accepted and lost")
RUNS = [("sqlite", name) for name in SCENARIOS] + [("postgresql", name) for name in ON_BOTH]


@pytest.mark.parametrize(("database_url", "name"), RUNS, indirect=["database_url"])
def test_a_death_at_any_step_loses_and_doubles_nothing(world: World, name: str) -> None:
    deaths: list[str] = []
    unborn: list[int] = []
    for number in range(1, MOST_STEPS):
        body = f"Text {number}"
        # Each run begins alike: on a full minute, with a scheduler that has begun to lead.
        world.clock.set(world.clock.now().replace(second=0) + timedelta(minutes=1))
        world.another_leads()
        with dies_at_step(world, number) as steps:
            SCENARIOS[name](world, body)
        world.provider.script.clear()
        somebody_else_goes_on(world)

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
    # Only before the message's own commit is there nothing to send, and by then nobody was told that there is.
    assert len(unborn) <= 3
    assert set(deaths) == {f"{when} {what}" for when in ("before", "after") for what in STEPS}
