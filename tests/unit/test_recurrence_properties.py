"""What holds for every rule, zone and start: checked against a walk through all minutes of the window."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.messages.recurrence import CatchUp, Occurrence, Rule, catch_up, next_runs, occurrences

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
# Instants at which a zone's clock moves; most windows are laid around one of them.
CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2025-10-04T15:30"),
    ("Australia/Lord_Howe", "2025-04-05T15:00"),
    ("Africa/Casablanca", "2025-02-23T02:00"),
    ("Africa/Casablanca", "2025-04-06T02:00"),
    ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-02-18T02:00"),
    ("Asia/Beirut", "2024-03-30T22:00"),
    ("Asia/Beirut", "2024-10-26T21:00"),
    ("Antarctica/Troll", "2024-03-31T01:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Asia/Kathmandu", "2026-01-01T00:00"),
]

numbers = {60: st.integers(0, 59), 24: st.integers(0, 23)}


@st.composite
def fields(draw: st.DrawFn, size: int) -> str:
    """A minute (60) or hour (24) field of any form."""
    listed = st.lists(numbers[size], min_size=1, max_size=4).map(lambda ns: ",".join(map(str, ns)))
    ranged = st.tuples(numbers[size], numbers[size]).map(lambda ab: f"{min(ab)}-{max(ab)}")
    stepped = st.integers(1, size).map(lambda step: f"*/{step}")
    return draw(st.one_of(st.just("*"), listed, ranged, stepped))


crons = st.builds("{} {} * * *".format, fields(60), fields(24))
night_crons = st.builds("{} {} * * *".format, fields(60), st.sampled_from(["0", "1", "2", "3", "1,2", "0-3", "23"]))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rule, datetime]:
    """A rule of one to three crons, and a start within a day of a change of its zone's clock."""
    zone, change = draw(st.sampled_from(CHANGES))
    texts = draw(st.lists(st.one_of(crons, night_crons), min_size=1, max_size=3))
    start = datetime.fromisoformat(change).replace(tzinfo=UTC) + draw(st.integers(-1440, 300)) * MINUTE
    return Rule.parse(crons=texts, timezone=zone), start + timedelta(seconds=draw(st.integers(0, 59)))


def within(rule: Rule, start: datetime, end: datetime) -> list[Occurrence]:
    return list(takewhile(lambda run: run.at <= end, occurrences(rule, start)))


def is_fixed(cron: str) -> bool:
    return not set(cron.split()[1]) & set("*-/")


def values(field: str, size: int) -> set[int]:
    """The numbers of a field in the forms drawn above, read without cronsim."""
    if field.startswith("*"):
        return set(range(0, size, int(field[2:] or 1)))
    first, _, last = field.partition("-")
    return set(range(int(first), int(last) + 1)) if last else {int(n) for n in field.split(",")}


def matches(cron: str, wall: datetime) -> bool:
    minute, hour = cron.split()[:2]
    return wall.minute in values(minute, 60) and wall.hour in values(hour, 24)


