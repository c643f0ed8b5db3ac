"""The state machine of a message, written down once, and the outside words that are projections of it.

Every UPDATE that changes a status goes through a `Transition`, so an arrow that is not listed here cannot be taken.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal


class Status(StrEnum):
    """Where a message stands."""

    SCHEDULED = "scheduled"
    """Waiting for its time: the first one, a retry's, or for a paused account."""
    SENDING = "sending"
    """A worker has claimed it and holds a lease."""
    UNKNOWN = "unknown"
    """A try ended without a clear answer; nobody sends again before the provider's log has been read."""
    SENT = "sent"
    """The provider took it."""
    DELIVERED = "delivered"
    """The carrier reported the arrival on the handset."""
    UNDELIVERED = "undelivered"
    """The provider or carrier reported that it did not arrive."""
    READ = "read"
    """The recipient opened it (WhatsApp)."""
    FAILED = "failed"
    """It was tried and will not be tried again; ``reason`` says why."""
    SKIPPED = "skipped"
    """It was never tried and will not be; ``reason`` says why."""
    CANCELLED = "cancelled"
    """Somebody called it off in time."""


class Reason(StrEnum):
    """Why a message did not go out: stored, and shown to whoever asks."""

    OPTED_OUT = "opted_out"
    EXPIRED = "expired"
    MISSED = "missed"
    REJECTED = "rejected"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    THROTTLED = "throttled"
    HELD_UNKNOWN = "held_unknown"
    CANCELLED_BY_CALLER = "cancelled_by_caller"
    RECURRENCE_PAUSED = "recurrence_paused"
    RECURRENCE_CANCELLED = "recurrence_cancelled"
    BATCH_CANCELLED = "batch_cancelled"
    # Of reminders
    SUPERSEDED = "superseded"
    APPOINTMENT_CANCELLED = "appointment_cancelled"
    BOOKED_LATE = "booked_late"
    AT_APPOINTMENT_TIME = "at_appointment_time"
    QUIET_HOURS = "quiet_hours"
    NO_ADDRESS = "no_address"
    ALREADY_MARKED = "already_marked"
    MISSING_FIELD = "missing_field"
    TOO_LONG = "too_long"
    WHATSAPP_WINDOW = "whatsapp_window"
    CHANNEL_UNAVAILABLE = "channel_unavailable"
    CAP_REACHED = "cap_reached"


TRANSITIONS: dict[Status, dict[Status, str]] = {
    Status.SCHEDULED: {
        Status.SENDING: "a worker claimed it at or after its time",
        Status.SKIPPED: "something forbade it before any worker sent it: its time had passed, an opt-out, a newer plan",
        Status.CANCELLED: "the caller, a STOP or a paused recurrence called it off before a worker claimed it",
        Status.SENT: "a late report proved that an earlier try, thought lost, had been accepted",
        Status.FAILED: "it was waiting for a retry when its validity ended",
    },
    Status.SENDING: {
        Status.SENT: "the provider accepted it",
        Status.SCHEDULED: "the provider refused it for now, or the request never left",
        Status.UNKNOWN: "no clear answer, or the worker died holding the lease",
        Status.FAILED: "the provider refused it for good, or it has had its tries",
    },
    Status.UNKNOWN: {
        Status.SENT: "the provider's log or a status callback shows that it was accepted",
        Status.SCHEDULED: "the provider's log, looked at twice, does not have it",
        Status.FAILED: "not in the log, and the workspace holds such messages or the tries are used up",
    },
    Status.SENT: {
        Status.DELIVERED: "the carrier's receipt",
        Status.UNDELIVERED: "the carrier or the provider reported a failure after accepting",
        Status.READ: "WhatsApp's blue ticks, sometimes without a receipt before them",
    },
    Status.DELIVERED: {Status.READ: "WhatsApp reports reading after delivery"},
    Status.CANCELLED: {Status.SCHEDULED: "a recurrence was resumed before the occurrence was due"},
    Status.UNDELIVERED: {},
    Status.READ: {},
    Status.FAILED: {},
    Status.SKIPPED: {},
}

FINAL = frozenset({Status.FAILED, Status.SKIPPED, Status.CANCELLED, Status.UNDELIVERED, Status.READ})
ACCEPTED = frozenset({Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ})
IN_FLIGHT = frozenset({Status.SENDING, Status.UNKNOWN})


def sources(target: Status) -> frozenset[Status]:
    """The states from which a state may be reached: what an UPDATE's WHERE has to say."""
    return frozenset(state for state, arrows in TRANSITIONS.items() if target in arrows)


def may(source: Status, target: Status) -> bool:
    """Whether the arrow exists."""
    return target in TRANSITIONS[source]


# Twilio's words, in the order in which they can follow each other (twilio.com/docs/messaging/api/message-resource).
# A report whose rank is not higher than what is known changes nothing: late, doubled and swapped reports are harmless.
PROVIDER_RANK = {
    "scheduled": 0,
    "accepted": 1,
    "queued": 2,
    "sending": 3,
    "sent": 4,
    "delivered": 5,
    "undelivered": 5,
    "failed": 5,
    "canceled": 5,
    "read": 6,
}
PROVIDER_FINAL = frozenset({"delivered", "undelivered", "failed", "canceled", "read"})

_FROM_PROVIDER = {
    "delivered": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.UNDELIVERED,
    "canceled": Status.UNDELIVERED,
    "read": Status.READ,
}


def from_provider(word: str) -> Status:
    """Our status for a provider's word; everything before the carrier's receipt is ``sent``."""
    return _FROM_PROVIDER.get(word, Status.SENT)


def job_status(status: Status, due_at: datetime, now: datetime) -> str:
    """The job word of seed 001: scheduled, processing, completed, cancelled or failed."""
    if status is Status.SCHEDULED:
        return "scheduled" if due_at > now else "processing"
    if status in IN_FLIGHT:
        return "processing"
    if status in ACCEPTED:
        return "completed"
    return "cancelled" if status is Status.CANCELLED else "failed"


def message_status(status: Status) -> str:
    """The message word of seed 001: pending, sent, delivered, undelivered, read or failed."""
    if status in ACCEPTED:
        return status.value
    return "failed" if status in (Status.FAILED, Status.SKIPPED) else "pending"


ReminderState = Literal["waiting", "active", "completed", "failed", "delayed"]


def reminder_state(status: Status, scheduled_at: datetime, now: datetime) -> ReminderState:
    """The word of seed 004's queue. A cancelled one is not in it any more: nobody asks for its word."""
    if status is Status.SCHEDULED:
        return "delayed" if scheduled_at > now else "waiting"
    if status in IN_FLIGHT:
        return "active"
    return "completed" if status in ACCEPTED else "failed"
