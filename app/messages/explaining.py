"""Why a message goes out when it does, or did not: its whole life as steps in plain words.

Pure: what is known about the message goes in (`Story`), steps and one sentence come out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.channels.base import FailureKind
from app.channels.twilio_errors import explain as meaning_of
from app.messages.models import Attempt, DeliveryEvent, Message
from app.messages.states import Reason, Status
from app.messages.words import REASON, because, when
from app.retry import POLICIES

CHANNEL = {"sms": "SMS", "whatsapp": "WhatsApp", "email": "email"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, was decided or is to come; ``at`` is its instant where it has one."""

    step: str
    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known about a message.

    ``zone`` is where its times are told. The rest is about a message that waits: whether it is of an older plan of its
    appointment, whether its recipient has opted out, and why its account is paused, if it is.
    """

    message: Message
    attempts: Sequence[Attempt]
    reports: Sequence[DeliveryEvent]
    zone: ZoneInfo
    now: datetime
    recurrence: str | None = None
    """The rule that it is an occurrence of, in words."""
    batch: str | None = None
    appointment: tuple[str, datetime] | None = None
    """What it is about: the appointment's id and its start."""
    is_superseded: bool = False
    has_opted_out: bool = False
    paused: str | None = None

    def said(self, at: datetime) -> str:
        """An instant in words, in the story's zone."""
        return when(at, self.zone)


def explain(story: Story) -> tuple[list[Step], str]:
    """The steps in order, and the sentence that sums them up."""
    steps = [
        *_origin(story),
        *_address(story),
        *_turn(story),
        *_tries(story),
        *_reports(story),
        *_end(story),
    ]
    return steps, summary(story)


def _origin(story: Story) -> Iterator[Step]:
    message = story.message
    if story.appointment is not None:
        name, starts_at = story.appointment
        text = f"It is about the appointment {name}, which begins on {story.said(starts_at)}."
    elif story.recurrence is not None:
        text = f"It is one of a recurring message: {story.recurrence}."
    elif story.batch is not None:
        text = f"It belongs to the batch “{story.batch}”."
    else:
        text = "It was asked for" + (f" as item {message.reference} of a bulk." if message.reference else ".")
    yield Step("asked", text, message.created_at)
    planned = list((message.plan or {}).get("steps", ()))
    for one in planned:
        yield Step(one["step"], one["text"], datetime.fromisoformat(one["at"]) if one.get("at") else None)
    if message.reason not in _DECIDED_AT_ONCE:
        yield Step("due", f"So it is due on {story.said(message.due_at)}.", message.due_at)
    if message.valid_until > message.due_at and Status(message.status) in (Status.SCHEDULED, Status.UNKNOWN):
        yield Step("valid", "After this it would be of no use, and is not sent.", message.valid_until)


_DECIDED_AT_ONCE = frozenset(
    {Reason.BOOKED_LATE, Reason.AT_APPOINTMENT_TIME, Reason.QUIET_HOURS, Reason.NO_ADDRESS, Reason.ALREADY_MARKED}
)
"""Of what will not be sent, and was known so when it was planned: there is no due time to speak of."""


def _address(story: Story) -> Iterator[Step]:
    message = story.message
    if message.to_address and message.reason != Reason.NO_ADDRESS:
        sender = f", from {message.from_address}" if message.from_address else ""
        yield Step("address", f"By {CHANNEL[message.channel]} to {message.to_address}{sender}.")
    if story.has_opted_out and message.status == Status.SCHEDULED:
        yield Step("opt_out", REASON[Reason.OPTED_OUT])


def _turn(story: Story) -> Iterator[Step]:
    message = story.message
    if message.status == Status.SCHEDULED and message.slot_at is not None:
        promised = message.slot_at == message.scheduled_at
        text = "is its sender's turn for it" if promised else "its sender's turn may come: others stand before it"
        yield Step("pacing", f"A sender carries only so much a second. At this time {text}.", message.slot_at)


_OUTCOME: Mapping[str, str] = {
    "accepted": "The provider took it.",
    FailureKind.PERMANENT: "The provider refused it for good.",
    FailureKind.OPTED_OUT: "The provider refused it: this person has said STOP.",
    FailureKind.TRANSIENT: "The provider refused it for now.",
    FailureKind.THROTTLED: "The provider asked us to slow down; this try does not count.",
    FailureKind.UNREACHABLE: "The provider could not be reached; this try does not count.",
    FailureKind.CONFIGURATION: "The provider refused our account; this try does not count.",
    FailureKind.AMBIGUOUS: "There was no clear answer: the provider may have taken it or not.",
    "abandoned": "The worker ended in the middle of it: the provider may have it or not.",
    "not_accepted": "The provider's log shows that it was not taken; this try does not count.",
}


