"""Accepting, cancelling and moving messages: what the API and the panel call.

Functions that take a session write into the caller's transaction; what they return tells the caller which nudges to
add once it is committed.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import clock, ids, metrics, queue
from app.channels.phone import channel_of, check_address
from app.channels.segments import segments_of
from app.database import insert_ignore, writing
from app.errors import Conflict, NotFound, invalid_field
from app.extensions import settings
from app.messages import quick
from app.messages.models import Message
from app.messages.states import Reason, Status
from app.rows import insert_rows
from app.workspaces.models import Workspace
from app.workspaces.service import Key

DEFAULT_VALIDITY = timedelta(hours=4)
MAX_AHEAD = timedelta(days=731)
"""Two years; a message for a later time is a typing error."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message comes from that nobody wrote out: its template, and what it is about.

    Such a message is written when it is sent (``app.messages.rendering``).
    """

    kind: str | None
    template_id: str | None = None
    contact_id: str | None = None
    appointment_id: str | None = None
    plan_revision: int | None = None
    reminder_type: str | None = None
    plan: dict[str, Any] | None = None
    fallback: str | None = None
    batch_id: str | None = None


_NO_ORIGIN = dict.fromkeys(item.name for item in fields(Origin))


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as it was asked for, checked and ready to be stored."""

    workspace_id: str
    to: str
    sender: str
    body: str
    due_at: datetime
    due_text: str
    valid_until: datetime
    media_urls: Sequence[str] = ()
    reference: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    channel: str | None = None
    """None is the address's; one that will not be sent may have none."""
    retry_policy: str = "default"
    recurrence_id: str | None = None
    occurrence_key: str | None = None
    skipped: Reason | None = None
    """Recorded only: why it will not be sent."""
    origin: Origin | None = None
    subject: str | None = None
    """Of an email."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A row that was written, with what is needed to answer and to nudge."""

    id: str
    job_id: str
    channel: str
    due_at: datetime
    due_text: str

    def nudge(self) -> queue.Nudge:
        """The job that will send it."""
        return queue.send_nudge(self.id, 0, self.due_at)


def check_recipient(to: str) -> None:
    """Judge a number as strictly as ``PHONE_STRICTNESS`` says.

    Raises:
        Invalid: naming ``to``.
    """
    problem = check_address(to, settings().phone_strictness)
    if problem:
        raise invalid_field("to", problem)


def check_due(due_at: datetime, now: datetime, name: str = "scheduledTime") -> None:
    """A due time lies in the future, and not more than two years ahead.

    Raises:
        Invalid: naming the field.
    """
    if due_at <= now:
        raise invalid_field(name, "is in the past")
    if due_at > now + MAX_AHEAD:
        raise invalid_field(name, "is more than two years ahead")


def time_text(at: datetime, zone: ZoneInfo) -> str:
    """An instant as we write it when the caller gave none: in the workspace's zone, to the millisecond."""
    return at.astimezone(zone).isoformat(timespec="milliseconds")


def content_hash(body: str, media_urls: Sequence[str]) -> str:
    """Tells equal texts to one person apart from different ones."""
    return hashlib.sha256("\0".join((body, *media_urls)).encode()).hexdigest()[:32]


def store(session: Session, drafts: Sequence[Draft]) -> list[Stored]:
    """Write drafts as rows, all in one statement."""
    rows = _rows(drafts, _taken_job_ids(session, drafts))
    insert_rows(session, Message, rows)
    return _stored(rows)


def store_quickly(key: Key, draft: Draft, *, sender_was_named: bool) -> list[Stored]:
    """Write and commit one message if the key and its workspace are as we remember them; else nothing, and none."""
    [row] = _rows([draft])
    shared = draft.sender == settings().twilio_from_number
    done = quick.insert_if(key, row, sender_was_named=sender_was_named, sender_is_shared=shared)
    return _stored([row]) if done else []


