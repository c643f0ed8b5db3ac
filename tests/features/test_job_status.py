"""GET /api/trigger/job-status (seed 001.55, 001.58): how each point of a message's life is told outside."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from app.messages import sweep
from app.messages.states import Status
from tests.answers import data_of, error_of
from tests.features import lives
from tests.world import World

PATH = "/api/trigger/job-status"
Life = Callable[[World], str]


@pytest.mark.parametrize(
    "live, inside, status, message_status, reason",
    [
        (lives.waiting, "scheduled", "scheduled", "pending", None),
        (lives.due, "scheduled", "processing", "pending", None),
        (lives.retrying, "scheduled", "processing", "pending", None),
        (lives.unknown, "unknown", "processing", "pending", None),
        (lives.sent, "sent", "completed", "sent", None),
        (lives.delivered, "delivered", "completed", "delivered", None),
        (lives.undelivered, "undelivered", "completed", "undelivered", None),
        (lives.read, "read", "completed", "read", None),
        (lives.refused, "failed", "failed", "failed", "rejected"),
        (lives.exhausted, "failed", "failed", "failed", "attempts_exhausted"),
        (lives.throttled, "failed", "failed", "failed", "throttled"),
        (lives.held, "failed", "failed", "failed", "held_unknown"),
        (lives.expired, "skipped", "failed", "failed", "expired"),
        (lives.opted_out, "skipped", "failed", "failed", "opted_out"),
        (lives.cancelled, "cancelled", "cancelled", "pending", "cancelled_by_caller"),
    ],
)
def test_each_state_has_its_words(
    world: World, live: Life, inside: str, status: str, message_status: str, reason: str | None
) -> None:
    job_id = live(world)

    state = world.salon.status(job_id)

    assert world.message(job_id).status == inside
    assert set(state) == {"jobId", "status", "scheduledTime", "completedTime", "messageStatus", "reason"}
    assert state["jobId"] == job_id
    assert (state["status"], state["messageStatus"], state["reason"]) == (status, message_status, reason)
    assert (state["completedTime"] is not None) == (status in ("completed", "failed"))


def test_while_it_is_being_sent_it_is_processing(world: World) -> None:
    job_id = world.salon.send()
    states = []
    lives.while_sending(world, lambda: states.append((world.message(job_id).status, world.salon.status(job_id))))

    world.work()

    [(inside, state)] = states
    assert inside == Status.SENDING
    assert (state["status"], state["messageStatus"], state["completedTime"]) == ("processing", "pending", None)


def test_every_state_is_told_by_one_of_these_tests() -> None:
    told = test_each_state_has_its_words.pytestmark[0].args[1]  # type: ignore[attr-defined]

    assert {inside for _, inside, *_ in told} | {"sending"} == set(Status)


def test_what_is_overdue_is_processing_until_it_is_sent(world: World) -> None:
    job_id = world.salon.delay(5)
    assert world.salon.status(job_id)["status"] == "scheduled"

    world.clock.advance(minutes=5)
    assert world.salon.status(job_id)["status"] == "processing"

    world.work()
    assert world.salon.status(job_id)["status"] == "completed"


@pytest.mark.parametrize("offset", ["+10:00", "-09:30", "+05:45", "Z"])
def test_both_times_are_written_with_the_caller_s_offset(world: World, offset: str) -> None:
    zone = datetime.fromisoformat(f"2026-05-11T00:00:00{offset}").tzinfo
    due_at = world.clock.now() + timedelta(minutes=30)
    written = due_at.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S") + offset
    body = world.salon.text(scheduledTime=written)
    job_id = data_of(world.salon.post("/api/trigger/schedule-until", body), 202)["jobId"]

    world.clock.set(due_at + timedelta(seconds=2))
    world.work()

    state = world.salon.status(job_id)
    assert state["scheduledTime"] == written
    assert state["completedTime"].endswith(offset.replace("Z", "+00:00"))
    assert datetime.fromisoformat(state["completedTime"]) == due_at + timedelta(seconds=2)


def test_a_delivery_does_not_move_the_time_of_completion(world: World) -> None:
    job_id = lives.sent(world)
    before = world.salon.status(job_id)["completedTime"]

    world.clock.advance(minutes=1)
    lives.report(world, job_id, "delivered")

    assert world.salon.status(job_id)["completedTime"] == before


def test_a_message_whose_worker_died_is_processing(world: World) -> None:
    job_id = world.salon.send()

    def die() -> None:
        raise SystemExit("as if by kill -9")

    lives.while_sending(world, die)
    with pytest.raises(SystemExit):
        world.work()
    assert world.salon.status(job_id)["status"] == "processing"

    world.clock.advance(minutes=2)
    sweep.sweep()
    assert world.salon.status(job_id)["status"] == "processing"
    world.live(120)
    assert world.salon.status(job_id)["status"] == "completed"


def test_an_outsider_s_and_an_unknown_job_look_the_same(world: World) -> None:
    job_id = world.salon.send()

    errors = [
        error_of(world.outsider.get(PATH, jobId=job, workspaceId=workspace), 404, "not_found")
        for job in (job_id, "job_nothing")
        for workspace in ("ws_outsider", "ws_salon")
    ]
    assert errors == [errors[0]] * 4
