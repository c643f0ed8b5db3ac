"""A worker that dies, or is held up, while it has a message: the lease ends, and the truth is found out."""

from datetime import timedelta

import pytest

from app.messages import claims, delivery, sweep
from tests.jobs.support import (
    bodies,
    dies_at,
    hold_unknown,
    outcomes,
    watch_looks,
)
from tests.world import World

LEASE_S = 30  # twice the provider's time-out of 10 s, and 10 s
LOOK_AT_S = LEASE_S + 10  # not before a request could have ended


def hold_up(world: World, seconds: float) -> None:
    """The next worker loses this much time between its claim and its request."""

    def point(step: str) -> None:
        if step == "claimed":
            delivery.faults.point = lambda _step: None
            world.clock.advance(seconds=seconds)

    delivery.faults.point = point


@pytest.fixture(autouse=True)
def _no_fault_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.faults.point", lambda _step: None)


@pytest.mark.parametrize(("step", "tries"), [("claimed", ["not_accepted", "accepted"]), ("posted", ["accepted"])])
def test_a_worker_that_died_with_a_message_is_noticed(world: World, step: str, tries: list[str]) -> None:
    job_id = world.salon.send()
    looks = watch_looks(world)
    with dies_at(step):
        world.work()
    world.live(LEASE_S - 5)
    assert world.message(job_id).status == "sending"
    world.live(5)
    assert world.message(job_id).status == "unknown"
    assert outcomes(world, job_id) == ["abandoned"]
    world.live(60)

    message = world.message(job_id)
    assert looks[0] == LOOK_AT_S
    assert bodies(world) == ["Hello"]
    assert len(world.provider.posted) == 1
    assert (message.status, message.attempts_used) == ("sent", 1)
    assert outcomes(world, job_id) == tries


def test_a_worker_that_died_after_settling_leaves_nothing_to_do(world: World) -> None:
    job_id = world.salon.send()
    looks = watch_looks(world)
    with dies_at("settled"):
        world.work()
    world.live(120, step=10)
    assert looks == []
    assert bodies(world) == ["Hello"]
    assert outcomes(world, job_id) == ["accepted"]


def test_a_death_costs_no_attempt_but_ten_of_them_end_it(world: World) -> None:
    job_id = world.salon.send()
    for _ in range(11):
        with dies_at("claimed"):
            world.live(120, step=10)
    world.live(120, step=10)
    message = world.message(job_id)
    assert (message.status, message.reason) == ("failed", "attempts_exhausted")
    assert (message.attempts_used, message.attempts_uncounted) == (0, 10)
    assert world.provider.posted == []


def test_a_held_message_is_not_sent_again_after_a_death(world: World) -> None:
    hold_unknown(world.salon)
    job_id = world.salon.send()
    with dies_at("claimed"):
        world.work()
    world.live(120, step=10)
    assert (world.message(job_id).status, world.message(job_id).reason) == ("failed", "held_unknown")
    assert world.provider.posted == []


def test_a_claim_with_too_little_of_its_lease_left_is_given_back(world: World) -> None:
    job_id = world.salon.send()
    hold_up(world, LEASE_S - 10)
    world.work()

    message = world.message(job_id)
    # Given back, taken again by the next worker, and sent: nothing was counted.
    assert outcomes(world, job_id) == ["given_back", "accepted"]
    assert (message.status, message.attempts_used, message.attempts_uncounted) == ("sent", 1, 0)
    assert bodies(world) == ["Hello"]
    assert len(world.provider.posted) == 1


def test_a_claim_with_just_enough_of_its_lease_left_is_used(world: World) -> None:
    job_id = world.salon.send()
    hold_up(world, LEASE_S - 10.001)
    world.work()
    assert outcomes(world, job_id) == ["accepted"]


def test_a_claim_that_was_taken_away_meanwhile_is_not_used(world: World) -> None:
    job_id = world.salon.send()

    def held_up_for_long(step: str) -> None:
        if step == "claimed":
            delivery.faults.point = lambda _step: None
            world.live(LEASE_S + 5)

    delivery.faults.point = held_up_for_long
    world.work()
    assert world.provider.posted == []
    assert world.message(job_id).status == "unknown"
    assert outcomes(world, job_id) == ["given_back"]

    world.live(120, step=10)
    assert bodies(world) == ["Hello"]
    assert outcomes(world, job_id) == ["not_accepted", "accepted"]


def test_a_lease_is_longer_than_any_request(world: World) -> None:
    for timeout_s in (0.5, 1, 10, 60):
        assert claims.lease(timeout_s) > timedelta(seconds=2 * timeout_s)


def test_a_lease_that_runs_is_left_alone(world: World) -> None:
    world.salon.send()
    with dies_at("claimed"):
        world.work()
    lease_until = world.messages()[0].lease_until
    assert lease_until is not None
    assert sweep.release_expired_leases(lease_until - timedelta(microseconds=1)) == 0
    assert sweep.release_expired_leases(lease_until) == 1
    assert sweep.release_expired_leases(lease_until) == 0
