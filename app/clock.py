"""The one place that asks what time it is.

All times inside Bellhop are aware datetimes in UTC. Tests put a `FrozenClock` in place of the real one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Anything that knows the time."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return datetime.now(UTC)


_clock: Clock = SystemClock()


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return _clock.now()


def override() -> float | None:
    """The time to use in place of a store's own clock, in seconds since 1970: None unless a test has moved time."""
    return None if isinstance(_clock, SystemClock) else _clock.now().timestamp()


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Put another clock in place for the length of a block; for tests."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before
