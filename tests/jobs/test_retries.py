"""What each answer of the provider leads to, with exact gaps and both budgets."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from app.database import writing
from app.messages.models import Message
from tests.jobs.support import (
    OPTED_OUT,
    PERMANENT,
    THROTTLED,
    TRANSIENT,
    UNREACHABLE,
    follow,
    outcomes,
    started,
)
from tests.world import World

HOUR = 3600.0


def test_a_refusal_for_good_is_not_tried_again(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(PERMANENT)
    follow(world, 5 * HOUR)
    world.live(10)

    message = world.message(job_id)
    assert len(world.provider.posted) == 1
    assert (message.status, message.reason, message.error_code) == ("failed", "rejected", 21614)
    assert (message.finished_at, message.attempts_used) == (message.due_at, 1)
    assert world.salon.status(job_id)["reason"] == "rejected"


@pytest.mark.parametrize(("policy", "at"), [("default", [0, 1, 3]), ("reminder", [0, 5, 30, 155, 780])])
def test_a_refusal_for_now_is_tried_again_with_exact_gaps(world: World, policy: str, at: list[float]) -> None:
    job_id = world.salon.send()
    with writing() as session:
        session.get_one(Message, world.message(job_id).id).retry_policy = policy
    world.provider.script.extend([TRANSIENT] * 9)
    follow(world, HOUR)

    message = world.message(job_id)
    assert started(world, job_id) == at
    assert outcomes(world, job_id) == ["transient"] * len(at)
    assert (message.status, message.reason, message.attempts_used) == ("failed", "attempts_exhausted", len(at))


def test_the_provider_s_own_wait_is_kept(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(replace(TRANSIENT, code=21611, min_delay_s=60))
    follow(world, HOUR)
    assert started(world, job_id) == [0, 60]


def test_a_retry_that_succeeds_leaves_no_trace_of_the_error_on_the_message(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(TRANSIENT)
    world.work()
    waiting = world.message(job_id)
    assert (waiting.status, waiting.error_message, waiting.revision) == ("scheduled", "not now", 1)
    assert waiting.due_at == world.clock.now()
    assert world.salon.status(job_id)["status"] == "processing"

    follow(world, 1)

    message = world.message(job_id)
    assert (message.status, message.error_message, message.attempts_used) == ("sent", None, 2)
    assert outcomes(world, job_id) == ["transient", "accepted"]


def test_throttling_uses_up_no_attempt_and_comes_back_when_told(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.extend([replace(THROTTLED, retry_after_s=7)] * 3 + [TRANSIENT] * 2)
    follow(world, HOUR)

    message = world.message(job_id)
    assert started(world, job_id) == [0, 7, 14, 21, 22, 24]
    assert (message.status, message.attempts_used, message.attempts_uncounted) == ("sent", 3, 3)


def test_throttling_ends_after_ten_more_tries(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.extend([THROTTLED] * 20)
    follow(world, HOUR)

    message = world.message(job_id)
    assert started(world, job_id) == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]
    assert (message.status, message.reason, message.attempts_used) == ("failed", "throttled", 0)


def test_an_outage_before_anything_left_costs_nothing(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.extend([UNREACHABLE] * 60)
    follow(world, HOUR)

    message, at = world.message(job_id), started(world, job_id)
    assert (message.status, message.attempts_used, message.attempts_uncounted) == ("sent", 1, 0)
    assert len(at) == 61
    gaps = {round(later - earlier, 3) for earlier, later in itertools.pairwise(at)}
    assert max(gaps) == 30


def test_an_outage_ends_with_the_validity(world: World) -> None:
    until = world.clock.now() + timedelta(minutes=5)
    job_id = world.salon.send(validUntil=until.isoformat())
    world.provider.script.extend([UNREACHABLE] * 100)
    follow(world, HOUR)

    message = world.message(job_id)
    assert (message.status, message.reason, message.attempts_used) == ("failed", "expired", 0)
    assert max(attempt.started_at for attempt in world.attempts(job_id)) < until


def test_a_retry_found_after_the_validity_is_failed(world: World) -> None:
    until = world.clock.now() + timedelta(seconds=30)
    job_id = world.salon.send(validUntil=until.isoformat())
    world.provider.script.append(TRANSIENT)
    world.work()
    world.clock.set(until)  # nobody worked meanwhile
    world.work()

    assert (world.message(job_id).status, world.message(job_id).reason) == ("failed", "expired")
    assert len(world.provider.posted) == 1


def test_twilio_s_opt_out_is_remembered_for_every_later_message(world: World) -> None:
    first, later = world.salon.send(), world.salon.delay(5)
    world.provider.script.append(OPTED_OUT)
    follow(world, 400)

    assert (world.message(first).status, world.message(first).reason) == ("failed", "opted_out")
    assert (world.message(later).status, world.message(later).reason) == ("skipped", "opted_out")
    # Not what the person said to another business.
    other = world.outsider.send()
    world.work()
    assert world.message(other).status == "sent"
    assert len(world.provider.posted) == 2


def test_a_message_cancelled_between_two_tries_is_not_tried_again(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(TRANSIENT)
    world.work()
    assert world.salon.cancel(job_id).status_code == 200
    follow(world, HOUR)
    world.live(10)

    assert world.message(job_id).status == "cancelled"
    assert len(world.provider.posted) == 1
