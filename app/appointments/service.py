"""Booking, changing and cancelling appointments: each is one transaction, with the plan of reminders in it.

Functions take the caller's session; what they return says what is to be announced once it is committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app import clock, ids
from app.appointments import planning
from app.appointments.diff import Diff
from app.appointments.models import Appointment
from app.appointments.workspace_planner import Planner
from app.contacts import service as contacts
from app.contacts.models import Contact
from app.database import insert_ignore
from app.errors import Conflict, NotFound, invalid_field
from app.messages.models import Message
from app.messages.service import MAX_AHEAD
from app.messages.states import Reason, Status
from app.workspaces.models import Workspace

OPEN = ("PENDING", "CONFIRMED")
"""The states in which an appointment is reminded of (seed 003)."""
OVER = {"CANCELLED": Reason.APPOINTMENT_CANCELLED, "COMPLETED": Reason.SUPERSEDED, "NO_SHOW": Reason.SUPERSEDED}
PLANNED_BY = frozenset({"starts_at", "timezone", "event_type", "policy", "phone", "email", "contact_id"})
"""What the plan follows from: a change of anything else changes no time, and texts are written when they are sent."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an appointment is with: a contact that we know, or how the person can be reached."""

    contact_id: str | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """An appointment as it was asked for, checked."""

    public_id: str | None
    person: Person
    starts_at: datetime
    starts_text: str
    source: str
    ends_at: datetime | None = None
    timezone: str | None = None
    event_type: str | None = None
    event_name: str | None = None
    service: str | None = None
    staff: str | None = None
    location: str | None = None
    status: str = "PENDING"
    policy: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Booked:
    """An appointment, its person, and what became of its plan."""

    appointment: Appointment
    contact: Contact
    diff: Diff


def check_start(starts_at: datetime, now: datetime, name: str) -> None:
    """An appointment begins in the future, and not more than two years ahead.

    Raises:
        Invalid: naming the field.
    """
    if starts_at <= now:
        raise invalid_field(name, "is in the past")
    if starts_at > now + MAX_AHEAD:
        raise invalid_field(name, "is more than two years ahead")


def local_start(session: Session, workspace_id: str, day: str, time: str, timezone: str | None) -> datetime:
    """Seed 000's ``date`` and ``time``, read in the zone of the appointment or else of the workspace.

    A wall time that the clocks show twice is its first pass; one that they leave out does not exist.

    Raises:
        Invalid: there is no such time there.
    """
    zone = ZoneInfo(timezone or session.get_one(Workspace, workspace_id).timezone)
    try:
        return on_the_clock(datetime.fromisoformat(f"{day}T{time}"), zone)
    except ValueError as error:
        raise invalid_field("time", str(error)) from None


def on_the_clock(written: datetime, zone: ZoneInfo) -> datetime:
    """A wall time as the instant at which a clock in the zone shows it, the first of two.

    Raises:
        ValueError: no clock there ever shows it; with a sentence that follows the name of the field.
    """
    local = written.replace(tzinfo=zone)
    try:
        shown = local.astimezone(UTC).astimezone(zone)
    except OverflowError:  # the first and the last hours of the calendar
        raise ValueError("is outside of the calendar") from None
    if shown.replace(tzinfo=None) != written:
        raise ValueError(f"does not exist on that day in {zone.key}: the clocks go forward")
    return local


def book(session: Session, workspace_id: str, booking: Booking) -> Booked:
    """Store an appointment and its plan. The same id again is the same appointment: changed if it says something
    else, and otherwise left as it is (seed 004: "same id if the booking is created many times").

    Raises:
        Invalid: the contact is unknown, or there is no way to reach the person. Conflict: it was cancelled.
    """
    now = clock.now()
    contact = _contact(session, workspace_id, booking.person)
    row_id = ids.new_id()
    prefix = "booking" if booking.source == "booking" else "appointment"
    appointment = Appointment(
        id=row_id,
        workspace_id=workspace_id,
        public_id=booking.public_id or f"{prefix}_{row_id}",
        contact_id=contact.id,
        phone=booking.person.phone or contact.phone,
        email=booking.person.email or contact.email,
        revision=1,
        booked_at=now,
        created_at=now,
        updated_at=now,
        extra=booking.metadata,
        **{name: getattr(booking, name) for name in _SHARED},
    )
    if booking.public_id is None:
        session.add(appointment)
        session.flush()
    elif not insert_ignore(session, Appointment, [_row(appointment)], returning=Appointment.id):
        return _book_again(session, workspace_id, booking.public_id, booking)
    else:
        appointment = session.get_one(Appointment, row_id)
    planner = Planner(session, workspace_id)
    diff = planning.first_plan(session, planner, appointment, contact, now)
    return Booked(appointment, contact, diff)


