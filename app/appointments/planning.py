"""Plans in the database: the reminders of an appointment, written and rewritten in the caller's transaction.

Whoever changes a plan holds the appointment's row, so that there is one plan at a time. A new plan is a new revision;
what waits is moved to it or called off, and what is on its way keeps the old revision: it gets no further try.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import queue
from app.appointments.matching import Changes, Existing, fallback_text, match, reason_of, still_ahead
from app.appointments.models import Appointment
from app.channels import registry
from app.channels.phone import addresses_by_channel
from app.contacts.models import Contact
from app.messages import service as messages
from app.messages.models import Message
from app.messages.service import Draft, Origin, SenderBook, Stored, time_text
from app.messages.states import Reason, Status
from app.reminders import settings as reminder_settings
from app.reminders import tracker
from app.reminders.planner import Facts, Planned, channels_of, plan
from app.reminders.policy import Policy

RETRY_POLICY = "reminder"
CANCELLATION = "cancellation"
DEFAULT_POLICY = {"booking": "every-2h"}
"""By the door that an appointment came in by: seed 004's bookings are reminded every two hours; else ``classic``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A reminder as an answer names it."""

    job_id: str
    reminder_type: str
    channel: str
    due_at: datetime
    was_due_at: datetime | None = None
    reason: Reason | None = None


@dataclass(slots=True)
class Diff:
    """What became of a plan's reminders, and what is to be done in Redis once that is committed."""

    moved: list[Entry] = field(default_factory=list)
    added: list[Entry] = field(default_factory=list)
    cancelled: list[Entry] = field(default_factory=list)
    already_sent: list[Entry] = field(default_factory=list)
    written: list[tuple[Stored, Draft]] = field(default_factory=list)
    """The rows of a first plan: all that there is to show of it."""
    stored: list[Stored] = field(default_factory=list)
    nudges: list[queue.Nudge] = field(default_factory=list)
    dropped_jobs: list[str] = field(default_factory=list)

    def announce(self) -> None:
        """After the commit."""
        messages.announce(self.stored)
        queue.try_add(self.nudges)
        queue.remove(self.dropped_jobs)


class Planner:
    """What the plans of one workspace follow from; read once for any number of appointments."""

    def __init__(self, session: Session, workspace_id: str, settings: reminder_settings.Settings | None = None) -> None:
        """``settings``: others than the workspace's, to try them out."""
        self._session = session
        self._book = SenderBook(session, workspace_id)
        self._settings = settings or reminder_settings.load(session, workspace_id)
        self._zone = self._book.zone
        self._channels = registry.available_channels()
        self._senders: dict[str, str | Reason] = {}

    @property
    def settings(self) -> reminder_settings.Settings:
        """The workspace's reminder settings."""
        return self._settings

    def zone_of(self, appointment: Appointment) -> ZoneInfo:
        """Where the appointment takes place."""
        return ZoneInfo(appointment.timezone) if appointment.timezone else self._zone

    def recipient_zone(self, contact: Contact) -> ZoneInfo:
        """Where the person is: quiet hours are read there."""
        return ZoneInfo(contact.timezone) if contact.timezone else self._zone

    def policy_of(self, appointment: Appointment) -> Policy:
        """The appointment's own policy, else its event type's, the workspace's, or that of the door it came in by."""
        default = DEFAULT_POLICY.get(appointment.source, "classic")
        return reminder_settings.policy_for(self._settings, appointment.event_type, appointment.policy, default)

    def addresses(self, appointment: Appointment) -> dict[str, str | None]:
        """Where the person can be reached, by channel; None where we do not know."""
        known = addresses_by_channel(appointment.phone, appointment.email)
        return {channel: address for channel, address in known.items() if channel in self._channels}

    def senders(self, appointment: Appointment) -> dict[str, str]:
        """Whom the person hears from, by channel; empty where the workspace has no sender for it."""
        found = {channel: self._sender(channel, to) for channel, to in self.addresses(appointment).items() if to}
        return {channel: "" if isinstance(sender, Reason) else sender for channel, sender in found.items()}

    def plan(
        self, appointment: Appointment, contact: Contact, now: datetime, marked: Collection[tuple[str, str]] = ()
    ) -> list[Planned]:
        """The appointment's reminders as they should be now."""
        zone = self.zone_of(appointment)
        facts = Facts(
            appointment_id=appointment.public_id,
            starts_at=appointment.starts_at,
            booked_at=appointment.booked_at,
            event_zone=zone,
            recipient_zone=self.recipient_zone(contact),
            addresses=self.addresses(appointment),
        )
        planned = plan(facts, self.policy_of(appointment), self._settings.preferences, now)
        return [
            one.skipped(Reason.ALREADY_MARKED)
            if one.reason is None and tracker.is_marked(marked, one.reminder_type, one.channel)
            else one
            for one in planned
        ]

    def draft(self, appointment: Appointment, planned: Planned) -> Draft:
        """A planned reminder as the message that it will be; its text is written when it is sent."""
        address = self.addresses(appointment).get(planned.channel) or ""
        sender = self._sender(planned.channel, address) if address else ""
        reason = planned.reason or (sender if isinstance(sender, Reason) else None)
        return Draft(
            workspace_id=appointment.workspace_id,
            to=address,
            channel=planned.channel,
            sender="" if isinstance(sender, Reason) else sender,
            body="",
            due_at=planned.due_at,
            due_text=time_text(planned.due_at, self.zone_of(appointment)),
            valid_until=planned.valid_until,
            job_id=planned.job_id,
            retry_policy=RETRY_POLICY,
            skipped=reason,
            origin=Origin(
                kind=planned.kind,
                contact_id=appointment.contact_id,
                appointment_id=appointment.id,
                plan_revision=appointment.revision,
                reminder_type=planned.reminder_type,
                plan=explanation(planned),
                fallback=fallback_text(planned),
            ),
        )

    def _sender(self, channel: str, address: str) -> str | Reason:
        """Depends on the channel only, as nobody asks for a certain one."""
        if channel not in self._senders:
            # That the workspace has none must not keep anybody from booking.
            self._senders[channel] = self._book.choose_any(address) or Reason.CHANNEL_UNAVAILABLE
        return self._senders[channel]


