"""/api/reminders: the ledger of seed 003 over HTTP, for reminders that others send."""

from functools import partial
from typing import Annotated

from flask import Blueprint
from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from app.api import dry_run, idempotency
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import dump, endpoint
from app.api.idempotency import Outcome
from app.channels.phone import Channel
from app.database import write
from app.messages import schemas
from app.messages.schemas import WorkspaceId
from app.reminders import examples, tracker
from app.reminders.tracker import Key

blueprint = Blueprint("reminder_ledger", __name__, url_prefix="/api/reminders")
TAG = "Reminder ledger"
MOST_LISTED = 1000

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
EntityType = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$"),
    Field(description="What it is about: MEETING, CHECKIN, WORKOUT, MEAL_PREP, or a word of your own."),
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE)]
ReminderType = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$"),
    Field(description="24h, 1h, 1w, 1d, weekly, or a word of your own. 24hr is the same as 24h, 60m as 1h."),
]
Occurrence = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE),
    Field(description="Which one of several, such as a date, where the entity repeats itself."),
]


class Entity(ApiModel):
    """What was reminded of."""

    workspace_id: WorkspaceId | None = None
    entity_type: EntityType
    entity_id: Text


class Mark(Entity):
    """What is to be sent once."""

    model_config = ConfigDict(json_schema_extra=example(examples.MARK))

    reminder_type: ReminderType
    user_id: Text
    channel: Channel | None = None
    occurrence: Occurrence | None = None

    def key(self, workspace_id: str) -> Key:
        """As the ledger compares it."""
        names = ("entity_type", "entity_id", "reminder_type", "user_id", "channel", "occurrence")
        return Key.of(workspace_id, **{name: getattr(self, name) for name in names})


class Cleanup(ApiModel):
    """What is old."""

    model_config = ConfigDict(json_schema_extra=example({"days": tracker.KEEP_DAYS}))

    workspace_id: WorkspaceId | None = None
    days: Annotated[int, Field(strict=True, ge=1, le=36_500, description="What is younger stays.")] = tracker.KEEP_DAYS


class _Echo(ApiModel):
    entity_type: str
    entity_id: str
    reminder_type: str
    user_id: str
    channel: str | None
    occurrence: str | None


class Marked(_Echo):
    """The answer to one who marks; the other fields are the request's."""

    model_config = ConfigDict(json_schema_extra=example(examples.MARKED))

    should_send: bool = Field(description="Whether you are the first, and so are to send it.")


class WasSent(_Echo):
    """Whether it was sent."""

    model_config = ConfigDict(json_schema_extra=example(examples.WAS_SENT))

    was_sent: bool


class Released(_Echo):
    """Whether there was a mark to take back."""

    model_config = ConfigDict(json_schema_extra=example(examples.RELEASED))

    released: bool


class SentReminder(ApiModel):
    """A reminder that was sent; its type in its one form."""

    reminder_type: str
    user_id: str
    sent_at: str
    channel: str | None
    occurrence: str | None


class SentReminders(ApiModel):
    """The reminders of an entity, oldest first; ``more`` if there are others after them."""

    model_config = ConfigDict(json_schema_extra=example(examples.SENT_REMINDERS))

    reminders: list[SentReminder]
    more: bool


class CleanedUp(ApiModel):
    """How many were deleted; ``more`` if the rest has to wait for another call."""

    model_config = ConfigDict(json_schema_extra=example(examples.CLEANED_UP))

    deleted: int
    message: str
    more: bool


@endpoint(
    blueprint,
    "POST",
    "/mark",
    body=Mark,
    answer=Marked,
    creates=True,
    summary="Mark a reminder as sent, and learn whether to send it",
    tag=TAG,
)
def mark_reminder(caller: Caller, payload: Mark) -> Outcome:
    """Of all who ask at once, and of all who ask later, exactly one hears `shouldSend: true`. Of an appointment of ours
    nobody does while its own reminder is planned or was sent. With an Idempotency-Key the one may ask again.
    """
    workspace_id = caller.workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        first = tracker.mark(session, payload.key(workspace_id))
        return Outcome(dump(Marked(**_echo(payload), should_send=first)))

    return idempotency.once(
        workspace_id, "mark-reminder", idempotency.header_key(), partial(schemas.plain, payload), work
    )


@endpoint(
    blueprint,
    "GET",
    "/was-sent",
    query=Mark,
    answer=WasSent,
    summary="Whether a reminder was sent",
    tag=TAG,
    errors=(404,),
)
def was_reminder_sent(caller: Caller, payload: Mark) -> WasSent:
    """It was marked, or it is one of ours and went out."""
    key = payload.key(caller.existing_workspace(payload.workspace_id))
    return WasSent(**_echo(payload), was_sent=tracker.was_reminder_sent(**key.row()))


@endpoint(
    blueprint,
    "GET",
    "/sent",
    query=Entity,
    answer=SentReminders,
    summary="The reminders of an entity that were sent",
    tag=TAG,
    errors=(404,),
)
def list_sent_reminders(caller: Caller, payload: Entity) -> SentReminders:
    """Those that were marked, and ours that went out; the first 1,000."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    found = tracker.get_reminders_sent_for_entity(
        payload.entity_type, payload.entity_id, workspace_id=workspace_id, limit=MOST_LISTED + 1
    )
    return SentReminders(
        reminders=[
            SentReminder(
                reminder_type=one.reminder_type,
                user_id=one.user_id,
                sent_at=one.sent_at.isoformat(timespec="milliseconds"),
                channel=one.channel or None,
                occurrence=one.occurrence or None,
            )
            for one in found[:MOST_LISTED]
        ],
        more=len(found) > MOST_LISTED,
    )


@endpoint(
    blueprint,
    "POST",
    "/cleanup",
    body=Cleanup,
    answer=CleanedUp,
    summary="Delete old marks",
    tag=TAG,
    errors=(404,),
)
def cleanup_reminders(caller: Caller, payload: Cleanup) -> CleanedUp:
    """Those of the workspace that are older than so many days, but none of an appointment that is still to come. With
    90 days it also happens by itself, every day.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)
    deleted = tracker.cleanup_old_reminders(payload.days, workspace_id=workspace_id, keep=not dry_run.requested())
    more = deleted >= tracker.BATCH * tracker.MOST_BATCHES
    return CleanedUp(deleted=deleted, message=tracker.cleaned_up(deleted), more=more)


@endpoint(
    blueprint,
    "POST",
    "/release",
    body=Mark,
    answer=Released,
    summary="Take a mark back",
    tag=TAG,
    errors=(404,),
)
def release_reminder(caller: Caller, payload: Mark) -> Released:
    """After a failure that is certain, so that the next who marks it may send it."""
    key = payload.key(caller.existing_workspace(payload.workspace_id))
    released = write(lambda session: tracker.release(session, key), keep=not dry_run.requested())
    return Released(**_echo(payload), released=released)


def _echo(payload: Mark) -> dict[str, str | None]:
    """The request's own words: ``24hr`` comes back as it was written."""
    return {name: getattr(payload, name) for name in _Echo.model_fields}
