"""What the routes about batches take and give."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from app.api.body import ApiModel, about, example
from app.api.fields import Time, WorkspaceId, WorkspaceQuery
from app.channels.phone import channel_of
from app.channels.segments import utf16_length
from app.contacts.schemas import Channel, ContactId, Tag
from app.ids import BATCH_ID
from app.messages import examples, schemas
from app.messages.batches import MAX_CONTACTS, NotForReason
from app.messages.reading_views import StatusWord

MAX_EMAIL_BODY = 20_000
"""Characters of the template; how long the text may be that becomes of it is checked when it is sent."""


def _sender(value: str) -> str:
    if channel_of(value) != "email" and not schemas.is_phone_address(value):
        raise ValueError("must be a phone number in E.164 form, after whatsapp: for WhatsApp, or an email address")
    return value


class Segment(ApiModel):
    """Whom it is for: one of the three."""

    tags: Annotated[list[Tag], Field(min_length=1, max_length=50)] | None = Field(
        None, description="Everybody with at least one of these tags."
    )
    contact_ids: Annotated[list[ContactId], Field(min_length=1, max_length=MAX_CONTACTS)] | None = None
    all: Literal[True] | None = Field(None, description="Everybody whom the workspace knows.")

    @model_validator(mode="after")
    def _one_of(self) -> "Segment":
        if sum(part is not None for part in (self.tags, self.contact_ids, self.all)) != 1:
            raise ValueError("give one of tags, contactIds and all")
        return self


class NewBatch(ApiModel):
    """One text to many people: a template, or a ``body`` with merge fields."""

    model_config = ConfigDict(json_schema_extra=example(examples.NEW_BATCH), arbitrary_types_allowed=True)

    workspace_id: WorkspaceId | None = None
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = Field(
        "", description="For you, to tell it from others."
    )
    channel: Channel = "sms"
    category: Literal["informational", "marketing"] = Field(
        description="`marketing` goes only to those with a marketing consent in force for the channel."
    )
    template_kind: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="The workspace's template of this kind and channel, as it stands when each message is sent."
    )
    template_id: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] | None = None
    body: Annotated[str, StringConstraints(min_length=1, max_length=MAX_EMAIL_BODY)] | None = Field(
        None, description="The text, with merge fields such as `{{ contact.first_name }}`."
    )
    subject: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = Field(
        None, description="Of an email with a `body`."
    )
    segment: Segment
    scheduled_time: Time | None = None
    delay_minutes: schemas.Minutes | None = Field(
        None, description="With neither time it is due in one minute, which is left to call it off."
    )
    valid_until: Time | None = Field(None, description="After this instant no more of it is sent.")
    from_number: Annotated[str, StringConstraints(max_length=320), AfterValidator(_sender)] | None = Field(
        None, description="The number or email address to send from, one of the workspace's senders."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "NewBatch":
        if sum(part is not None for part in (self.template_kind, self.template_id, self.body)) != 1:
            raise about(("templateKind", "templateId", "body"), "give one of templateKind, templateId and body")
        if self.scheduled_time is not None and self.delay_minutes is not None:
            raise about(("scheduledTime", "delayMinutes"), "give either scheduledTime or delayMinutes")
        if self.body is not None and not self.body.strip():
            raise about(("body",), "must not be empty")
        if self.body is not None and self.channel != "email" and utf16_length(self.body) > schemas.MAX_BODY:
            raise about(("body",), f"must be at most {schemas.MAX_BODY} characters (UTF-16 units, as Twilio counts)")
        if (self.subject is not None) != (self.body is not None and self.channel == "email"):
            raise about(("subject",), "belongs to an email with a body, and is required there")
        return self


class NotFor(ApiModel):
    """Somebody who was left out, and why."""

    contact_id: str
    reason: NotForReason


class BatchAccepted(ApiModel):
    """A batch that was accepted. ``skipped`` names the first hundred who were left out; ``skippedCounts`` has all."""

    model_config = ConfigDict(json_schema_extra=example(examples.BATCH_ACCEPTED))

    batch_id: str
    name: str
    status: Literal["scheduled"] = "scheduled"
    channel: Channel
    category: Literal["informational", "marketing"]
    total: int = Field(description="Everybody in the segment.")
    accepted: int
    skipped: list[NotFor]
    skipped_counts: dict[NotForReason, int]
    segments: int | None = Field(description="An estimate, from the text before its merge fields are filled in.")
    scheduled_time: str
    undo_until: str = Field(description="Until then cancelling stops all of it.")
    warnings: list[schemas.BulkWarning] = Field(default_factory=list, exclude_if=lambda warnings: not warnings)


class BatchState(ApiModel):
    """A batch as it stands; ``counts`` are its messages by state."""

    model_config = ConfigDict(json_schema_extra=example(examples.BATCH_STATE))

    batch_id: str
    name: str
    status: Literal["scheduled", "sending", "completed", "cancelled"]
    channel: Channel
    category: Literal["informational", "marketing"]
    segment: dict[str, Any]
    total: int = Field(description="Messages that were accepted.")
    counts: dict[StatusWord, int]
    scheduled_time: str
    created_at: str
    cancelled_at: str | None


class BatchQuery(WorkspaceQuery):
    """Which batches to list: the latest first, ``limit`` at a time, on from ``cursor``."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, StringConstraints(pattern=f"^{BATCH_ID.pattern}$")] | None = None


class BatchPage(ApiModel):
    """A page of batches; ``nextCursor`` is null on the last one."""

    model_config = ConfigDict(json_schema_extra=example(examples.BATCH_PAGE))

    batches: list[BatchState]
    next_cursor: str | None


class BatchRef(WorkspaceQuery):
    """Which workspace; not needed with an API key."""

    model_config = ConfigDict(json_schema_extra=example(examples.WORKSPACE))


class BatchCancelled(ApiModel):
    """What calling a batch off stopped, and what had gone out, or was on its way, already."""

    model_config = ConfigDict(json_schema_extra=example(examples.BATCH_CANCELLED))

    batch_id: str
    status: Literal["cancelled"] = "cancelled"
    stopped: int
    already_gone: int
