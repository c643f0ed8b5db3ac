"""What the routes of the templates take and give."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from app.api.body import ApiModel, example
from app.api.fields import WorkspaceQuery
from app.message_templates import examples

KIND = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Channel = Literal["sms", "whatsapp", "email"]
MissingField = Literal["skip", "blank"]
Kind = Annotated[
    str,
    StringConstraints(pattern=f"^{KIND.pattern}$"),
    Field(
        description="`confirmation`, `24h`, `1h`, `2h`, `reminder`, `cancellation`, `rescheduled`, `reply_confirmed`, "
        "`reply_cancelled`, or a name of your own: small letters, digits, `-` and `_`.",
        examples=["24h"],
    ),
]
EventType = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    Field(description="For appointments of this type only. Left out: for all others."),
]


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _one_line(value: str) -> str:
    if any(not character.isprintable() for character in value):
        raise ValueError("must be one line, without control characters")
    return _not_blank(value)


Body = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100_000),
    AfterValidator(_not_blank),
    Field(
        description="The text, with merge fields such as `{{ contact.first_name }}`. With the longest values it must "
        "fit the channel: 1,600 UTF-16 units, 100,000 for email.",
    ),
]
Subject = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_one_line),
    Field(description="Of an email; it may have merge fields too. At most 250 characters beside them."),
]
ContentSid = Annotated[
    str,
    StringConstraints(pattern=r"^HX[0-9a-fA-F]{32}$"),
    Field(description="Twilio's id of an approved WhatsApp template, which is sent in place of the body."),
]
Variable = Annotated[str, StringConstraints(min_length=1, max_length=1600)]
VariableNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")]


class TemplateRef(WorkspaceQuery):
    """Which template; the workspace is not needed with an API key."""

    event_type: EventType | None = None


class SaveTemplate(TemplateRef):
    """A text of your own. What is left out goes back to its default."""

    model_config = ConfigDict(json_schema_extra=example(examples.SAVE))

    body: Body
    subject: Subject | None = None
    content_sid: ContentSid | None = None
    content_variables: Annotated[dict[VariableNumber, Variable], Field(max_length=50)] = Field(
        default_factory=dict, description="For the approved template: a text with merge fields for each of its numbers."
    )
    missing_field: MissingField = Field(
        "skip",
        description="When a field has neither value nor default: `skip` the message (reason `missing_field`), or leave "
        "the field `blank`.",
    )


class TemplateItem(ApiModel):
    """A text as it is used. ``isDefault``: the workspace has none of its own, and this is Bellhop's."""

    model_config = ConfigDict(json_schema_extra=example(examples.TEMPLATE))

    kind: str
    channel: Channel
    event_type: str | None
    subject: str | None
    body: str
    content_sid: str | None
    content_variables: dict[str, Any]
    missing_field: MissingField
    is_default: bool
    updated_at: str | None


class FieldItem(ApiModel):
    """A merge field, with an example of its value or with its meaning."""

    name: str
    example: str


class TemplateList(ApiModel):
    """The texts that are used, the workspace's own before the defaults, and the merge fields that there are."""

    model_config = ConfigDict(json_schema_extra=example(examples.TEMPLATES))

    templates: list[TemplateItem]
    fields: list[FieldItem]


class Deleted(ApiModel):
    """What was deleted; the default text is used again."""

    model_config = ConfigDict(json_schema_extra=example(examples.DELETED))

    kind: str
    channel: Channel
    event_type: str | None
    deleted: Literal[True]
