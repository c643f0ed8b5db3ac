"""Inbound messages: opting out and in, and answers to reminders.

Twilio blocks a recipient who says STOP and confirms it to them; we keep a list of our own, because Twilio's does not
reach messages that are still waiting here, other senders, or other providers. An inbound message concerns every
workspace that may send from the number that it was sent to.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app import clock, events
from app.channels.phone import channel_of
from app.contacts import service as contacts
from app.contacts.models import STOP
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
# What our reminders ask for. CANCEL, YES and their like are Twilio's keywords and stay so.
REPLY_WORDS = {
    "confirm": frozenset({"c", "confirm", "confirmed", "i confirm", "yes confirm", "yes i confirm"}),
    "cancel": frozenset({"x", "cancel appointment", "cancel my appointment"}),
}
REPLIES = frozenset(REPLY_WORDS)
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
    """``stop``, ``start``, ``help``, ``confirm``, ``cancel`` or None. Twilio's Advanced Opt-Out comes first, since it
    knows the keywords of its account; then the usual keywords, and last what answers a reminder.
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
    if words[0] in LOOSE_STOP_WORDS:
        return "stop"
    text = " ".join(words)
    return next((intent for intent, known in REPLY_WORDS.items() if text in known), None)


def receive(inbound: Inbound) -> None:
    """Store an inbound message once, and act on STOP and START. Who acts on the rest hears of it when it is stored."""
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
            concerned = workspaces_of(session, inbound.recipient, inbound.messaging_service_sid)
        if intent == "stop":
            opted_out = opt_out(session, concerned, channel, inbound.sender, STOP)
        elif intent == "start":
            contacts.lift(session, concerned, channel, inbound.sender)
    if intent:
        cancelled = len(opted_out.dropped_jobs) if opted_out else 0
        log.info("inbound keyword", intent=intent, inbound_id=new[0], workspaces=concerned, cancelled=cancelled)
    if opted_out:
        opted_out.announce()
    events.inbound_received.send(inbound_id=new[0], intent=intent)


def workspaces_of(session: Session, recipient: str, messaging_service_sid: str | None) -> list[str]:
    """Every workspace that a message to one of our numbers concerns."""
    config = settings()
    shared = {config.twilio_from_number, config.twilio_messaging_service_sid} - {None}
    if recipient in shared or messaging_service_sid in shared:
        # The installation's own number serves every workspace.
        return workspaces.all_workspace_ids(session)
    return workspaces.workspaces_sending_from(session, recipient)
