"""Reading messages back: a list by time, and one message with everything that happened to it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app import clock
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import endpoint
from app.api.fields import WorkspaceQuery, time_text
from app.channels.twilio_errors import explain
from app.database import reading
from app.errors import NotFound, invalid_field
from app.ids import message_id
from app.messages import examples, schemas
from app.messages.models import Attempt, DeliveryEvent, Message
from app.messages.states import Status, job_status, message_status

blueprint = Blueprint("messages", __name__, url_prefix="/api/messages")
TAG = "Messages"

StatusWord = Literal[
    "scheduled", "sending", "unknown", "sent", "delivered", "undelivered", "read", "failed", "skipped", "cancelled"
]


class MessageQuery(ApiModel):
    """Which messages to list: the latest due first, ``limit`` at a time, on from ``cursor``."""

    workspace_id: schemas.WorkspaceId | None = None
    status: StatusWord | None = None
    to: schemas.Address | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}-[0-9a-f]{32}$")] | None = None


class MessageItem(ApiModel):
    """A message as it stands. ``state`` is the finest word, ``status`` and ``messageStatus`` are job-status's."""

    message_id: str
    job_id: str
    to: str
    from_number: str
    body: str
    media_url: list[str]
    status: schemas.JobStatus
    message_status: schemas.MessageStatus
    state: StatusWord
    reason: str | None
    scheduled_time: str
    next_attempt_at: str | None
    slot_at: str | None = Field(
        description="It is due, and waits for its sender's turn, which is expected at this time (`SENDER_RATE`)."
    )
    valid_until: str
    sent_at: str | None
    finished_at: str | None
    attempts: int
    segments: int
    provider: str | None
    provider_message_id: str | None
    provider_status: str | None
    error_code: int | None
    error_message: str | None
    explanation: str | None = Field(description="What the error code means, in plain words.")
    recurring_id: str | None
    reference: str | None
    metadata: dict[str, Any]
    created_at: str


class AttemptItem(ApiModel):
    """One try."""

    number: int
    provider: str
    started_at: str
    finished_at: str | None
    outcome: str | None
    http_status: int | None
    error_code: int | None
    error_message: str | None
    provider_message_id: str | None


class ReportItem(ApiModel):
    """One report of the provider."""

    status: str
    error_code: int | None
    received_at: str


class MessagePage(ApiModel):
    """A page of messages; ``nextCursor`` is null on the last one."""

    model_config = ConfigDict(json_schema_extra=example(examples.MESSAGE_PAGE))

    messages: list[MessageItem]
    next_cursor: str | None


class MessageStory(MessageItem):
    """A message with its tries and the provider's reports."""

    model_config = ConfigDict(json_schema_extra=example(examples.MESSAGE_STORY))

    tries: list[AttemptItem]
    reports: list[ReportItem]


@endpoint(
    blueprint,
    "GET",
    "",
    query=MessageQuery,
    answer=MessagePage,
    summary="The messages of a workspace",
    tag=TAG,
    errors=(404,),
)
def list_messages(caller: Caller, payload: MessageQuery) -> MessagePage:
    """Keyset pages: the thousandth costs what the first does."""
    query = (
        select(Message)
        .where(Message.workspace_id == caller.existing_workspace(payload.workspace_id))
        .order_by(Message.due_at.desc(), Message.id.desc())
        .limit(payload.limit + 1)
    )
    if payload.status is not None:
        query = query.where(Message.status == payload.status)
    if payload.to is not None:
        query = query.where(Message.to_address == payload.to)
    if payload.cursor is not None:
        due_at, row_id = _read_cursor(payload.cursor)
        query = query.where(tuple_(Message.due_at, Message.id) < tuple_(due_at, row_id))
    with reading() as session:
        rows = list(session.scalars(query))
    page = rows[: payload.limit]
    more = len(rows) > payload.limit
    return MessagePage(
        messages=[MessageItem(**_item(row)) for row in page],
        next_cursor=_cursor(page[-1]) if more else None,
    )


@endpoint(
    blueprint,
    "GET",
    "/<message_id>",
    query=WorkspaceQuery,
    answer=MessageStory,
    summary="One message, with its tries and reports",
    tag=TAG,
    errors=(404,),
)
def read_message(caller: Caller, payload: WorkspaceQuery, message_id: str) -> MessageStory:
    """By message id (``msg_…``) or job id."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        row = _find(session, workspace_id, message_id)
        tries = session.scalars(select(Attempt).where(Attempt.message_id == row.id).order_by(Attempt.number)).all()
        reports = session.scalars(
            select(DeliveryEvent)
            .where(DeliveryEvent.message_id == row.id)
            .order_by(DeliveryEvent.received_at, DeliveryEvent.id)
        ).all()
    return MessageStory(
        **_item(row),
        tries=[
            AttemptItem(
                number=attempt.number,
                provider=attempt.provider,
                started_at=time_text(attempt.started_at) or "",
                finished_at=time_text(attempt.finished_at),
                outcome=attempt.outcome,
                http_status=attempt.http_status,
                error_code=attempt.error_code,
                error_message=attempt.error_message,
                provider_message_id=attempt.provider_message_id,
            )
            for attempt in tries
        ],
        reports=[
            ReportItem(status=event.status, error_code=event.error_code, received_at=time_text(event.received_at) or "")
            for event in reports
        ],
    )


def _find(session: Session, workspace_id: str, public_id: str) -> Message:
    named = (
        Message.id == public_id.removeprefix("msg_") if public_id.startswith("msg_") else Message.job_id == public_id
    )
    row = session.scalar(select(Message).where(Message.workspace_id == workspace_id, named))
    if row is None:
        raise NotFound("There is no such message in this workspace.")
    return row


def _item(row: Message) -> dict[str, Any]:
    state = Status(row.status)
    waiting = state is Status.SCHEDULED
    return {
        "message_id": message_id(row.id),
        "job_id": row.job_id,
        "to": row.to_address,
        "from_number": row.from_address,
        "body": row.body,
        "media_url": row.media_urls,
        "status": job_status(state, row.due_at, clock.now()),
        "message_status": message_status(state),
        "state": state.value,
        "reason": row.reason,
        "scheduled_time": row.due_text,
        "next_attempt_at": time_text(row.slot_at or row.scheduled_at) if waiting else None,
        "slot_at": time_text(row.slot_at) if waiting else None,
        "valid_until": time_text(row.valid_until),
        "sent_at": time_text(row.sent_at),
        "finished_at": time_text(row.finished_at),
        "attempts": row.attempt,
        "segments": row.segments,
        "provider": row.provider,
        "provider_message_id": row.provider_message_id,
        "provider_status": row.provider_status,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "explanation": explain(row.error_code) if row.error_code else None,
        "recurring_id": row.recurrence_id,
        "reference": row.reference,
        "metadata": row.extra,
        "created_at": time_text(row.created_at),
    }


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _cursor(row: Message) -> str:
    since = row.due_at - _EPOCH
    return f"{(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds}-{row.id}"


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    microseconds, _, row_id = cursor.partition("-")
    try:
        return datetime.fromtimestamp(int(microseconds) // 1_000_000, tz=_EPOCH.tzinfo).replace(
            microsecond=int(microseconds) % 1_000_000
        ), row_id
    except (ValueError, OverflowError, OSError):
        raise invalid_field("cursor", "is not one that a list has given") from None
