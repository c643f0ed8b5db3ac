"""Tables of real nights and calendars: what fires, at which local time, under which key."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile

import pytest

from app.messages.recurrence import Occurrence, Rule, next_runs, occurrences

BERLIN, HOWE, PAULO = "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"
SPRING = (BERLIN, "2026-03-28T23:30", "2026-03-29T04:00")  # 02:00 becomes 03:00 at 01:00 UTC
AUTUMN = (BERLIN, "2026-10-24T22:30", "2026-10-25T03:00")  # 03:00 becomes 02:00 at 01:00 UTC


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(crons: str | tuple[str, ...], zone: str, after: str, last: str) -> list[Occurrence]:
    rule = Rule.parse(crons=[crons] if isinstance(crons, str) else crons, timezone=zone)
    return list(takewhile(lambda run: run.at <= utc(last), occurrences(rule, utc(after))))


def local(found: list[Occurrence]) -> list[str]:
    return [f"{run.local:%dT%H:%M%z}" for run in found]


GAPS = [
    ("30 2 * * *", *SPRING, ["29T03:00+0200"]),
    ("0,30 2 * * *", *SPRING, ["29T03:00+0200"]),
    ("*/10 2 * * *", *SPRING, ["29T03:00+0200"]),
    ("15 2,3 * * *", *SPRING, ["29T03:00+0200", "29T03:15+0200"]),
    (("30 2 * * *", "0 3 * * *"), *SPRING, ["29T03:00+0200"]),
    (("30 2 * * *", "0 * * * *"), *SPRING, ["29T01:00+0100"] + [f"29T0{h}:00+0200" for h in (3, 4, 5, 6)]),
    ("0 * * * *", *SPRING, ["29T01:00+0100"] + [f"29T0{h}:00+0200" for h in (3, 4, 5, 6)]),
    ("30 0-3 * * *", *SPRING, ["29T01:30+0100", "29T03:30+0200"]),
    ("30 */2 * * *", *SPRING, ["29T03:30+0200", "29T04:30+0200"]),
    ("30 2 * * *", "America/New_York", "2026-03-08T05:00", "2026-03-08T12:00", ["08T03:00-0400"]),
    ("15 2 * * *", HOWE, "2025-10-04T12:00", "2025-10-05T00:00", ["05T02:30+1100"]),
    ("45 2 * * *", HOWE, "2025-10-04T12:00", "2025-10-05T00:00", ["05T02:45+1100"]),
    ("30 2 * * *", "Africa/Casablanca", "2025-04-05T12:00", "2025-04-06T12:00", ["06T03:00+0100"]),
    ("30 0 * * *", PAULO, "2018-11-03T12:00", "2018-11-04T12:00", ["04T01:00-0200"]),
    ("0 0 * * *", "Asia/Beirut", "2024-03-30T12:00", "2024-03-31T12:00", ["31T01:00+0300"]),
    (
        "0 */12 * * *",
        "Asia/Beirut",
        "2024-03-30T12:00",
        "2024-03-31T12:00",
        ["31T01:00+0300", "31T12:00+0300"],
    ),
    ("0 0 * * *", "Africa/Cairo", "2024-04-25T12:00", "2024-04-26T12:00", ["26T01:00+0300"]),
]

OVERLAPS = [
    ("30 2 * * *", *AUTUMN, ["25T02:30+0200"]),
    ("*/30 2 * * *", *AUTUMN, ["25T02:00+0200", "25T02:30+0200"]),
    ("0 2,3 * * *", *AUTUMN, ["25T02:00+0200", "25T03:00+0100"]),
    ("0 * * * *", *AUTUMN, ["25T01:00+0200", "25T02:00+0200"] + [f"25T0{h}:00+0100" for h in (2, 3, 4)]),
    ("30 1-2 * * *", *AUTUMN, ["25T01:30+0200", "25T02:30+0200", "25T02:30+0100"]),
    ("0 */2 * * *", *AUTUMN, ["25T02:00+0200", "25T02:00+0100", "25T04:00+0100"]),
    (
        ("30 2 * * *", "30 * * * *"),
        *AUTUMN,
        [f"25T0{h}:30+0200" for h in (1, 2)] + ["25T02:30+0100", "25T03:30+0100"],
    ),
    ("30 1 * * *", "America/New_York", "2026-11-01T04:00", "2026-11-01T12:00", ["01T01:30-0400"]),
    ("45 1 * * *", HOWE, "2025-04-05T12:00", "2025-04-06T00:00", ["06T01:45+1100"]),
    ("45 1-1 * * *", HOWE, "2025-04-05T12:00", "2025-04-06T00:00", ["06T01:45+1100", "06T01:45+1030"]),
    ("0 */2 * * *", HOWE, "2025-04-05T14:00", "2025-04-05T17:30", ["06T02:00+1030", "06T04:00+1030"]),
    ("30 2 * * *", "Africa/Casablanca", "2025-02-22T12:00", "2025-02-23T12:00", ["23T02:30+0100"]),
    ("30 23 * * *", PAULO, "2018-02-17T12:00", "2018-02-18T12:00", ["17T23:30-0200"]),
    ("30 23-23 * * *", PAULO, "2018-02-17T12:00", "2018-02-18T12:00", ["17T23:30-0200", "17T23:30-0300"]),
]


@pytest.mark.parametrize("crons, zone, after, last, expected", GAPS)
def test_a_spring_gap_loses_no_run_and_doubles_none(crons, zone, after, last, expected):
    assert local(runs(crons, zone, after, last)) == expected


@pytest.mark.parametrize("crons, zone, after, last, expected", OVERLAPS)
def test_an_autumn_overlap_fires_a_fixed_hour_once_and_the_clock_twice(crons, zone, after, last, expected):
    assert local(runs(crons, zone, after, last)) == expected


def test_half_hourly_runs_keep_real_half_hours_through_both_nights():
    for night in (SPRING, AUTUMN):
        instants = [run.at for run in runs("*/30 * * * *", *night)]
        assert len(instants) == 9
        assert {b - a for a, b in pairwise(instants)} == {timedelta(minutes=30)}


def test_a_fixed_hour_is_not_fired_again_by_a_start_in_the_second_pass():
    assert local(runs("30 2 * * *", BERLIN, "2026-10-25T01:15", "2026-10-26T12:00")) == ["26T02:30+0100"]


def test_the_second_pass_is_complete_for_a_start_in_the_first():
    found = runs("*/20 * * * *", BERLIN, "2026-10-25T00:50", "2026-10-25T01:40")
    assert local(found) == ["25T02:00+0100", "25T02:20+0100", "25T02:40+0100"]


def test_the_key_is_the_wall_time_of_a_fixed_hour_and_the_instant_on_the_clock():
    assert [run.key for run in runs("30 2 * * *", *AUTUMN)] == ["2026-10-25T02:30"]
    assert [run.key for run in runs("30 2 * * *", *SPRING)] == ["2026-03-29T03:00"]
    assert [run.key for run in runs("30 2-2 * * *", *AUTUMN)] == ["2026-10-25T00:30Z", "2026-10-25T01:30Z"]


def test_where_crons_meet_the_fixed_hour_gives_the_key_in_any_order_of_the_crons():
    for crons in (("0 2 * * *", "0 * * * *"), ("0 * * * *", "0 2 * * *")):
        keys = [run.key for run in runs(crons, *AUTUMN)]
        assert keys[:3] == ["2026-10-24T23:00Z", "2026-10-25T02:00", "2026-10-25T01:00Z"]


@pytest.mark.parametrize(
    "crons, expected",
    [
        ("0 9 * * MON#2", ["2026-02-09T09:00", "2026-03-09T09:00", "2026-04-13T09:00"]),
        ("0 9 * * 5L", ["2026-01-30T09:00", "2026-02-27T09:00", "2026-03-27T09:00"]),
        ("0 9 L * *", ["2026-01-31T09:00", "2026-02-28T09:00", "2026-03-31T09:00"]),
        ("0 9 LW * *", ["2026-01-30T09:00", "2026-02-27T09:00", "2026-03-31T09:00"]),
        ("0 9 29 2 *", ["2028-02-29T09:00", "2032-02-29T09:00", "2036-02-29T09:00"]),
        ("0 9,17 * * 1-5", ["2026-01-15T17:00", "2026-01-16T09:00", "2026-01-16T17:00"]),
        (("0 18 * * *", "45 7 * * SAT"), ["2026-01-15T18:00", "2026-01-16T18:00", "2026-01-17T07:45"]),
        ("0 9 * jan,jul sun", ["2026-01-18T09:00", "2026-01-25T09:00", "2026-07-05T09:00"]),
    ],
)
def test_calendar_patterns_name_the_days_that_people_mean(crons, expected):
    rule = Rule.parse(crons=[crons] if isinstance(crons, str) else crons, timezone=BERLIN)
    found = islice(occurrences(rule, utc("2026-01-15T10:00")), 3)
    assert [run.key for run in found] == expected


def test_the_start_is_exclusive_and_until_inclusive():
    rule = Rule.parse(cron="0 9 * * *", timezone="UTC", until=utc("2026-01-03T09:00"))
    found = [run.at.day for run in occurrences(rule, utc("2026-01-01T09:00"))]
    assert found == [2, 3]
    assert list(occurrences(rule, utc("2026-01-03T09:00"))) == []


def test_skip_dates_are_dates_of_the_rules_own_zone():
    rule = Rule.parse(cron="0 8,20 * * *", timezone="Pacific/Auckland", skip_dates=["2026-01-02"])
    found = [f"{run:%dT%H}" for run in next_runs(rule, utc("2025-12-31T12:00"), 4)]
    assert found == ["01T08", "01T20", "03T08", "03T20"]


@pytest.mark.parametrize(
    "skipped, expected",
    [
        (None, ["31T00:00", "31T23:30"]),
        ("2024-03-30", ["31T23:30", "01T23:30"]),
        ("2024-03-31", ["01T23:30", "02T23:30"]),
    ],
)
def test_a_run_moved_over_midnight_by_a_gap_is_skipped_with_either_date(skipped, expected):
    rule = Rule.parse(cron="30 23 * * *", timezone="America/Nuuk", skip_dates=[skipped] if skipped else [])
    assert [f"{run:%dT%H:%M}" for run in next_runs(rule, utc("2024-03-30T12:00"), 2)] == expected


@pytest.mark.timeout(5)
def test_a_long_list_of_skip_dates_is_stepped_over_and_not_searched_by_the_minute():
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(1_000)]
    rule = Rule.parse(cron="* * * * *", timezone="UTC", skip_dates=days)
    assert next_runs(rule, utc("2025-12-31T23:59"), 1) == [utc("2028-09-27T00:00")]


@pytest.mark.parametrize("remaining, expected", [(None, 3), (5, 3), (2, 2), (0, 0), (-1, 0)])
def test_next_runs_stop_at_what_the_count_leaves_and_carry_the_rules_zone(remaining, expected):
    rule = Rule.parse(cron="0 9 * * *", timezone=BERLIN, count=7)
    found = next_runs(rule, utc("2026-03-28T00:00"), 3, remaining)
    assert len(found) == expected
    assert [run.isoformat() for run in found][1:2] == ["2026-03-29T09:00:00+02:00"] * (expected > 1)


def test_count_is_left_to_the_caller():
    rule = Rule.parse(cron="0 9 * * *", timezone="UTC", count=1)
    assert len(list(islice(occurrences(rule, utc("2026-01-01T00:00")), 5))) == 5


def test_a_naive_start_is_refused():
    rule = Rule.parse(cron="0 9 * * *", timezone="UTC")
    with pytest.raises(ValueError, match="naive"):
        next(occurrences(rule, datetime(2026, 1, 1)))
