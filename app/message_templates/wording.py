"""Days, times and spans in plain English. The names are written out: ``strftime`` would ask the machine's locale."""

from datetime import date, datetime, timedelta

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
FAR = timedelta(days=300)
"""From here on a date without its year could be taken for another one's."""


def weekday(day: date) -> str:
    """``Monday``."""
    return WEEKDAYS[day.weekday()]


def calendar_date(day: date) -> str:
    """``15 December 2025``."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def day_word(day: date, today: date) -> str:
    """``today``, ``tomorrow``, ``Monday 15 December``; with the year where it is far off. Both days are local ones."""
    ahead = day - today
    if ahead == timedelta(0):
        return "today"
    if ahead == timedelta(days=1):
        return "tomorrow"
    year = f" {day.year}" if abs(ahead) > FAR else ""
    return f"{weekday(day)} {day.day} {MONTHS[day.month - 1]}{year}"


def clock_12(at: datetime) -> str:
    """``10:00 AM``, ``12:30 PM``, as the seeds write it; local time."""
    return f"{at.hour % 12 or 12}:{at.minute:02} {'AM' if at.hour < 12 else 'PM'}"


def clock_24(at: datetime) -> str:
    """``15:30``; local time."""
    return f"{at.hour:02}:{at.minute:02}"


def span(length: timedelta) -> str | None:
    """``45 minutes``, ``1 hour 30 minutes``, ``24 hours``, ``3 days 4 hours``; None where less than half a minute is
    left, or it is over.

    To the minute below an hour, to five minutes below two days, to the hour above: a reminder that waited half a minute
    for its turn says "2 hours".
    """
    parts = _parts(length)
    return " ".join(f"{number} {unit}{'s' * (number != 1)}" for number, unit in parts) or None


_SHORT = {"day": "d", "hour": "hr", "minute": "min"}


def short_span(length: timedelta) -> str | None:
    """The same as seed 000 writes it: ``1hr``, ``1hr 30min``, ``2d 4hr``."""
    return " ".join(f"{number}{_SHORT[unit]}" for number, unit in _parts(length)) or None


def _parts(length: timedelta) -> list[tuple[int, str]]:
    minutes = _round(length, 1)
    if minutes <= 0:
        return []
    if minutes >= 60:
        minutes = _round(length, 5)
    if minutes >= 48 * 60:
        minutes = _round(length, 60)
        days, hours = divmod(minutes // 60, 24)
        found = [(days, "day"), (hours, "hour")]
    else:
        found = [(minutes // 60, "hour"), (minutes % 60, "minute")]
    return [(number, unit) for number, unit in found if number > 0]


def _round(length: timedelta, step: int) -> int:
    """Minutes, to the nearest multiple of ``step``."""
    size = timedelta(minutes=step)
    return (length + size / 2) // size * step
