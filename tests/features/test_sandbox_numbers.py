"""Twilio's magic numbers: the only ones that fail in the sandbox, and as they do with Twilio's test credentials."""

import pytest

from tests.features.test_sandbox import inbox
from tests.world import SENDER, World


@pytest.fixture
def world(make_world) -> World:
    return make_world(scripted=False)


@pytest.mark.parametrize(
    "changes, code, reason",
    [
        ({"to": "+15005550001"}, 21211, "rejected"),
        ({"to": "+15005550002"}, 21612, "rejected"),
        ({"to": "+15005550003"}, 21408, "rejected"),
        ({"to": "+15005550004"}, 21610, "opted_out"),
        ({"to": "+15005550009"}, 21614, "rejected"),
        ({"fromNumber": "+15005550001"}, 21212, "rejected"),
        ({"fromNumber": "+15005550007"}, 21606, "rejected"),
        ({"to": "whatsapp:+15005550001", "fromNumber": f"whatsapp:{SENDER}"}, 21211, "rejected"),
    ],
    ids=str,
)
def test_each_fails_for_its_own_reason(world: World, changes: dict[str, str], code: int, reason: str) -> None:
    job_id = world.salon.send(**changes)

    world.live(60, step=20)

    state = world.salon.status(job_id)
    assert (state["status"], state["messageStatus"], state["reason"]) == ("failed", "failed", reason)
    assert world.message(job_id).error_code == code
    assert len(world.attempts(job_id)) == 1
    assert inbox(world) == []


def test_a_full_queue_is_tried_three_times_a_minute_apart(world: World) -> None:
    job_id = world.salon.send(fromNumber="+15005550008")

    world.live(300, step=30)

    assert world.salon.status(job_id)["reason"] == "attempts_exhausted"
    attempts = world.attempts(job_id)
    assert [attempt.error_code for attempt in attempts] == [21611] * 3
    assert (attempts[1].started_at - attempts[0].started_at).total_seconds() >= 60


def test_who_opted_out_there_is_not_tried_again(world: World) -> None:
    world.salon.send(to="+15005550004")
    world.work()

    later = world.salon.send(to="+15005550004")
    world.work()

    assert world.salon.status(later)["reason"] == "opted_out"
    assert world.attempts(later) == []


@pytest.mark.parametrize("changes", [{"to": "+15005550006"}, {"fromNumber": "+15005550006"}, {"to": "+15005550010"}])
def test_other_numbers_do_not_fail(world: World, changes: dict[str, str]) -> None:
    job_id = world.salon.send(**changes)

    world.live(5)
    world.live(5)

    assert world.salon.status(job_id)["messageStatus"] == "delivered"