def store_occurrences(session: Session, drafts: Sequence[Draft]) -> list[Stored]:
    """Write occurrences of a recurrence; those that have their row already are left alone (the unique key decides)."""
    rows = _rows(drafts, _taken_job_ids(session, drafts))
    new = set(insert_ignore(session, Message, rows, returning=Message.id)) if rows else set()
    return _stored([row for row in rows if row["id"] in new and row["status"] == Status.SCHEDULED])


def _stored(rows: Sequence[dict[str, Any]]) -> list[Stored]:
    return [Stored(row["id"], row["job_id"], row["channel"], row["due_at"], row["due_text"]) for row in rows]


def _rows(drafts: Sequence[Draft], taken: Collection[str] = ()) -> list[dict[str, Any]]:
    now = clock.now()
    rows: list[dict[str, Any]] = []
    # All rows of one statement have the same keys; those that most messages leave empty cost nothing there.
    with_origin, with_subject = any(draft.origin for draft in drafts), any(draft.subject for draft in drafts)
    used = set(taken)
    for draft in drafts:
        row_id, channel = ids.new_id(), draft.channel or channel_of(draft.to)
        # A job id that follows from an idempotency key is in use again once the key has expired: then it is a new job.
        # One that follows from an appointment's id may be that of another: an appointment can be called ``x-email``.
        keyed = draft.job_id if draft.job_id not in used else None
        if keyed is not None:
            used.add(keyed)
        rows.append(
            {
                "id": row_id,
                "workspace_id": draft.workspace_id,
                "job_id": keyed or ids.job_id(row_id),
                "channel": channel,
                "to_address": draft.to,
                "from_address": draft.sender,
                "body": draft.body,
                "media_urls": list(draft.media_urls),
                "content_hash": content_hash(draft.body, draft.media_urls),
                "segments": segments_of(channel, draft.body),
                "reference": draft.reference,
                "extra": draft.metadata,
                "due_at": draft.due_at,
                "due_text": draft.due_text,
                "scheduled_at": draft.due_at,
                "valid_until": draft.valid_until,
                "retry_policy": draft.retry_policy,
                "recurrence_id": draft.recurrence_id,
                "occurrence_key": draft.occurrence_key,
                "status": Status.SKIPPED if draft.skipped else Status.SCHEDULED,
                "reason": draft.skipped,
                "finished_at": now if draft.skipped else None,
                "created_at": now,
            }
        )
        if with_origin:
            origin = draft.origin
            rows[-1] |= {name: getattr(origin, name) for name in _NO_ORIGIN} if origin else _NO_ORIGIN
        if with_subject:
            rows[-1]["subject"] = draft.subject
    return rows


def _taken_job_ids(session: Session, drafts: Sequence[Draft]) -> set[str]:
    keyed = [draft.job_id for draft in drafts if draft.job_id]
    if not keyed:
        return set()
    return set(
        session.scalars(
            select(Message.job_id).where(Message.workspace_id == drafts[0].workspace_id, Message.job_id.in_(keyed))
        )
    )


def announce(stored: Sequence[Stored]) -> None:
    """After the commit: count, and put what is due soon into Redis; the rest waits in SQL for the feeder to find it."""
    for channel, number in Counter(item.channel for item in stored).items():
        metrics.accepted.inc(channel, by=number)
    queue.try_add([item.nudge() for item in stored])


def find(session: Session, workspace_id: str, job_id: str) -> Message:
    """A message by its job id.

    Raises:
        NotFound: no such job in this workspace.
    """
    message = session.scalar(select(Message).where(Message.workspace_id == workspace_id, Message.job_id == job_id))
    if message is None:
        raise NotFound("There is no such job in this workspace.")
    return message


