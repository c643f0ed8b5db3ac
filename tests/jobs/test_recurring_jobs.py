"""Recurring messages: each occurrence becomes one message, exactly once, whoever plans it and however often."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.database import writing
from app.messages import recurring, sweep
from app.messages.models import Recurrence
from tests.jobs.support import bodies, dies_at
from tests.together import together
from tests.world import World


def recur(world: World, cron: str = "*/10 * * * *", timezone: str = "UTC", **changes: Any) -> str:
    body = world.salon.text(cron=cron, timezone=timezone, **changes)
    answer = world.salon.post("/api/trigger/schedule-recurring", body)
    assert answer.status_code == 202, answer.text
    return str(answer.json["data"]["recurringId"])


def change(world: World, recurring_id: str, action: str) -> str:
    answer = world.salon.post(f"/api/trigger/recurring/{recurring_id}/{action}", {"workspaceId": "ws_salon"})
    assert answer.status_code == 200, answer.text
    return str(answer.json["data"]["status"])


def plan(world: World) -> Callable[[], int]:
    """What a scheduler does for recurring messages at each sweep."""
    return lambda: recurring.materialise_all(world.clock.now())


def sent_at(world: World) -> list[str]:
    """When the provider got each message, on the clock of UTC."""
    return [f"{record.created_at:%d %H:%M}" for record in world.provider.log]


def recorded(world: World) -> Counter[tuple[str, str | None]]:
    return Counter((message.status, message.reason) for message in world.messages())


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


def test_of_those_missed_while_everything_was_down_the_latest_is_sent_if_it_is_fresh(world: World) -> None:
    recur(world, cron="0 * * * *")
    world.live(3600, step=300)
    world.clock.set(datetime(2026, 5, 11, 17, 40, tzinfo=UTC))
    world.live(30)

    assert sent_at(world) == ["11 13:00", "11 17:40"]
    assert recorded(world) == {("sent", None): 2, ("skipped", "missed"): 3}
    missed = [message for message in world.messages() if message.reason == "missed"]
    assert sorted(message.due_at.hour for message in missed) == [14, 15, 16]
    assert all(message.finished_at is not None and message.attempt == 0 for message in missed)
    assert world.salon.status(missed[0].job_id)["reason"] == "missed"


@pytest.mark.parametrize("sweep_first", [True, False])
def test_those_whose_rows_were_made_ahead_of_the_outage_do_not_all_go_out_after_it(
    world: World, sweep_first: bool
) -> None:
    recur(world, cron="*/5 * * * *")
    assert recorded(world) == {("scheduled", None): 3}
    world.clock.set(datetime(2026, 5, 11, 12, 42, tzinfo=UTC))
    if not sweep_first:
        world.work()  # the workers are back before the scheduler
    world.live(30)

    assert sent_at(world) == ["11 12:42"]
    assert [message.due_at.minute for message in world.messages() if message.status == "sent"] == [40]
    assert recorded(world)["skipped", "missed"] == 7


def test_the_last_one_of_a_count_has_no_follower_to_give_way_to(world: World) -> None:
    recur(world, cron="*/5 * * * *", count=3)
    world.clock.set(datetime(2026, 5, 11, 12, 42, tzinfo=UTC))
    world.live(30)
    assert [message.due_at.minute for message in world.messages() if message.status == "sent"] == [15]
    assert recorded(world) == {("skipped", "missed"): 2, ("sent", None): 1}


def test_an_occurrence_can_be_moved_past_the_next_one(world: World) -> None:
    recur(world, cron="*/5 * * * *")
    first = min(world.messages(), key=lambda message: message.due_at)
    body = {"jobId": first.job_id, "workspaceId": "ws_salon", "delayMinutes": 12}
    assert world.salon.post("/api/trigger/reschedule-job", body).status_code == 200
    world.live(900, step=30)
    assert sent_at(world) == ["11 12:10", "11 12:12", "11 12:15"]


def test_none_is_sent_when_even_the_latest_is_stale(world: World) -> None:
    recur(world, cron="0 9 * * *")
    world.clock.set(datetime(2026, 5, 14, 10, 0, 1, tzinfo=UTC))
    world.live(60)
    assert recorded(world) == {("skipped", "missed"): 3}
    assert bodies(world) == []
    world.clock.set(datetime(2026, 5, 15, 8, 59, tzinfo=UTC))
    world.live(120)
    assert sent_at(world) == ["15 09:00"]


def test_a_long_gap_is_caught_up_in_bounded_steps(world: World) -> None:
    recur(world, cron="* * * * *", count=3000)
    world.clock.advance(minutes=2000)
    world.live(30)
    assert recorded(world)["skipped", "missed"] == 1999
    assert len(bodies(world)) == 1
    world.live(60)
    assert len(bodies(world)) == 2


def test_a_count_is_kept_over_a_gap(world: World) -> None:
    recurring_id = recur(world, cron="0 * * * *", count=5)
    world.clock.set(datetime(2026, 5, 11, 15, 30, tzinfo=UTC))
    world.live(60)
    world.live(6 * 3600, step=600)
    assert recorded(world) == {("skipped", "missed"): 2, ("sent", None): 3}
    [state] = world.salon.get("/api/trigger/recurring", workspaceId="ws_salon").json["data"]["recurring"]
    assert (state["recurringId"], state["status"], state["nextRuns"]) == (recurring_id, "completed", [])


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
