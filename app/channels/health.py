"""Whether the channels work, for whoever asks: each account is asked at most once in half a minute by each process."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app

from app import clock
from app.channels.base import Failure, FailureKind, Provider

KEPT = timedelta(seconds=30)
_KEY = "bellhop.channel_health"


@dataclass(slots=True)
class _Known:
    """What an account's provider last answered. The lock is held by whoever asks it."""

    lock: threading.Lock
    at: datetime | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What a provider answered, and when."""

    at: datetime
    failure: Failure | None

    @property
    def is_refused(self) -> bool:
        """Whether it answers, and refuses us."""
        return self.failure is not None and self.failure.kind is FailureKind.CONFIGURATION


def check(provider: Provider) -> Health:
    """Ask a provider whether it takes our credentials, or tell what it said a moment ago.

    While one thread asks, the others get the answer before that, so that a provider that hangs holds up one of them.
    """
    known = current_app.extensions.setdefault(_KEY, {}).setdefault(provider.account, _Known(threading.Lock()))
    if known.at is not None and (clock.now() - known.at < KEPT or known.lock.locked()):
        return Health(known.at, known.failure)
    with known.lock:
        if known.at is None or clock.now() - known.at >= KEPT:
            known.failure = provider.probe()
            known.at = clock.now()
        return Health(known.at, known.failure)
