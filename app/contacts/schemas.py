"""What the routes about people take and give."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from app.api.body import ApiModel, about, example
from app.api.fields import Time, WorkspaceId, WorkspaceQuery, Zone
from app.api.routing import RESERVED
from app.contacts import examples
from app.ids import CONTACT_ID

MAX_TAGS = 50
MAX_FIELDS = 50

# Deliberately simple: whether an address exists, only its server knows (RFC 5321, 4.5.3.1 for the lengths).
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@(?=.{1,253}$)[^\s@.,;:<>]+(\.[^\s@.,;:<>]+)+")
FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")


def _email(value: str) -> str:
    lowered = value.lower()
    if not _EMAIL.fullmatch(value) or not value.isprintable() or len(lowered) > 254:
        raise ValueError("must be an email address")
    return lowered


def _not_reserved(value: str) -> str:
    if value in RESERVED:
        raise ValueError("is a word that names a route")
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


def _tags(value: list[str]) -> list[str]:
    return list(dict.fromkeys(value))


def _fields(value: dict[str, str]) -> dict[str, str]:
    if len(value) > MAX_FIELDS:
        raise ValueError(f"must be at most {MAX_FIELDS} fields")
    if not all(FIELD_NAME.fullmatch(name) for name in value):
        raise ValueError("must have names that begin with a letter: letters, digits and _, at most 50")
    return value


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null")
    return value


Phone = Annotated[
    str,
    StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$"),
    Field(description="A phone number in E.164 form.", examples=["+1234567890"]),
]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(_email),
    Field(description="An email address; kept in lower case.", examples=["ana@example.com"]),
]
ContactId = Annotated[
    str,
    StringConstraints(pattern=f"^{CONTACT_ID.pattern}$"),
    AfterValidator(_not_reserved),
    Field(description="Your own id: letters, digits and `_ . @ -`, at most 128. Left out, we make one."),
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_printable)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^,;|]{1,50}$"), AfterValidator(_printable)]
Tags = Annotated[
    list[Tag],
    Field(max_length=MAX_TAGS, description="Words to choose people by; without comma, semicolon and bar."),
    AfterValidator(_tags),
]
FieldText = Annotated[str, StringConstraints(max_length=500)]
Fields = Annotated[
    dict[str, FieldText],
    AfterValidator(_fields),
    Field(description="Your own merge fields: texts by name."),
]
Notes = Annotated[str, StringConstraints(max_length=5000), Field(description="For you; never sent.")]
Channel = Literal["sms", "whatsapp", "email"]
ConsentKind = Literal["informational", "marketing"]


class NewContact(ApiModel):
    """A person with a phone number, an email address or both."""

    model_config = ConfigDict(json_schema_extra=example(examples.NEW_CONTACT))

    workspace_id: WorkspaceId | None = None
    contact_id: ContactId | None = None
    name: Name | None = Field(None, description="In place of `firstName` and `lastName`: the first word is the first.")
    first_name: Name = ""
    last_name: Name = ""
    phone: Phone | None = None
    email: Email | None = None
    timezone: Zone | None = None
    tags: Tags = Field(default_factory=list)
    fields: Fields = Field(default_factory=dict)
    notes: Notes = ""

    @model_validator(mode="after")
    def _reachable(self) -> "NewContact":
        if self.phone is None and self.email is None:
            raise about(("phone", "email"), "give a phone number or an email address")
        if self.name is not None and (self.first_name or self.last_name):
            raise about(("name",), "give either name or firstName and lastName")
        return self


class ContactChange(ApiModel):
    """What is to change; what is left out stays. ``tags`` and ``fields`` are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra=example(examples.CONTACT_CHANGE))

    workspace_id: WorkspaceId | None = None
    first_name: Annotated[Name | None, BeforeValidator(_given)] = None
    last_name: Annotated[Name | None, BeforeValidator(_given)] = None
    phone: Phone | None = Field(None, description="Null takes it away.")
    email: Email | None = Field(None, description="Null takes it away.")
    timezone: Zone | None = Field(None, description="Null goes back to the workspace's.")
    tags: Annotated[Tags | None, BeforeValidator(_given)] = None
    fields: Annotated[Fields | None, BeforeValidator(_given)] = None
    notes: Annotated[Notes | None, BeforeValidator(_given)] = None


class ContactQuery(WorkspaceQuery):
    """Whom to list: the latest first, ``limit`` at a time, on from ``cursor``."""

    search: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=100),
            Field(description="Words; each is part of a name, of the email address or of the phone number."),
        ]
        | None
    ) = None
    tag: Tag | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None


class ContactItem(ApiModel):
    """A person as we know them."""

    model_config = ConfigDict(json_schema_extra=example(examples.CONTACT))

    contact_id: str
    name: str
    first_name: str
    last_name: str
    phone: str | None
    email: str | None
    timezone: str | None
    tags: list[str]
    fields: dict[str, str]
    notes: str
    opted_out: list[Channel] = Field(description="The channels on which nothing may be sent to them.")
    created_at: str
    updated_at: str


class ContactPage(ApiModel):
    """A page of people; ``nextCursor`` is null on the last one."""

    model_config = ConfigDict(json_schema_extra=example(examples.CONTACT_PAGE))

    contacts: list[ContactItem]
    next_cursor: str | None


class ChannelRef(ApiModel):
    """Which channel; left out, every one that the person can be reached by."""

    model_config = ConfigDict(json_schema_extra=example(examples.CHANNEL))

    workspace_id: WorkspaceId | None = None
    channel: Channel | None = None


class OptOutState(ApiModel):
    """Where a person must not be written to, and how many messages were called off for it now."""

    model_config = ConfigDict(json_schema_extra=example(examples.OPT_OUT))

    contact_id: str
    opted_out: list[Channel]
    cancelled: int


class ErasedContact(ApiModel):
    """What became of a person's things: called off, and kept without anything that says whose they were."""

    model_config = ConfigDict(json_schema_extra=example(examples.ERASED))

    contact_id: str
    status: Literal["erased"] = "erased"
    cancelled: int
    kept_appointments: int
    kept_messages: int


class NewConsent(ApiModel):
    """What a person has allowed, and how we know."""

    model_config = ConfigDict(json_schema_extra=example(examples.NEW_CONSENT), arbitrary_types_allowed=True)

    workspace_id: WorkspaceId | None = None
    kind: ConsentKind = Field(description="`marketing` is what a marketing batch asks for; reminders need none.")
    channel: Channel | None = Field(None, description="Left out: every channel.")
    source: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
        AfterValidator(_printable),
        Field(description="How it was given: a form, by phone, on paper."),
    ]
    given_at: Time | None = Field(None, description="When it was given, not in the future. Default: now.")
    expires_at: Time | None = Field(None, description="From this instant it counts no more. Default: it has no end.")


class ConsentItem(ApiModel):
    """A consent; ``inForce`` says whether it counts now."""

    model_config = ConfigDict(json_schema_extra=example(examples.CONSENT))

    consent_id: str
    contact_id: str
    kind: ConsentKind
    channel: Channel | None
    source: str
    given_at: str
    expires_at: str | None
    revoked_at: str | None
    in_force: bool


class ConsentList(ApiModel):
    """The consents of a person, the latest first."""

    model_config = ConfigDict(json_schema_extra=example(examples.CONSENT_LIST))

    consents: list[ConsentItem]
