"""The routes of seed 001 under /api/trigger, and reading messages back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint
from sqlalchemy.orm import Session

from app import clock
from app.api import dry_run, idempotency
from app.api.auth import Caller
from app.api.body import ApiModel
from app.api.endpoint import dump, endpoint
from app.api.idempotency import Outcome
from app.channels.phone import channel_of
from app.database import reading
from app.errors import invalid_field
from app.ids import keyed_job_id, message_id
from app.messages import schemas, service
from app.messages.models import Message
from app.messages.senders import SenderBook
from app.messages.service import Draft, Stored, time_text
from app.messages.states import Status, job_status, message_status
from app.workspaces.service import Key

trigger = Blueprint("trigger", __name__, url_prefix="/api/trigger")
TAG = "Messages"


Payload = schemas.SendSms | schemas.ScheduleDelay | schemas.ScheduleUntil


@dataclass(frozen=True, slots=True)
class _Kind:
    """What tells the routes apart that take a single message."""

    route: str
    due: Callable[[Any, ZoneInfo, datetime], tuple[datetime, str]]
    """From the payload, the workspace's zone and the time: when it is due, and how the answer writes that."""
    answer: Callable[[Stored], ApiModel]


def _single(kind: _Kind, caller: Caller, payload: Payload) -> Outcome:
    """Accept one message: store it, commit, then nudge; Redis is not needed for the answer."""
    workspace_id = caller.workspace(payload.workspace_id)
    service.check_recipient(payload.to)
    key = idempotency.header_key()
    job_id = keyed_job_id(workspace_id, kind.route, key) if key else None

    def work(session: Session) -> Outcome:
        book = SenderBook(session, workspace_id)
        sender = partial(book.choose, payload.to, payload.from_number)
        draft = _draft(kind, payload, workspace_id, book.zone, sender, job_id)
        return _accepted(kind, service.store(session, [draft]))

    return idempotency.once(workspace_id, kind.route, key, partial(schemas.plain, payload), work)


def _quick_single(kind: _Kind, key: Key, payload: Payload) -> Outcome | None:
    """`_single` in one statement, for a workspace and sender that we have met. None: the usual way has to decide."""
    sender = payload.from_number or key.default_sender
    if payload.workspace_id != key.workspace_id or sender is None or channel_of(sender) != channel_of(payload.to):
        return None
    service.check_recipient(payload.to)
    draft = _draft(kind, payload, key.workspace_id, ZoneInfo(key.timezone), lambda: sender)
    stored = service.store_quickly(key, draft, sender_was_named=payload.from_number is not None)
    return _accepted(kind, stored) if stored else None


def _draft(
    kind: _Kind,
    payload: Payload,
    workspace_id: str,
    zone: ZoneInfo,
    sender: Callable[[], str],
    job_id: str | None = None,
) -> Draft:
    due_at, due_text = kind.due(payload, zone, clock.now())
    return Draft(
        workspace_id=workspace_id,
        to=payload.to,
        sender=sender(),
        body=payload.body,
        media_urls=payload.media_url,
        due_at=due_at,
        due_text=due_text,
        valid_until=valid_until(payload.valid_until, due_at),
        metadata=payload.metadata,
        job_id=job_id,
    )


def _accepted(kind: _Kind, stored: list[Stored]) -> Outcome:
    return Outcome(dump(kind.answer(stored[0])), lambda: service.announce(stored))


def valid_until(given: schemas.GivenTime | None, due_at: datetime) -> datetime:
    """The end of a message's validity.

    Raises:
        Invalid: it is not after the due time.
    """
    if given is None:
        return due_at + service.DEFAULT_VALIDITY
    if given.at <= due_at:
        raise invalid_field("validUntil", "must be after the time at which the message is due")
    return given.at


def _sent(stored: Stored) -> schemas.Sent:
    return schemas.Sent(job_id=stored.job_id, status="processing", message_id=message_id(stored.id))


def _scheduled(stored: Stored) -> schemas.Scheduled:
    return schemas.Scheduled(job_id=stored.job_id, status="scheduled", scheduled_time=stored.due_text)


def _now(_payload: schemas.SendSms, zone: ZoneInfo, now: datetime) -> tuple[datetime, str]:
    return now, time_text(now, zone)


def _delayed(payload: schemas.ScheduleDelay, zone: ZoneInfo, now: datetime) -> tuple[datetime, str]:
    return after(payload.delay_minutes, zone, now)


def after(minutes: float, zone: ZoneInfo, now: datetime) -> tuple[datetime, str]:
    """When a delay ends, and how we write that.

    Raises:
        Invalid: it is too far ahead.
    """
    due_at = now + timedelta(minutes=minutes)
    service.check_due(due_at, now, "delayMinutes")
    return due_at, time_text(due_at, zone)


