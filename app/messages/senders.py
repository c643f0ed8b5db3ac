"""Whom a message comes from."""

from contextlib import suppress
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.channels.phone import WHATSAPP, channel_of
from app.errors import Invalid, invalid_field
from app.extensions import settings
from app.settings import Settings
from app.workspaces import service as workspaces
from app.workspaces.models import Workspace

SANDBOX_NUMBER = "+15005550006"
"""Twilio's own number for tests (twilio.com/docs/iam/test-credentials)."""
SANDBOX_EMAIL = "reminders@sandbox.invalid"


class SenderBook:
    """Which sender each message of one request uses (resolution D26): the request's, else the workspace's, else ours.

    Read once per request, so that a bulk of 1,000 asks the database once.
    """

    def __init__(self, session: Session, workspace_id: str, config: Settings | None = None) -> None:
        self._config = config or settings()
        self._workspace = session.get_one(Workspace, workspace_id)
        self._allowed = workspaces.senders_of(session, workspace_id)
        self._session = session

    @property
    def zone(self) -> ZoneInfo:
        """The workspace's time zone."""
        return ZoneInfo(self._workspace.timezone)

    def choose(self, to: str, requested: str | None) -> str:
        """The sender for a recipient.

        Raises:
            Invalid: ``fromNumber`` is missing, not the workspace's, or of another channel than ``to``.
        """
        config, channel = self._config, channel_of(to)
        sender = requested or self._default(channel) or self._only_sender(channel) or config.shared_sender(channel)
        if sender is None and channel == "sms":
            sender = config.twilio_messaging_service_sid
            if sender is not None:
                return sender
        if sender is None and config.provider_of(channel) == "sandbox":
            sender = self._sandbox_sender(channel)
        if sender is None:
            raise invalid_field("fromNumber", f"is required: this workspace has no default sender for {channel}")
        if channel_of(sender) != channel:
            raise invalid_field("fromNumber", "must be a whatsapp: address if and only if `to` is one")
        if sender not in self._allowed and sender != config.shared_sender(channel):
            if config.provider_of(channel) != "sandbox":
                raise invalid_field("fromNumber", "is not one of this workspace's senders")
            # The sandbox takes any number, and remembers it so that replies find their workspace.
            workspaces.add_sender(self._session, self._workspace.id, channel, sender)
            self._allowed.add(sender)
        return sender

    def _default(self, channel: str) -> str | None:
        default = self._workspace.default_sender
        return default if default and channel_of(default) == channel else None

    def _only_sender(self, channel: str) -> str | None:
        """Where a workspace has just one sender of the channel, there is nothing to choose."""
        fitting = [address for address in self._allowed if channel_of(address) == channel]
        return fitting[0] if len(fitting) == 1 else None

    def _sandbox_sender(self, channel: str) -> str | None:
        """The test carrier needs no account for WhatsApp and email, so it has a sender for each."""
        number = self._default("sms") or self._only_sender("sms") or self._config.shared_sender("sms")
        return {"whatsapp": f"{WHATSAPP}{number or SANDBOX_NUMBER}", "email": SANDBOX_EMAIL}.get(channel)

    def choose_any(self, to: str) -> str | None:
        """A sender for what nobody names one for, and None where there is none. The test carrier has one for all."""
        with suppress(Invalid):
            return self.choose(to, None)
        channel = channel_of(to)
        if channel == "sms" and self._config.provider_of(channel) == "sandbox":
            return self.choose(to, SANDBOX_NUMBER)
        return None
