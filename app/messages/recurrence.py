"""When a recurring schedule fires: pure functions of (rule, instant), with no store and no clock.

cronsim reads the cron text and walks *wall time*; which instant a wall time stands for is decided here. With
a zone, cronsim 2.8 gets these wrong: resumed in the second pass of an autumn overlap it gives an instant
in the past; a range of hours (`0 1-5 * * *`) runs once in the overlap; a fixed hour with minutes that start
with `*` runs twice there, and not at all in a spring gap; where the clock moves by half an hour (Lord Howe)
`0 */2 * * *` loses a run. The promise, by the hour field:

* Fixed (`9`, `9,17`): once per wall time. An overlap fires in its first pass, and all that falls into a gap
  fires once, at the gap's end (02:30 becomes 03:00).
* Clock (`*`, steps, ranges): real time. Both passes of an overlap fire, and a wall time in a gap stands for
  the instant at which the old offset would have shown it (02:30 becomes 03:30), so no run is lost.
"""

import heapq
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from typing import Literal, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from app.zones import zone

MAX_CRONS = 24
MAX_CRON_LENGTH = 200
MAX_COUNT = 100_000
MAX_SKIP_DATES = 1_000

Field = Literal["cron", "crons", "timezone", "until", "count", "skipDates"]

_FIXED_HOUR = re.compile(r"[0-9]+(,[0-9]+)*")
# cronsim looks 50 years ahead and the calendar repeats within 28: any start shows whether a cron can fire.
_ANY_START = datetime(2000, 1, 1, tzinfo=UTC)


