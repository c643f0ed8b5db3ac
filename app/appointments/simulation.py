"""A plan tried out: the planner on any clock, in any zone, with drafts of settings; nothing of it is stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.appointments import service
from app.appointments.models import Appointment
from app.appointments.workspace_planner import Planner
from app.contacts import service as contacts
from app.contacts.models import Contact
from app.errors import invalid_field
from app.message_templates import service as templates
from app.message_templates.service import Composed
from app.messages.rendering import facts_of
from app.messages.service import MAX_AHEAD
from app.messages.states import Reason
from app.messages.words import REASON
from app.reminders import settings as reminder_settings
from app.reminders import tracker
from app.reminders.models import ReminderSettings
from app.reminders.planner import Planned, Step
from app.reminders.policy import Policy
from app.workspaces.models import Workspace
from app.zones import ClockChange, clock_changes

NOBODY = "0" * 32
SOMEBODY: Mapping[str, str] = {
    "first_name": "Alex",
    "last_name": "Smith",
    "phone": "+15005550006",
    "email": "somebody@example.com",
}
"""The person of a simulation that names none: one who can be reached on every channel."""
MAX_SKEW = timedelta(days=366 * 50)
"""How far a tried-out clock may be from ours: the calendar has ends."""
Record = TypeVar("Record", Appointment, Contact)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be tried out. What is None is the existing appointment's, where there is one, or else usual."""

    now: datetime
    starts_at: datetime | None = None
    booked_at: datetime | None = None
    timezone: str | None = None
    event_type: str | None = None
    event_name: str | None = None
    service: str | None = None
    staff: str | None = None
    policy: str | Policy | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Columns of `ReminderSettings`, checked."""
    contact_id: str | None = None
    person: Mapping[str, str | None] | None = None
    """``timezone``, ``phone``, ``email``: those that are given."""
    appointment_id: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A reminder, and why it would not be sent."""

    planned: Planned
    reason: Reason | None
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Simulation:
    """A timeline. ``changes``: the clocks that change between the booking and the appointment, by zone."""

    appointment: Appointment
    contact: Contact
    policy: str
    event_zone: ZoneInfo
    recipient_zone: ZoneInfo
    lines: Sequence[Line]
    changes: Sequence[tuple[ZoneInfo, ClockChange]]


def simulate(session: Session, workspace_id: str, wish: Wish) -> Simulation:
    """What would be planned.

    Raises:
        Invalid: naming the field. NotFound: there is no such appointment.
    """
    appointment, contact = _subject(session, workspace_id, wish)
    _check(appointment, wish)
    settings = _settings(session, workspace_id, wish)
    if isinstance(wish.policy, Policy):
        appointment.policy = None
    planner = Planner(session, workspace_id, settings)
    marked = tracker.marked_types(session, workspace_id, [appointment.public_id]) if wish.appointment_id else {}
    planned = planner.plan(appointment, contact, wish.now, marked.get(appointment.public_id, ()))
    opted_out = _opted_out(session, workspace_id, planner.addresses(appointment))
    zones = planner.zone_of(appointment), planner.recipient_zone(contact)
    return Simulation(
        appointment=appointment,
        contact=contact,
        policy=planner.policy_of(appointment).name,
        event_zone=zones[0],
        recipient_zone=zones[1],
        lines=[_line(planner, appointment, one, opted_out) for one in planned],
        changes=[
            (zone, change)
            for zone in dict.fromkeys(zones)
            for change in clock_changes(zone, appointment.booked_at, appointment.starts_at)
        ],
    )


def texts(session: Session, workspace_id: str, simulation: Simulation) -> list[Composed]:
    """What each line of a timeline would say at its time."""
    workspace = session.get_one(Workspace, workspace_id)
    book = templates.book(session, [workspace_id], [line.planned.kind for line in simulation.lines])
    appointment, contact = simulation.appointment, simulation.contact
    return [
        templates.compose(
            book.choose(workspace_id, one.kind, one.channel, appointment.event_type),
            facts_of(workspace, contact, appointment, one.channel, one.due_at),
        )
        for one in (line.planned for line in simulation.lines)
    ]


