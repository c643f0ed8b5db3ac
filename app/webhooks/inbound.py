"""Inbound messages: opting out and in.

Twilio blocks a recipient who says STOP and confirms it to them; we keep a list of our own, because Twilio's does not
reach messages that are still waiting here, other senders, or other providers. An inbound message concerns every
workspace that may send from the number that it was sent to.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app import clock
from app.channels.phone import channel_of
from app.contacts import service as contacts
from app.database import insert_ignore, writing
from app.extensions import settings
from app.logs import get_logger
from app.messages.models import InboundMessage
from app.messages.opting_out import OptOut, opt_out
from app.workspaces import service as workspaces

# Twilio's standard keywords and the two of the FCC's 2025 rule (47 CFR 64.1200(a)(10)).
STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
START_WORDS = frozenset({"start", "yes", "unstop"})
HELP_WORDS = frozenset({"help", "info"})
# "STOP please" is no keyword for Twilio but is one for the law: any reasonable means counts. CANCEL, END and QUIT
# begin too many harmless sentences ("Cancel my 3 pm") to be read that way.
LOOSE_STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "optout"})
_WORDS = re.compile(r"[^\W_]+(?:-[^\W_]+)?")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Inbound:
    """What somebody wrote to us, whoever carried it."""

    provider: str
    provider_message_id: str
    sender: str
    recipient: str
    body: str
    opt_out_type: str | None = None
    messaging_service_sid: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)


def intent_of(body: str, opt_out_type: str | None = None) -> str | None:
    """``stop``, ``start``, ``help`` or None. Twilio's Advanced Opt-Out knows the keywords of its account and comes
    first.
    """
    if opt_out_type and opt_out_type.lower() in ("stop", "start", "help"):
        return opt_out_type.lower()
    words = [word.replace("-", "") for word in _WORDS.findall(body[:200].casefold())]
    if not words:
        return None
    if len(words) == 1 or (len(words) == 2 and words == ["opt", "out"]):
        word = "".join(words)
        for intent, known in (("stop", STOP_WORDS), ("start", START_WORDS), ("help", HELP_WORDS)):
            if word in known:
                return intent
    return "stop" if words[0] in LOOSE_STOP_WORDS else None


def receive(inbound: Inbound) -> None:
    """Store an inbound message once, and act on STOP and START."""
    intent = intent_of(inbound.body, inbound.opt_out_type)
    channel = channel_of(inbound.sender)
    row = {
        "provider": inbound.provider,
        "provider_message_id": inbound.provider_message_id,
        "channel": channel,
        "from_address": inbound.sender,
        "to_address": inbound.recipient,
        "body": inbound.body,
        "intent": intent,
        "raw": inbound.raw,
        "received_at": clock.now(),
    }
    concerned: list[str] = []
    opted_out: OptOut | None = None
    with writing() as session:
        new = insert_ignore(session, InboundMessage, [row], returning=InboundMessage.id)
        if not new:
            return  # a repeated callback
        if intent in ("stop", "start"):
            concerned = _workspaces(session, inbound)
        if intent == "stop":
            opted_out = opt_out(session, concerned, channel, inbound.sender, "stop")
        elif intent == "start":
            contacts.lift(session, concerned, channel, inbound.sender)
    if intent:
        cancelled = len(opted_out.dropped_jobs) if opted_out else 0
        log.info("inbound keyword", intent=intent, inbound_id=new[0], workspaces=concerned, cancelled=cancelled)
    if opted_out:
        opted_out.announce()


def _workspaces(session: Session, inbound: Inbound) -> list[str]:
    config = settings()
    shared = {config.twilio_from_number, config.twilio_messaging_service_sid} - {None}
    if inbound.recipient in shared or inbound.messaging_service_sid in shared:
        # The installation's own number serves every workspace.
        return workspaces.all_workspace_ids(session)
    return workspaces.workspaces_sending_from(session, inbound.recipient)