def shown(rule: Rule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants in (start, end] whose local time matches; for a fixed hour the first pass only."""
    zone, at = ZoneInfo(rule.timezone), start.replace(second=0)
    while (at := at + MINUTE) <= end:
        wall = at.astimezone(zone)
        if any(matches(cron, wall) and (wall.fold == 0 or not is_fixed(cron)) for cron in rule.crons):
            yield at


def gap_before(run: Occurrence) -> timedelta:
    """How much wall time the zone skipped in the day before a run."""
    day_before = (run.at - DAY).astimezone(run.local.tzinfo)
    return run.local.replace(tzinfo=None) - day_before.replace(tzinfo=None) - DAY


@settings(deadline=None)
@given(cases())
def test_runs_ascend_strictly_after_the_start_with_keys_that_never_repeat(case):
    rule, start = case
    found = within(rule, start, start + 2 * DAY)
    assert all(run.at > start for run in found)
    assert all(a.at < b.at for a, b in pairwise(found))
    assert len({run.key for run in found}) == len(found)
    # Not `local == at`: in an overlap, Python holds times of different zones to be unequal (PEP 495).
    assert all(run.at.tzinfo is UTC and run.local.astimezone(UTC) == run.at for run in found)


@settings(deadline=None)
@given(cases())
def test_every_minute_that_shows_a_match_fires_and_all_else_stems_from_a_gap(case):
    rule, start = case
    found = {run.at: run for run in within(rule, start, start + 2 * DAY)}
    expected = set(shown(rule, start, start + 2 * DAY))
    assert expected <= found.keys()
    for at in found.keys() - expected:
        local, gap = found[at].local, gap_before(found[at])
        assert gap > timedelta(0)
        skipped = [local.replace(tzinfo=None) - n * MINUTE for n in range(int(gap / MINUTE) + 1)]
        assert any(matches(cron, wall) for cron in rule.crons for wall in skipped)


@settings(deadline=None)
@given(cases())
def test_a_key_has_one_form_for_the_wall_and_another_for_the_clock(case):
    rule, start = case
    for run in within(rule, start, start + DAY):
        wall, instant = f"{run.local:%Y-%m-%dT%H:%M}", f"{run.at:%Y-%m-%dT%H:%M}Z"
        assert run.key in {wall, instant}
        if len({is_fixed(cron) for cron in rule.crons}) == 1:
            assert run.key == (wall if is_fixed(rule.crons[0]) else instant)


@settings(deadline=None)
@given(cases(), st.integers(0, 2880))
def test_iterations_from_different_starts_agree(case, minutes):
    rule, start = case
    later, end = start + minutes * MINUTE, start + 3 * DAY
    assert [run for run in within(rule, start, end) if run.at > later] == within(rule, later, end)


@settings(deadline=None)
@given(cases(), numbers[24], numbers[60])
def test_each_local_day_has_its_fixed_time_exactly_once(case, hour, minute):
    rule, start = case
    assume(rule.timezone != "Pacific/Apia")  # which left out a whole day
    daily = Rule((f"{minute} {hour} * * *",), rule.timezone)
    days = [run.local.date() for run in within(daily, start, start + 5 * DAY)]
    assert {b - a for a, b in pairwise(days)} == {DAY}
    assert 4 <= len(days) <= 6


@settings(deadline=None)
@given(cases(), st.integers(1, 40), st.integers(0, 2880), st.integers(0, 600))
def test_catching_up_in_chunks_equals_catching_up_at_once(case, limit, outage, grace):
    rule, start = case
    now = start + outage * MINUTE
    whole = catch_up(rule, start, now, grace * MINUTE, 10_000)
    chunks: list[CatchUp] = []
    while not chunks or chunks[-1].more:
        cursor = chunks[-1].cursor if chunks else start
        chunks.append(catch_up(rule, cursor, now, grace * MINUTE, limit))
    assert tuple(run for chunk in chunks for run in chunk.missed) == whole.missed
    assert [chunk.due for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].due, chunks[-1].cursor) == (whole.due, now)
    assert all(len(chunk.missed) + (chunk.due is not None) <= limit for chunk in chunks)


@settings(deadline=None)
@given(cases(), st.lists(st.integers(0, 300), min_size=1, max_size=12), st.integers(1, 5))
def test_each_run_is_settled_exactly_once_however_time_and_calls_fall(case, steps, limit):
    rule, start = case
    cursor = now = start
    settled: list[Occurrence] = []
    for step in steps:
        now += step * MINUTE
        result = catch_up(rule, cursor, now, 30 * MINUTE, limit)
        settled += [*result.missed, *([result.due] if result.due else [])]
        cursor = result.cursor
    assert settled == within(rule, start, cursor)


@settings(deadline=None)
@given(cases(), st.integers(0, 5))
def test_next_runs_are_the_first_occurrences_in_local_time(case, n):
    rule, start = case
    expected = [run.local.isoformat() for run in islice(occurrences(rule, start), n)]
    assert [run.isoformat() for run in next_runs(rule, start, n)] == expected


@settings(deadline=None)
@given(st.sampled_from([0, 15, 30]), st.integers(0, 23), st.sampled_from(CHANGES))
def test_plain_daily_times_agree_with_cronsims_own_reading_of_the_zone(minute, hour, change):
    zone = ZoneInfo(change[0])
    start = datetime.fromisoformat(change[1]).replace(tzinfo=UTC) - DAY
    text = f"{minute} {hour} * * *"
    theirs = islice(CronSim(text, start.astimezone(zone)), 4)
    ours = next_runs(Rule((text,), change[0]), start, 4)
    assert [run.isoformat() for run in ours] == [run.isoformat() for run in theirs]
