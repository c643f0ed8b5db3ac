"""POST /api/trigger/schedule-recurring (seed 001.04, 001.57): each occurrence becomes a message, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.messages import sweep
from tests.answers import data_of
from tests.together import together
from tests.world import PERSON, SENDER, World

CREATE, LIST = "/api/trigger/schedule-recurring", "/api/trigger/recurring"


def create(world: World, **changes: Any) -> dict[str, Any]:
    body = world.salon.text(**{"cron": "0 9 * * *", "timezone": "UTC"} | changes)
    if body["cron"] is None:
        del body["cron"]
    return data_of(world.salon.post(CREATE, body), 202)


def listed(world: World) -> list[dict[str, Any]]:
    return list(data_of(world.salon.get(LIST))["recurring"])


def pass_to(world: World, at: datetime, step: timedelta = timedelta(minutes=10)) -> None:
    """Let time pass in steps, with the sweep and a worker at each."""
    while world.clock.now() < at:
        world.clock.set(min(world.clock.now() + step, at))
        sweep.sweep()
        world.work()


def sent_at(world: World) -> list[str]:
    return [f"{record.created_at:%d %H:%M}" for record in world.provider.log]


def test_the_answer_has_an_id_a_status_and_the_next_three_runs(world: World) -> None:
    answer = create(world, timezone="Europe/Berlin")

    assert set(answer) == {"recurringId", "status", "nextRuns"}
    assert answer["status"] == "active"
    assert answer["nextRuns"] == [f"2026-05-{day}T09:00:00+02:00" for day in (12, 13, 14)]


@pytest.mark.parametrize(
    "rule, runs",
    [
        ({"cron": "0 9 * * MON"}, ["2026-05-18T09:00", "2026-05-25T09:00", "2026-06-01T09:00"]),
        ({"cron": "0 9,17 * * *"}, ["2026-05-11T17:00", "2026-05-12T09:00", "2026-05-12T17:00"]),
        ({"cron": "0 9 * * MON#2"}, ["2026-06-08T09:00", "2026-07-13T09:00", "2026-08-10T09:00"]),
        ({"cron": "*/20 12 * * *"}, ["2026-05-11T12:20", "2026-05-11T12:40", "2026-05-12T12:00"]),
        ({"cron": "0 9 29 2 *", "until": "2033-01-01T00:00:00Z"}, ["2028-02-29T09:00", "2032-02-29T09:00"]),
        (
            {"cron": None, "crons": ["0 9 * * *", "30 16 * * *"]},
            ["2026-05-11T16:30", "2026-05-12T09:00", "2026-05-12T16:30"],
        ),
        ({"count": 2}, ["2026-05-12T09:00", "2026-05-13T09:00"]),
        ({"until": "2026-05-13T09:00:00Z"}, ["2026-05-12T09:00", "2026-05-13T09:00"]),
        ({"skipDates": ["2026-05-12", "2026-05-14"]}, ["2026-05-13T09:00", "2026-05-15T09:00", "2026-05-16T09:00"]),
    ],
    ids=str,
)
def test_the_next_runs_follow_the_rule(world: World, rule: dict[str, Any], runs: list[str]) -> None:
    assert create(world, **rule)["nextRuns"] == [f"{run}:00+00:00" for run in runs]


def test_the_list_shows_what_was_asked_for_newest_first_and_only_one_s_own(world: World) -> None:
    first = create(world, body="First", mediaUrl="https://example.com/a.png", until="2026-08-01T00:00:00+02:00")
    world.clock.advance(seconds=1)
    second = create(world, cron=None, crons=["0 8 * * *", "0 20 * * *"], count=5, skipDates=["2026-12-25"])

    new, old = listed(world)
    assert (new["recurringId"], old["recurringId"]) == (second["recurringId"], first["recurringId"])
    assert (old["to"], old["fromNumber"], old["body"]) == (PERSON, SENDER, "First")
    assert (old["mediaUrl"], old["crons"], old["timezone"]) == (["https://example.com/a.png"], ["0 9 * * *"], "UTC")
    assert datetime.fromisoformat(old["until"]) == datetime(2026, 7, 31, 22, tzinfo=UTC)
    assert (new["crons"], new["count"], new["skipDates"]) == (["0 8 * * *", "0 20 * * *"], 5, ["2026-12-25"])
    assert old["nextRuns"] == first["nextRuns"]
    assert data_of(world.outsider.get(LIST)) == {"recurring": []}


def test_each_occurrence_goes_out_once_at_its_time(world: World) -> None:
    create(world, cron="30 12,13,14 * * *")

    pass_to(world, datetime(2026, 5, 11, 15, tzinfo=UTC))

    assert sent_at(world) == ["11 12:30", "11 13:30", "11 14:30"]
    assert {message.due_text for message in world.messages()} == {f"2026-05-11T{h}:30:00+00:00" for h in (12, 13, 14)}


def test_an_occurrence_can_be_seen_and_cancelled_like_any_message(world: World) -> None:
    create(world, cron="10 12,13 * * *")
    [occurrence] = world.messages()

    assert world.salon.status(occurrence.job_id)["status"] == "scheduled"
    assert data_of(world.salon.cancel(occurrence.job_id))["status"] == "cancelled"

    pass_to(world, datetime(2026, 5, 11, 13, 30, tzinfo=UTC))
    assert sent_at(world) == ["11 13:10"]


def test_several_sweeps_at_once_make_each_occurrence_once(world: World) -> None:
    create(world, cron="* * * * *")
    world.clock.advance(minutes=2)

    together(world.app, [sweep.sweep] * 6)

    keys = [message.occurrence_key for message in world.messages()]
    assert len(keys) == len(set(keys)) == 17
    world.work()
    pass_to(world, datetime(2026, 5, 11, 12, 5, tzinfo=UTC), timedelta(minutes=1))
    assert sent_at(world) == ["11 12:02", "11 12:03", "11 12:04", "11 12:05"]


def test_after_a_pause_of_everything_the_latest_goes_out_and_the_older_are_recorded(world: World) -> None:
    create(world, cron="0 * * * *")
    world.clock.set(datetime(2026, 5, 11, 16, 30, tzinfo=UTC))

    sweep.sweep()
    world.work()

    assert sent_at(world) == ["11 16:30"]
    states = {message.due_text[11:16]: (message.status, message.reason) for message in world.messages()}
    assert states["16:00"] == ("sent", None)
    assert [states[f"{hour}:00"] for hour in (13, 14, 15)] == [("skipped", "missed")] * 3
