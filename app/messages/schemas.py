"""What the message routes take and give: seed 001's fields and words, exactly."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core.core_schema import ListSchema

from app.api.body import ApiModel, about, example
from app.api.fields import GivenTime as GivenTime
from app.api.fields import Time as Time
from app.api.fields import WorkspaceId as WorkspaceId
from app.api.fields import parse_time as parse_time
from app.api.fields import plain as plain
from app.channels.segments import utf16_length
from app.ids import JOB_ID
from app.messages import examples

MAX_BODY = 1600
"""Characters as Twilio counts them, UTF-16 code units (twilio.com/docs/api/errors/21617)."""
MAX_MEDIA = 10
"""twilio.com/docs/api/errors/21623."""
MAX_BULK = 1000

ADDRESS_PATTERN = r"^(whatsapp:)?\+[1-9][0-9]{1,14}$"


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


def _body(value: str) -> str:
    if utf16_length(value) > MAX_BODY:
        raise ValueError(f"must be at most {MAX_BODY} characters (UTF-16 units, as Twilio counts)")
    return value


def _media(value: Any) -> Any:
    urls = [value] if isinstance(value, str) else value
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise ValueError("must be a URL or a list of URLs")
    if len(urls) > MAX_MEDIA:
        raise ValueError(f"must be at most {MAX_MEDIA} URLs")
    for url in urls:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            good = False
        if not good or len(url) > 2048 or any(c.isspace() or not c.isprintable() for c in url):
            raise ValueError("must be http or https URLs of at most 2048 characters")
    return urls


JobId = Annotated[
    str,
    StringConstraints(pattern=f"^{JOB_ID.pattern}$"),
    Field(description="The job, as the answer to its creation named it.", examples=["job_xyz"]),
]
Address = Annotated[
    str,
    StringConstraints(pattern=ADDRESS_PATTERN),
    Field(description="A phone number in E.164 form, for WhatsApp after `whatsapp:`.", examples=["+1234567890"]),
]
Sender = Annotated[
    Address,
    Field(
        description="The number to send from, one of the workspace's senders. Default: the workspace's own.",
        examples=["+1987654321"],
    ),
]
Body = Annotated[
    str,
    StringConstraints(max_length=MAX_BODY),
    AfterValidator(_body),
    Field(
        description="The text, counted in UTF-16 units as Twilio does. Only with a `mediaUrl` may it be empty.",
        examples=["Your message content"],
    ),
]
Minutes = Annotated[
    float,
    Field(gt=0, le=2 * 366 * 24 * 60, allow_inf_nan=False, description="Minutes from now; fractions are fine."),
    BeforeValidator(_number),
]
_URL = {"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048}
MediaUrl = Annotated[
    list[str],
    BeforeValidator(_media),
    WithJsonSchema(
        {
            "anyOf": [_URL, {"type": "array", "items": _URL, "maxItems": MAX_MEDIA}],
            "description": "A picture or another file, or several, that the provider fetches and sends along.",
        }
    ),
]
Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Field(description="Your own name for the item; it comes back in the answer.", examples=["booking-42"]),
]


class _Arbitrary(ApiModel):
    model_config = ApiModel.model_config | {"arbitrary_types_allowed": True}


def is_phone_address(value: str) -> bool:
    """Whether an address has the form of a phone number, for SMS or for WhatsApp."""
    return re.fullmatch(ADDRESS_PATTERN, value) is not None and not value.endswith("\n")


class Content(_Arbitrary):
    """What to send to whom."""

    to: Address
    body: Body
    media_url: MediaUrl = Field(default_factory=list)
    from_number: Sender | None = None

    @model_validator(mode="after")
    def _something_to_say(self) -> "Content":
        if not self.body.strip() and not self.media_url:
            raise about(("body",), "must not be empty unless there is a mediaUrl")
        return self


class _Single(Content):
    workspace_id: WorkspaceId
    valid_until: Time | None = Field(
        None,
        description="After this instant the message is not sent any more. Default: four hours after it is due.",
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Kept with the message, never sent.")


class SendSms(_Single):
    """Send now."""

    model_config = ConfigDict(json_schema_extra=example(examples.SEND_SMS))


class ScheduleDelay(_Single):
    """Send after some minutes."""

    model_config = ConfigDict(json_schema_extra=example(examples.SCHEDULE_DELAY))

    delay_minutes: Minutes


class ScheduleUntil(_Single):
    """Send at a time."""

    model_config = ConfigDict(json_schema_extra=example(examples.SCHEDULE_UNTIL))

    scheduled_time: Time


class BulkItem(Content):
    """One message of a bulk: either ``scheduledTime`` or ``delayMinutes``."""

    scheduled_time: Time | None = None
    delay_minutes: Minutes | None = None
    reference: Reference | None = None

    @model_validator(mode="after")
    def _one_time(self) -> "BulkItem":
        if (self.scheduled_time is None) == (self.delay_minutes is None):
            raise about(("scheduledTime", "delayMinutes"), "give either scheduledTime or delayMinutes")
        return self


class _EachABulkItem:
    """Documents the items of a list whose validation looks at each on its own."""

    def __get_pydantic_json_schema__(self, core: ListSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler({**core, "items_schema": BulkItem.__pydantic_core_schema__})


class ScheduleBulk(ApiModel):
    """Up to 1,000 messages; each is judged on its own."""

    model_config = ConfigDict(json_schema_extra=example(examples.SCHEDULE_BULK))
    judged_apart = frozenset({"messages"})

    workspace_id: WorkspaceId
    from_number: Sender | None = None
    messages: Annotated[list[Any], Field(min_length=1, max_length=MAX_BULK), _EachABulkItem()]


class JobRef(ApiModel):
    """A job of a workspace."""

    model_config = ConfigDict(json_schema_extra=example(examples.JOB))

    job_id: JobId
    workspace_id: WorkspaceId


class Reschedule(_Arbitrary):
    """A new time for a job that has not gone out: either ``scheduledTime`` or ``delayMinutes``."""

    model_config = ConfigDict(json_schema_extra=example(examples.RESCHEDULE))

    job_id: JobId
    workspace_id: WorkspaceId
    scheduled_time: Time | None = None
    delay_minutes: Minutes | None = None

    @model_validator(mode="after")
    def _one_time(self) -> "Reschedule":
        if (self.scheduled_time is None) == (self.delay_minutes is None):
            raise about(("scheduledTime", "delayMinutes"), "give either scheduledTime or delayMinutes")
        return self


# Answers


class Sent(ApiModel):
    """The answer of send-sms."""

    model_config = ConfigDict(json_schema_extra=example(examples.SENT))

    job_id: str
    status: Literal["processing"]
    message_id: str


class Scheduled(ApiModel):
    """The answer of schedule-delay, schedule-until and reschedule-job."""

    model_config = ConfigDict(json_schema_extra=example(examples.SCHEDULED))

    job_id: str
    status: Literal["scheduled"]
    scheduled_time: str


class Cancelled(ApiModel):
    """The answer of cancel-job."""

    model_config = ConfigDict(json_schema_extra=example(examples.CANCELLED))

    job_id: str
    status: Literal["cancelled"]


JobStatus = Literal["scheduled", "processing", "completed", "cancelled", "failed"]
MessageStatus = Literal["pending", "sent", "delivered", "undelivered", "read", "failed"]


class JobState(ApiModel):
    """The answer of job-status. ``reason`` says why a message did not go out."""

    model_config = ConfigDict(json_schema_extra=example(examples.JOB_STATE))

    job_id: str
    status: JobStatus
    scheduled_time: str
    completed_time: str | None
    message_status: MessageStatus
    reason: str | None = None


class ItemError(ApiModel):
    """What is wrong with one item of a bulk."""

    code: str
    message: str
    fields: dict[str, list[str]]


class BulkAccepted(ApiModel):
    """An item that was accepted."""

    index: int
    success: Literal[True] = True
    job_id: str
    message_id: str
    status: Literal["scheduled"] = "scheduled"
    scheduled_time: str
    reference: str | None = None


class BulkRejected(ApiModel):
    """An item that was not."""

    index: int
    success: Literal[False] = False
    error: ItemError


class BulkWarning(ApiModel):
    """A sender that needs longer than its messages are valid."""

    code: Literal["sender_too_slow"] = "sender_too_slow"
    from_number: str
    message: str
    affected: int = Field(description="How many of these messages would not go out.")
    last_slot: str = Field(description="When the last one would have its turn, if it were still wanted then.")


class BulkAnswer(ApiModel):
    """A verdict for each item, in the order of the request. ``warnings`` is there if there are any."""

    model_config = ConfigDict(json_schema_extra=example(examples.BULK_ANSWER))

    accepted: int
    rejected: int
    results: list[BulkAccepted | BulkRejected]
    warnings: list[BulkWarning] = Field(default_factory=list, exclude_if=lambda warnings: not warnings)
