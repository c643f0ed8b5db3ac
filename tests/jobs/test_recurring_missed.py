"""Occurrences that fell due while everything was down: the latest one goes out while it is fresh, and no other."""

from datetime import UTC, datetime

import pytest

from tests.jobs.recurrences import recorded, recur, sent_at
from tests.jobs.support import bodies
from tests.world import World


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
