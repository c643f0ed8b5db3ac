"""What fits under the caps of a day and a month, and when the next period begins."""

from collections.abc import Iterable
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.messages.budget import Cost, Limit, Wanted, allocate, next_start, periods

DAY, MONTH, YESTERDAY = "2026-05-11", "2026-05", "2026-05-10"

costs = st.builds(Cost, st.integers(1, 10), st.integers(0, 100))
limits = st.builds(Limit, st.none() | st.integers(0, 60), st.none() | st.integers(0, 600))
wanted = st.lists(
    st.builds(
        lambda cost, day: (cost, day),
        costs,
        st.sampled_from((None, YESTERDAY, DAY)),
    ),
    max_size=20,
)


def story(given: list[tuple[Cost, str | None]]) -> tuple[list[Wanted], dict[str, Cost]]:
    """Messages, some of which are counted already, and the counters that say so."""
    messages = [Wanted(f"{number}", cost, day, cost if day else Cost()) for number, (cost, day) in enumerate(given)]
    used = {DAY: Cost(), YESTERDAY: Cost(), MONTH: Cost()}
    for one in messages:
        if one.counted_on:
            used[one.counted_on] += one.counted
            used[MONTH] += one.counted
    return messages, used


def total(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())


@given(wanted, limits, limits)
def test_nothing_new_passes_a_cap_and_the_books_balance(
    given: list[tuple[Cost, str | None]], daily: Limit, monthly: Limit
) -> None:
    messages, used = story(given)
    by_id = {one.id: one for one in messages}

    result = allocate(messages, used, {DAY: daily, MONTH: monthly}, DAY, MONTH)

    assert set(result.going) | set(result.held) == set(by_id)
    assert not set(result.going) & set(result.held)
    if result.granted:
        assert daily.allows(used[DAY])
        assert monthly.allows(used[MONTH])
    assert used == {DAY: total(by_id[name].cost for name in result.going), YESTERDAY: Cost(), MONTH: used[DAY]}


@given(wanted, limits, limits)
def test_to_ask_again_changes_nothing(given: list[tuple[Cost, str | None]], daily: Limit, monthly: Limit) -> None:
    messages, used = story(given)
    both = {DAY: daily, MONTH: monthly}
    result = allocate(messages, used, both, DAY, MONTH)
    after = dict(used)
    by_id = {one.id: one for one in messages}
    again = [Wanted(name, by_id[name].cost, DAY, by_id[name].cost) for name in result.going]

    assert allocate(again, used, both, DAY, MONTH).granted == {}
    assert used == after


def test_first_come_first_served_and_a_short_one_still_finds_room() -> None:
    messages = [Wanted("a", Cost(2)), Wanted("b", Cost(3)), Wanted("c", Cost(1))]

    result = allocate(messages, {DAY: Cost(), MONTH: Cost()}, {DAY: Limit(3), MONTH: Limit()}, DAY, MONTH)

    assert (result.going, result.held) == (["a", "c"], {"b": DAY})


def test_a_full_month_is_named_before_a_full_day() -> None:
    used = {DAY: Cost(5), MONTH: Cost(5)}

    result = allocate([Wanted("a", Cost(1))], used, {DAY: Limit(5), MONTH: Limit(5)}, DAY, MONTH)

    assert result.held == {"a": MONTH}


def test_a_text_that_has_grown_is_counted_anew() -> None:
    used = {DAY: Cost(3), MONTH: Cost(3)}

    result = allocate([Wanted("a", Cost(2), DAY, Cost(1))], used, {DAY: Limit(4), MONTH: Limit()}, DAY, MONTH)

    assert (result.going, used) == (["a"], {DAY: Cost(4), MONTH: Cost(4)})


@pytest.mark.parametrize(
    ("limit", "used", "percent"),
    [
        (Limit(), Cost(9, 9), None),
        (Limit(100), Cost(79, 9), 79),
        (Limit(100, 1000), Cost(10, 805), 80),
        (Limit(0), Cost(), 100),
        (Limit(3), Cost(1), 33),
    ],
)
def test_the_percentage_is_that_of_the_nearest_cap(limit: Limit, used: Cost, percent: int | None) -> None:
    assert limit.percent(used) == percent


@pytest.mark.parametrize(
    ("period", "zone", "at", "start"),
    [
        ("2026-05-11", "UTC", time(0), "2026-05-12T00:00+00:00"),
        ("2026-05-11", "Australia/Sydney", time(0), "2026-05-11T14:00+00:00"),
        ("2026-05-11", "Europe/Berlin", time(8), "2026-05-12T06:00+00:00"),
        ("2026-05", "Europe/Berlin", time(0), "2026-05-31T22:00+00:00"),
        ("2026-12", "UTC", time(0), "2027-01-01T00:00+00:00"),
        ("2028-02-28", "UTC", time(0), "2028-02-29T00:00+00:00"),
        ("2028-02", "UTC", time(0), "2028-03-01T00:00+00:00"),
        ("2026-09-05", "America/Santiago", time(0), "2026-09-06T04:00+00:00"),  # there is no midnight on that day
    ],
)
def test_when_the_next_period_begins(period: str, zone: str, at: time, start: str) -> None:
    assert next_start(period, ZoneInfo(zone), at) == datetime.fromisoformat(start)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(("UTC", "Europe/Berlin", "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia")),
)
def test_a_period_lasts_until_the_next_begins(now: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    for which, period in enumerate(periods(now, zone)):
        start = next_start(period, zone)
        assert start > now
        assert periods(start, zone)[which] > period
