"""/api/appointments: making, reading, changing and cancelling."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from flask import Blueprint
from sqlalchemy.orm import Session

from app import clock
from app.api import dry_run, idempotency
from app.api.auth import Caller
from app.api.endpoint import dump, endpoint
from app.api.idempotency import Outcome
from app.appointments import presenting, schemas, service
from app.appointments.models import Appointment
from app.appointments.service import Booked, Booking, Person
from app.contacts.models import Contact
from app.database import reading, write
from app.messages.schemas import plain

blueprint = Blueprint("appointments", __name__, url_prefix="/api/appointments")
TAG = "Appointments"
_PLAIN = ("timezone", "event_type", "event_name", "service", "staff", "location", "policy")


@endpoint(
    blueprint,
    "POST",
    "",
    body=schemas.NewAppointment,
    answer=schemas.Changed,
    status=201,
    creates=True,
    summary="Make an appointment and plan its reminders",
    tag=TAG,
    errors=(409,),
)
def create_appointment(caller: Caller, payload: schemas.NewAppointment) -> Outcome:
    """The contact is found by its id, its phone number or its email address, and made where there is none. The same
    ``appointmentId`` again is the same appointment: moved if it says another time.
    """
    return make(caller, payload, "api", "appointments")


def make(caller: Caller, payload: schemas.NewAppointment | schemas.NewBooking, source: str, route: str) -> Outcome:
    """Store an appointment or booking, its contact and its plan, in one transaction."""
    workspace_id = caller.workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        starts_at, starts_text = _start(session, workspace_id, payload)
        booking = Booking(
            public_id=payload.appointment_id,
            person=_person(payload),
            starts_at=starts_at,
            starts_text=starts_text,
            ends_at=starts_at + payload.lasts if payload.lasts else None,
            status=payload.status,
            source=source,
            metadata=payload.metadata or {},
            **{name: getattr(payload, name) for name in _PLAIN},
        )
        service.check_start(starts_at, clock.now(), "appointmentDateTime")
        return _outcome(session, service.book(session, workspace_id, booking))

    return idempotency.once(workspace_id, route, idempotency.header_key(), partial(plain, payload), work)


@endpoint(
    blueprint,
    "GET",
    "",
    query=schemas.AppointmentQuery,
    answer=schemas.AppointmentPage,
    summary="Appointments by their start",
    tag=TAG,
    errors=(404,),
)
def list_appointments(caller: Caller, payload: schemas.AppointmentQuery) -> schemas.AppointmentPage:
    """Keyset pages, the earliest first; ``from`` is inclusive, ``until`` is not."""
    after = None
    if payload.cursor is not None:
        micros, _, row_id = payload.cursor.partition("-")
        after = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros)), row_id
    with reading() as session:
        rows = service.page(
            session,
            caller.existing_workspace(payload.workspace_id),
            status=payload.status,
            since=payload.from_.at if payload.from_ else None,
            until=payload.until.at if payload.until else None,
            contact_id=payload.contact_id,
            after=after,
            limit=payload.limit + 1,
        )
    shown = rows[: payload.limit]
    following = _cursor(shown[-1][0]) if len(rows) > payload.limit else None
    return schemas.AppointmentPage(appointments=[_summary(*row) for row in shown], next_cursor=following)


def _cursor(row: Appointment) -> str:
    return f"{(row.starts_at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)}-{row.id}"


def _summary(row: Appointment, contact: Contact) -> schemas.Summary:
    return schemas.Summary(
        id=row.public_id,
        appointment_id=row.public_id,
        contact=presenting.person(contact, row),
        appointment_date_time=row.starts_text,
        event_type=row.event_type,
        event_name=row.event_name,
        service=row.service,
        staff=row.staff,
        status=row.status,
        revision=row.revision,
    )


@endpoint(
    blueprint,
    "GET",
    "/<appointment_id>",
    query=schemas.Which,
    answer=schemas.AppointmentView,
    summary="One appointment with its reminders",
    tag=TAG,
    errors=(404,),
)
def read_appointment(caller: Caller, payload: schemas.Which, appointment_id: str) -> schemas.AppointmentView:
    """Reminders that were called off are not shown; those that will not be sent say why."""
    return shown(caller, payload, appointment_id)


def shown(caller: Caller, payload: schemas.Which, appointment_id: str) -> schemas.AppointmentView:
    """An appointment or booking as it stands."""
    with reading() as session:
        found = service.find(session, caller.existing_workspace(payload.workspace_id), appointment_id)
        return schemas.AppointmentView(**presenting.appointment(session, *found))


@endpoint(
    blueprint,
    "PATCH",
    "/<appointment_id>",
    body=schemas.Change,
    answer=schemas.Changed,
    summary="Change or move an appointment",
    tag=TAG,
    errors=(404, 409),
)
def change_appointment(caller: Caller, payload: schemas.Change, appointment_id: str) -> Outcome:
    """One transaction: when it is answered, nothing of the old plan can go out any more, and ``moved``, ``added``,
    ``cancelled`` and ``alreadySent`` say what became of it.
    """
    return alter(caller, payload, appointment_id)


def alter(caller: Caller, payload: schemas.Change, appointment_id: str) -> Outcome:
    """Change an appointment or booking."""
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        changes: dict[str, Any] = {name: getattr(payload, name) for name in _PLAIN if name in payload.model_fields_set}
        if payload.metadata is not None:
            changes["extra"] = payload.metadata
        if payload.starts is not None or payload.day is not None:
            changes["starts_at"], changes["starts_text"] = _start(session, workspace_id, payload)
        if payload.lasts is not None:
            starts_at = changes.get("starts_at") or service.find(session, workspace_id, appointment_id)[0].starts_at
            changes["ends_at"] = starts_at + payload.lasts
        changes |= {"person": _person(payload), "status": payload.status}
        return _outcome(session, service.change(session, workspace_id, appointment_id, changes))

    return _committed(work)


@endpoint(
    blueprint,
    "DELETE",
    "/<appointment_id>",
    query=schemas.Which,
    answer=schemas.Changed,
    summary="Cancel an appointment",
    tag=TAG,
    errors=(404,),
)
def cancel_appointment(caller: Caller, payload: schemas.Which, appointment_id: str) -> Outcome:
    """Nothing that waits goes out any more, and the person is told. Again gives the same answer."""
    return call_off(caller, payload, appointment_id)


def call_off(caller: Caller, payload: schemas.Which, appointment_id: str) -> Outcome:
    """Cancel an appointment or booking."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    return _committed(lambda session: _outcome(session, service.cancel(session, workspace_id, appointment_id)))


def _committed(work: Any) -> Outcome:
    keep = not dry_run.requested()
    outcome: Outcome = write(work, keep=keep)
    if keep:
        outcome.after_commit()
    return outcome


def _outcome(session: Session, booked: Booked) -> Outcome:
    return Outcome(dump(presenting.booked(session, booked)), booked.diff.announce)


def _start(session: Session, workspace_id: str, payload: Any) -> tuple[datetime, str]:
    if payload.starts is not None:
        return payload.starts.at, payload.starts.text
    local = service.local_start(session, workspace_id, payload.day, payload.time, payload.timezone)
    return local, local.isoformat()


def _person(payload: schemas.PersonFields) -> Person:
    return Person(
        contact_id=payload.contact_id,
        name=payload.name,
        first_name=payload.first_name,
        last_name=payload.last_name,
        phone=payload.phone,
        email=payload.email,
    )
