"""What messages cost, as far as a workspace has said so."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Price:
    """An amount of money, to a ten thousandth, and its currency."""

    amount: Decimal
    currency: str


def price_of(settings: Mapping[str, Any], channel: str, segments: int) -> Price | None:
    """What a message costs by a workspace's settings: ``{"prices": {"currency": "AUD", "sms": 0.0515, "email": 0}}``,
    for each segment of an SMS and each message of another channel. None where they do not say.
    """
    prices = settings.get("prices")
    each = prices.get(channel) if isinstance(prices, Mapping) else None
    currency = prices.get("currency") if isinstance(prices, Mapping) else None
    if isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each < 1_000_000:
        return None
    if not isinstance(currency, str) or not currency:
        return None
    return Price(round(Decimal(str(each)) * segments, 4), currency)
