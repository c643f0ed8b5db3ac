"""The life of one message as a list of steps: a pure function of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from admin import words
from app.channels.twilio_errors import explain
from app.messages.models import Attempt, DeliveryEvent, Message
from app.messages.states import Status
from app.messages.words import REASON


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, or (``plan``) will."""

    at: datetime
    title: str
    tone: str
    detail: str = ""
    note: str = ""
    """For whoever asks the provider's support."""


def timeline(
    message: Message, attempts: Sequence[Attempt], events: Sequence[DeliveryEvent], now: datetime
) -> list[Step]:
    """All steps, oldest first; steps of the same instant in the order in which they follow each other."""
    at_once = message.due_at <= message.created_at
    steps = [
        Step(message.created_at, "Asked for, to go out at once" if at_once else "Asked for", "quiet", _origin(message))
    ]
    steps += [] if at_once else [_due(message, now)]
    steps += [_try(attempt, message) for attempt in attempts]
    if message.status == Status.SCHEDULED and message.slot_at is not None:
        steps.append(Step(message.slot_at, "Its sender's turn", "plan", "This number sends no faster."))
    elif message.status == Status.SCHEDULED and message.attempt and message.scheduled_at != message.due_at:
        steps.append(Step(message.scheduled_at, "Next try", "plan"))
    steps += [_report(event) for event in events]
    if message.status in (Status.CANCELLED, Status.SKIPPED, Status.FAILED) and message.finished_at is not None:
        label = words.STATUS[message.status]
        steps.append(Step(message.finished_at, label.text, label.tone, REASON.get(message.reason or "", "")))
    return sorted(steps, key=lambda step: step.at)


def _origin(message: Message) -> str:
    return "By a recurring message." if message.recurrence_id else "Through the API."


def _due(message: Message, now: datetime) -> Step:
    ahead = message.due_at > now and message.status == Status.SCHEDULED
    in_vain = message.finished_at is not None and message.finished_at < message.due_at
    return Step(message.due_at, "Would have been due" if in_vain else "Due", "plan" if ahead else "quiet")


def _try(attempt: Attempt, message: Message) -> Step:
    ended, tone = words.outcome(attempt)
    note = [f"HTTP {attempt.http_status}"] if attempt.http_status else []
    note += [f"error {attempt.error_code}"] if attempt.error_code is not None else []
    other_id = attempt.provider_message_id not in (None, message.provider_message_id)
    note += [str(attempt.provider_message_id)] if other_id else []
    return Step(
        at=attempt.started_at,
        title=f"Try {attempt.number}: {ended}",
        tone=tone,
        detail=_about(attempt.error_code) or attempt.error_message or "",
        note=" · ".join(note),
    )


def _report(event: DeliveryEvent) -> Step:
    title, tone = words.report(event.status)
    return Step(event.received_at, title, tone, _about(event.error_code), f"reported as “{event.status}”")


def _about(code: int | None) -> str:
    return explain(code) if code is not None else ""
