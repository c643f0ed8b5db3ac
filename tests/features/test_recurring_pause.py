"""Pausing, resuming and cancelling a recurring message."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.answers import data_of, error_of, fields_of
from tests.features.test_recurring import LIST, create, listed, pass_to, sent_at
from tests.world import World


def change(world: World, recurring_id: str, action: str) -> dict[str, object]:
    return data_of(world.salon.post(f"{LIST}/{recurring_id}/{action}", {}))


def states(world: World) -> dict[str, tuple[str, str | None]]:
    return {message.due_text[11:16]: (message.status, message.reason) for message in world.messages()}


def test_pausing_cancels_what_waits_and_makes_no_more(world: World) -> None:
    recurring_id = create(world, cron="10 * * * *")["recurringId"]

    answer = change(world, recurring_id, "pause")

    assert answer == {"recurringId": recurring_id, "status": "paused", "nextRuns": []}
    assert states(world) == {"12:10": ("cancelled", "recurrence_paused")}
    pass_to(world, datetime(2026, 5, 11, 15, tzinfo=UTC))
    assert sent_at(world) == []
    assert len(world.messages()) == 1


def test_resuming_in_time_reinstates_what_was_called_off(world: World) -> None:
    recurring_id = create(world, cron="10 * * * *")["recurringId"]
    change(world, recurring_id, "pause")
    world.clock.advance(minutes=5)

    answer = change(world, recurring_id, "resume")

    assert answer["status"] == "active"
    assert answer["nextRuns"] == [f"2026-05-11T{hour}:10:00+00:00" for hour in (12, 13, 14)]
    assert states(world)["12:10"] == ("scheduled", None)
    pass_to(world, datetime(2026, 5, 11, 13, 30, tzinfo=UTC), timedelta(minutes=5))
    assert sent_at(world) == ["11 12:10", "11 13:10"]


def test_what_fell_into_the_pause_stays_cancelled(world: World) -> None:
    recurring_id = create(world, cron="10 * * * *")["recurringId"]
    change(world, recurring_id, "pause")
    pass_to(world, datetime(2026, 5, 11, 14, 30, tzinfo=UTC))

    change(world, recurring_id, "resume")

    pass_to(world, datetime(2026, 5, 11, 15, 30, tzinfo=UTC))
    assert sent_at(world) == ["11 15:10"]
    assert states(world) == {"12:10": ("cancelled", "recurrence_paused"), "15:10": ("sent", None)}


def test_what_the_caller_cancelled_itself_stays_cancelled(world: World) -> None:
    recurring_id = create(world, cron="10 * * * *")["recurringId"]
    world.salon.cancel(world.messages()[0].job_id)

    change(world, recurring_id, "pause")
    change(world, recurring_id, "resume")

    assert states(world) == {"12:10": ("cancelled", "cancelled_by_caller")}


def test_cancelling_is_for_good(world: World) -> None:
    recurring_id = create(world, cron="10 * * * *")["recurringId"]

    assert change(world, recurring_id, "cancel")["status"] == "cancelled"

    assert states(world) == {"12:10": ("cancelled", "recurrence_cancelled")}
    error_of(world.salon.post(f"{LIST}/{recurring_id}/resume", {}), 409, "already_cancelled")
    pass_to(world, datetime(2026, 5, 11, 14, tzinfo=UTC))
    assert sent_at(world) == []
    assert listed(world)[0]["status"] == "cancelled"


def test_what_went_out_before_is_left_alone(world: World) -> None:
    recurring_id = create(world, cron="10 * * * *")["recurringId"]
    pass_to(world, datetime(2026, 5, 11, 12, 30, tzinfo=UTC))

    change(world, recurring_id, "cancel")

    assert states(world)["12:10"] == ("sent", None)


@pytest.mark.parametrize("history", [["pause"], ["cancel"], ["pause", "resume"], ["pause", "cancel"]], ids=str)
def test_repeating_an_action_gives_the_same_answer(world: World, history: list[str]) -> None:
    recurring_id = create(world)["recurringId"]
    answers = [change(world, recurring_id, action) for action in history]

    assert change(world, recurring_id, history[-1]) == answers[-1]


@pytest.mark.parametrize(
    "history, action, code",
    [
        (["cancel"], "pause", "already_cancelled"),
        (["cancel"], "resume", "already_cancelled"),
        (["pause", "cancel"], "resume", "already_cancelled"),
    ],
)
def test_what_no_longer_can_be_is_a_conflict(world: World, history: list[str], action: str, code: str) -> None:
    recurring_id = create(world)["recurringId"]
    for step in history:
        change(world, recurring_id, step)

    error_of(world.salon.post(f"{LIST}/{recurring_id}/{action}", {}), 409, code)


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_what_is_completed_stays_so(world: World, action: str) -> None:
    recurring_id = create(world, cron="10 12 * * *", count=1)["recurringId"]
    pass_to(world, datetime(2026, 5, 11, 12, 30, tzinfo=UTC))

    error_of(world.salon.post(f"{LIST}/{recurring_id}/{action}", {}), 409, "already_completed")
    assert sent_at(world) == ["11 12:10"]


def test_the_workspace_may_be_named_in_the_body_in_the_query_or_not_at_all(world: World) -> None:
    recurring_id = create(world)["recurringId"]
    path = f"{LIST}/{recurring_id}/pause"

    for response in (
        world.salon.post(path, {"workspaceId": "ws_salon"}),
        world.salon.post_raw(f"{path}?workspaceId=ws_salon", b""),
        world.salon.post_raw(path, b""),
    ):
        assert data_of(response)["status"] == "paused"
    assert fields_of(world.salon.post(path, {"workspaceId": "a b"})) == {"workspaceId"}
    assert fields_of(world.salon.post(path, {"why": "x"})) == {"why"}
    error_of(world.salon.post(f"{LIST}/nothing/pause", {}), 404, "not_found")
