"""Seed 000's task over HTTP, and seed 003's cron: what other programs call."""

from functools import partial
from typing import Annotated, Any

from flask import Blueprint
from pydantic import ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy.orm import Session

from app import clock
from app.api import dry_run, idempotency
from app.api.auth import Caller
from app.api.body import ApiModel, about, example
from app.api.endpoint import endpoint
from app.api.idempotency import Outcome
from app.appointments import cron, examples, schemas, service
from app.appointments.service import Booking, Person
from app.errors import Unauthorized
from app.messages.schemas import Time, WorkspaceId, plain

tasks = Blueprint("tasks", __name__, url_prefix="/api/v1/tasks")
crons = Blueprint("crons", __name__, url_prefix="/api/cron")
TAG = "Tasks and crons"
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,255}$")]


class Payload(ApiModel):
    """Seed 000's five fields."""

    model_config = ApiModel.model_config | {"arbitrary_types_allowed": True}

    appointment_id: schemas.AppointmentId
    workspace_id: WorkspaceId
    contact_id: schemas.ContactId
    appointment_date_time: Time
    event_name: schemas.Name | None = None


class Options(ApiModel):
    """What Trigger.dev calls options; one of them means something here, and two do no harm."""

    idempotency_key: IdempotencyKey | None = None
    tags: list[Annotated[str, StringConstraints(max_length=128)]] | None = Field(None, max_length=10)
    metadata: dict[str, Any] | None = None


class Trigger(ApiModel):
    """The task's payload, flat as seed 000 posts it, or with ``options`` beside it."""

    model_config = ConfigDict(json_schema_extra=example(examples.TRIGGER))
    inlined = frozenset({"payload"})

    payload: Payload
    options: Options = Field(default_factory=Options)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "payload" in value:
            return value
        if "options" in value:
            raise about(("payload",), "is required beside options")
        return {"payload": value}


class Run(ApiModel):
    """A bare object, as the hosted service answers."""

    model_config = ConfigDict(json_schema_extra=example(examples.RUN))

    id: str


class CronRun(ApiModel):
    """How many meetings were in the window, how many reminders that made, and how many meetings needed none."""

    model_config = ConfigDict(json_schema_extra=example(examples.CRON))

    checked: int
    scheduled: int
    skipped: int
    failed: int


@endpoint(
    tasks,
    "POST",
    "/schedule-appointment-reminders/trigger",
    body=Trigger,
    answer=Run,
    creates=True,
    bare=True,
    summary="Plan an appointment's reminders",
    tag=TAG,
    errors=(409,),
)
def trigger_appointment_reminders(caller: Caller, payload: Trigger) -> Outcome:
    """An appointment that we have gets the plan that it lacks, or the new time; one that we do not have is made, for a
    contact that we have. The same request again is the same run, with the same ``id``.
    """
    data = payload.payload
    workspace_id = caller.workspace(data.workspace_id)

    def work(session: Session) -> Outcome:
        service.check_start(data.appointment_date_time.at, clock.now(), "appointmentDateTime")
        booked = service.book(
            session,
            workspace_id,
            Booking(
                public_id=data.appointment_id,
                person=Person(contact_id=data.contact_id),
                starts_at=data.appointment_date_time.at,
                starts_text=data.appointment_date_time.text,
                source="trigger",
                event_name=data.event_name,
            ),
        )
        run = Run(id=f"run_{booked.appointment.public_id}_{booked.appointment.revision}")
        return Outcome(run.model_dump(by_alias=True), booked.diff.announce)

    key = idempotency.header_key() or payload.options.idempotency_key
    return idempotency.once(workspace_id, "schedule-appointment-reminders", key, partial(plain, payload), work)


def _run_cron(caller: Caller, payload: schemas.Which) -> CronRun:
    if caller.workspace_id is None:
        raise Unauthorized("The cron needs an API key: Authorization: Bearer KEY.")
    workspace_id = caller.existing_workspace(payload.workspace_id)
    result = cron.run(clock.now(), workspace_id, keep=not dry_run.requested())
    return CronRun(checked=result.checked, scheduled=result.scheduled, skipped=result.skipped, failed=result.failed)


@endpoint(
    crons,
    "GET",
    "/meeting-reminders",
    query=schemas.Which,
    answer=CronRun,
    summary="See that tomorrow's meetings have their reminders",
    tag=TAG,
    errors=(404,),
)
def check_meetings(caller: Caller, payload: schemas.Which) -> CronRun:
    """Seed 003's cron, which also runs by itself every 30 minutes: meetings that begin in 24 hours, an hour more or
    less, and have not been planned. Again is harmless.
    """
    return _run_cron(caller, payload)


@endpoint(
    crons,
    "POST",
    "/meeting-reminders",
    optional_body=schemas.Which,
    answer=CronRun,
    summary="The same by POST",
    tag=TAG,
    errors=(404,),
)
def check_meetings_again(caller: Caller, payload: schemas.Which) -> CronRun:
    """As by GET."""
    return _run_cron(caller, payload)
