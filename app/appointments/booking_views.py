"""/api/bookings and /api/queue/stats: seed 004's routes, over the same table as the appointments."""

from datetime import timedelta
from typing import Literal

from flask import Blueprint
from pydantic import ConfigDict, RootModel
from sqlalchemy import ColumnElement, case, func, select

from app import clock
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import endpoint
from app.api.idempotency import Outcome
from app.appointments import examples, presenting, schemas, service, views
from app.database import reading
from app.messages.models import Message
from app.messages.states import ACCEPTED, IN_FLIGHT, Status, reminder_state

blueprint = Blueprint("bookings", __name__, url_prefix="/api")
TAG = "Bookings"
COMPLETED_KEPT = timedelta(seconds=86_400)
FAILED_KEPT = timedelta(seconds=604_800)
"""Seed 004's ``removeOnComplete`` and ``removeOnFail``: how long its queue counts what is over."""


class Reminder(ApiModel):
    """A reminder in seed 004's three fields."""

    job_id: str
    state: Literal["waiting", "active", "completed", "failed", "delayed"]
    scheduled_for: str


class Reminders(RootModel[list[Reminder]]):
    """A bare array, as the seed prints it."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.update(examples=[examples.REMINDERS]))


class Stats(ApiModel):
    """The workspace's messages as seed 004's queue counts them."""

    model_config = ConfigDict(json_schema_extra=example(examples.STATS))

    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int


@endpoint(
    blueprint,
    "POST",
    "/bookings",
    body=schemas.NewBooking,
    answer=schemas.Changed,
    status=201,
    creates=True,
    summary="Make a booking and plan its reminders",
    tag=TAG,
    errors=(409,),
)
def create_booking(caller: Caller, payload: schemas.NewBooking) -> Outcome:
    """Reminded every two hours from the booking to the appointment, unless the workspace, the ``eventType`` or
    ``policy`` says otherwise. The same ``bookingId`` again is the same booking, with the same jobs.
    """
    return views.make(caller, payload, "booking", "bookings")


@endpoint(
    blueprint,
    "GET",
    "/bookings/<booking_id>",
    query=schemas.Which,
    answer=schemas.AppointmentView,
    summary="One booking with its reminders",
    tag=TAG,
    errors=(404,),
)
def read_booking(caller: Caller, payload: schemas.Which, booking_id: str) -> schemas.AppointmentView:
    """As an appointment of the same id."""
    return views.shown(caller, payload, booking_id)


@endpoint(
    blueprint,
    "PATCH",
    "/bookings/<booking_id>",
    body=schemas.Change,
    answer=schemas.Changed,
    summary="Change or move a booking, and its reminders with it",
    tag=TAG,
    errors=(404, 409),
)
def change_booking(caller: Caller, payload: schemas.Change, booking_id: str) -> Outcome:
    """As an appointment of the same id."""
    return views.alter(caller, payload, booking_id)


@endpoint(
    blueprint,
    "DELETE",
    "/bookings/<booking_id>",
    query=schemas.Which,
    answer=schemas.Changed,
    summary="Cancel a booking and all its pending reminders",
    tag=TAG,
    errors=(404,),
)
def cancel_booking(caller: Caller, payload: schemas.Which, booking_id: str) -> Outcome:
    """The person gets a confirmation of the cancellation. Again gives the same answer."""
    return views.call_off(caller, payload, booking_id)


@endpoint(
    blueprint,
    "GET",
    "/bookings/<booking_id>/reminders",
    query=schemas.Which,
    answer=Reminders,
    bare=True,
    summary="The reminders of a booking",
    tag=TAG,
    errors=(404,),
)
def list_reminders(caller: Caller, payload: schemas.Which, booking_id: str) -> Reminders:
    """A bare array. Those that were called off are not in it; ``failed`` are also those that will not be sent."""
    now = clock.now()
    with reading() as session:
        row, _ = service.find(session, caller.existing_workspace(payload.workspace_id), booking_id)
        return Reminders(
            [
                Reminder(
                    job_id=message.job_id,
                    state=reminder_state(Status(message.status), message.scheduled_at, now),
                    scheduled_for=presenting.utc_text(message.due_at),
                )
                for message in service.reminders_of(session, row)
            ]
        )


@endpoint(
    blueprint,
    "GET",
    "/queue/stats",
    query=schemas.Which,
    answer=Stats,
    bare=True,
    summary="How many messages wait, run and are over",
    tag=TAG,
    errors=(404,),
)
def read_stats(caller: Caller, payload: schemas.Which) -> Stats:
    """A bare object about this workspace, from the database: ``completed`` of the last day, ``failed`` of the last
    seven.
    """
    now = clock.now()
    scheduled = Message.status == Status.SCHEDULED
    counted: dict[str, ColumnElement[bool]] = {
        "waiting": scheduled & (Message.scheduled_at <= now),
        "active": Message.status.in_(IN_FLIGHT),
        "completed": Message.status.in_(ACCEPTED) & (Message.finished_at >= now - COMPLETED_KEPT),
        "failed": Message.status.in_((Status.FAILED, Status.SKIPPED)) & (Message.finished_at >= now - FAILED_KEPT),
        "delayed": scheduled & (Message.scheduled_at > now),
    }
    query = select(*(func.count(case((condition, 1))).label(name) for name, condition in counted.items()))
    query = query.where(Message.workspace_id == caller.existing_workspace(payload.workspace_id))
    with reading() as session:
        return Stats(**session.execute(query).one()._mapping)