class RecurrenceError(ValueError):
    """A rule that cannot be; ``field`` is the request's name for what is wrong."""

    def __init__(self, field: Field, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field: Field = field
        self.message = message


@dataclass(frozen=True)
class Occurrence:
    """One run of a rule; ``key`` is unique within the rule and does not depend on when it was computed."""

    at: datetime  # aware, UTC
    local: datetime  # the same instant in the rule's zone
    key: str  # fixed hour: "2026-10-25T01:30", the wall time; clock: "2026-10-25T00:30Z", the instant


@dataclass(frozen=True)
class Rule:
    """One or more crons in one zone. ``parse`` checks; the constructor is for what was checked before."""

    crons: tuple[str, ...]
    timezone: str
    until: datetime | None = None
    count: int | None = None
    skip_dates: frozenset[date] = frozenset()

    @classmethod
    def parse(
        cls,
        *,
        cron: str | None = None,
        crons: Sequence[str] | None = None,
        timezone: str,
        until: datetime | None = None,
        count: int | None = None,
        skip_dates: Iterable[str | date] = (),
    ) -> Self:
        """The rule, or a ``RecurrenceError`` that names the field at fault. Exactly one of cron and crons."""
        _zone(timezone)
        texts, until, dates = _parse_crons(cron, crons), _parse_until(until), _parse_skip_dates(skip_dates)
        if count is not None and (isinstance(count, bool) or not 1 <= count <= MAX_COUNT):
            raise RecurrenceError("count", f"must be from 1 to {MAX_COUNT}")
        return cls(texts, timezone, until, count, dates)


@dataclass(frozen=True)
class CatchUp:
    """The occurrences in (old cursor, new cursor], each either due or missed."""

    due: Occurrence | None  # the latest one, still within grace: to be sent
    missed: tuple[Occurrence, ...]  # ascending: to be recorded as skipped
    cursor: datetime  # aware, UTC; never before the old one
    more: bool  # the limit was reached: call again with this cursor


def occurrences(rule: Rule, after: datetime) -> Iterator[Occurrence]:
    """The runs strictly after an instant, ascending, no instant and no key twice; lazy, may be endless.

    ``until`` (inclusive) and ``skip_dates`` (local dates) are applied. ``count`` is **not**: it is about what
    was created since the beginning, which only the caller knows. Iterations from different starts agree.
    """
    zone, after = _zone(rule.timezone), _utc(after)
    streams = [_instants(cron, zone, after, rule.skip_dates) for cron in rule.crons]
    last = after
    # Pairs (instant, on the clock): where two crons meet, the fixed hour is first and gives the key.
    for at, on_clock in heapq.merge(*streams):
        if at <= last:
            continue
        if rule.until is not None and at > rule.until:
            return
        last, local = at, at.astimezone(zone)
        if local.date() not in rule.skip_dates:
            key = f"{at:%Y-%m-%dT%H:%MZ}" if on_clock else f"{local:%Y-%m-%dT%H:%M}"
            yield Occurrence(at, local, key)


def next_runs(rule: Rule, after: datetime, n: int, remaining: int | None = None) -> list[datetime]:
    """Up to ``n`` coming runs in the rule's zone; ``remaining`` is what ``count`` leaves, None without it."""
    size = n if remaining is None else min(n, remaining)
    return [run.local for run in islice(occurrences(rule, after), max(size, 0))]


def catch_up(
    rule: Rule, cursor: datetime, now: datetime, grace: timedelta, limit: int, remaining: int | None = None
) -> CatchUp:
    """Settle the occurrences in (cursor, now]: the latest is due if ``now - at <= grace``, others are missed.

    Reports at most ``limit`` of them; while ``more``, nothing is due, because later ones are still to come.
    Calls that hand the cursor on report each occurrence once, also if ``now`` moves on between them. With
    ``remaining`` the rule ends after so many occurrences, missed ones included.
    """
    if limit < 1:
        raise ValueError("limit must be at least 1")
    now = max(_utc(now), _utc(cursor))
    # One more than we may report tells whether the last of them is the latest.
    size = limit + 1 if remaining is None else min(limit + 1, max(remaining, 0))
    found = list(takewhile(lambda run: run.at <= now, islice(occurrences(rule, cursor), size)))
    if len(found) > limit:
        found.pop()
        return CatchUp(due=None, missed=tuple(found), cursor=found[-1].at, more=True)
    due = found.pop() if found and now - found[-1].at <= grace else None
    return CatchUp(due=due, missed=tuple(found), cursor=now, more=False)


def _instants(cron: str, zone: ZoneInfo, after: datetime, skip: frozenset[date]) -> Iterator[tuple[datetime, bool]]:
    """One cron's instants, ascending, from before ``after`` on; the same one may come twice in a gap."""
    on_clock = _FIXED_HOUR.fullmatch(cron.split()[1]) is None
    # Near a change of the clock, a wall time before the local time of `after` may stand for a later instant.
    offsets = [_offset(after + timedelta(days=days), zone) for days in (-1, 0, 1)]
    start = after.astimezone(zone).replace(tzinfo=None) - (max(offsets) - min(offsets))
    pending: list[datetime] = []
    for wall in _walls(cron, start, skip):
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first > second:  # in a gap: its end lies after `second` and not after `first`
            heapq.heappush(pending, first if on_clock else _gap_end(second, first, zone))
            continue
        heapq.heappush(pending, first)
        if first < second and on_clock:
            heapq.heappush(pending, second)
        while pending and pending[0] <= first:  # later wall times give later instants only
            yield heapq.heappop(pending), on_clock


def _walls(cron: str, start: datetime, skip: frozenset[date]) -> Iterator[datetime]:
    """The naive wall times that match, strictly after ``start``; a skipped date costs one step, not 1,440."""
    walls = CronSim(cron, start)
    while (wall := next(walls, None)) is not None:
        if wall.date() in skip:
            walls = CronSim(cron, datetime.combine(wall, time.max))
        else:
            yield wall


def _gap_end(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant in (before, after] at which the zone's offset changes."""
    old, seconds = _offset(before, zone), int((after - before).total_seconds())
    moved = bisect_left(range(seconds), 1, key=lambda s: _offset(before + timedelta(seconds=s), zone) != old)
    return before + timedelta(seconds=moved)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _utc(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise ValueError("a naive datetime names no instant")
    return value.astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return zone(name)
    except ValueError as error:
        raise RecurrenceError("timezone", str(error)) from None


def _parse_crons(cron: str | None, crons: Sequence[str] | None) -> tuple[str, ...]:
    if cron is not None and crons is not None:
        raise RecurrenceError("crons", "give either cron or crons, not both")
    if cron is not None:
        return (_parse_cron("cron", "", cron),)
    if not crons or len(crons) > MAX_CRONS:
        raise RecurrenceError("cron" if crons is None else "crons", f"from 1 to {MAX_CRONS} are required")
    return tuple(dict.fromkeys(_parse_cron("crons", f"item {i}: ", text) for i, text in enumerate(crons)))


def _parse_cron(field: Field, label: str, text: str) -> str:
    if len(text) > MAX_CRON_LENGTH or not text.isascii():
        raise RecurrenceError(field, f"{label}must be at most {MAX_CRON_LENGTH} ASCII characters")
    parts = text.split()
    if len(parts) != 5:  # cronsim also takes six, the first for seconds
        raise RecurrenceError(field, f"{label}must have 5 fields: minute hour day-of-month month day-of-week")
    try:
        # Impossible days are an error to cronsim where it sees them (30 February), else an empty search.
        if next(CronSim(text, _ANY_START), None) is None:
            raise RecurrenceError(field, f"{label}never fires")
    except CronSimError as error:
        raise RecurrenceError(field, f"{label}is not a cron or never fires ({error})") from error
    return " ".join(parts)


def _parse_until(until: datetime | None) -> datetime | None:
    try:
        return None if until is None else _utc(until)
    except (ValueError, OverflowError) as error:
        raise RecurrenceError("until", "must have an offset, such as 2030-01-31T18:00:00Z") from error


def _parse_skip_dates(values: Iterable[str | date]) -> frozenset[date]:
    dates = frozenset(_parse_date(value) if isinstance(value, str) else value for value in values)
    if len(dates) > MAX_SKIP_DATES:
        raise RecurrenceError("skipDates", f"at most {MAX_SKIP_DATES} dates are allowed")
    return dates


def _parse_date(text: str) -> date:
    with suppress(ValueError):
        day = date.fromisoformat(text)
        if day.isoformat() == text:  # it also reads 20261224 and week dates
            return day
    raise RecurrenceError("skipDates", "must be dates such as 2026-12-24")