_SHARED = tuple(item.name for item in fields(Booking) if item.name not in ("public_id", "person", "metadata"))


def _row(appointment: Appointment) -> dict[str, Any]:
    return {
        attribute.key: getattr(appointment, attribute.key)
        for attribute in Appointment.__mapper__.column_attrs
        if attribute.key not in ("cancelled_at",)
    }


def _book_again(session: Session, workspace_id: str, public_id: str, booking: Booking) -> Booked:
    given = {name: getattr(booking, name) for name in _SHARED if name not in ("status", "source")}
    changes = {name: value for name, value in given.items() if value is not None}
    return change(session, workspace_id, public_id, changes | {"person": booking.person})


def find(session: Session, workspace_id: str, public_id: str) -> tuple[Appointment, Contact]:
    """An appointment and its person.

    Raises:
        NotFound: there is none of this id in the workspace.
    """
    row = session.execute(
        select(Appointment, Contact)
        .join(Contact, Contact.id == Appointment.contact_id)
        .where(Appointment.workspace_id == workspace_id, Appointment.public_id == public_id)
    ).one_or_none()
    if row is None:
        raise _not_found()
    return row[0], row[1]


def change(session: Session, workspace_id: str, public_id: str, changes: dict[str, Any]) -> Booked:
    """Change an appointment; where that touches its plan, it gets a new one.

    ``changes``: attributes by name, ``person`` (`Person`) and ``status`` among them; what equals the present is none.

    Raises:
        NotFound: no such appointment. Conflict: it was cancelled. Invalid: the new time is past.
    """
    now = clock.now()
    appointment = planning.lock(session, workspace_id, public_id)
    if appointment is None:
        raise _not_found()
    contact = session.get_one(Contact, appointment.contact_id)
    status = changes.pop("status", None)
    person: Person | None = changes.pop("person", None)
    if person is not None:
        contact = _move_person(session, appointment, contact, person, changes)
    changed = {name: value for name, value in changes.items() if getattr(appointment, name) != value}
    if appointment.status == "CANCELLED":
        if (changed.keys() - {"starts_text"}) or status not in (None, "CANCELLED"):
            raise Conflict("The appointment was cancelled; book a new one.", code="already_cancelled")
        return Booked(appointment, contact, Diff())
    if "starts_at" in changed:
        check_start(changed["starts_at"], now, "appointmentDateTime")
        if appointment.ends_at is not None and "ends_at" not in changed:
            changed["ends_at"] = changed["starts_at"] + (appointment.ends_at - appointment.starts_at)
    for name, value in changed.items():
        setattr(appointment, name, value)
    if changed or (status is not None and status != appointment.status):
        appointment.updated_at = now
    if status == "CANCELLED":
        return cancel(session, workspace_id, public_id)
    was_open = appointment.status in OPEN
    appointment.status = status or appointment.status
    if appointment.status not in OPEN:
        diff = planning.call_off(session, appointment, OVER[appointment.status], now) if was_open else Diff()
    elif changed.keys() & PLANNED_BY or not was_open:
        diff = planning.replan(session, Planner(session, workspace_id), appointment, contact, now)
    else:
        diff = Diff()
    session.flush()
    return Booked(appointment, contact, diff)


def _move_person(
    session: Session, appointment: Appointment, contact: Contact, person: Person, changes: dict[str, Any]
) -> Contact:
    if person.contact_id not in (None, contact.public_id):
        contact = _contact(session, appointment.workspace_id, person)
        changes |= {"contact_id": contact.id, "phone": contact.phone, "email": contact.email}
    # A new number or address is this appointment's only; the contact keeps its own.
    given = {"phone": person.phone, "email": person.email}
    changes |= {name: value for name, value in given.items() if value is not None}
    return contact


