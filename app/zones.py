"""Time zones by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

# Listed among the zones, but they name no place; the first is this machine's own setting.
_NOT_PLACES = frozenset({"localtime", "posixrules", "Factory"})
_names = cache(available_timezones)


def zone(name: str) -> ZoneInfo:
    """An IANA time zone.

    Raises:
        ValueError: there is none of this name.
    """
    # The list first: ZoneInfo opens what it is given and fails in five ways for paths, folders and odd bytes.
    if name in _NOT_PLACES or name not in _names():
        raise ValueError("must be an IANA time zone, such as Europe/Berlin")
    return ZoneInfo(name)


def check_zone(name: str) -> str:
    """`zone` as a validator: the name itself.

    Raises:
        ValueError: as `zone`.
    """
    zone(name)
    return name


@dataclass(frozen=True, slots=True)
class ClockChange:
    """The instant at which the clocks of a zone change, and what they show before and after (wall times)."""

    at: datetime
    before: datetime
    after: datetime


def clock_changes(place: ZoneInfo, since: datetime, until: datetime) -> Iterator[ClockChange]:
    """When the clocks of a zone go forward or back between two instants, to the second.

    Looked for day by day: of two changes within a day that undo each other, which no zone has had for decades, neither
    is found.
    """
    here = since.astimezone(UTC).replace(microsecond=0)
    while here < until:
        there = min(here + timedelta(days=1), until.astimezone(UTC))
        old = here.astimezone(place).utcoffset()
        if old is not None and old != there.astimezone(place).utcoffset():
            low, high = 0, int((there - here).total_seconds()) + 1
            while high - low > 1:
                middle = (low + high) // 2
                if (here + timedelta(seconds=middle)).astimezone(place).utcoffset() == old:
                    low = middle
                else:
                    high = middle
            at = here + timedelta(seconds=high)
            shown = at.astimezone(place).replace(tzinfo=None)
            yield ClockChange(at, (at + old).replace(tzinfo=None), shown)
        here = there
