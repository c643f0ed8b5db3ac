"""What a recurring rule may say: every refusal names its field, and stores nothing."""

from typing import Any

import pytest

from app.messages import recurring
from tests.answers import error_of, fields_of
from tests.features.hostile import NO_TEXT, TIMES
from tests.world import World

PATH = "/api/trigger/schedule-recurring"

CRONS: list[Any] = [
    *("", " ", "9", "* * * *", "* * * * * *", "60 9 * * *", "0 24 * * *", "0 9 0 * *", "0 9 32 * *", "0 9 * 13 *"),
    *("0 9 * * 8", "0 9 30 2 *", "0 9 * * MON#6", "@daily", "every day", "0 9 * * *\n0 9 * * *", "-1 9 * * *"),
    *("0 9 * * *;ls", "*/0 9 * * *", "0 9 * * \u0661", "0 9 31 4 *", "0 " * 200, "0 9 * * XYZ"),
]
REFUSED: dict[str, list[Any]] = {
    "cron": [*NO_TEXT[1:], *CRONS],
    "crons": [
        [],
        [""],
        ["0 9 * * *", "x"],
        "0 9 * * *",
        {},
        7,
        True,
        ["0 9 * * *"] * 25,
        [None],
        *([cron] for cron in CRONS),
    ],
    "timezone": [
        *(*NO_TEXT, "", " ", "UTC+2", "+02:00", "Mars/Base", "europe/berlin", "Europe/Berlin ", "localtime", "x" * 65),
        *("../etc/passwd", "/etc/passwd", "Europe/../UTC", "Europe"),
    ],
    "until": [*TIMES, "2026-05-11T12:00:00Z", "2026-05-12T08:59:59Z", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
    "count": [True, False, 0, -1, 1.5, "5", "", [], {}, 100_001, 10**400],
    "skipDates": [
        *("2026-12-25", {}, 7, True, None, [7], [None], [""], ["2026-02-30"], ["2026-12-25T00:00:00Z"], ["25.12.2026"]),
        *(["2026-W52-5"], ["20261225"], ["2026-12-25\n"], ["2026-12-25"] * 367),
    ],
}


def refused(world: World, **changes: Any) -> set[str]:
    body = {"cron": "0 9 * * *", "timezone": "UTC"} | changes
    if "crons" in changes and "cron" not in changes:
        del body["cron"]
    names = fields_of(world.salon.post(PATH, world.salon.text(**body)))
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("field", REFUSED)
def test_a_rule_that_cannot_be_is_refused_by_the_name_of_its_field(world: World, field: str) -> None:
    for value in REFUSED[field]:
        assert refused(world, **{field: value}) == {field}, ascii(value)[:60]
    assert recurring.in_workspace("ws_salon") == []
    assert world.messages() == []


def test_either_cron_or_crons_must_be_given(world: World) -> None:
    assert refused(world, cron="0 9 * * *", crons=["0 10 * * *"]) == {"cron", "crons"}
    neither = world.salon.text(timezone="UTC")
    assert fields_of(world.salon.post(PATH, neither)) == {"cron", "crons"}


def test_a_rule_that_its_skipped_dates_leave_nothing_of_is_refused(world: World) -> None:
    names = refused(world, until="2026-05-13T00:00:00Z", skipDates=["2026-05-12"])
    assert names <= {"until", "skipDates"}


def test_a_time_zone_is_needed(world: World) -> None:
    assert fields_of(world.salon.post(PATH, world.salon.text(cron="0 9 * * *"))) == {"timezone"}


def test_a_refusal_says_its_field_once(world: World) -> None:
    response = world.salon.post(PATH, world.salon.text(cron="nonsense", timezone="UTC"))

    error = error_of(response, 422)
    assert error["fields"] == {"cron": ["must have 5 fields: minute hour day-of-month month day-of-week"]}
    assert error["message"].count("cron") == 1


@pytest.mark.parametrize("strictness, status", [("e164", 202), ("valid", 422)])
def test_the_recipient_is_judged_as_everywhere(make_world, strictness: str, status: int) -> None:
    world = make_world(phone_strictness=strictness)
    body = world.salon.text(to="+1234567890", cron="0 9 * * *", timezone="UTC")

    response = world.salon.post(PATH, body)
    assert response.status_code == status
    assert status == 202 or fields_of(response) == {"to"}