def cancel(session: Session, workspace_id: str, public_id: str) -> Booked:
    """Cancel an appointment: nothing that waits goes out any more, and the person hears of it. Again is the same.

    Raises:
        NotFound: no such appointment.
    """
    now = clock.now()
    appointment = planning.lock(session, workspace_id, public_id)
    if appointment is None:
        raise _not_found()
    contact = session.get_one(Contact, appointment.contact_id)
    if appointment.status == "CANCELLED":
        return Booked(appointment, contact, Diff())
    was_open = appointment.status in OPEN
    appointment.status = "CANCELLED"
    appointment.cancelled_at = appointment.updated_at = now
    diff = planning.call_off(session, appointment, Reason.APPOINTMENT_CANCELLED, now)
    planner = Planner(session, workspace_id)
    if was_open and planner.settings.send_cancellation and appointment.starts_at > now:
        until = min(appointment.starts_at, now + timedelta(hours=24))
        diff.stored = planning.add_notice(session, planner, appointment, planning.CANCELLATION, now, until)
    session.flush()
    return Booked(appointment, contact, diff)


def reminders_of(session: Session, appointment: Appointment) -> Sequence[Message]:
    """The reminders of the present plan in the order in which they are due; not those that were called off."""
    return session.scalars(
        select(Message)
        .where(
            Message.appointment_id == appointment.id,
            Message.plan_revision == appointment.revision,
            Message.reminder_type.is_not(None),
            Message.status != Status.CANCELLED,
        )
        .order_by(Message.due_at, Message.job_id)
    ).all()


def page(
    session: Session,
    workspace_id: str,
    *,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    contact_id: str | None,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[tuple[Appointment, Contact]]:
    """Appointments by their start, by keyset."""
    query = (
        select(Appointment, Contact)
        .join(Contact, Contact.id == Appointment.contact_id)
        .where(Appointment.workspace_id == workspace_id)
        .order_by(Appointment.starts_at, Appointment.id)
        .limit(limit)
    )
    if status is not None:
        query = query.where(Appointment.status == status)
    if since is not None:
        query = query.where(Appointment.starts_at >= since)
    if until is not None:
        query = query.where(Appointment.starts_at < until)
    if contact_id is not None:
        query = query.where(Contact.public_id == contact_id)
    if after is not None:
        query = query.where(tuple_(Appointment.starts_at, Appointment.id) > after)
    return [(row[0], row[1]) for row in session.execute(query)]


def _contact(session: Session, workspace_id: str, person: Person) -> Contact:
    """Whom it is with, held against being changed or erased until the transaction ends: a new number reaches either
    this appointment or, afterwards, the plan that it has by then.

    Raises:
        Invalid: nobody whom we know, and no way to reach them.
    """
    contacts.check_phone(person.phone)
    for _ in range(2):  # whoever was erased between the two statements is somebody new
        contact = _found_or_made(session, workspace_id, person)
        held = select(Contact).where(Contact.id == contact.id, Contact.erased_at.is_(None)).with_for_update(read=True)
        if session.scalar(held.execution_options(populate_existing=True)) is not None:
            return contact
        session.expunge(contact)
    raise Conflict("The contact is being erased.", code="contact_erased")


def _found_or_made(session: Session, workspace_id: str, person: Person) -> Contact:
    if person.contact_id is not None:
        contact = session.scalar(
            select(Contact).where(
                Contact.workspace_id == workspace_id,
                Contact.public_id == person.contact_id,
                Contact.erased_at.is_(None),
            )
        )
        if contact is not None:
            return contact
        if person.phone is None and person.email is None:
            raise invalid_field("contactId", "is no contact of this workspace; give a phone or email to make one")
    if person.phone is None and person.email is None:
        raise invalid_field("phone", "a phone number, an email or a known contactId is needed")
    return contacts.find_or_create(
        session,
        workspace_id,
        phone=person.phone,
        email=person.email,
        name=person.name,
        first_name=person.first_name,
        last_name=person.last_name,
        public_id=person.contact_id,
    )


def _not_found() -> NotFound:
    return NotFound("There is no such appointment in this workspace.")
