"""GET /api/upcoming: what will go out in the next hours."""

from datetime import timedelta
from typing import Annotated

from flask import Blueprint
from pydantic import ConfigDict, Field

from app import clock
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import endpoint
from app.database import reading
from app.ids import message_id
from app.messages import examples, reading_views, schemas, upcoming
from app.messages.upcoming import Item

blueprint = Blueprint("upcoming", __name__, url_prefix="/api")
MAX_HOURS = 24 * 31


class UpcomingQuery(ApiModel):
    """How far to look; ``limit`` at a time, on from ``cursor``."""

    workspace_id: schemas.WorkspaceId | None = None
    hours: Annotated[int, Field(ge=1, le=MAX_HOURS)] = 24
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: reading_views.Cursor | None = None


class UpcomingItem(ApiModel):
    """A message that waits, or an occurrence of a recurring one that has no job yet."""

    job_id: str | None
    message_id: str | None
    recurring_id: str | None
    to: str
    channel: str
    scheduled_for: str
    expected_at: str = Field(description="Later than `scheduledFor` for a retry, or where its sender has others first.")
    kind: str | None = Field(description="The template that it is written from.")
    reminder_type: str | None
    appointment_id: str | None
    contact_id: str | None
    attempts: int
    preview: str | None = Field(description="The beginning of its text; null where it is written when it is sent.")


class UpcomingPage(ApiModel):
    """A page, the earliest first; ``nextCursor`` is null on the last one."""

    model_config = ConfigDict(json_schema_extra=example(examples.UPCOMING))

    upcoming: list[UpcomingItem]
    next_cursor: str | None
    is_complete: bool = Field(description="False where only the first 1,000 recurring messages were worked out.")


@endpoint(
    blueprint,
    "GET",
    "/upcoming",
    query=UpcomingQuery,
    answer=UpcomingPage,
    summary="What will go out in the next hours",
    tag=reading_views.TAG,
    errors=(404,),
)
def list_upcoming(caller: Caller, payload: UpcomingQuery) -> UpcomingPage:
    """Messages of every kind in order of time, and the runs of recurring messages, which get their jobs 15 minutes
    ahead.
    """
    now = clock.now()
    after = reading_views.read_cursor(payload.cursor) if payload.cursor is not None else None
    workspace_id = caller.existing_workspace(payload.workspace_id)
    until = now + timedelta(hours=payload.hours)
    with reading() as session:
        page = upcoming.page(session, workspace_id, now=now, until=until, after=after, limit=payload.limit)
    return UpcomingPage(
        upcoming=[_item(one) for one in page.items],
        next_cursor=reading_views.cursor(*page.items[-1].place) if page.has_more else None,
        is_complete=page.is_complete,
    )


def _item(item: Item) -> UpcomingItem:
    message, row = item.message, item.row
    return UpcomingItem(
        job_id=message.job_id if message else None,
        message_id=message_id(message.id) if message else None,
        recurring_id=message.recurrence_id if message else row.id,
        to=row.to_address,
        channel=row.channel,
        scheduled_for=item.due_at.isoformat(timespec="milliseconds"),
        expected_at=item.expected_at.isoformat(timespec="milliseconds"),
        kind=message.kind if message else None,
        reminder_type=message.reminder_type if message else None,
        appointment_id=item.appointment_id,
        contact_id=item.contact_id,
        attempts=message.attempt if message else 0,
        preview=item.preview,
    )
