"""Email through SendGrid (twilio.com/docs/sendgrid/api-reference/mail-send/mail-send).

SendGrid has no idempotency key and no log that could be asked for one message. What becomes of a try whose answer was
lost is told only by its events, which carry the id of our attempt.
"""

from typing import Any

from app import clock
from app.channels.answers import RETRY_AFTER_CAP_S, json_object, kind_of_status, provider_id
from app.channels.base import Accepted, Failure, FailureKind, Hindsight, OutgoingMessage, SendResult, WithoutLog
from app.channels.email_api import EmailApi
from app.channels.email_content import REPORTS_WITHIN, html_of, one_line, subject_of
from app.channels.transport import Answer
from app.settings import SENDGRID_API

ATTEMPT = "attempt"
"""The custom argument that holds the id of our attempt; it comes back in every event."""
WORDS = {
    "processed": "queued",
    "deferred": "sending",
    "delivered": "delivered",
    "bounce": "undelivered",
    "dropped": "undelivered",
    "open": "read",
    "click": "read",
    "spamreport": "read",
    "unsubscribe": "read",
    "group_unsubscribe": "read",
}
"""SendGrid's events in the words that ``app.messages.states`` ranks. Who unsubscribes has read it."""


class SendGridProvider(WithoutLog):
    """One SendGrid account. Safe for threads; make one in each process."""

    name = "sendgrid"
    account = "sendgrid"

    def __init__(
        self, *, api_key: str, base_url: str = SENDGRID_API, timeout_s: float = 10.0, reports: bool = False
    ) -> None:
        self.timeout_s = timeout_s
        self.hindsight = Hindsight(searchable=False, fetchable=False)
        if reports:
            self.hindsight = Hindsight(searchable=False, fetchable=False, reports_within=REPORTS_WITHIN)
        self._api = EmailApi("SendGrid", api_key=api_key, base_url=base_url, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the idle connections."""
        self._api.close()

    def send(self, message: OutgoingMessage) -> SendResult:
        """POST one message."""
        sender = {"email": message.sender}
        if name := one_line(message.sender_name or ""):
            sender["name"] = name
        document = {
            "personalizations": [{"to": [{"email": message.to}], "custom_args": {ATTEMPT: message.attempt_id}}],
            "from": sender,
            "subject": subject_of(message),
            "content": [
                {"type": "text/plain", "value": message.body},
                {"type": "text/html", "value": html_of(message.body)},
            ],
        }
        answer = self._api.ask("POST", "/v3/mail/send", document)
        if isinstance(answer, Failure):
            return answer
        if answer.status == 202 and (email_id := provider_id(answer.headers.get("x-message-id"))):
            return Accepted(email_id, "accepted", answer.status)
        return self._failure(answer)

    def probe(self) -> Failure | None:
        """Whether the key is taken: asks what it may do, which costs nothing."""
        answer = self._api.ask("GET", "/v3/scopes")
        if isinstance(answer, Failure):
            return answer
        return None if answer.status == 200 else self._failure(answer)

    def _failure(self, answer: Answer) -> Failure:
        """The failure in an answer: ``{"errors": [{message, field}, …]}``."""
        errors = json_object(answer.body).get("errors")
        first: dict[str, Any] = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        said = first.get("message") if isinstance(first.get("message"), str) else None
        kind = kind_of_status(answer.status, explained=said is not None)
        if answer.status == 403 and first.get("field") != "from":
            # Of the sender's address SendGrid says so; all else is what this key may not do at all.
            kind = FailureKind.CONFIGURATION
        return self._api.failure(answer, kind, said, wait_s=_until_reset(answer))


def _until_reset(answer: Answer) -> float | None:
    """Seconds until the limit begins anew: X-RateLimit-Reset is in seconds since 1970."""
    reset = answer.headers.get("x-ratelimit-reset", "")
    if not (reset.isascii() and reset.isdigit() and len(reset) < 12):
        return None
    return min(max(int(reset) - clock.now().timestamp(), 0.0), RETRY_AFTER_CAP_S)
