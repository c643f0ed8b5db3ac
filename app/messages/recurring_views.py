"""Recurring messages: a route that the seed leaves out, in its style."""

from functools import partial
from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy.orm import Session

from app import clock
from app.api import dry_run, idempotency
from app.api.auth import Caller
from app.api.body import ApiModel, about, example
from app.api.endpoint import dump, endpoint
from app.api.idempotency import Outcome
from app.channels.phone import channel_of
from app.errors import invalid_field
from app.messages import examples, recurring, schemas, service
from app.messages.models import Recurrence
from app.messages.recurrence import RecurrenceError, Rule, next_runs
from app.messages.senders import SenderBook

blueprint = Blueprint("recurring", __name__, url_prefix="/api/trigger")
TAG = "Recurring messages"


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a whole number")
    return value


Cron = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    Field(description="Minute, hour, day of the month, month, day of the week.", examples=["0 9 * * MON"]),
]
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), Field(examples=["2026-12-25"])]
Count = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_whole)]
Zone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    Field(description="An IANA time zone; its daylight saving time is followed.", examples=["Europe/Berlin"]),
]


class ScheduleRecurring(schemas.Content):
    """A message that goes out again and again: ``cron`` or ``crons``, read on the clocks of ``timezone``."""

    model_config = ConfigDict(json_schema_extra=example(examples.SCHEDULE_RECURRING))

    workspace_id: schemas.WorkspaceId
    cron: Cron | None = None
    crons: Annotated[list[Cron], Field(min_length=1, max_length=24)] | None = Field(
        None, description="Several of them, for several times a day."
    )
    timezone: Zone
    until: schemas.Time | None = Field(None, description="Nothing is sent after this instant.")
    count: Count | None = Field(None, description="It ends after so many messages.")
    skip_dates: list[Day] = Field(
        default_factory=list, max_length=366, description="Days of the zone's calendar on which nothing is sent."
    )

    @model_validator(mode="after")
    def _one_of(self) -> "ScheduleRecurring":
        if (self.cron is None) == (self.crons is None):
            raise about(("cron", "crons"), "give either cron or crons")
        return self


class WorkspaceRef(ApiModel):
    """Which workspace; not needed with an API key."""

    model_config = ConfigDict(json_schema_extra=example(examples.WORKSPACE))

    workspace_id: schemas.WorkspaceId | None = None


class RecurringState(ApiModel):
    """A recurring message; ``nextRuns`` are its next three times on its own clock."""

    model_config = ConfigDict(json_schema_extra=example(examples.RECURRING_STATE))

    recurring_id: str
    status: Literal["active", "paused", "cancelled", "completed"]
    next_runs: list[str]


class RecurringItem(RecurringState):
    """A recurring message in a list."""

    model_config = ConfigDict(json_schema_extra=example(examples.RECURRING_LIST["recurring"][0]))

    to: str
    from_number: str
    body: str
    media_url: list[str]
    crons: list[str]
    timezone: str
    until: str | None
    count: int | None
    skip_dates: list[str]
    created_at: str


class RecurringList(ApiModel):
    """The recurring messages of a workspace, newest first."""

    model_config = ConfigDict(json_schema_extra=example(examples.RECURRING_LIST))

    recurring: list[RecurringItem]


@endpoint(
    blueprint,
    "POST",
    "/schedule-recurring",
    body=ScheduleRecurring,
    answer=RecurringState,
    status=202,
    creates=True,
    summary="Send a message again and again",
    tag=TAG,
)
def schedule_recurring(caller: Caller, payload: ScheduleRecurring) -> Outcome:
    """Store the rule; each occurrence becomes a message of its own."""
    workspace_id = caller.workspace(payload.workspace_id)
    service.check_recipient(payload.to)
    rule = _rule(payload)

    def work(session: Session) -> Outcome:
        # In here, because a repeated request still gets its first answer when the last run is over.
        if not next_runs(rule, clock.now(), 1):
            raise invalid_field("until" if rule.until else "skipDates", "leaves no time at which this would be sent")
        sender = SenderBook(session, workspace_id).choose(payload.to, payload.from_number)
        row = recurring.new_row(
            workspace_id, channel_of(payload.to), payload.to, sender, payload.body, payload.media_url, rule
        )
        stored = recurring.create(session, row)
        return Outcome(dump(_state(row)), lambda: service.announce(stored))

    return idempotency.once(
        workspace_id, "schedule-recurring", idempotency.header_key(), partial(schemas.plain, payload), work
    )


def _rule(payload: ScheduleRecurring) -> Rule:
    try:
        return Rule.parse(
            cron=payload.cron,
            crons=payload.crons,
            timezone=payload.timezone,
            until=payload.until.at if payload.until else None,
            count=payload.count,
            skip_dates=payload.skip_dates,
        )
    except RecurrenceError as error:
        raise invalid_field(error.field, error.message) from None


@endpoint(
    blueprint,
    "GET",
    "/recurring",
    query=WorkspaceRef,
    answer=RecurringList,
    summary="The recurring messages of a workspace",
    tag=TAG,
    errors=(404,),
)
def list_recurring(caller: Caller, payload: WorkspaceRef) -> RecurringList:
    """At most 1,000, newest first."""
    rows = recurring.in_workspace(caller.existing_workspace(payload.workspace_id))
    return RecurringList(recurring=[_item(row) for row in rows])


@endpoint(
    blueprint,
    "POST",
    "/recurring/<recurring_id>/<any(pause, resume, cancel):action>",
    answer=RecurringState,
    optional_body=WorkspaceRef,
    summary="Pause, resume or cancel a recurring message",
    tag=TAG,
    errors=(404, 409),
)
def change_recurring(caller: Caller, payload: WorkspaceRef, recurring_id: str, action: str) -> RecurringState:
    """Repeating an action gives the same answer."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    return _state(recurring.change(workspace_id, recurring_id, action, keep=not dry_run.requested()))


def _state(row: Recurrence) -> RecurringState:
    return RecurringState(recurring_id=row.id, status=row.status, next_runs=recurring.upcoming(row))


def _item(row: Recurrence) -> RecurringItem:
    return RecurringItem(
        **dict(_state(row)),
        to=row.to_address,
        from_number=row.from_address,
        body=row.body,
        media_url=row.media_urls,
        crons=row.crons,
        timezone=row.timezone,
        until=row.until.isoformat() if row.until else None,
        count=row.count,
        skip_dates=row.skip_dates,
        created_at=row.created_at.isoformat(timespec="milliseconds"),
    )