def _tries(story: Story) -> Iterator[Step]:
    message = story.message
    for one in story.attempts:
        words = _OUTCOME.get(one.outcome or "", "It is running.")
        if one.error_code is not None:
            words += f" {meaning_of(one.error_code)}"
        elif one.error_message and one.outcome != "accepted":
            words += f" It said: {one.error_message[:200]}"
        yield Step("try", f"Try {one.number}. {words}", one.finished_at or one.started_at)
    if message.status == Status.SCHEDULED and story.attempts and message.scheduled_at > story.now:
        left = POLICIES[message.retry_policy].max_attempts - message.attempts_used
        yield Step("retry", f"It is tried again; {left} of its tries {_is(left)} left.", message.scheduled_at)
    if message.status == Status.UNKNOWN:
        text = "Before anything is sent again, the provider's log is read: it tells whether the message was taken."
        yield Step("look_up", text, message.next_check_at)


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


_REPORT = {
    "delivered": "The carrier reports that it has arrived.",
    "undelivered": "The carrier reports that it did not arrive.",
    "failed": "The provider reports that it could not be delivered.",
    "canceled": "The provider reports that it was called off there.",
    "read": "The recipient has opened it.",
    "sent": "The provider has handed it to the carrier.",
}


def _reports(story: Story) -> Iterator[Step]:
    for event in story.reports:
        text = _REPORT.get(event.status, f"The provider reports “{event.status}”.")
        if event.error_code is not None:
            text += f" {meaning_of(event.error_code)}"
        yield Step("report", text, event.received_at)


def _end(story: Story) -> Iterator[Step]:
    message, status = story.message, Status(story.message.status)
    if status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED):
        yield Step("end", REASON.get(message.reason or "", "It was not sent."), message.finished_at)


def summary(story: Story) -> str:
    """One sentence: what becomes of the message, or what became of it."""
    message = story.message
    match Status(message.status):
        case Status.SCHEDULED:
            return _waiting(story)
        case Status.SENDING:
            return "It is being sent right now."
        case Status.UNKNOWN:
            return "Nobody knows yet whether it has gone out; the provider's log is being read."
        case Status.SENT:
            return f"It was handed to the provider on {_at(story, message.sent_at)}; how it went on is not known yet."
        case Status.DELIVERED:
            return f"It was sent on {_at(story, message.sent_at)} and has arrived."
        case Status.READ:
            return f"It was sent on {_at(story, message.sent_at)} and has been opened."
        case Status.UNDELIVERED:
            return f"It was sent on {_at(story, message.sent_at)} and did not arrive{_why(message.error_code)}"
        case Status.FAILED | Status.SKIPPED | Status.CANCELLED:
            text = because(message.reason)
            told = _why(message.error_code) if message.reason == Reason.REJECTED else "."
            return f"It was not sent, because {text.removesuffix('.')}{told}"


def _at(story: Story, at: datetime | None) -> str:
    return story.said(at or story.message.due_at)


def _why(error_code: int | None) -> str:
    return f": {meaning_of(error_code)}" if error_code is not None else "."


def _waiting(story: Story) -> str:
    message = story.message
    for holds, reason in (
        (story.is_superseded, Reason.SUPERSEDED),
        (story.has_opted_out, Reason.OPTED_OUT),
        (message.valid_until <= story.now, Reason.EXPIRED),
    ):
        if holds:
            return f"It will not go out, because {because(reason)}"
    expected = max(message.slot_at or message.scheduled_at, message.scheduled_at)
    if story.paused is not None:
        return f"It waits because the account with the provider is paused: {story.paused}"
    if story.attempts and message.slot_at is None and expected > story.now:
        return f"It has not gone out yet and is tried again on {story.said(expected)}."
    if message.slot_at is not None:
        return f"It is due and waits for its sender's turn, which is expected on {story.said(expected)}."
    if expected <= story.now + timedelta(seconds=1):
        return "It is due and goes out as soon as a worker is free."
    return f"It goes out on {story.said(expected)}."


def facts(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as JSON has them, times in UTC."""
    return [
        {"step": one.step, "text": one.text, "at": one.at.isoformat(timespec="milliseconds") if one.at else None}
        for one in steps
    ]
