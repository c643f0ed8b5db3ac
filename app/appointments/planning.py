"""Plans in the database: the reminders of an appointment, written and rewritten in the caller's transaction.

Whoever changes a plan holds the appointment's row, so that there is one plan at a time. A new plan is a new revision;
what waits is moved to it or called off, and what is on its way keeps the old revision: it gets no further try.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import queue
from app.appointments.diff import Diff, entry, entry_of
from app.appointments.matching import Changes, Existing, archive_mark, fallback_text, match, reason_of, still_ahead
from app.appointments.models import Appointment
from app.appointments.workspace_planner import Planner, confirmations, explanation
from app.contacts.models import Contact
from app.messages import service as messages
from app.messages.models import Message
from app.messages.service import Draft, Stored
from app.messages.states import ACCEPTED, IN_FLIGHT, Reason, Status
from app.reminders import tracker
from app.reminders.planner import Planned, channels_of

CANCELLATION = "cancellation"
GONE = ACCEPTED | IN_FLIGHT


def lock(session: Session, workspace_id: str, public_id: str) -> Appointment | None:
    """An appointment by the caller's id, held until the transaction ends.

    Not against those who only refer to it (``FOR NO KEY UPDATE``): a message that is added meanwhile, such as a
    fallback's, holds its own row first, and the two would wait for each other.
    """
    return session.scalar(
        select(Appointment)
        .where(Appointment.workspace_id == workspace_id, Appointment.public_id == public_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def first_plan(session: Session, planner: Planner, appointment: Appointment, contact: Contact, now: datetime) -> Diff:
    """Write the reminders of a new appointment."""
    marked = tracker.marked_types(session, appointment.workspace_id, [appointment.public_id])
    planned = planner.plan(appointment, contact, now, marked.get(appointment.public_id, ()))
    drafts = [planner.draft(appointment, one) for one in planned]
    stored = messages.store(session, drafts)
    return Diff(
        added=[entry(one) for one in planned if one.reason is None],
        written=list(zip(stored, drafts, strict=True)),
        stored=_sendable(stored, drafts),
    )


def replan(
    session: Session,
    planner: Planner,
    appointment: Appointment,
    contact: Contact,
    now: datetime,
    *,
    only_ahead: bool = False,
) -> Diff:
    """Give a changed appointment, whose row the caller holds, a new revision, and its reminders the new times.

    ``only_ahead``: the appointment is as it was, and the settings are not (see `matching.still_ahead`).
    """
    rows = rows_of(session, [appointment.id], hold=True)
    marked = tracker.marked_types(session, appointment.workspace_id, [appointment.public_id])
    taken = marked.get(appointment.public_id, ())
    changes = compare(planner, appointment, contact, rows, taken, now, only_ahead=only_ahead)
    appointment.revision += 1
    session.flush()
    return _apply(session, planner, appointment, changes, {row.job_id: row for row in rows}, now)


def compare(
    planner: Planner,
    appointment: Appointment,
    contact: Contact,
    rows: Sequence[Existing],
    marked: Collection[tuple[str, str]],
    now: datetime,
    *,
    only_ahead: bool = False,
) -> Changes:
    """What a new plan would do to an appointment's reminders (`rows_of`); nothing is written."""
    # What went out under an older plan counts as well, unless a later one has taken its place: an appointment can have
    # been over, and be open again.
    current = [
        row
        for row in rows
        if row.reminder_type != CANCELLATION
        and (row.plan_revision == appointment.revision or (row.status in GONE and not row.is_archived))
    ]
    planned = planner.plan(appointment, contact, now, marked)
    under_way: list[Existing] = []
    if only_ahead:
        planned = still_ahead(current, planned, now)
        # What the rules of before have begun, is finished.
        under_way = [row for row in current if row.is_under_way]
        begun = {(row.reminder_type, row.channel) for row in under_way}
        current = [row for row in current if not row.is_under_way]
        planned = [one for one in planned if (one.reminder_type, one.channel) not in begun]
    once = confirmations(planner.policy_of(appointment))
    changes = match(current, planned, planner.addresses(appointment), planner.senders(appointment), once, now)
    changes.kept += under_way
    return changes


def _apply(
    session: Session,
    planner: Planner,
    appointment: Appointment,
    changes: Changes,
    names: Mapping[str, Existing],
    now: datetime,
) -> Diff:
    diff = Diff()
    _bump(session, appointment, [*changes.kept, *(row for row in changes.sent if row not in changes.replaced)])
    for row, planned in changes.waiting:
        valid_until = min(max(row.valid_until, planned.valid_until), appointment.starts_at)
        session.execute(
            update(Message)
            .where(Message.id == row.id, Message.status == Status.SCHEDULED)
            .values(plan_revision=appointment.revision, valid_until=valid_until)
        )
    for row, planned in changes.moved:
        _move(session, planner, appointment, row, planned, diff, now)
    for row, dropped in changes.dropped:
        _drop(session, appointment, row, dropped, diff, now)
    new = [*changes.added, *changes.recorded]
    for one in new:
        if (holder := names.get(one.job_id)) is not None:
            # The name goes to the new one; the old one can still be found under its revision.
            archived = f"{holder.job_id}{archive_mark(holder.plan_revision)}"
            session.execute(update(Message).where(Message.id == holder.id).values(job_id=archived))
    drafts = [planner.draft(appointment, one) for one in new]
    diff.stored = _sendable(messages.store(session, drafts), drafts)
    diff.added = [entry(one) for one in changes.added]
    diff.already_sent = [entry_of(row) for row in (*changes.sent, *changes.fenced)]
    return diff


