"""POST /api/trigger/schedule-delay (seed 001.02, 001.52)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from app.database import writing
from app.workspaces.models import Workspace
from tests.answers import data_of, error_of, fields_of
from tests.world import World

PATH = "/api/trigger/schedule-delay"
TWO_YEARS = 731 * 24 * 60


def test_it_answers_with_the_seed_s_three_fields(world: World) -> None:
    answer = data_of(world.salon.post(PATH, world.salon.text(delayMinutes=5)), 202)

    assert set(answer) == {"jobId", "status", "scheduledTime"}
    assert answer["jobId"].startswith("job_")
    assert answer["status"] == "scheduled"
    assert answer["scheduledTime"] == "2026-05-11T12:05:00.000+00:00"


def test_the_time_is_told_in_the_workspace_s_zone(world: World) -> None:
    with writing() as session:
        session.execute(update(Workspace).values(timezone="Australia/Brisbane"))

    answer = data_of(world.salon.post(PATH, world.salon.text(delayMinutes=5)), 202)

    assert answer["scheduledTime"] == "2026-05-11T22:05:00.000+10:00"
    assert datetime.fromisoformat(answer["scheduledTime"]) == datetime(2026, 5, 11, 12, 5, tzinfo=UTC)


def test_it_goes_out_when_the_delay_is_over_and_not_a_moment_before(world: World) -> None:
    job_id = world.salon.delay(5)

    world.clock.advance(minutes=5, microseconds=-1)
    world.work()
    assert world.provider.posted == []
    assert world.salon.status(job_id)["status"] == "scheduled"

    world.clock.advance(microseconds=1)
    world.work()
    assert [message.body for message in world.provider.posted] == ["Hello"]
    assert world.salon.status(job_id)["status"] == "completed"


DELAYS = {
    0.5: timedelta(seconds=30),
    0.001: timedelta(milliseconds=60),
    1: timedelta(minutes=1),
    2.25: timedelta(minutes=2, seconds=15),
    90.0: timedelta(minutes=90),
    TWO_YEARS: timedelta(days=731),
}


def test_fractions_of_a_minute_are_fine_up_to_two_years(world: World) -> None:
    for minutes, delay in DELAYS.items():
        job_id = world.salon.delay(minutes)
        assert world.message(job_id).due_at == world.clock.now() + delay


NO_DELAYS: list[Any] = [0, -0.0, -1, -0.5, 1e-12, True, False, "5", "five", "", None, [], [5], {}]
NO_DELAYS += [TWO_YEARS + 0.001, TWO_YEARS * 2, 1e300, 10**400]


def test_what_is_no_positive_number_up_to_two_years_is_refused_by_name(world: World) -> None:
    for minutes in NO_DELAYS:
        response = world.salon.post(PATH, world.salon.text(delayMinutes=minutes))
        assert fields_of(response) == {"delayMinutes"}, repr(minutes)[:40]
    assert world.messages() == []


def test_a_missing_delay_is_refused_by_name(world: World) -> None:
    assert fields_of(world.salon.post(PATH, world.salon.text())) == {"delayMinutes"}


def test_what_json_has_no_number_for_is_malformed(world: World) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
        body = json.dumps(world.salon.text(delayMinutes="?")).replace('"?"', number)
        error_of(world.salon.post_raw(PATH, body.encode()), 400, "malformed")
    assert world.messages() == []


def test_an_outsider_sees_nothing_of_it(world: World) -> None:
    job_id = world.salon.delay(5)

    response = world.outsider.get("/api/trigger/job-status", jobId=job_id, workspaceId="ws_outsider")
    error_of(response, 404, "not_found")
