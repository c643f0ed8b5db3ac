"""Appointments and their reminders as the API shows them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app import clock
from app.appointments import schemas, service
from app.appointments.diff import Diff, Entry
from app.appointments.models import Appointment
from app.appointments.service import Booked
from app.contacts.models import Contact
from app.ids import message_id
from app.messages.models import Message
from app.messages.service import Draft, Stored
from app.messages.states import Status, reminder_state
from app.reminders.policy import outside_name
from app.workspaces.models import Workspace


def utc_text(at: datetime) -> str:
    """An instant as seed 004 writes it: UTC, ending in Z, whole seconds where it has no more."""
    return at.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def person(contact: Contact, appointment: Appointment) -> schemas.PersonView:
    """The contact, with the number and address of this appointment."""
    name = f"{contact.first_name} {contact.last_name}".strip()
    return schemas.PersonView(contact_id=contact.public_id, name=name, phone=appointment.phone, email=appointment.email)


def reminder(message: Message, now: datetime) -> schemas.ReminderView:
    """A reminder in the words of the seeds."""
    return schemas.ReminderView(
        job_id=message.job_id,
        message_id=message_id(message.id),
        reminder_type=outside_name(message.reminder_type or ""),
        channel=message.channel,
        state=reminder_state(Status(message.status), message.scheduled_at, now),
        status=message.status,
        scheduled_for=utc_text(message.due_at),
        valid_until=utc_text(message.valid_until),
        sent_at=utc_text(message.sent_at) if message.sent_at else None,
        reason=message.reason,
    )


def _written(stored: Stored, draft: Draft, now: datetime) -> schemas.ReminderView:
    """A reminder that was planned in this very transaction."""
    status = Status.SKIPPED if draft.skipped else Status.SCHEDULED
    return schemas.ReminderView(
        job_id=stored.job_id,
        message_id=message_id(stored.id),
        reminder_type=outside_name((draft.origin.reminder_type if draft.origin else None) or ""),
        channel=stored.channel,
        state=reminder_state(status, draft.due_at, now),
        status=status,
        scheduled_for=utc_text(draft.due_at),
        valid_until=utc_text(draft.valid_until),
        sent_at=None,
        reason=draft.skipped,
    )


def booked(session: Session, result: Booked) -> schemas.Changed:
    """An appointment after a change. A first plan is shown as it was written, without reading it back."""
    now = clock.now()
    written = sorted(result.diff.written, key=lambda pair: (pair[1].due_at, pair[0].job_id))
    reminders = [_written(stored, draft, now) for stored, draft in written] or None
    shown = appointment(session, result.appointment, result.contact, reminders)
    return schemas.Changed(**shown, **diff(result.diff))


def appointment(
    session: Session, row: Appointment, contact: Contact, reminders: list[schemas.ReminderView] | None = None
) -> dict[str, Any]:
    """An appointment with its plan: the fields of `schemas.AppointmentView`."""
    now = clock.now()
    if reminders is None:
        reminders = [reminder(message, now) for message in service.reminders_of(session, row)]
    zone = ZoneInfo(row.timezone or session.get_one(Workspace, row.workspace_id).timezone)
    local = row.starts_at.astimezone(zone)
    return {
        "id": row.public_id,
        "appointment_id": row.public_id,
        "booking_id": row.public_id,
        "workspace_id": row.workspace_id,
        "contact_id": contact.public_id,
        "contact": person(contact, row),
        "appointment_date_time": row.starts_text,
        "date": f"{local:%Y-%m-%d}",
        "time": f"{local:%H:%M}",
        "timezone": zone.key,
        "ends_at": utc_text(row.ends_at) if row.ends_at else None,
        "event_type": row.event_type,
        "event_name": row.event_name,
        "service": row.service,
        "staff": row.staff,
        "location": row.location,
        "status": row.status,
        "source": row.source,
        "policy": row.policy,
        "revision": row.revision,
        "metadata": row.extra,
        "created_at": utc_text(row.created_at),
        "updated_at": utc_text(row.updated_at),
        "cancelled_at": utc_text(row.cancelled_at) if row.cancelled_at else None,
        "reminders": reminders,
    }


def diff(changes: Diff) -> dict[str, list[schemas.DiffEntry]]:
    """What a change did to the reminders: the fields that `schemas.Changed` adds."""
    return {
        "moved": _entries(changes.moved),
        "added": _entries(changes.added),
        "cancelled": _entries(changes.cancelled),
        "already_sent": _entries(changes.already_sent),
    }


def _entries(entries: Iterable[Entry]) -> list[schemas.DiffEntry]:
    return [
        schemas.DiffEntry(
            job_id=entry.job_id,
            reminder_type=outside_name(entry.reminder_type),
            channel=entry.channel,
            scheduled_for=utc_text(entry.due_at),
            was_scheduled_for=utc_text(entry.was_due_at) if entry.was_due_at else None,
            reason=entry.reason,
        )
        for entry in sorted(entries, key=lambda entry: (entry.due_at, entry.job_id))
    ]
