"""How fast each sender may send, in segments a second (of WhatsApp and email: messages).

``SENDER_RATE``, ``WHATSAPP_RATE`` and ``EMAIL_RATE`` are what holds for all senders of a channel; ``senders.rate`` is
what an operator knows better about one of them.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.channels.phone import channel_of
from app.database import reading
from app.extensions import settings
from app.workspaces.models import Sender

KEPT = timedelta(seconds=30)
"""How long a process goes by what it has read: a new rate takes effect after at most this long."""
_KEY = "bellhop.sender_rates"


@dataclass(frozen=True, slots=True)
class Rates:
    """``default`` is by channel; ``own`` has the senders with a rate of their own. 0 is as fast as we can."""

    default: Mapping[str, float]
    own: Mapping[str, float]

    def of(self, sender: str) -> float:
        """Segments a second of a sender; 0 where it is not paced."""
        own = self.own.get(sender)
        return self.default[channel_of(sender)] if own is None else own

    def seconds(self, sender: str, segments: int) -> float:
        """How long a sender is busy with so many segments."""
        rate = self.of(sender)
        return segments / rate if rate else 0.0

    @property
    def pace_somebody(self) -> bool:
        """Whether there is anybody at all who has to wait."""
        return any(self.default.values()) or any(self.own.values())


def current(session: Session | None = None) -> Rates:
    """The rates of all senders. Where workspaces share an address and name different rates, the lowest counts.

    Whoever has a transaction open passes its ``session``: to wait for a second connection while one holds the first is
    how a pool runs dry.
    """
    now = clock.now()
    kept: tuple[datetime, Rates] | None = current_app.extensions.get(_KEY)
    if kept is None or not timedelta(0) <= now - kept[0] < KEPT:
        with nullcontext(session) if session else reading() as reader:
            kept = now, _read(reader)
        current_app.extensions[_KEY] = kept
    return kept[1]


def _read(session: Session) -> Rates:
    # A rate of 0 holds only where nobody names a higher one: it is the highest of all.
    lowest = func.min(func.nullif(Sender.rate, 0))
    rows = session.execute(
        select(Sender.address, func.coalesce(lowest, 0)).where(Sender.rate.is_not(None)).group_by(Sender.address)
    )
    chosen = settings()
    default = {"sms": chosen.sender_rate, "whatsapp": chosen.whatsapp_rate, "email": chosen.email_rate}
    return Rates(default, {address: float(rate) for address, rate in rows})