def cancel(workspace_id: str, job_id: str, *, keep: bool = True) -> Message:
    """Call a message off. One conditional UPDATE decides the race with the worker; again is the same answer.

    ``keep=False`` only tries it out.

    Raises:
        NotFound: no such job. Conflict: it is being sent, was sent, or is over.
    """
    now = clock.now()
    with writing(keep=keep) as session:
        cancelled = session.scalar(
            update(Message)
            .where(
                Message.workspace_id == workspace_id,
                Message.job_id == job_id,
                Message.status == Status.SCHEDULED,
            )
            .values(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_CALLER, finished_at=now)
            .returning(Message)
        )
        message = cancelled or find(session, workspace_id, job_id)
    if cancelled is None and message.status != Status.CANCELLED:
        raise too_late(Status(message.status))
    if cancelled is not None and keep:
        queue.remove([queue.send_nudge(message.id, message.revision, None).job_id])
    return message


def reschedule(
    workspace_id: str,
    job_id: str,
    due_at: datetime | None,
    due_text: str | None,
    delay: timedelta,
    *,
    keep: bool = True,
) -> Message:
    """Move a message that has not gone out; ``due_at`` and ``due_text``, or else ``delay`` from now.

    ``keep=False`` only tries it out.

    Raises:
        NotFound: no such job. Conflict: it is being sent, was sent, or is over.
        Invalid: the time is past, too far ahead, or after the message's own ``validUntil``.
    """
    now = clock.now()
    with writing(keep=keep) as session:
        old = find(session, workspace_id, job_id)
        workspace = session.get_one(Workspace, workspace_id)
        name = "scheduledTime" if due_at is not None else "delayMinutes"
        if due_at is None or due_text is None:
            due_at = now + delay
            due_text = time_text(due_at, ZoneInfo(workspace.timezone))
        check_due(due_at, now, name)
        # A validity that the caller did not choose moves along; a chosen one stands.
        follows = old.valid_until - old.due_at == DEFAULT_VALIDITY or old.recurrence_id is not None
        valid_until = due_at + DEFAULT_VALIDITY if follows else old.valid_until
        if valid_until <= due_at and old.status == Status.SCHEDULED:
            raise invalid_field(name, "is after the message's validUntil")
        moved = session.scalar(
            update(Message)
            .where(Message.id == old.id, Message.status == Status.SCHEDULED)
            .values(
                due_at=due_at,
                due_text=due_text,
                scheduled_at=due_at,
                slot_at=None,
                valid_until=valid_until,
                revision=Message.revision + 1,
            )
            .returning(Message)
            .execution_options(populate_existing=True)
        )
        if moved is None:
            session.refresh(old)
            raise too_late(Status(old.status))
        old_job = queue.send_nudge(moved.id, moved.revision - 1, None).job_id
    if not keep:
        return moved
    queue.remove([old_job])
    queue.try_add([queue.send_nudge(moved.id, moved.revision, due_at)])
    return moved


def too_late(status: Status) -> Conflict:
    """Why a message can no longer be called off or moved, in the contract's words."""
    # "scheduled" was "sending" a moment ago, when the UPDATE missed it, and waits for another try by now.
    if status in (Status.SENDING, Status.UNKNOWN, Status.SCHEDULED):
        return Conflict("The message is being sent right now.", code="already_processing")
    if status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED):
        return Conflict("The message is already over.", code="already_finished")
    return Conflict("The message has already been sent.", code="already_sent")


def cancel_pending_to(session: Session, workspace_ids: Sequence[str], channel: str, address: str) -> list[str]:
    """Call off everything that still waits for a person who opted out; returns the RQ job ids to remove.

    Sent and claimed messages are out of reach: the claim's own look at the opt-outs covers what is created meanwhile.
    """
    rows = session.execute(
        update(Message)
        .where(
            Message.workspace_id.in_(workspace_ids),
            Message.channel == channel,
            Message.to_address == address,
            Message.status == Status.SCHEDULED,
        )
        .values(status=Status.CANCELLED, reason=Reason.OPTED_OUT, finished_at=clock.now())
        .returning(Message.id, Message.revision)
    )
    return [queue.send_nudge(row.id, row.revision, None).job_id for row in rows]
