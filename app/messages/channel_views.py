"""Which channels work: what a developer looks at when nothing arrives."""

from typing import Literal

from flask import Blueprint
from pydantic import ConfigDict
from sqlalchemy.orm import Session

from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import endpoint
from app.channels import accounts, health
from app.channels.base import Provider
from app.channels.phone import Channel, channel_of
from app.channels.registry import CHANNELS, providers
from app.database import reading
from app.extensions import settings
from app.messages import schemas
from app.workspaces import service as workspaces

blueprint = Blueprint("channels", __name__, url_prefix="/api")
TAG = "Channels"

ChannelState = Literal["ok", "paused", "unreachable", "not_configured"]


class ChannelsQuery(ApiModel):
    """Whose channels."""

    workspace_id: schemas.WorkspaceId | None = None


class ChannelHealth(ApiModel):
    """One channel. ``reason`` says why it is not ``ok``; ``senders`` are the addresses that the workspace may use."""

    channel: Channel
    provider: str | None
    configured: bool
    status: ChannelState
    reason: str | None
    checked_at: str | None
    senders: list[str]


class ChannelList(ApiModel):
    """SMS, WhatsApp and email, each with its provider's last answer."""

    model_config = ConfigDict(
        json_schema_extra=example(
            {
                "channels": [
                    {
                        "channel": "sms",
                        "provider": "twilio",
                        "configured": True,
                        "status": "ok",
                        "reason": None,
                        "checkedAt": "2025-05-11T05:22:43.210+00:00",
                        "senders": ["+1987654321"],
                    },
                    {
                        "channel": "email",
                        "provider": None,
                        "configured": False,
                        "status": "not_configured",
                        "reason": "This channel is not set up.",
                        "checkedAt": None,
                        "senders": [],
                    },
                ]
            }
        )
    )

    channels: list[ChannelHealth]


@endpoint(
    blueprint,
    "GET",
    "/channels",
    query=ChannelsQuery,
    answer=ChannelList,
    summary="Which channels work",
    tag=TAG,
    errors=(404,),
)
def read_channels(caller: Caller, payload: ChannelsQuery) -> ChannelList:
    """Each channel with its provider, asked at most once in 30 seconds. ``paused`` is an account that the provider
    refuses: messages wait. ``unreachable`` is one that does not answer.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        allowed = workspaces.senders_of(session, workspace_id)
        paused = _paused(session)
    return ChannelList(channels=[_channel(channel, allowed, paused) for channel in CHANNELS])


def _paused(session: Session) -> dict[str, str | None]:
    return {row.id: row.reason for row in accounts.paused_accounts(session)}


def _channel(channel: Channel, allowed: set[str], paused: dict[str, str | None]) -> ChannelHealth:
    provider = providers().get(channel)
    own = settings().shared_sender(channel)
    senders = sorted({one for one in (*allowed, own) if one and channel_of(one) == channel})
    status, reason, checked_at = _state(provider, paused)
    return ChannelHealth(
        channel=channel,
        provider=provider.name if provider else None,
        configured=provider is not None,
        status=status,
        reason=reason,
        checked_at=checked_at,
        senders=senders,
    )


def _state(provider: Provider | None, paused: dict[str, str | None]) -> tuple[ChannelState, str | None, str | None]:
    if provider is None:
        return "not_configured", "This channel is not set up.", None
    if provider.account in paused:
        return "paused", paused[provider.account] or "The provider refuses our account.", None
    found = health.check(provider)
    at = found.at.isoformat(timespec="milliseconds")
    if found.failure is None:
        return "ok", None, at
    return "paused" if found.is_refused else "unreachable", found.failure.message, at
