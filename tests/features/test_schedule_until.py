"""POST /api/trigger/schedule-until (seed 001.03, 001.53)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import clock
from tests.answers import data_of, error_of, fields_of
from tests.features.hostile import ARABIC, FULLWIDTH, in_digits
from tests.world import World

PATH = "/api/trigger/schedule-until"


def test_it_answers_with_the_seed_s_three_fields(world: World) -> None:
    body = world.salon.text(scheduledTime="2026-05-11T23:30:00+10:00")

    answer = data_of(world.salon.post(PATH, body), 202)

    assert set(answer) == {"jobId", "status", "scheduledTime"}
    assert answer["jobId"].startswith("job_")
    assert answer["status"] == "scheduled"
    assert answer["scheduledTime"] == "2026-05-11T23:30:00+10:00"


WRITTEN = {
    "2026-05-11T23:00:00+10:00": datetime(2026, 5, 11, 13, tzinfo=UTC),
    "2026-05-11T05:30:00-09:30": datetime(2026, 5, 11, 15, tzinfo=UTC),
    "2026-05-12T00:00:00+05:45": datetime(2026, 5, 11, 18, 15, tzinfo=UTC),
    "2026-05-12T16:00:00+1000": datetime(2026, 5, 12, 6, tzinfo=UTC),
    "2026-05-11T16:00:00Z": datetime(2026, 5, 11, 16, tzinfo=UTC),
    "2026-05-11T16:00:00-00:00": datetime(2026, 5, 11, 16, tzinfo=UTC),
    "2026-05-11T16:00Z": datetime(2026, 5, 11, 16, tzinfo=UTC),
    "2026-05-11T16:00:00.5Z": datetime(2026, 5, 11, 16, 0, 0, 500_000, tzinfo=UTC),
    "2026-05-11T16:00:00.123456+00:00": datetime(2026, 5, 11, 16, 0, 0, 123_456, tzinfo=UTC),
    "2026-05-11T16:00:00.123456789Z": datetime(2026, 5, 11, 16, 0, 0, 123_456, tzinfo=UTC),
    "2026-05-11t16:00:00z": datetime(2026, 5, 11, 16, tzinfo=UTC),
    "2026-05-11 16:00:00Z": datetime(2026, 5, 11, 16, tzinfo=UTC),
    "2028-02-29T12:00:00Z": datetime(2028, 2, 29, 12, tzinfo=UTC),
    "2026-05-11T12:00:00.001Z": datetime(2026, 5, 11, 12, 0, 0, 1000, tzinfo=UTC),
    "2028-05-11T12:00:00Z": datetime(2028, 5, 11, 12, tzinfo=UTC),
}


def test_a_time_is_echoed_exactly_as_written_and_means_its_instant(world: World) -> None:
    for written, meant in WRITTEN.items():
        answer = data_of(world.salon.post(PATH, world.salon.text(scheduledTime=written)), 202)

        assert answer["scheduledTime"] == written
        assert world.salon.status(answer["jobId"])["scheduledTime"] == written
        assert world.message(answer["jobId"]).due_at == meant, written


NAIVE = ["2026-05-12T16:00:00", "2026-05-12T16:00", "2026-05-12T16:00:00.000"]
PAST = [
    "2026-05-11T12:00:00Z",
    "2026-05-11T11:59:59.999Z",
    "2026-05-11T16:00:00+10:00",
    "2025-05-11T16:00:00+10:00",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
]
TOO_FAR = ["2028-05-11T12:00:00.001Z", "2030-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"]
NO_SUCH_TIME = [
    "2027-02-29T12:00:00Z",
    "2026-06-31T12:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-00-10T12:00:00Z",
    "2026-05-32T12:00:00Z",
    "0000-05-12T12:00:00Z",
    "2026-05-12T24:00:00Z",
    "2026-05-12T25:00:00Z",
    "2026-05-12T12:60:00Z",
    "2026-05-12T12:00:60Z",
    "2026-05-12T12:00:00+24:00",
    "2026-05-12T12:00:00+99:99",
    "2026-05-12T12:00:00+10:60",
    "2026-05-12T12:00:00-0160",
]
NOT_A_TIME: list[Any] = [
    *("", " ", "tomorrow", "2026-05-12", "16:00:00Z", "20260512T160000Z", "2026-W20-2T12:00:00Z", "2026-133T12:00:00Z"),
    *("2026-05-12T16:00:00Z\n", " 2026-05-12T16:00:00Z", "2026-05-12T16:00:00 Z", "2026-05-12T16:00:00UTC"),
    *("2026-05-12T16:00:00[Europe/Berlin]", "2026-05-12T16:00:00 Europe/Berlin", "2026-05-12T16:00:00,5Z"),
    *("+2026-05-12T16:00:00Z", "-2026-05-12T16:00:00Z", "12026-05-12T16:00:00Z", "2026-05-12T16:00:00\u221210:00"),
    *(
        in_digits(FULLWIDTH, "2026-05-12T16:00:00Z"),
        in_digits(ARABIC, "2026-05-12T16:00:00Z"),
        "Tue, 12 May 2026 16:00:00 GMT",
        "2026-05-12T16:00:00Z" * 999,
    ),
    *(1778601600, 1778601600.5, -1, 0, 1778601600000, "1778601600", "1778601600000", 10**400),
    *(True, False, None, [], ["2026-05-12T16:00:00Z"], {}, {"$date": "2026-05-12T16:00:00Z"}),
]


@pytest.mark.parametrize("table", [NAIVE, PAST, TOO_FAR, NO_SUCH_TIME, NOT_A_TIME], ids="abcde")
def test_what_is_no_time_to_plan_for_is_refused_by_name(world: World, table: list[Any]) -> None:
    for value in table:
        response = world.salon.post(PATH, world.salon.text(scheduledTime=value))
        assert (response.status_code, value) == (422, value)
        assert fields_of(response) == {"scheduledTime"}, value
    assert world.messages() == []


@pytest.mark.parametrize(
    "value, hint",
    [(NAIVE[0], "offset"), (PAST[0], "past"), (TOO_FAR[0], "two years"), ("x", "2026-05-11T16:00:00+10:00")],
)
def test_a_refusal_says_what_to_mend(world: World, value: str, hint: str) -> None:
    response = world.salon.post(PATH, world.salon.text(scheduledTime=value))

    [sentence] = error_of(response, 422)["fields"]["scheduledTime"]
    assert hint in sentence


def test_a_missing_time_is_refused_by_name(world: World) -> None:
    assert fields_of(world.salon.post(PATH, world.salon.text())) == {"scheduledTime"}


def test_it_goes_out_at_its_time_and_not_a_moment_before(world: World) -> None:
    due_at = clock.now() + timedelta(hours=4, milliseconds=250)
    world.salon.post(PATH, world.salon.text(scheduledTime=due_at.isoformat()))

    world.clock.set(due_at - timedelta(milliseconds=1))
    world.work()
    assert world.provider.posted == []

    world.clock.set(due_at)
    world.live(5)
    assert len(world.provider.log) == 1
