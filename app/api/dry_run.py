"""``X-Dry-Run: true``: the answer that a write would give, and nothing written.

The request runs as usual, up to the database's own verdict, in a transaction that is rolled back; ids, which would not
exist, are null. No idempotency key is read or taken.
"""

from collections.abc import Set
from typing import Any

from flask import request

from app.errors import invalid_field

HEADER = "X-Dry-Run"
IDS = frozenset(
    {"id", "batchId", "consentId", "jobId", "messageId", "recurringId", "appointmentId", "bookingId", "contactId"}
)


def requested() -> bool:
    """Whether this request is a dry run.

    Raises:
        Invalid: the header says neither true nor false; guessing could send a message, or lose one.
    """
    value = request.headers.get(HEADER, "false").strip().lower()
    if value not in ("true", "1", "false", "0"):
        raise invalid_field(HEADER, "must be true or false")
    return value in ("true", "1")


def disclaim(data: dict[str, Any], given: Set[str]) -> dict[str, Any]:
    """An answer without the ids that a dry run made up; those that the request itself named stay."""
    return {**_without_ids(data, given), "dryRun": True}


def _without_ids(value: Any, given: Set[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: None if key in IDS and item not in given else _without_ids(item, given) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_ids(item, given) for item in value]
    return value
