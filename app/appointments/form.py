"""Booking by a stranger: what the public form lets through, whom it books for, and how often.

Anybody can type anybody's number here. So the contact that is found keeps what is known of it, a message goes only to
an address that was typed or that the contact had, and the counts are taken while the workspace's row is held.
"""

from datetime import UTC, datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app import clock
from app.appointments import service
from app.appointments.form_schemas import Request
from app.appointments.models import Appointment
from app.appointments.service import Booked, Booking, Person
from app.channels.phone import country_of, read_typed
from app.contacts import service as contacts
from app.contacts.models import Consent, Contact
from app.database import reading
from app.errors import Invalid, NotFound, TooManyRequests, invalid_field
from app.extensions import settings
from app.ids import WORKSPACE_ID
from app.workspaces.booking_form import KEY, BookingForm, booking_form
from app.workspaces.models import Sender, Workspace

SOURCE = "form"
WINDOW = timedelta(hours=24)


def load(workspace_id: str) -> tuple[Workspace, BookingForm]:
    """A workspace whose form is on, and the form with the countries that it takes.

    Raises:
        NotFound: there is no such workspace, or its form is off: the two look the same.
    """
    if not WORKSPACE_ID.fullmatch(workspace_id):
        raise NotFound("There is no booking form at this address.")
    with reading() as session:
        workspace = session.get(Workspace, workspace_id)
        form = booking_form(workspace) if workspace is not None else BookingForm()
        if workspace is None or not form.enabled:
            raise NotFound("There is no booking form at this address.")
        if not form.countries:
            form = form.model_copy(update={"countries": _home(session, workspace)})
        return workspace, form


def only_workspace() -> str:
    """The workspace whose form is on, where there is exactly one.

    Raises:
        NotFound: there is none, or several.
    """
    is_on = Workspace.settings[(KEY, "enabled")].as_boolean().is_(True)
    with reading() as session:
        found = session.scalars(select(Workspace.id).where(is_on).limit(2)).all()
    if len(found) != 1:
        raise NotFound("There is no booking form at this address.")
    return found[0]


def _home(session: Session, workspace: Workspace) -> list[str]:
    """The country of the number that a workspace sends from."""
    senders = session.scalars(
        select(Sender.address)
        .where(Sender.workspace_id == workspace.id, Sender.channel != "email")
        .order_by(Sender.created_at, Sender.id)
    )
    for address in (workspace.default_sender, *senders, settings().twilio_from_number):
        if address and (country := country_of(address)):
            return [country]
    return []


def check(form: BookingForm, zone: ZoneInfo, asked: Request, now: datetime) -> tuple[str | None, datetime]:
    """Judge a request by the form's rules; returns the number in E.164 form and the start in the workspace's zone.

    Raises:
        Invalid: with every field at fault.
    """
    wrong: dict[str, list[str]] = {}
    phone, starts = None, None
    try:
        phone = read_typed(asked.phone, form.countries) if asked.phone is not None else None
    except ValueError as error:
        wrong["phone"] = [str(error)]
    try:
        starts = _start(form, zone, asked, now)
    except Invalid as error:
        wrong |= error.fields
    for name, choices in (("service", form.services), ("staff", form.staff)):
        given = getattr(asked, name)
        if given is not None and given not in choices:
            wrong[name] = ["is none of those that are offered"]
    if form.services and asked.service is None:
        wrong["service"] = ["is required"]
    if form.consent_text and not asked.consent:
        wrong["consent"] = ["is required"]
    if wrong or starts is None:
        raise Invalid(f"Some fields are not valid: {', '.join(wrong)}.", fields=wrong)
    return phone, starts


