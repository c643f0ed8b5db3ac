"""Fields that the requests of every feature have in common."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from app.api.body import ApiModel
from app.ids import WORKSPACE_ID
from app.zones import check_zone

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-5][0-9])?"
)


class GivenTime:
    """A time as the caller wrote it, and the instant that it means."""

    __slots__ = ("at", "text")

    def __init__(self, text: str, at: datetime) -> None:
        self.text = text
        self.at = at


def parse_time(value: Any) -> GivenTime:
    """ISO 8601 with an offset. A naive time is refused: nobody can know which clock it was read from."""
    if not isinstance(value, str) or len(value) > 40 or not _TIME.fullmatch(value):
        raise ValueError("must be an ISO 8601 date and time such as 2026-05-11T16:00:00+10:00")
    try:
        at = datetime.fromisoformat(value.upper().replace(" ", "T"))
    except ValueError:
        raise ValueError("is not a date and time that exists") from None
    if at.tzinfo is None:
        raise ValueError("needs an offset from UTC, such as +10:00 or Z")
    if not 1 < at.year < 9999:
        raise ValueError("is not a year that we can plan for")
    return GivenTime(value, at)


WorkspaceId = Annotated[
    str,
    StringConstraints(pattern=f"^{WORKSPACE_ID.pattern}$"),
    Field(description="The workspace. With an API key it must be the key's own.", examples=["ws_123"]),
]
Time = Annotated[
    GivenTime,
    BeforeValidator(parse_time),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "ISO 8601 with an offset from UTC; echoed as it was written. At most two years ahead.",
        }
    ),
]
Zone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(check_zone),
    Field(description="An IANA time zone.", examples=["Europe/Berlin"]),
]


class WorkspaceQuery(ApiModel):
    """Which workspace; not needed with an API key."""

    workspace_id: WorkspaceId | None = None


def time_text(at: datetime | None) -> str | None:
    """An instant of ours as answers write it: UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds") if at else None


def plain(payload: ApiModel) -> dict[str, Any]:
    """A request as plain JSON values: what an idempotency key is compared by."""
    return payload.model_dump(mode="json", by_alias=True, fallback=lambda value: getattr(value, "text", str(value)))
