"""Test doubles that belong to the product, for its own tests and for those who build on it."""

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """A clock that stands still until it is moved; put it in place with ``clock.use``."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The instant at which it stands, aware, in UTC."""
        return self._at

    def advance(self, **by: float) -> None:
        """Move forward by a ``timedelta``'s arguments: ``advance(minutes=5)``."""
        self._at += timedelta(**by)

    def set(self, at: datetime) -> None:
        """Jump to an instant."""
        self._at = at.astimezone(UTC)