def _bump(session: Session, appointment: Appointment, rows: Sequence[Existing]) -> None:
    """They belong to the new plan as they are."""
    if rows:
        ids = [row.id for row in rows]
        session.execute(update(Message).where(Message.id.in_(ids)).values(plan_revision=appointment.revision))


def _move(
    session: Session,
    planner: Planner,
    appointment: Appointment,
    row: Existing,
    planned: Planned,
    diff: Diff,
    now: datetime,
) -> None:
    draft = planner.draft(appointment, planned)
    if draft.skipped is not None:
        _drop(session, appointment, row, planned.skipped(draft.skipped), diff, now)
        return
    session.execute(
        update(Message)
        .where(Message.id == row.id, Message.status == Status.SCHEDULED)
        .values(
            to_address=draft.to,
            from_address=draft.sender,
            kind=planned.kind,
            fallback=fallback_text(planned),
            due_at=draft.due_at,
            due_text=draft.due_text,
            scheduled_at=draft.due_at,
            slot_at=None,
            valid_until=draft.valid_until,
            revision=Message.revision + 1,
            plan_revision=appointment.revision,
            plan=explanation(planned),
            attempts_used=0,
            attempts_uncounted=0,
        )
    )
    diff.dropped_jobs.append(queue.send_nudge(row.id, row.revision, None).job_id)
    diff.nudges.append(queue.send_nudge(row.id, row.revision + 1, draft.due_at))
    diff.moved.append(entry_of(row, planned))


def _drop(
    session: Session, appointment: Appointment, row: Existing, planned: Planned | None, diff: Diff, now: datetime
) -> None:
    """What the plan has no more is called off; what it has and does not send stays in it, and says why."""
    reason = reason_of(planned)
    values: dict[str, Any] = {"status": Status.CANCELLED, "reason": reason, "finished_at": now}
    if planned is not None:
        values |= {"status": Status.SKIPPED, "plan_revision": appointment.revision, "plan": explanation(planned)}
    session.execute(update(Message).where(Message.id == row.id, Message.status == Status.SCHEDULED).values(**values))
    diff.dropped_jobs.append(queue.send_nudge(row.id, row.revision, None).job_id)
    diff.cancelled.append(entry_of(row, reason=reason))


def call_off(session: Session, appointment: Appointment, reason: Reason, now: datetime) -> Diff:
    """End the plan of an appointment whose row the caller holds: nothing that waits goes out, and what is on its way
    gets no further try.
    """
    diff = Diff()
    appointment.revision += 1
    session.flush()
    for row in rows_of(session, [appointment.id], hold=True):
        if row.status is Status.SCHEDULED:
            diff.cancelled.append(entry_of(row, reason=reason))
            diff.dropped_jobs.append(queue.send_nudge(row.id, row.revision, None).job_id)
        elif row.status not in (Status.CANCELLED, Status.SKIPPED, Status.FAILED):
            diff.already_sent.append(entry_of(row))
    session.execute(
        update(Message)
        .where(Message.appointment_id == appointment.id, Message.status == Status.SCHEDULED)
        .values(status=Status.CANCELLED, reason=reason, finished_at=now)
    )
    return diff


def add_notice(
    session: Session, planner: Planner, appointment: Appointment, kind: str, now: datetime, valid_until: datetime
) -> list[Stored]:
    """A message about the appointment that no rule asks for, at once and on every channel that its plan uses."""
    policy = planner.policy_of(appointment)
    drafts: list[Draft] = []
    addresses = planner.addresses(appointment)
    for channel in channels_of(policy, None, planner.settings.preferences, addresses):
        if not addresses.get(channel):
            continue
        suffix = "" if not drafts else f"-{channel}"
        planned = Planned(
            reminder_type=kind,
            kind=kind,
            channel=channel,
            job_id=f"reminder-{kind}-{appointment.public_id}{suffix}",
            planned_for=now,
            due_at=now,
            valid_until=valid_until,
            reason=None,
            steps=({"step": "notice", "text": "At once, because the appointment has changed.", "at": now.isoformat()},),
            fallback=(),
        )
        drafts.append(planner.draft(appointment, planned))
    return _sendable(messages.store(session, drafts), drafts)


def rows_of(session: Session, appointment_ids: Sequence[str], *, hold: bool = False) -> list[Existing]:
    """The reminders of appointments, of all their plans. ``hold`` locks them in the order of their ids, as all do."""
    query = (
        select(
            Message.id,
            Message.job_id,
            Message.reminder_type,
            Message.channel,
            Message.to_address,
            Message.from_address,
            Message.kind,
            Message.valid_until,
            Message.fallback,
            Message.status,
            Message.due_at,
            Message.plan,
            Message.revision,
            Message.plan_revision,
            Message.appointment_id,
        )
        .where(Message.appointment_id.in_(appointment_ids), Message.reminder_type.is_not(None))
        .order_by(Message.id)
    )
    rows = session.execute(query.with_for_update(of=Message) if hold else query)
    return [
        Existing(
            id=row.id,
            job_id=row.job_id,
            reminder_type=row.reminder_type,
            channel=row.channel,
            to_address=row.to_address,
            status=Status(row.status),
            planned_for=datetime.fromisoformat((row.plan or {}).get("plannedFor") or row.due_at.isoformat()),
            due_at=row.due_at,
            revision=row.revision,
            plan_revision=row.plan_revision,
            sender=row.from_address,
            kind=row.kind or "",
            valid_until=row.valid_until,
            fallback=row.fallback,
            appointment_id=row.appointment_id,
        )
        for row in rows
    ]


def _sendable(stored: Sequence[Stored], drafts: Sequence[Draft]) -> list[Stored]:
    return [row for row, draft in zip(stored, drafts, strict=True) if draft.skipped is None]
