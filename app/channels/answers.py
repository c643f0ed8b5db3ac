"""Reading what the HTTP interfaces of providers answer: what they have in common."""

import json
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from app import clock
from app.channels.base import FailureKind
from app.masking import mask_addresses, mask_bare

RETRY_AFTER_CAP_S = 3600.0

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ID = re.compile(r"[\x21-\x7e]{1,64}")
_ELSEWHERE = frozenset({301, 302, 307, 308})
_NOT_ABOUT_THE_MESSAGE = frozenset({403, 404, 405, 407})


def kind_of_status(http_status: int, *, explained: bool) -> FailureKind:
    """What an HTTP status that is no success allows, to a POST that makes a message.

    ``explained``: the body says why in the provider's own form.

    * 5xx, and a 2xx that was not understood: ambiguous. So is 408: a gateway says it also when what it had
      passed on was answered too late.
    * A redirect is not followed: the request went to an address that does not handle it (http for https, a
      login page of the network), as will all others. So it is the configuration, and nothing is burnt.
    * 401: configuration.
    * 403, 404, 405 and 407 without an explanation did not come from the provider's own interface: the
      base URL or something in between is wrong, not this message. With one the answer is about the message: permanent.
    * 429: throttled, because it was never processed.
    * Any other 4xx: permanent.
    """
    if http_status in _ELSEWHERE or http_status == 401:
        return FailureKind.CONFIGURATION
    if http_status < 400 or http_status >= 500 or http_status == 408:
        return FailureKind.AMBIGUOUS
    if http_status == 429:
        return FailureKind.THROTTLED
    if not explained and http_status in _NOT_ABOUT_THE_MESSAGE:
        return FailureKind.CONFIGURATION
    return FailureKind.PERMANENT


def json_object(body: bytes) -> dict[str, Any]:
    """The object in a body; empty where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def provider_id(value: object) -> str | None:
    """The provider's id of a message, as far as it is one that we can keep."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3): a number or a date; None where it is neither."""
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), RETRY_AFTER_CAP_S)
    try:
        at = parsedate_to_datetime(value)
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_S)


def clean(text: object, *secrets: str) -> str:
    """Fit for logs and for the owner: one line, no phone numbers, no email addresses, no secret, not long."""
    line = str(text)
    for secret in secrets:
        line = line.replace(secret, "***") if secret else line
    line = "".join(character for character in " ".join(line.split()) if character.isprintable())
    return mask_bare(mask_addresses(line))[:300]
