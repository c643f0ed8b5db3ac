"""What a provider is asked, what it answers, and the interface that every provider has.

A provider answers with a value, never with an exception of its own: `Accepted`, or a `Failure` whose kind says what
may be done next. Whether and when to try again is decided elsewhere (``app.messages.decisions``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One POST: everything that the provider needs to know.

    ``message_id`` is the same in every try of a message. ``sender_name`` and ``subject`` are for email.
    ``content_sid`` and ``content_variables``: the approved WhatsApp template to send in place of the body.
    ``valid_for_s``: seconds until the text is useless; None leaves the provider's default.
    ``status_callback``: URL for delivery reports, carrying our attempt id; None asks for none.
    """

    attempt_id: str
    to: str
    sender: str
    body: str
    media_urls: tuple[str, ...] = ()
    status_callback: str | None = None
    valid_for_s: int | None = None
    message_id: str = ""
    channel: str = "sms"
    subject: str | None = None
    sender_name: str | None = None
    content_sid: str | None = None
    content_variables: Mapping[str, str] | None = None


class FailureKind(StrEnum):
    """What a failed POST allows us to do next (twilio.com/docs/api/errors, and the classes of RFC 9110)."""

    PERMANENT = "permanent"
    """The provider refused this message for good; trying again cannot help."""
    OPTED_OUT = "opted_out"
    """Permanent, because the recipient said STOP (Twilio 21610)."""
    TRANSIENT = "transient"
    """The provider refused it for now; uses up an attempt."""
    THROTTLED = "throttled"
    """429: never processed; come back after ``retry_after_s``; uses up no attempt."""
    UNREACHABLE = "unreachable"
    """The request did not leave (refused, DNS, TLS, connect time-out); uses up no attempt."""
    CONFIGURATION = "configuration"
    """Our account is refused (401/20003, suspended): pause it, burn nothing."""
    AMBIGUOUS = "ambiguous"
    """The request left and no clear answer came (read time-out, reset, 5xx): it may have been accepted."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message and named it."""

    provider_message_id: str
    status: str
    http_status: int = 201


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider did not take the message, or we cannot tell.

    ``code`` is the provider's error code where it gave one. ``message`` is fit for logs and for the owner: no phone
    numbers, no secrets. ``min_delay_s`` is how long the provider's own rules say to wait at least.
    """

    kind: FailureKind
    message: str
    code: int | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    min_delay_s: float = 0


SendResult = Accepted | Failure


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A message as the provider's own log has it."""

    provider_message_id: str
    status: str
    to: str
    sender: str | None
    body: str
    created_at: datetime
    error_code: int | None = None
    error_message: str | None = None


class ProviderUnavailable(Exception):
    """The provider's log cannot be read just now; ``kind`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What a provider lets us find out afterwards.

    ``searchable``: `Provider.find` reads its log. Where that is False and ``repeatable`` is True, the same request with
    the same ``message_id`` is answered as the first one was, so a doubtful try is simply repeated. Where both are False
    nobody can know but through its own reports, for which we wait ``reports_within`` before the workspace's
    ``on_unknown`` decides. ``fetchable``: `Provider.fetch` tells the status of a message.
    """

    searchable: bool = True
    repeatable: bool = False
    fetchable: bool = True
    reports_within: timedelta = timedelta(seconds=30)


class Provider(Protocol):
    """A company behind a channel. One instance per process, safe for threads, every call with a time-out."""

    name: str
    """As stored on attempts: ``twilio``, ``sandbox``."""
    account: str
    """What is paused together when our credentials are refused."""
    timeout_s: float
    """No call takes longer than about this long."""
    hindsight: Hindsight
    """What can be found out about a try whose answer was lost."""

    def send(self, message: OutgoingMessage) -> SendResult:
        """POST one message."""
        ...

    def fetch(self, provider_message_id: str) -> ProviderRecord | None:
        """One message from the provider's log; None where it does not know the id.

        Raises:
            ProviderUnavailable: no clear answer.
        """
        ...

    def find(self, *, to: str, sender: str, since: datetime) -> list[ProviderRecord]:
        """Messages to one recipient from one sender made at or after an instant, from the provider's log.

        Raises:
            ProviderUnavailable: no clear answer.
        """
        ...

    def probe(self) -> Failure | None:
        """Whether the account works again: None when it does. Costs nothing and sends nothing."""
        ...
