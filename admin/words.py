"""Messages in the owner's words: what a status, a reason, a try or a report means."""

from dataclasses import dataclass
from datetime import datetime

import phonenumbers
from phonenumbers import PhoneNumberFormat

from app.channels.models import ProviderAccount
from app.channels.twilio_errors import explain
from app.messages.models import Attempt, Message
from app.messages.states import Reason, Status
from app.messages.words import REASON


@dataclass(frozen=True, slots=True)
class Label:
    """A status as it is shown: readable without its colour."""

    text: str
    sign: str
    tone: str
    """``plan``, ``busy``, ``good``, ``bad`` or ``quiet``: the colour."""


STATUS: dict[str, Label] = {
    Status.SCHEDULED: Label("Scheduled", "○", "plan"),
    Status.SENDING: Label("Sending", "…", "busy"),
    Status.UNKNOWN: Label("Checking", "?", "busy"),
    Status.SENT: Label("Sent", "✓", "good"),
    Status.DELIVERED: Label("Delivered", "✓✓", "good"),
    Status.READ: Label("Read", "✓✓", "good"),
    Status.UNDELIVERED: Label("Not delivered", "✕", "bad"),
    Status.FAILED: Label("Failed", "✕", "bad"),
    Status.SKIPPED: Label("Not sent", "✕", "bad"),
    Status.CANCELLED: Label("Cancelled", "⊘", "quiet"),
}

OUTCOME: dict[str | None, tuple[str, str]] = {
    None: ("under way", "busy"),
    "accepted": ("{who} took it", "good"),
    "permanent": ("{who} refused it for good", "bad"),
    "opted_out": ("{who} refused it, because the recipient has said STOP", "bad"),
    "transient": ("{who} could not take it for now", "bad"),
    "throttled": ("{who} asked us to slow down", "quiet"),
    "unreachable": ("no connection to {who}", "bad"),
    "configuration": ("{who} refuses our account", "bad"),
    "ambiguous": ("no clear answer from {who}", "busy"),
    "abandoned": ("cut off while it ran", "busy"),
    "not_accepted": ("{who} never got it, as its log shows", "quiet"),
    "given_back": ("put back before anything was sent", "quiet"),
}

PROVIDER = {
    "twilio": "Twilio",
    "sandbox": "the test carrier",
    "resend": "Resend",
    "sendgrid": "SendGrid",
    "smtp": "the mail server",
}

REPORT: dict[str, tuple[str, str]] = {
    "delivered": ("The phone has it", "good"),
    "read": ("It was read", "good"),
    "undelivered": ("The carrier could not deliver it", "bad"),
    "failed": ("It failed after it had been accepted", "bad"),
    "canceled": ("It was cancelled after it had been accepted", "bad"),
    "sent": ("It is on its way to the phone", "good"),
    "sending": ("It is being handed to the carrier", "quiet"),
    "queued": ("It waits at the provider", "quiet"),
    "accepted": ("The provider has it", "quiet"),
}

_REFUSED_PASSWORD = 20003
_SAID_BETTER = frozenset({Reason.REJECTED, Reason.OPTED_OUT})
"""Where the carrier's own reason says it all."""


def label(message: Message, now: datetime) -> Label:
    """The status of a message, with what the bare word would hide."""
    if message.status == Status.SCHEDULED:
        if message.attempt:
            return Label("Trying again", "↻", "busy")
        if message.slot_at is not None:
            return Label("In line", "○", "busy")
        if message.scheduled_at <= now:
            return Label("Due now", "○", "busy")
    return STATUS[message.status]


def reason(message: Message) -> str:
    """Why a message has not arrived, or what was last said about it."""
    said = explain(message.error_code) if message.error_code is not None else message.error_message or ""
    if not message.reason or (said and message.reason in _SAID_BETTER):
        return said
    why = REASON.get(message.reason) or f"{message.reason.replace('_', ' ').capitalize()}."
    return f"{why} {said}".strip()


def outcome(attempt: Attempt) -> tuple[str, str]:
    """How a try ended, and its tone."""
    text, tone = OUTCOME.get(attempt.outcome, (str(attempt.outcome), "quiet"))
    return text.format(who=PROVIDER.get(attempt.provider, attempt.provider)), tone


def report(word: str) -> tuple[str, str]:
    """What a provider's report says, and its tone."""
    return REPORT.get(word, (word, "quiet"))


def paused(account: ProviderAccount, since: str, waiting: int) -> str:
    """Why nothing goes out, in one sentence: ``since`` is a time as the reader's clock shows it."""
    if account.error_code == _REFUSED_PASSWORD:
        what = "Twilio refuses our password"
    elif account.error_code is not None:
        what = explain(account.error_code).rstrip(".")
    else:
        what = (account.reason or "Our account is refused").rstrip(".")
    return f"{what} since {since}: {counted(waiting, 'message waits', 'messages wait')}."


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def phone(address: str) -> str:
    """A number in groups, as people write it; whatever is no number stays as it is."""
    number = address.removeprefix("whatsapp:")
    try:
        shown = phonenumbers.format_number(phonenumbers.parse(number), PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        shown = number
    return f"WhatsApp {shown}" if number != address else str(shown)
