"""After an outage: the latest run is sent while it is fresh, older ones are missed, in bounded steps."""

from datetime import UTC, datetime, timedelta

import pytest

from app.messages.recurrence import CatchUp, Rule, catch_up

HOURLY = Rule.parse(cron="0 * * * *", timezone="UTC")
HOUR = timedelta(hours=1)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, 1, hour, minute, tzinfo=UTC)


def hours(result: CatchUp) -> tuple[list[int], int | None]:
    return [run.at.hour for run in result.missed], result.due.at.hour if result.due else None


@pytest.mark.parametrize(
    "cursor, now, grace, missed, due",
    [
        (at(3), at(3, 30), HOUR, [], None),
        (at(3), at(4), HOUR, [], 4),
        (at(3), at(7, 10), HOUR, [4, 5, 6], 7),
        (at(3), at(7, 10), timedelta(minutes=10), [4, 5, 6], 7),
        (at(3), at(7, 11), timedelta(minutes=10), [4, 5, 6, 7], None),
        (at(3), at(7, 11), 12 * HOUR, [4, 5, 6], 7),
        (at(5), at(3), HOUR, [], None),
    ],
)
def test_only_the_latest_run_is_due_and_only_within_grace(cursor, now, grace, missed, due):
    result = catch_up(HOURLY, cursor, now, grace, 100)
    assert hours(result) == (missed, due)
    assert result.cursor == max(cursor, now)
    assert not result.more


def test_beyond_the_limit_nothing_is_due_until_the_last_call():
    steps = []
    cursor, more = at(0), True
    while more:
        result = catch_up(HOURLY, cursor, at(8, 5), HOUR, 3)
        steps.append(hours(result))
        cursor, more = result.cursor, result.more
    assert steps == [([1, 2, 3], None), ([4, 5, 6], None), ([7], 8)]
    assert cursor == at(8, 5)


def test_exactly_as_many_runs_as_the_limit_are_settled_in_one_call():
    result = catch_up(HOURLY, at(0), at(3, 5), HOUR, 3)
    assert hours(result) == ([1, 2], 3)
    assert not result.more


def test_one_run_more_than_the_limit_leaves_the_latest_for_the_next_call():
    result = catch_up(HOURLY, at(0), at(4, 5), HOUR, 3)
    assert hours(result) == ([1, 2, 3], None)
    assert result.more
    assert hours(catch_up(HOURLY, result.cursor, at(4, 5), HOUR, 3)) == ([], 4)


def test_a_run_that_comes_due_between_two_calls_takes_the_place_of_the_latest():
    first = catch_up(HOURLY, at(0), at(4, 5), HOUR, 3)
    assert hours(catch_up(HOURLY, first.cursor, at(5, 5), HOUR, 3)) == ([4], 5)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_last_run_of_a_count_is_the_latest_although_the_cron_goes_on(limit):
    cursor, remaining, found = at(0), 2, []
    while True:
        result = catch_up(HOURLY, cursor, at(9), 12 * HOUR, limit, remaining)
        found.append(hours(result))
        remaining -= len(result.missed) + (result.due is not None)
        cursor = result.cursor
        if not result.more:
            break
    assert ([hour for missed, _ in found for hour in missed], found[-1][1]) == ([1], 2)
    assert remaining == 0


def test_the_last_run_before_until_is_the_latest():
    rule = Rule.parse(cron="0 * * * *", timezone="UTC", until=at(2, 30))
    assert hours(catch_up(rule, at(0), at(3), HOUR, 100)) == ([1], 2)
    assert hours(catch_up(rule, at(2), at(3), HOUR, 100)) == ([], None)


def test_a_year_of_missed_minutes_costs_no_more_than_the_limit_in_one_call():
    rule = Rule.parse(cron="* * * * *", timezone="Europe/Berlin")
    result = catch_up(rule, at(0) - timedelta(days=365), at(0), HOUR, 50)
    assert len(result.missed) == 50
    assert result.cursor == at(0) - timedelta(days=365) + timedelta(minutes=50)


def test_an_outage_through_the_autumn_night_misses_each_run_once():
    rule = Rule.parse(crons=["30 2 * * *", "0 */2 * * *"], timezone="Europe/Berlin")
    night = datetime(2026, 10, 24, 22, tzinfo=UTC)
    result = catch_up(rule, night, night + 6 * HOUR, timedelta(0), 100)
    assert [run.key for run in result.missed] == [
        "2026-10-25T00:00Z",
        "2026-10-25T02:30",
        "2026-10-25T01:00Z",
        "2026-10-25T03:00Z",
    ]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_would_never_get_on_is_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        catch_up(HOURLY, at(0), at(1), HOUR, limit)
