"""What the email providers tell us, in our words: reports on a message, and addresses that must not be written to.

A bounce for good, a complaint and an unsubscription fill the list of opt-outs of the workspace that sent the email.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.channels import resend, sendgrid
from app.contacts import service as contacts
from app.database import writing
from app.messages.models import Message
from app.messages.opting_out import opt_out
from app.messages.status import Report, apply_report

Wish = Literal["provider", "stop", "start"]
"""What follows for the address: it is not written to because the ``provider`` says so or because the person does
(``stop``), or it may be again (``start``).
"""

_ROW_ID = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[\x21-\x7e]{1,64}")
_SENDGRID_SUFFIX = re.compile(r"\.(?:filter|recv).*", re.DOTALL)
_MOST = 300


@dataclass(frozen=True, slots=True)
class EmailReport:
    """A report, and what follows from it for the address."""

    report: Report
    wish: Wish | None = None


def take(email: EmailReport) -> None:
    """Store a report, move its message, and keep the list of opt-outs."""
    message = apply_report(email.report)
    if message is not None and email.wish is not None:
        _heed(message, email.wish)


def _heed(message: Message, wish: Wish) -> None:
    with writing() as session:
        if wish == "start":
            contacts.lift(session, [message.workspace_id], message.channel, message.to_address)
            return
        opted = opt_out(session, [message.workspace_id], message.channel, message.to_address, wish)
    opted.announce()


def from_resend(event: Any, event_id: str) -> EmailReport | None:
    """An event of Resend's (resend.com/docs/dashboard/webhooks/event-types); None where it says nothing to us."""
    fields = _mapping(event)
    kind, data = fields.get("type"), _mapping(fields.get("data"))
    word, email_id = resend.WORDS.get(kind) if isinstance(kind, str) else None, _id(data.get("email_id"))
    if word is None or email_id is None:
        return None
    bounce = _mapping(data.get("bounce"))
    wish: Wish | None = None
    if kind in ("email.complained", "email.suppressed") or (
        kind == "email.bounced" and bounce.get("type", "Permanent") == "Permanent"
    ):
        wish = "provider"
    raw = {"type": kind, "created_at": _text(fields.get("created_at"))} | _texts(
        {**bounce, **_mapping(data.get("failed"))}, ("type", "subType", "message", "reason")
    )
    report = Report("resend", email_id, word, raw=raw, message_id=_tag(data.get("tags")), event_id=event_id)
    return EmailReport(report, wish)


def from_sendgrid(event: Any) -> EmailReport | None:
    """An event of SendGrid's (twilio.com/docs/sendgrid/for-developers/tracking-events/event); None where it says
    nothing to us.
    """
    fields = _mapping(event)
    kind = fields.get("event")
    attempt_id = fields.get(sendgrid.ATTEMPT)
    email_id = _id(_SENDGRID_SUFFIX.sub("", str(fields.get("sg_message_id") or "")))
    if not isinstance(kind, str) or email_id is None:
        return None
    wish: Wish | None = None
    if kind == "spamreport" or (kind == "bounce" and fields.get("type", "bounce") == "bounce"):
        wish = "provider"
    elif kind in ("unsubscribe", "group_unsubscribe"):
        wish = "stop"
    elif kind == "group_resubscribe":
        wish = "start"
    word = sendgrid.WORDS.get(kind, "read" if wish else None)
    if word is None or fields.get("sg_machine_open") is True:
        return None  # a mail program that loads pictures by itself is not the person
    report = Report(
        "sendgrid",
        email_id,
        word,
        attempt_id=attempt_id if isinstance(attempt_id, str) and _ROW_ID.fullmatch(attempt_id) else None,
        raw=_texts(fields, ("event", "timestamp", "type", "status", "reason", "response")),
        event_id=_id(fields.get("sg_event_id")),
    )
    return EmailReport(report, wish)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _tag(tags: Any) -> str | None:
    """Our tag, be they a list of names and values or one object."""
    if isinstance(tags, list):
        tags = {one.get("name"): one.get("value") for one in tags if isinstance(one, dict) and _id(one.get("name"))}
    value = _mapping(tags).get(resend.TAG)
    return value if isinstance(value, str) and _ROW_ID.fullmatch(value) else None


def _texts(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Some fields as short texts; the rest names people and what was written to them."""
    return {name: _text(fields[name]) for name in names if name in fields}


def _text(value: Any) -> str:
    # PostgreSQL stores no NUL and no half of a character.
    return str(value)[:_MOST].replace("\0", "").encode("utf-8", "replace").decode()
