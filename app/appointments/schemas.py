"""What the routes of appointments and bookings take and give.

The seeds call the same things by different names (resolution D21): each is taken under any of them, and answered under
the first.
"""

from datetime import date, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from app.api.body import ApiModel, about, example
from app.appointments import examples
from app.contacts.schemas import Email, Phone
from app.ids import APPOINTMENT_ID, CONTACT_ID
from app.messages.schemas import Time, WorkspaceId
from app.reminders.policy import PRESETS
from app.zones import check_zone

MAX_DURATION_MINUTES = 14 * 24 * 60


def _any_of(*names: str, description: str = "") -> Any:
    return Field(None, validation_alias=AliasChoices(*names), description=description or None)


def _date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a day that exists") from None
    return text


def _clock(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time of day") from None
    return text


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"must be one of {', '.join(PRESETS)}")
    return name


AppointmentId = Annotated[
    str,
    StringConstraints(pattern=f"^{APPOINTMENT_ID.pattern}$"),
    Field(description="Your own id; letters, digits, - and _, at most 80. Left out, we make one."),
]
ContactId = Annotated[str, StringConstraints(pattern=f"^{CONTACT_ID.pattern}$")]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(check_zone)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ShortName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Place = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_date)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"), AfterValidator(_clock)]
PolicyName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_preset)]
Status = Literal["PENDING", "CONFIRMED", "CANCELLED", "COMPLETED", "NO_SHOW"]


class PersonFields(ApiModel):
    """Whom it is with: a contact that we know by its id, or a name with a phone number or an email address."""

    contact_id: ContactId | None = _any_of("contactId", "clientId", "patientId", "customerId", "userId")
    name: Name | None = _any_of("name", "customerName", "clientName", "patientName")
    first_name: ShortName | None = None
    last_name: ShortName | None = None
    phone: Phone | None = _any_of("phone", "customerPhone", "clientPhone", "patientPhone", "phoneNumber")
    email: Email | None = _any_of("email", "customerEmail", "clientEmail", "patientEmail")


class _Details(PersonFields):
    model_config = ApiModel.model_config | {"arbitrary_types_allowed": True}

    workspace_id: WorkspaceId | None = None
    starts: Time | None = _any_of(
        "appointmentDateTime",
        "appointmentTime",
        "scheduledAt",
        "startsAt",
        "startTime",
        description="When it begins: ISO 8601 with an offset from UTC, echoed as it was written.",
    )
    day: Day | None = _any_of("date", description="With `time`, in place of `appointmentDateTime`, in `timezone`.")
    time: TimeOfDay | None = None
    timezone: Zone | None = Field(None, description="Where it takes place (IANA). Default: the workspace's zone.")
    duration_minutes: Annotated[int, Field(gt=0, le=MAX_DURATION_MINUTES, strict=True)] | None = None
    event_type: ShortName | None = None
    event_name: Name | None = None
    service: Name | None = _any_of("service", "serviceName")
    staff: Name | None = _any_of("staff", "staffName", "barberName")
    location: Place | None = None
    policy: PolicyName | None = Field(None, description="Which preset of reminders it follows.")
    metadata: dict[str, Any] | None = None

    @property
    def lasts(self) -> timedelta | None:
        """The duration, where it is given."""
        return timedelta(minutes=self.duration_minutes) if self.duration_minutes else None

    @model_validator(mode="after")
    def _one_start(self) -> "_Details":
        if (self.day is None) != (self.time is None):
            raise about(("date", "time"), "date and time go together")
        if self.starts is not None and self.day is not None:
            raise about(("appointmentDateTime",), "give either appointmentDateTime or date and time")
        return self


class _New(_Details):
    status: Literal["PENDING", "CONFIRMED"] = "PENDING"

    @model_validator(mode="after")
    def _has_start(self) -> "_New":
        if self.starts is None and self.day is None:
            raise about(("appointmentDateTime",), "is required")
        return self