def _start(form: BookingForm, zone: ZoneInfo, asked: Request, now: datetime) -> datetime:
    whole = asked.appointment_date_time
    day_field, time_field = ("date", "time") if whole is None else ("appointmentDateTime", "appointmentDateTime")
    written = datetime.fromisoformat(whole or f"{asked.day}T{asked.time}")
    try:
        starts = written.astimezone(zone) if written.tzinfo else service.on_the_clock(written, zone)
        ahead = starts.astimezone(UTC) - now
    except ValueError as error:
        raise invalid_field(time_field, str(error)) from None
    except OverflowError:  # the last hours of the year 9999
        raise invalid_field(day_field, "is outside of the calendar") from None
    if ahead <= timedelta(0):
        raise invalid_field(day_field, "is in the past")
    if ahead < timedelta(minutes=form.min_notice_minutes):
        raise invalid_field(time_field, f"must be at least {form.min_notice_minutes} minutes from now")
    if ahead > timedelta(days=form.max_days_ahead):
        raise invalid_field(day_field, f"must be within {form.max_days_ahead} days")
    if form.open_from and starts.time() < time.fromisoformat(form.open_from):
        raise invalid_field(time_field, f"must not be before {form.open_from}")
    if form.open_until and starts.time() > time.fromisoformat(form.open_until):
        raise invalid_field(time_field, f"must not be after {form.open_until}")
    return starts


def book(session: Session, workspace_id: str, form: BookingForm, asked: Request) -> Booked:
    """Make the appointment, its contact and its plan.

    Raises:
        Invalid: with every field at fault. TooManyRequests: a limit of the form is reached.
    """
    now = clock.now()
    # Held until the end, so that of several at once each sees what the others have made. Not a lock that keeps rows
    # that refer to the workspace from being written.
    workspace = session.scalars(
        select(Workspace).where(Workspace.id == workspace_id).with_for_update(key_share=True)
    ).one()
    phone, starts = check(form, ZoneInfo(workspace.timezone), asked, now)
    _check_limits(session, workspace_id, form, phone, asked.email, now)
    contact = _contact(session, workspace_id, asked.name, phone, asked.email)
    notes = {"name": asked.name} | ({"notes": asked.notes} if asked.notes else {})
    booked = service.book(
        session,
        workspace_id,
        Booking(
            public_id=None,
            # The number and address as typed; one that differs from the contact's own gets nothing about the contact.
            person=Person(
                contact_id=contact.public_id, phone=phone, email=asked.email if contact.email is None else None
            ),
            starts_at=starts,
            starts_text=starts.isoformat(),
            source=SOURCE,
            event_type=form.event_type,
            event_name=form.event_name or asked.service,
            service=asked.service,
            staff=asked.staff,
            metadata=notes,
        ),
    )
    if asked.consent:
        session.add(
            Consent(workspace_id=workspace_id, contact_id=contact.id, kind="informational", source="booking_form")
        )
        session.flush()
    return booked


def _check_limits(
    session: Session, workspace_id: str, form: BookingForm, phone: str | None, email: str | None, now: datetime
) -> None:
    """Counted in the database, cancelled ones too: these limits hold whatever becomes of Redis.

    Raises:
        TooManyRequests: with the seconds until there is room again.
    """
    limits: list[tuple[int, list[ColumnElement[bool]]]] = [(form.per_day, [])]
    limits += [(form.per_number, [Appointment.phone == phone])] if phone else []
    limits += [(form.per_number, [Appointment.email == email])] if email else []
    for limit, conditions in limits:
        oldest = session.scalar(
            select(Appointment.created_at)
            .where(Appointment.workspace_id == workspace_id, Appointment.source == SOURCE, *conditions)
            .where(Appointment.created_at > now - WINDOW)
            .order_by(Appointment.created_at.desc())
            .offset(limit - 1)
            .limit(1)
        )
        if oldest is not None:
            error = TooManyRequests("There are too many bookings at the moment; please call us, or try again later.")
            error.headers["Retry-After"] = str(ceil((oldest + WINDOW - now).total_seconds()))
            raise error


def _contact(session: Session, workspace_id: str, name: str, phone: str | None, email: str | None) -> Contact:
    """The person with this number or else this address, if nothing that was typed speaks against it; a new one else."""
    mine = Contact.workspace_id == workspace_id
    by_phone = session.scalar(select(Contact).where(mine, Contact.phone == phone)) if phone else None
    by_email = session.scalar(select(Contact).where(mine, Contact.email == email)) if email else None
    if by_phone is not None:
        return by_phone
    if by_email is not None and (phone is None or by_email.phone is None):
        return by_email
    known_email = None if by_email is not None else email
    return contacts.find_or_create(session, workspace_id, phone=phone, email=known_email, name=name)
