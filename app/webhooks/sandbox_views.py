"""The test carrier's inbox, and a way to answer from it. Only there while the sandbox is the provider."""

from typing import Annotated, cast

from flask import Blueprint
from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import select

from app.api import dry_run
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import endpoint
from app.channels.models import SandboxMessage
from app.channels.phone import Channel, channel_of
from app.database import reading
from app.errors import NotFound
from app.extensions import settings
from app.ids import new_id
from app.messages import schemas
from app.messages.models import Attempt, Message
from app.webhooks import inbound

blueprint = Blueprint("sandbox", __name__, url_prefix="/api/sandbox")
TAG = "Sandbox"


InboxAddress = Annotated[
    str,
    StringConstraints(min_length=3, max_length=320),
    Field(description="A phone number in E.164 form, for WhatsApp after `whatsapp:`, or an email address."),
]


class InboxQuery(ApiModel):
    """Which messages to show."""

    workspace_id: schemas.WorkspaceId | None = None
    to: InboxAddress | None = None


class InboxItem(ApiModel):
    """A text as it arrived on the test phone, or an email in the test mailbox."""

    sid: str
    channel: Channel
    to: str
    from_number: str
    subject: str | None
    body: str
    media_url: list[str]
    received_at: str


class Inbox(ApiModel):
    """The latest 50 messages, newest first."""

    model_config = ConfigDict(
        json_schema_extra=example(
            {
                "messages": [
                    {
                        "sid": "SM0123456789abcdef0123456789abcdef",
                        "channel": "sms",
                        "to": "+1234567890",
                        "fromNumber": "+1987654321",
                        "subject": None,
                        "body": "Hello, this is an immediate message",
                        "mediaUrl": [],
                        "receivedAt": "2025-05-11T05:22:43.210+00:00",
                    }
                ]
            }
        )
    )

    messages: list[InboxItem]


class Reply(ApiModel):
    """An answer from the test phone: ``from`` is the person, ``to`` our number."""

    model_config = ConfigDict(
        json_schema_extra=example({"from": "+1234567890", "to": "+1987654321", "body": "STOP", "workspaceId": "ws_123"})
    )

    from_address: schemas.Address = Field(alias="from")
    to: schemas.Address
    body: schemas.Body
    workspace_id: schemas.WorkspaceId | None = None


class Received(ApiModel):
    """How the answer was understood: stop, start, help, confirm, cancel or nothing special."""

    model_config = ConfigDict(json_schema_extra=example({"intent": "stop"}))

    intent: str | None


def _only_in_sandbox(channel: str | None = None) -> None:
    config = settings()
    if not (config.provider_of(channel) == "sandbox" if channel else config.has_sandbox):
        raise NotFound("There is nothing at this address.")


@endpoint(
    blueprint,
    "GET",
    "/inbox",
    query=InboxQuery,
    answer=Inbox,
    summary="What the test carrier delivered",
    tag=TAG,
    errors=(404,),
)
def read_inbox(caller: Caller, payload: InboxQuery) -> Inbox:
    """The messages of one workspace, of one recipient where ``to`` is given."""
    _only_in_sandbox()
    workspace_id = caller.existing_workspace(payload.workspace_id)
    query = (
        select(SandboxMessage)
        .join(Attempt, Attempt.id == SandboxMessage.attempt_id)
        .join(Message, Message.id == Attempt.message_id)
        .where(Message.workspace_id == workspace_id)
        .order_by(SandboxMessage.created_at.desc(), SandboxMessage.id.desc())
        .limit(50)
    )
    if payload.to is not None:
        query = query.where(SandboxMessage.to_address == payload.to)
    with reading() as session:
        rows = list(session.scalars(query))
    return Inbox(
        messages=[
            InboxItem(
                sid=row.id,
                channel=cast(Channel, row.channel),
                to=row.to_address,
                from_number=row.from_address,
                subject=row.subject,
                body=row.body,
                media_url=row.media_urls,
                received_at=row.created_at.isoformat(timespec="milliseconds"),
            )
            for row in rows
        ]
    )


@endpoint(
    blueprint,
    "POST",
    "/reply",
    body=Reply,
    answer=Received,
    summary="Answer from the test phone (STOP, START, C, X …)",
    tag=TAG,
    errors=(404,),
)
def reply(caller: Caller, payload: Reply) -> Received:
    """Goes the same way as a message that Twilio hands us."""
    _only_in_sandbox(channel_of(payload.to))
    if payload.workspace_id is not None:
        caller.existing_workspace(payload.workspace_id)
    if not dry_run.requested():
        inbound.receive(
            inbound.Inbound(
                provider="sandbox",
                provider_message_id=f"SM{new_id()}",
                sender=payload.from_address,
                recipient=payload.to,
                body=payload.body,
            )
        )
    return Received(intent=inbound.intent_of(payload.body))
