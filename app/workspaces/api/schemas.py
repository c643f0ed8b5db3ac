"""What the routes about a workspace itself take and give."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from app.api.body import ApiModel, example
from app.messages.schemas import WorkspaceId
from app.workspaces.api import examples
from app.workspaces.booking_form import BookingForm
from app.workspaces.preferences import Caps, Prices, Replies, RetryPolicies
from app.zones import check_zone

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Zone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(check_zone),
    Field(description="An IANA time zone.", examples=["Europe/Berlin"]),
]
OnUnknown = Literal["resend", "hold"]


class Which(ApiModel):
    """Which workspace; not needed with an API key."""

    workspace_id: WorkspaceId | None = None


class Patch(ApiModel):
    """What to change (RFC 7396): what is left out stays as it is, null is as if it had never been chosen."""

    model_config = ConfigDict(json_schema_extra=example(examples.PATCH))

    workspace_id: WorkspaceId | None = None
    name: Name | None = None
    timezone: Zone | None = None
    default_sender: Annotated[str, StringConstraints(min_length=1, max_length=320)] | None = Field(
        None, description="One of the workspace's senders."
    )
    on_unknown: OnUnknown | None = None
    retry_policies: RetryPolicies | None = None
    caps: Caps | None = None
    prices: Prices | None = None
    replies: Replies | None = None
    booking_form: BookingForm | None = None


class Settings(ApiModel):
    """A workspace's settings; what is null has not been chosen."""

    model_config = ConfigDict(json_schema_extra=example(examples.SETTINGS))

    workspace_id: str
    name: str
    timezone: str
    default_sender: str | None
    on_unknown: OnUnknown
    retry_policies: RetryPolicies
    caps: Caps
    prices: Prices
    replies: Replies
    booking_form: BookingForm


class Period(ApiModel):
    """What is used of a day or a month. ``segments`` and ``spend`` are null where there is no cap: then nothing is
    counted.
    """

    period: str = Field(description="`2026-05-11` or `2026-05`, in the workspace's zone.", examples=["2026-05-11"])
    segments: int | None = Field(description="Segments of SMS; a WhatsApp message or an email counts as one.")
    spend: str | None
    max_segments: int | None
    max_spend: str | None
    percent: int | None = Field(description="Of the cap that is nearest; null without a cap.")
    warned: bool = Field(description="80 % was passed in this period.")
    reached: bool = Field(description="A message was kept back in this period.")
    ends_at: str


class UsageAnswer(ApiModel):
    """Today and this month."""

    model_config = ConfigDict(json_schema_extra=example(examples.USAGE))

    counted: bool
    currency: str | None
    today: Period
    month: Period


class AuditQuery(ApiModel):
    """Which entries: the latest first, ``limit`` at a time, on from ``cursor``."""

    workspace_id: WorkspaceId | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None


class Entry(ApiModel):
    """A change: only what differs is in ``before`` and ``after``."""

    id: str
    at: str
    actor: str = Field(
        description="`key:` and the key's first characters, a user's email, `contact`, `system` or `local`."
    )
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(ApiModel):
    """A page of the audit log; ``nextCursor`` is null on the last one."""

    model_config = ConfigDict(json_schema_extra=example(examples.AUDIT))

    entries: list[Entry]
    next_cursor: str | None
