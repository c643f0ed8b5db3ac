"""Quiet hours: when nobody wants a message, in the recipient's own zone (47 CFR 64.1200(c)(1) names 8:00 and 21:00)."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal, Self
from zoneinfo import ZoneInfo

Mode = Literal["shift", "skip"]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` up to but without ``end``, both wall times; ``end`` is on the next day where it is earlier.

    ``mode``: what falls in between is moved to the end (``shift``), or not sent (``skip``).
    """

    start: time
    end: time
    mode: Mode = "shift"

    @classmethod
    def of_texts(cls, start: str | None, end: str | None, mode: str) -> Self | None:
        """From a row's columns, which were checked when they were stored; None where there are no quiet hours."""
        if start is None or end is None:
            return None
        return cls(time.fromisoformat(start), time.fromisoformat(end), "skip" if mode == "skip" else "shift")

    def contain(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether an instant is in the quiet hours there. What the clock on the wall shows is what counts, twice where
        it shows a time twice.
        """
        local = at.astimezone(zone).time()
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def end_after(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The next instant at which the clock shows ``end`` and it is not quiet; in UTC.

        An end that the clocks leave out is read with the offset from before the gap (RFC 5545, 3.3.5): as far behind
        the gap as it would have been in it. The days around are looked at because a zone can leave out a whole day
        (Pacific/Apia, 30 December 2011).
        """
        day = at.astimezone(zone).date()
        ends = (
            datetime.combine(day + timedelta(days=days), self.end, zone).replace(fold=fold).astimezone(UTC)
            for days in range(-1, 4)
            for fold in (0, 1)
        )
        return min(end for end in ends if end > at and not self.contain(end, zone))

    def hold(self, at: datetime, zone: ZoneInfo) -> datetime | None:
        """When something may go out that is due at an instant: then, or at their end; None where it is skipped."""
        if not self.contain(at, zone):
            return at
        return None if self.mode == "skip" else self.end_after(at, zone)


USUAL = QuietHours(time(21), time(8))
"""Of a workspace that has not chosen any (resolution D12)."""