class NewAppointment(_New):
    """An appointment to be made."""

    model_config = ConfigDict(json_schema_extra=example(examples.NEW_APPOINTMENT))

    appointment_id: AppointmentId | None = _any_of("appointmentId", "id")


class NewBooking(_New):
    """A booking to be made."""

    model_config = ConfigDict(json_schema_extra=example(examples.NEW_BOOKING))

    appointment_id: AppointmentId | None = _any_of("bookingId", "id", "appointmentId")


class Change(_Details):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=example(examples.CHANGE))

    status: Status | None = None

    @model_validator(mode="after")
    def _something(self) -> "Change":
        if not self.model_fields_set - {"workspace_id"}:
            raise about(("body",), "names nothing to change")
        names = [to_camel(name) for name in ("name", "first_name", "last_name") if getattr(self, name) is not None]
        if names and self.contact_id is None and self.phone is None and self.email is None:
            raise about(names, "is the contact's: change it there (PATCH /api/contacts/{contactId})")
        return self


class AppointmentQuery(ApiModel):
    """Which appointments to list, by their start; ``limit`` at a time, on from ``cursor``."""

    model_config = ApiModel.model_config | {"arbitrary_types_allowed": True}

    workspace_id: WorkspaceId | None = None
    status: Status | None = None
    contact_id: ContactId | None = None
    from_: Time | None = Field(None, validation_alias="from", serialization_alias="from")
    until: Time | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}-[0-9a-f]{32}$")] | None = None


class Which(ApiModel):
    """Which workspace; not needed with an API key."""

    workspace_id: WorkspaceId | None = None


# Answers


class PersonView(ApiModel):
    """The contact, and where this appointment's reminders go."""

    contact_id: str
    name: str
    phone: str | None
    email: str | None


class ReminderView(ApiModel):
    """A reminder of the plan. ``state`` is seed 004's word; ``reason`` says why it will not be sent."""

    job_id: str
    message_id: str
    reminder_type: str
    channel: str
    state: Literal["waiting", "active", "completed", "failed", "delayed"]
    status: str
    scheduled_for: str
    valid_until: str
    sent_at: str | None
    reason: str | None


class DiffEntry(ApiModel):
    """A reminder, and what became of it."""

    job_id: str
    reminder_type: str
    channel: str
    scheduled_for: str
    was_scheduled_for: str | None = Field(None, exclude_if=lambda value: value is None)
    reason: str | None = Field(None, exclude_if=lambda value: value is None)


class AppointmentView(ApiModel):
    """An appointment with its plan."""

    model_config = ConfigDict(json_schema_extra=example(examples.APPOINTMENT))

    id: str
    appointment_id: str
    booking_id: str
    workspace_id: str
    contact_id: str
    contact: PersonView
    appointment_date_time: str
    date: str
    time: str
    timezone: str
    ends_at: str | None
    event_type: str | None
    event_name: str | None
    service: str | None
    staff: str | None
    location: str | None
    status: Status
    source: str
    policy: str | None
    revision: int
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    cancelled_at: str | None
    reminders: list[ReminderView]


class Changed(AppointmentView):
    """An appointment after a change, and what that did to its reminders."""

    model_config = ConfigDict(json_schema_extra=example(examples.CHANGED))

    moved: list[DiffEntry]
    added: list[DiffEntry]
    cancelled: list[DiffEntry]
    already_sent: list[DiffEntry]


class AppointmentPage(ApiModel):
    """A page of appointments, without their reminders; ``nextCursor`` is null on the last one."""

    model_config = ConfigDict(json_schema_extra=example(examples.PAGE))

    appointments: list["Summary"]
    next_cursor: str | None


class Summary(ApiModel):
    """An appointment in a list."""

    id: str
    appointment_id: str
    contact: PersonView
    appointment_date_time: str
    event_type: str | None
    event_name: str | None
    service: str | None
    staff: str | None
    status: Status
    revision: int
