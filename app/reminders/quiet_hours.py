"""Quiet hours: when nobody wants a message, in the recipient's own zone (47 CFR 64.1200(c)(1) names 8:00 and 21:00)."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
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

    def contain(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether an instant is in the quiet hours there. What the clock on the wall shows is what counts, twice where
        it shows a time twice.
        """
        local = at.astimezone(zone).time()
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def end_after(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The first instant after the quiet hours that an instant lies in."""
        local = at.astimezone(zone)
        day = local.date() if local.time() < self.end else local.date() + timedelta(days=1)
        # An end that the clocks skip is read with the offset before the gap: an instant right after it.
        end = datetime.combine(day, self.end, zone).astimezone(UTC)
        while self.contain(end, zone):  # an end that the clocks show twice: the second one ends them
            end += timedelta(minutes=15)
        return end
