"""The safety net of seed 003: every half hour, see that the meetings of tomorrow have their reminders.

Planning happens at the booking (resolution D7). This finds appointments that nobody planned, because another program
wrote them into the table, and makes the rows that are missing under the same unique names: a second run, or a second
server, makes none. Reminders that exist, in whatever state, are left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import metrics
from app.appointments.models import Appointment
from app.appointments.service import OPEN
from app.appointments.workspace_planner import Planner, confirmations
from app.contacts.models import Contact
from app.database import is_outage, reading, writing
from app.logs import get_logger
from app.messages import service as messages
from app.messages import sweep
from app.messages.models import Message
from app.messages.service import Draft, Stored
from app.reminders import tracker

AHEAD = timedelta(hours=24)
HALF_WINDOW = timedelta(minutes=60)
"""Seed 003: in 24 hours, an hour more or less; with a run each half hour every meeting is seen four times."""
EVERY = timedelta(minutes=30)
BATCH = 500
MOST = 50_000
"""Meetings that one run looks at; the next run goes on with those that are still in its window."""

log = get_logger(__name__)


@dataclass(slots=True)
class Run:
    """What a run did, in meetings; ``scheduled`` is in reminders."""

    checked: int = 0
    scheduled: int = 0
    skipped: int = 0
    failed: int = 0


def run(now: datetime, workspace_id: str | None = None, *, keep: bool = True) -> Run:
    """Look at every open appointment of the window, of one workspace or of all. One that fails stops no other.

    ``keep=False`` only tries it out.

    Raises:
        SQLAlchemyError: the database is away; the next run finds the same meetings.
    """
    result, place = Run(), (now + AHEAD - HALF_WINDOW, "")
    while result.checked < MOST:
        found = _window(place, now + AHEAD + HALF_WINDOW, workspace_id)
        if not found:
            break
        result.checked += len(found)
        place = (found[-1].starts_at, found[-1].id)
        for workspace in dict.fromkeys(one.workspace_id for one in found):
            _plan(workspace, [one.id for one in found if one.workspace_id == workspace], now, result, keep)
    log.debug("meetings checked", checked=result.checked, scheduled=result.scheduled, failed=result.failed)
    return result


def _window(place: tuple[datetime, str], end: datetime, workspace_id: str | None) -> Sequence[Appointment]:
    query = (
        select(Appointment)
        .where(
            tuple_(Appointment.starts_at, Appointment.id) > place,
            Appointment.starts_at >= place[0],  # what the index of starts and states can use
            Appointment.starts_at <= end,
            Appointment.status.in_(OPEN),
        )
        .order_by(Appointment.starts_at, Appointment.id)
        .limit(BATCH)
    )
    if workspace_id is not None:
        query = query.where(Appointment.workspace_id == workspace_id)
    with reading() as session:
        return session.scalars(query).all()


def _plan(workspace_id: str, appointment_ids: Sequence[str], now: datetime, result: Run, keep: bool) -> None:
    """Plan some appointments of a workspace together; where that fails, one by one."""
    try:
        with writing(keep=keep) as session:
            stored = _missing(session, workspace_id, appointment_ids, now)
    except Exception as error:  # whatever is wrong with one of them, the others are planned
        if isinstance(error, SQLAlchemyError) and is_outage(error):
            raise
        if len(appointment_ids) > 1:
            for appointment_id in appointment_ids:
                _plan(workspace_id, [appointment_id], now, result, keep)
            return
        metrics.errors.inc("meeting_reminders")
        log.exception("meeting cannot be planned", appointment_id=appointment_ids[0], workspace_id=workspace_id)
        result.failed += 1
        return
    if keep:
        messages.announce([one for one, _ in stored])
    result.scheduled += len(stored)
    result.skipped += len(appointment_ids) - len({appointment for _, appointment in stored})


def _missing(
    session: Session, workspace_id: str, appointment_ids: Sequence[str], now: datetime
) -> list[tuple[Stored, str]]:
    """Write the rows that are missing; each comes with its appointment."""
    rows = session.execute(
        select(Appointment, Contact)
        .join(Contact, Contact.id == Appointment.contact_id)
        .where(Appointment.id.in_(appointment_ids), Appointment.status.in_(OPEN))
        .order_by(Appointment.id)
        .with_for_update(of=Appointment, key_share=True)
    ).all()
    known = _known(session, appointment_ids)
    marked = tracker.marked_types(session, workspace_id, [row[0].public_id for row in rows])
    planner = Planner(session, workspace_id)
    drafts: list[Draft] = []
    for appointment, contact in rows:
        once = confirmations(planner.policy_of(appointment))
        for planned in planner.plan(appointment, contact, now, marked.get(appointment.public_id, ())):
            # What was booked by another program, perhaps days ago, was confirmed there.
            if planned.reminder_type in once or (appointment.id, planned.reminder_type, planned.channel) in known:
                continue
            drafts.append(planner.draft(appointment, planned))
    # Whoever makes a plan holds the appointment, so what is not there now will not be there in a moment.
    stored = messages.store(session, drafts)
    return [
        (one, draft.origin.appointment_id or "")
        for one, draft in zip(stored, drafts, strict=True)
        if draft.skipped is None and draft.origin
    ]


def _known(session: Session, appointment_ids: Sequence[str]) -> set[tuple[str, str, str]]:
    found = session.execute(
        select(Message.appointment_id, Message.reminder_type, Message.channel)
        .join(Appointment, Appointment.id == Message.appointment_id)
        .where(
            Message.appointment_id.in_(appointment_ids),
            Message.reminder_type.is_not(None),
            Message.plan_revision == Appointment.revision,
        )
    )
    return {(row[0] or "", row[1] or "", row[2]) for row in found}


def check_meetings(now: datetime) -> None:
    """The run of every half hour, of all workspaces."""
    run(now)


sweep.every(EVERY, check_meetings)
