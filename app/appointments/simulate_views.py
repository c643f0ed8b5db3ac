"""POST /api/simulate: the whole timeline of an appointment, before there is one."""

from datetime import datetime
from itertools import zip_longest
from typing import Literal
from zoneinfo import ZoneInfo

from flask import Blueprint
from pydantic import AliasChoices, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from app import clock
from app.api.auth import Caller
from app.api.body import ApiModel, about, example
from app.api.endpoint import endpoint
from app.appointments import examples, schemas, simulation
from app.appointments.presenting import utc_text
from app.appointments.simulation import MAX_SKEW, Line, Simulation, Wish
from app.contacts.schemas import Email, Phone
from app.database import write
from app.errors import invalid_field
from app.message_templates.service import Composed
from app.messages.schemas import Time, WorkspaceId
from app.messages.words import REASON, when
from app.reminders.policy import PRESETS, outside_name, parse_policy
from app.reminders.schemas import GivenPolicy, SettingsFields
from app.workspaces.service import ensure_workspace
from app.zones import ClockChange

blueprint = Blueprint("simulate", __name__, url_prefix="/api")
TAG = "Appointments"
SOURCES = {"appointment": "api", "booking": "booking"}


class PersonDraft(ApiModel):
    """Somebody who need not exist."""

    timezone: schemas.Zone | None = None
    phone: Phone | None = None
    email: Email | None = None


class Simulate(ApiModel):
    """An appointment that need not exist, on any clock, under settings that need not be stored."""

    model_config = ConfigDict(json_schema_extra=example(examples.SIMULATE), arbitrary_types_allowed=True)

    workspace_id: WorkspaceId | None = None
    now: Time | None = Field(None, description="The clock to go by. Default: ours, or `bookedAt` if that is later.")
    starts: Time | None = Field(
        None,
        validation_alias=AliasChoices("appointmentDateTime", "appointmentTime", "scheduledAt", "startsAt", "startTime"),
        description="When it begins. Needed without `appointmentId`.",
    )
    booked_at: Time | None = Field(None, description="Default: `now`, or when the existing appointment was booked.")
    timezone: schemas.Zone | None = Field(None, description="Where it takes place. Default: the workspace's zone.")
    event_type: schemas.ShortName | None = None
    event_name: schemas.Name | None = None
    service: schemas.Name | None = None
    staff: schemas.Name | None = None
    render: bool = Field(False, description="Whether to write out what each reminder would say.")
    policy: GivenPolicy = Field(None, description="A preset's name, or rules of its own.")
    settings: SettingsFields | None = Field(None, description="Reminder settings to try out, over those in force.")
    contact: PersonDraft | None = Field(
        None, description="Left out with `contactId` and `appointmentId`: somebody who can be reached on every channel."
    )
    contact_id: schemas.ContactId | None = None
    appointment_id: schemas.AppointmentId | None = Field(None, description="An existing one, to be planned anew.")
    kind: Literal["appointment", "booking"] | None = Field(
        None, description="Which route it would come in by: that decides the usual policy. Default: `appointment`."
    )

    @model_validator(mode="after")
    def _has_start(self) -> "Simulate":
        if self.starts is None and self.appointment_id is None:
            raise about(("appointmentDateTime",), "is required without appointmentId")
        return self


class StepView(ApiModel):
    """How a reminder's time came about."""

    step: str
    text: str
    at: str | None


class LineView(ApiModel):
    """A reminder. ``because`` is ``reason`` in words: why it would not be sent."""

    reminder_type: str
    kind: str
    channel: str
    scheduled_for: str
    event_time: str
    recipient_time: str
    valid_until: str
    will_be_sent: bool
    reason: str | None
    because: str | None
    subject: str | None = Field(description="Of an email; with `render`.")
    text: str | None = Field(description="What it would say; with `render`.")
    steps: list[StepView]


class ClockView(ApiModel):
    """The clocks of a zone change between the booking and the appointment."""

    timezone: str
    at: str
    text: str


class Timeline(ApiModel):
    """What would be planned, and in which zones."""

    model_config = ConfigDict(json_schema_extra=example(examples.TIMELINE))

    now: str
    booked_at: str
    appointment_date_time: str
    timezone: str
    recipient_timezone: str
    event_time: str
    recipient_time: str
    policy: str
    summary: str
    reminders: list[LineView]
    clock_changes: list[ClockView]