def confirmations(policy: Policy) -> frozenset[str]:
    """The reminder types that are about the booking and not about the time."""
    return frozenset(rule.reminder_type for rule in policy.rules if rule.type == "at_booking")


def explanation(planned: Planned) -> dict[str, Any]:
    """How a due time came about, as it is stored beside the message."""
    return {
        "plannedFor": planned.planned_for.isoformat(),
        "quiet": planned.quiet,
        "steps": [dict(step) for step in planned.steps],
    }


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
        added=[_entry(one) for one in planned if one.reason is None],
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
    current = [row for row in rows if row.plan_revision == appointment.revision and row.reminder_type != CANCELLATION]
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
            archived = f"{holder.job_id}-r{holder.plan_revision}"
            session.execute(update(Message).where(Message.id == holder.id).values(job_id=archived))
    drafts = [planner.draft(appointment, one) for one in new]
    diff.stored = _sendable(messages.store(session, drafts), drafts)
    diff.added = [_entry(one) for one in changes.added]
    diff.already_sent = [_entry_of(row) for row in (*changes.sent, *changes.fenced)]
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
    diff.moved.append(_entry_of(row, planned))


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
    diff.cancelled.append(_entry_of(row, reason=reason))


def call_off(session: Session, appointment: Appointment, reason: Reason, now: datetime) -> Diff:
    """End the plan of an appointment whose row the caller holds: nothing that waits goes out, and what is on its way
    gets no further try.
    """
    diff = Diff()
    appointment.revision += 1
    session.flush()
    for row in rows_of(session, [appointment.id], hold=True):
        if row.status is Status.SCHEDULED:
            diff.cancelled.append(_entry_of(row, reason=reason))
            diff.dropped_jobs.append(queue.send_nudge(row.id, row.revision, None).job_id)
        elif row.status not in (Status.CANCELLED, Status.SKIPPED, Status.FAILED):
            diff.already_sent.append(_entry_of(row))
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


def _entry(planned: Planned) -> Entry:
    return Entry(planned.job_id, planned.reminder_type, planned.channel, planned.due_at, reason=planned.reason)


def _entry_of(row: Existing, planned: Planned | None = None, reason: Reason | None = None) -> Entry:
    due_at = planned.due_at if planned else row.due_at
    was = row.due_at if planned else None
    return Entry(row.job_id, row.reminder_type, row.channel, due_at, was, reason)
