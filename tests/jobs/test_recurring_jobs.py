"""Recurring messages: each occurrence becomes one message, exactly once, whoever plans it and however often."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.database import writing
from app.messages import recurring, sweep
from app.messages.models import Recurrence
from tests.jobs.recurrences import recorded, recur, sent_at
from tests.jobs.support import bodies, dies_at
from tests.together import together
from tests.world import World


def change(world: World, recurring_id: str, action: str) -> str:
    answer = world.salon.post(f"/api/trigger/recurring/{recurring_id}/{action}", {"workspaceId": "ws_salon"})
    assert answer.status_code == 200, answer.text
    return str(answer.json["data"]["status"])


def plan(world: World) -> Callable[[], int]:
    """What a scheduler does for recurring messages at each sweep."""
    return lambda: recurring.materialise_all(world.clock.now())


def test_each_occurrence_is_a_message_of_its_own_at_its_time(world: World) -> None:
    recur(world)
    world.live(3600, step=30)
    assert sent_at(world) == [f"11 12:{m}0" for m in (1, 2, 3, 4, 5)] + ["11 13:00"]
    sent = [message for message in world.messages() if message.status == "sent"]
    assert len({message.job_id for message in sent}) == 6
    assert all(message.attempt == 1 for message in sent)
    assert all(message.sent_at == message.due_at for message in sent)


def test_each_occurrence_can_be_seen_and_called_off_before_it_is_due(world: World) -> None:
    recur(world)
    [waiting] = world.messages()
    assert world.salon.cancel(waiting.job_id).status_code == 200
    world.live(1200, step=30)
    assert sent_at(world) == ["11 12:20"]


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(minutes=200)], ids=["soon", "a gap"])
def test_two_schedulers_at_once_make_each_occurrence_once(world: World, ahead: timedelta) -> None:
    for n in range(3):
        recur(world, cron="* * * * *", body=f"Text {n}")
    world.clock.advance(seconds=ahead.total_seconds())

    together(world.app, [plan(world)] * 4)

    keys = Counter((message.recurrence_id, message.occurrence_key) for message in world.messages())
    minutes = 15 + int(ahead.total_seconds()) // 60
    assert set(keys.values()) == {1}
    assert Counter(recurrence for recurrence, _ in keys) == dict.fromkeys({r for r, _ in keys}, minutes)


def test_two_schedulers_that_live_side_by_side_send_each_once(world: World) -> None:
    recur(world)
    for _ in range(60):
        world.clock.advance(seconds=30)
        together(world.app, [sweep.sweep] * 2)
        world.work()
    assert sent_at(world) == ["11 12:10", "11 12:20", "11 12:30"]


def test_an_occurrence_can_be_moved_past_the_next_one(world: World) -> None:
    recur(world, cron="*/5 * * * *")
    first = min(world.messages(), key=lambda message: message.due_at)
    body = {"jobId": first.job_id, "workspaceId": "ws_salon", "delayMinutes": 12}
    assert world.salon.post("/api/trigger/reschedule-job", body).status_code == 200
    world.live(900, step=30)
    assert sent_at(world) == ["11 12:10", "11 12:12", "11 12:15"]


@pytest.mark.parametrize(
    ("night", "cron", "expected"),
    [
        # Berlin, 25 October: 03:00 goes back to 02:00. Berlin, 28 March 2027: 02:00 goes on to 03:00.
        (datetime(2026, 10, 24, 20, 0, tzinfo=UTC), "30 2 * * *", ["25 00:30", "26 01:30"]),
        (datetime(2026, 10, 24, 20, 0, tzinfo=UTC), "30 * * * *", ["25 00:30", "25 01:30", "25 02:30"]),
        (datetime(2027, 3, 27, 20, 0, tzinfo=UTC), "30 2 * * *", ["28 01:00", "29 00:30"]),
        (datetime(2027, 3, 27, 20, 0, tzinfo=UTC), "30 * * * *", ["28 00:30", "28 01:30", "28 02:30"]),
    ],
)
def test_a_night_in_which_the_clock_changes(world: World, night: datetime, cron: str, expected: list[str]) -> None:
    world.clock.set(night)
    recur(world, cron=cron, timezone="Europe/Berlin")
    hours = 32 if cron.startswith("30 2") else 7
    world.live(hours * 3600, step=900)
    sent = sent_at(world)
    assert [at for at in sent if at in expected] == expected
    # One a day, or one each real hour, whatever the clock on the wall said.
    assert len(sent) == (2 if hours == 32 else hours)


def test_a_pause_calls_off_what_waits_and_resuming_brings_it_back(world: World) -> None:
    recurring_id = recur(world)
    assert change(world, recurring_id, "pause") == "paused"
    assert recorded(world) == {("cancelled", "recurrence_paused"): 1}
    world.live(300, step=30)
    assert change(world, recurring_id, "resume") == "active"
    world.live(900, step=30)
    assert sent_at(world) == ["11 12:10", "11 12:20"]


def test_what_fell_into_a_pause_is_not_made_up_for(world: World) -> None:
    recurring_id = recur(world)
    change(world, recurring_id, "pause")
    world.live(25 * 60, step=30)
    change(world, recurring_id, "resume")
    world.live(10 * 60, step=30)
    assert sent_at(world) == ["11 12:30"]


def test_after_a_cancel_nothing_more_goes_out(world: World) -> None:
    recurring_id = recur(world)
    world.live(600, step=30)
    change(world, recurring_id, "cancel")
    world.live(1800, step=60)
    assert sent_at(world) == ["11 12:10"]
    assert ("cancelled", "recurrence_cancelled") in recorded(world)


def test_a_pause_while_two_schedulers_plan_leaves_nothing_that_would_go_out(world: World) -> None:
    recurring_id = recur(world, cron="* * * * *")
    world.clock.advance(minutes=1)

    together(world.app, [plan(world), lambda: change(world, recurring_id, "pause"), plan(world)])

    assert not [message for message in world.messages() if message.status == "scheduled"]
    world.live(300, step=30)
    assert bodies(world) == []


def test_a_worker_s_death_does_not_disturb_the_series(world: World) -> None:
    recur(world)
    world.clock.advance(minutes=10)
    with dies_at("posted"):
        world.live(10)
    world.live(1200, step=30)
    assert sent_at(world) == ["11 12:10", "11 12:20", "11 12:30"]


def test_a_rule_that_cannot_be_read_does_not_stop_the_others(world: World) -> None:
    broken = recur(world, body="Broken")
    with writing() as session:
        session.get_one(Recurrence, broken).timezone = "Atlantis/Capital"
    recur(world, body="Whole")
    world.live(1500, step=30)
    assert bodies(world).count("Whole") == 2
