"""An answer that comes when the lease is over: an acceptance still counts, a failure changes nothing any more."""

import pytest

from app.channels.base import Accepted, Failure, OutgoingMessage
from app.messages import reconcile, sweep
from tests.jobs.support import (
    AMBIGUOUS,
    PERMANENT,
    TRANSIENT,
    bodies,
    log_lags,
    outcomes,
)
from tests.world import World

LEASE_S = 30  # twice the provider's time-out of 10 s, and 10 s


def late(world: World, seconds: float, answer: Accepted | Failure | None = None):
    """An answer that comes when the lease has been over for long; meanwhile the sweep and the others go on."""

    def send(message: OutgoingMessage) -> Accepted | Failure:
        result = world.provider.accept(message) if answer is None else answer
        with log_lags(world):
            world.live(seconds)
        return result

    return send


def test_a_late_answer_is_bound_while_the_message_is_in_doubt(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(late(world, LEASE_S + 5))
    world.work()

    message = world.message(job_id)
    assert (message.status, message.lease_until, message.attempts_used) == ("sent", None, 1)
    assert message.provider_message_id == world.provider.log[0].provider_message_id
    assert outcomes(world, job_id) == ["accepted"]
    world.live(120, step=10)
    assert bodies(world) == ["Hello"]


def test_a_late_answer_stops_a_resend_that_is_planned(world: World) -> None:
    job_id = world.salon.send()
    row_id = world.message(job_id).id

    def answered_when_a_resend_was_planned(message: OutgoingMessage) -> Accepted:
        answer = world.provider.accept(message)
        world.clock.advance(seconds=LEASE_S)
        sweep.release_expired_leases(world.clock.now())
        with log_lags(world):
            for _ in range(3):
                world.clock.advance(seconds=15)
                reconcile.reconcile(row_id)
        assert world.message(job_id).status == "scheduled"
        return answer

    world.provider.script.append(answered_when_a_resend_was_planned)
    world.work()
    assert world.message(job_id).status == "sent"
    world.live(120, step=10)
    assert bodies(world) == ["Hello"]


@pytest.mark.parametrize("answer", [TRANSIENT, PERMANENT, AMBIGUOUS], ids=lambda failure: failure.kind.value)
def test_a_late_failure_changes_nothing_but_its_own_try(world: World, answer: Failure) -> None:
    job_id = world.salon.send()
    world.provider.script.append(late(world, LEASE_S + 5, answer))
    with log_lags(world):
        world.work()
    message = world.message(job_id)
    assert (message.status, message.reason, message.attempts_used) == ("unknown", None, 0)
    assert message.error_message == "the worker died while sending"
    assert outcomes(world, job_id) == [answer.kind.value]
    world.live(120, step=10)
    assert bodies(world) == ["Hello"]


@pytest.mark.parametrize("answer", [TRANSIENT, PERMANENT, AMBIGUOUS], ids=lambda failure: failure.kind.value)
def test_a_stale_failure_cannot_touch_the_next_try(world: World, answer: Failure) -> None:
    job_id = world.salon.send()
    world.provider.script.append(late(world, 120, answer))  # meanwhile another worker has sent it
    world.work()
    message = world.message(job_id)
    assert (message.status, message.reason, message.attempt, message.error_message) == ("sent", None, 2, None)
    assert message.provider_message_id == world.provider.log[0].provider_message_id
    assert bodies(world) == ["Hello"]