def _settings(session: Session, workspace_id: str, wish: Wish) -> reminder_settings.Settings:
    """Those in force with some changed; the workspace's row stays as it is."""
    row = reminder_settings.stored(session, workspace_id)
    values = {name: getattr(row, name) for name in reminder_settings.DEFAULTS} | dict(wish.settings)
    settings = reminder_settings.of_row(ReminderSettings(workspace_id=workspace_id, **values))
    if isinstance(wish.policy, Policy):
        return replace(settings, policy=wish.policy, event_policies={})
    return settings


def _line(planner: Planner, appointment: Appointment, planned: Planned, opted_out: Iterable[str]) -> Line:
    reason = planner.draft(appointment, planned).skipped
    if reason is None and planned.channel in opted_out:
        reason = Reason.OPTED_OUT
    said = planned.reason is not None or reason is None
    steps = planned.steps if said else (*planned.steps, {"step": "address", "text": REASON[reason or ""]})
    return Line(planned, reason, steps)


def _subject(session: Session, workspace_id: str, wish: Wish) -> tuple[Appointment, Contact]:
    """The appointment and the person, as copies that no session knows."""
    booked_at = wish.booked_at or wish.now
    if wish.appointment_id is not None:
        found, person = service.find(session, workspace_id, wish.appointment_id)
        appointment, contact = _copy(found), _copy(person)
        booked_at = wish.booked_at or found.booked_at
    else:
        source = wish.source or "api"
        appointment = Appointment(id=NOBODY, workspace_id=workspace_id, public_id="new", source=source, revision=1)
        contact = Contact(id=NOBODY, workspace_id=workspace_id, first_name="", last_name="", fields={})
        for field_name, known in (SOMEBODY if wish.person is None else {}).items():
            setattr(contact, field_name, known)
    if wish.contact_id is not None:
        same = (Contact.workspace_id == workspace_id, Contact.public_id == wish.contact_id)
        named = session.scalar(select(Contact).where(*same))
        if named is None:
            raise invalid_field("contactId", "is no contact of this workspace")
        contact = _copy(named)
    for name, value in (wish.person or {}).items():
        setattr(contact, name, value)
    if wish.appointment_id is None or wish.contact_id is not None:
        appointment.phone, appointment.email = contact.phone, contact.email
    for name in ("phone", "email"):
        if name in (wish.person or {}):
            setattr(appointment, name, getattr(contact, name))
    appointment.booked_at = booked_at
    given: dict[str, Any] = {"starts_at": wish.starts_at, "timezone": wish.timezone, "event_type": wish.event_type}
    given |= {"event_name": wish.event_name, "service": wish.service, "staff": wish.staff}
    given |= {"policy": wish.policy if isinstance(wish.policy, str) else None, "source": wish.source}
    for name, value in given.items():
        if value is not None:
            setattr(appointment, name, value)
    return appointment, contact


def _copy(row: Record) -> Record:
    fields = {attribute.key: getattr(row, attribute.key) for attribute in type(row).__mapper__.column_attrs}
    return type(row)(**fields)


def _check(appointment: Appointment, wish: Wish) -> None:
    service.check_start(appointment.starts_at, wish.now, "appointmentDateTime")
    if appointment.booked_at > wish.now:
        raise invalid_field("bookedAt", "is later than now")
    if appointment.booked_at < appointment.starts_at - MAX_AHEAD:
        raise invalid_field("bookedAt", "is more than two years before the appointment")


def _opted_out(session: Session, workspace_id: str, addresses: Mapping[str, str | None]) -> list[str]:
    return [
        channel
        for channel, address in addresses.items()
        if address and session.scalar(select(contacts.is_suppressed(workspace_id, channel, address)))
    ]