def _at_time(payload: schemas.ScheduleUntil, _zone: ZoneInfo, now: datetime) -> tuple[datetime, str]:
    return at_given(payload.scheduled_time, now)


def at_given(time: schemas.GivenTime, now: datetime) -> tuple[datetime, str]:
    """A time as it was given, checked.

    Raises:
        Invalid: it is past or too far ahead.
    """
    service.check_due(time.at, now)
    return time.at, time.text


SEND_SMS = _Kind("send-sms", _now, _sent)
SCHEDULE_DELAY = _Kind("schedule-delay", _delayed, _scheduled)
SCHEDULE_UNTIL = _Kind("schedule-until", _at_time, _scheduled)


@endpoint(
    trigger,
    "POST",
    "/send-sms",
    body=schemas.SendSms,
    answer=schemas.Sent,
    status=202,
    creates=True,
    quick=partial(_quick_single, SEND_SMS),
    summary="Send a message now",
    tag=TAG,
)
def send_sms(caller: Caller, payload: schemas.SendSms) -> Outcome:
    """``status`` is "processing", and the message id is ours; the provider's comes later."""
    return _single(SEND_SMS, caller, payload)


@endpoint(
    trigger,
    "POST",
    "/schedule-delay",
    body=schemas.ScheduleDelay,
    answer=schemas.Scheduled,
    status=202,
    creates=True,
    quick=partial(_quick_single, SCHEDULE_DELAY),
    summary="Send a message after some minutes",
    tag=TAG,
)
def schedule_delay(caller: Caller, payload: schemas.ScheduleDelay) -> Outcome:
    """``delayMinutes`` from now; the answer says when that is."""
    return _single(SCHEDULE_DELAY, caller, payload)


@endpoint(
    trigger,
    "POST",
    "/schedule-until",
    body=schemas.ScheduleUntil,
    answer=schemas.Scheduled,
    status=202,
    creates=True,
    quick=partial(_quick_single, SCHEDULE_UNTIL),
    summary="Send a message at a time",
    tag=TAG,
)
def schedule_until(caller: Caller, payload: schemas.ScheduleUntil) -> Outcome:
    """``scheduledTime`` is echoed as it was written."""
    return _single(SCHEDULE_UNTIL, caller, payload)


@endpoint(
    trigger,
    "POST",
    "/cancel-job",
    body=schemas.JobRef,
    answer=schemas.Cancelled,
    summary="Call a message off",
    tag=TAG,
    errors=(404, 409),
)
def cancel_job(caller: Caller, payload: schemas.JobRef) -> schemas.Cancelled:
    """ "cancelled" is only said when the message can no longer go out. Otherwise 409: ``already_processing``,
    ``already_sent`` or ``already_finished``.
    """
    message = service.cancel(
        caller.existing_workspace(payload.workspace_id), payload.job_id, keep=not dry_run.requested()
    )
    return schemas.Cancelled(job_id=message.job_id, status="cancelled")


@endpoint(
    trigger,
    "POST",
    "/reschedule-job",
    body=schemas.Reschedule,
    answer=schemas.Scheduled,
    summary="Move a message that has not gone out",
    tag=TAG,
    errors=(404, 409),
)
def reschedule_job(caller: Caller, payload: schemas.Reschedule) -> schemas.Scheduled:
    """The job keeps its id. 409 as for cancelling."""
    given = payload.scheduled_time
    message = service.reschedule(
        caller.existing_workspace(payload.workspace_id),
        payload.job_id,
        given.at if given else None,
        given.text if given else None,
        timedelta(minutes=payload.delay_minutes or 0),
        keep=not dry_run.requested(),
    )
    return schemas.Scheduled(job_id=message.job_id, status="scheduled", scheduled_time=message.due_text)


@endpoint(
    trigger,
    "GET",
    "/job-status",
    query=schemas.JobRef,
    answer=schemas.JobState,
    summary="How a message is doing",
    tag=TAG,
    errors=(404,),
)
def read_job_status(caller: Caller, payload: schemas.JobRef) -> schemas.JobState:
    """``reason`` says why a message did not go out; ``completedTime`` has the offset of ``scheduledTime``."""
    with reading() as session:
        message = service.find(session, caller.existing_workspace(payload.workspace_id), payload.job_id)
    return state_of(message)


def state_of(message: Message) -> schemas.JobState:
    """A message in seed 001's words."""
    state = Status(message.status)
    offset = schemas.parse_time(message.due_text).at.tzinfo
    finished = message.finished_at if state is not Status.CANCELLED else None
    return schemas.JobState(
        job_id=message.job_id,
        status=job_status(state, message.due_at, clock.now()),
        scheduled_time=message.due_text,
        completed_time=finished.astimezone(offset).isoformat(timespec="milliseconds") if finished else None,
        message_status=message_status(state),
        reason=message.reason,
    )
