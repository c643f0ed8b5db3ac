"""Email through Resend (resend.com/docs/api-reference/emails/send-email).

Each request carries an Idempotency-Key that is the same for every try of one message. Within a day Resend answers the
same request with the same key as it did the first time (resend.com/docs/dashboard/emails/idempotency-keys), so a try
whose answer was lost is simply repeated. For that the request must not change: nothing of the single try is in it.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from app.channels.answers import json_object, kind_of_status, provider_id
from app.channels.base import (
    Accepted,
    Failure,
    FailureKind,
    Hindsight,
    OutgoingMessage,
    ProviderRecord,
    ProviderUnavailable,
    SendResult,
    WithoutLog,
)
from app.channels.email_api import EmailApi
from app.channels.email_content import REPORTS_WITHIN, html_of, mailbox, subject_of
from app.channels.transport import Answer
from app.settings import RESEND_API

TAG = "message"
"""The name of the tag that holds our id of the message; it comes back in every event."""
WORDS = {
    "email.sent": "sent",
    "email.delivery_delayed": "sending",
    "email.delivered": "delivered",
    "email.bounced": "undelivered",
    "email.failed": "failed",
    "email.suppressed": "undelivered",
    "email.opened": "read",
    "email.clicked": "read",
    "email.complained": "read",
}
"""Resend's events in the words that ``app.messages.states`` ranks. Who complains has read it."""
_HOUR = 3600.0
_REFUSED = frozenset({"missing_api_key", "invalid_api_key", "restricted_api_key", "suspended_api_key"})
_QUOTAS = frozenset({"daily_quota_exceeded", "monthly_quota_exceeded"})


class ResendProvider(WithoutLog):
    """One Resend account. Safe for threads; make one in each process."""

    name = "resend"
    account = "resend"

    def __init__(
        self, *, api_key: str, base_url: str = RESEND_API, timeout_s: float = 10.0, reports: bool = False
    ) -> None:
        self.timeout_s = timeout_s
        self.hindsight = Hindsight(searchable=False, repeatable=True)
        if reports:
            self.hindsight = Hindsight(searchable=False, repeatable=True, reports_within=REPORTS_WITHIN)
        self._api = EmailApi("Resend", api_key=api_key, base_url=base_url, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the idle connections."""
        self._api.close()

    def send(self, message: OutgoingMessage) -> SendResult:
        """POST one message."""
        ours = message.message_id or message.attempt_id
        try:
            sender = str(mailbox(message.sender, message.sender_name))
        except ValueError:
            return Failure(FailureKind.PERMANENT, "The sender's email address is not valid.")
        document = {
            "from": sender,
            "to": [message.to],
            "subject": subject_of(message),
            "text": message.body,
            "html": html_of(message.body),
            "tags": [{"name": TAG, "value": ours}],
        }
        answer = self._api.ask("POST", "/emails", document, Idempotency_Key=f"msg-{ours}")
        if isinstance(answer, Failure):
            return answer
        if 200 <= answer.status < 300 and (email_id := provider_id(json_object(answer.body).get("id"))):
            return Accepted(email_id, "accepted", answer.status)
        return self._failure(answer)

    def fetch(self, provider_message_id: str) -> ProviderRecord | None:
        """One email with the last thing that happened to it; None where Resend does not know the id."""
        answer = self._api.ask("GET", f"/emails/{quote(provider_message_id, safe='')}")
        if isinstance(answer, Failure):
            raise ProviderUnavailable(answer)
        said = json_object(answer.body)
        if answer.status == 404 and said:
            return None
        if answer.status != 200 or not provider_id(said.get("id")):
            raise ProviderUnavailable(self._failure(answer))
        return ProviderRecord(
            provider_message_id=provider_message_id,
            status=WORDS.get(f"email.{said.get('last_event')}", "accepted"),
            to="",
            sender=None,
            body="",
            created_at=datetime.now(UTC),
        )

    def probe(self) -> Failure | None:
        """Whether the key is taken: lists the domains, which costs nothing."""
        answer = self._api.ask("GET", "/domains")
        if isinstance(answer, Failure):
            return answer
        # A key that may only send is refused here, by name.
        if answer.status == 200 or json_object(answer.body).get("name") == "restricted_api_key":
            return None
        return self._failure(answer)

    def _failure(self, answer: Answer) -> Failure:
        """The failure in an answer: ``{statusCode, name, message}``."""
        said = json_object(answer.body)
        name, words = said.get("name"), said.get("message")
        kind, wait_s, min_delay_s = _reading(answer.status, name)
        text = words if isinstance(words, str) else None
        return self._api.failure(answer, kind, text, wait_s=wait_s, min_delay_s=min_delay_s)


def _reading(status: int, name: Any) -> tuple[FailureKind, float | None, float]:
    """Kind, how long to wait if Resend says nothing, and how long at least."""
    if 400 <= status < 500:
        if name in _REFUSED:
            return FailureKind.CONFIGURATION, None, 0
        if name in _QUOTAS:
            return FailureKind.THROTTLED, None, _HOUR
        if name == "concurrent_idempotent_requests":
            return FailureKind.THROTTLED, 5.0, 0  # the same request is being carried out; it answers the next time
        if status == 409:
            # Another text came under this key before, and that was taken; or so it must be read.
            return FailureKind.AMBIGUOUS, None, 0
    return kind_of_status(status, explained=isinstance(name, str)), None, 0