@endpoint(
    blueprint,
    "POST",
    "/simulate",
    body=Simulate,
    answer=Timeline,
    summary="Try out which reminders an appointment would have",
    tag=TAG,
    errors=(404,),
)
def simulate_appointment(caller: Caller, payload: Simulate) -> Timeline:
    """Every reminder with its time in both zones, whether it would be sent, and step by step why. It is the planner of
    the real appointments that answers. Nothing is stored.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)
    now, wish = clock.now(), _wish(payload, clock.now())
    if abs(wish.now - now) > MAX_SKEW:
        raise invalid_field("now" if payload.now else "bookedAt", "is more than 50 years away")

    # In a transaction that is rolled back, because the choice of a sender may add one to the sandbox.
    def work(session: Session) -> tuple[Simulation, list[Composed]]:
        ensure_workspace(session, workspace_id)
        result = simulation.simulate(session, workspace_id, wish)
        return result, simulation.texts(session, workspace_id, result) if payload.render else []

    result, texts = write(work, keep=False)
    return _view(result, texts, wish, payload)


def _wish(payload: Simulate, now: datetime) -> Wish:
    booked_at = payload.booked_at.at if payload.booked_at else None
    at = payload.now.at if payload.now else max(now, booked_at or now)
    policy = payload.policy
    return Wish(
        now=at,
        starts_at=payload.starts.at if payload.starts else None,
        booked_at=booked_at,
        timezone=payload.timezone,
        event_type=payload.event_type,
        event_name=payload.event_name,
        service=payload.service,
        staff=payload.staff,
        policy=policy if policy is None or policy in list(PRESETS) else parse_policy(policy),
        settings=payload.settings.checked(payload.settings.model_fields_set, "settings.") if payload.settings else {},
        contact_id=payload.contact_id,
        person=payload.contact.model_dump(exclude_unset=True, by_alias=False) if payload.contact else None,
        appointment_id=payload.appointment_id,
        source=SOURCES[payload.kind] if payload.kind else None,
    )


def _view(result: Simulation, texts: list[Composed], wish: Wish, payload: Simulate) -> Timeline:
    starts_at, zones = result.appointment.starts_at, (result.event_zone, result.recipient_zone)
    sent = sum(line.reason is None for line in result.lines)
    return Timeline(
        now=utc_text(wish.now),
        booked_at=utc_text(result.appointment.booked_at),
        appointment_date_time=payload.starts.text if payload.starts else result.appointment.starts_text,
        timezone=zones[0].key,
        recipient_timezone=zones[1].key,
        event_time=when(starts_at, zones[0]),
        recipient_time=when(starts_at, zones[1]),
        policy=result.policy,
        summary=f"{sent} of {len(result.lines)} reminders would be sent.",
        reminders=[_line(line, text, *zones) for line, text in zip_longest(result.lines, texts)],
        clock_changes=[_clock(zone, change) for zone, change in result.changes],
    )


def _line(line: Line, text: Composed | None, event_zone: ZoneInfo, recipient_zone: ZoneInfo) -> LineView:
    planned = line.planned
    return LineView(
        reminder_type=outside_name(planned.reminder_type),
        kind=planned.kind,
        channel=planned.channel,
        scheduled_for=utc_text(planned.due_at),
        event_time=when(planned.due_at, event_zone),
        recipient_time=when(planned.due_at, recipient_zone),
        valid_until=utc_text(planned.valid_until),
        will_be_sent=line.reason is None,
        reason=line.reason,
        because=REASON[line.reason] if line.reason else None,
        subject=text.subject if text else None,
        text=text.body if text else None,
        steps=[StepView(step=one["step"], text=one["text"], at=one.get("at")) for one in line.steps],
    )


def _clock(zone: ZoneInfo, change: ClockChange) -> ClockView:
    way = "forward" if change.after > change.before else "back"
    text = (
        f"On {change.before:%A} {change.before.day} {change.before:%B} {change.before.year} at {change.before:%H:%M} "
        f"the clocks in {zone.key} go {way} to {change.after:%H:%M}."
    )
    return ClockView(timezone=zone.key, at=utc_text(change.at), text=text)
