"""A workspace's public booking form: what it offers, and what it lets through (``settings["bookingForm"]``).

Whoever changes the settings validates them with `BookingForm`; whoever reads them uses `booking_form`.
"""

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.workspaces.models import Workspace

KEY = "bookingForm"
"""Where it is in `Workspace.settings`."""
_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?")


def _country(code: str) -> str:
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be the two letters of a country, such as DE")
    return code


def _origin(text: str) -> str:
    try:
        port = urlsplit(text).port
    except ValueError:
        port = 0
    if not _ORIGIN.fullmatch(text) or port == 0:
        raise ValueError("must be an origin in small letters, such as https://www.example.com")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_no_nul)]
LongText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), AfterValidator(_no_nul)
]
TypeName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_no_nul)
]
Country = Annotated[str, StringConstraints(to_upper=True, max_length=2), AfterValidator(_country)]
Origin = Annotated[str, StringConstraints(max_length=270), AfterValidator(_origin)]
WallTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class BookingForm(BaseModel):
    """The form's settings, camelCase outside. Off unless it is switched on."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", serialize_by_alias=True, frozen=True
    )

    enabled: Annotated[bool, Field(strict=True)] = False
    services: Annotated[list[Text], Field(max_length=100)] = []
    """What can be booked; empty asks for none."""
    staff: Annotated[list[Text], Field(max_length=100)] = []
    """With whom; empty asks for nobody."""
    event_type: TypeName | None = None
    """Of the appointments that it makes: chooses their reminders and texts."""
    event_name: Text | None = None
    countries: Annotated[list[Country], Field(max_length=250)] = []
    """Whose mobile numbers are taken; the first reads numbers without a country code. Empty: the country of the number
    that the workspace sends from.
    """
    open_from: WallTime | None = None
    open_until: WallTime | None = None
    """The first and the last time of day at which an appointment may begin."""
    min_notice_minutes: Annotated[int, Field(ge=0, le=525_600, strict=True)] = 60
    max_days_ahead: Annotated[int, Field(ge=1, le=730, strict=True)] = 90
    per_day: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 100
    """Bookings of the workspace in 24 hours."""
    per_number: Annotated[int, Field(ge=1, le=1000, strict=True)] = 3
    """Bookings for one phone number, and for one email address, in 24 hours."""
    per_address: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 10
    """Bookings from one network address in an hour."""
    origins: Annotated[list[Origin], Field(max_length=20)] = []
    """Other sites that may post to it or show it in a frame."""
    consent_text: LongText | None = None
    """What a person has to agree to; None asks nothing."""

    @model_validator(mode="after")
    def _day_is_long(self) -> Self:
        if self.open_from and self.open_until and self.open_from > self.open_until:
            raise ValueError("openFrom must be before openUntil")
        return self


def store(session: Session, workspace_id: str, form: BookingForm) -> None:
    """Give an existing workspace a form; its other settings stay."""
    workspace = session.scalars(select(Workspace).where(Workspace.id == workspace_id).with_for_update()).one()
    given = form.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    workspace.settings = {**workspace.settings, KEY: given}


def booking_form(workspace: Workspace) -> BookingForm:
    """A workspace's form; they were checked when they were stored."""
    stored: dict[str, Any] = workspace.settings.get(KEY) or {}
    return BookingForm.model_validate(stored)
