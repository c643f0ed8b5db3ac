"""A change of settings gives the appointments that are still to come new plans.

The change itself writes down that plans have to be looked at (`Replan`), in its own transaction; then they are, some at
a time, the nearest first, each with its new revision in the transaction that moves its reminders. Whoever asked for the
change waits for a few seconds of that; the rest, and what a crash has left, the sweep does. An appointment whose
reminders stay as they are is not touched.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import clock, events, metrics
from app.appointments import planning
from app.appointments.diff import Diff
from app.appointments.matching import Changes, Existing
from app.appointments.models import Appointment, Replan
from app.appointments.service import OPEN
from app.appointments.workspace_planner import Planner
from app.contacts.models import Contact
from app.database import insert_ignore, is_outage, reading, writing
from app.logs import get_logger
from app.messages import sweep
from app.messages.models import Message
from app.reminders import tracker
from app.workspaces.models import Workspace

BATCH = 100
"""Appointments of one transaction: SQLite's other writers wait for it."""
PATIENCE_S = 3.0
"""How long a request goes on with it before it answers that it is in progress; a sweep stops after as long, too."""
MOST_REMINDERS = 1500
"""Of one batch."""
EVERY = timedelta(seconds=1)
"""At each sweep."""

Result = TypeVar("Result")
Found = Sequence[tuple[Appointment, Contact]]

log = get_logger(__name__)


@dataclass(slots=True)
class Affected:
    """What a change does to plans: ``appointments`` that get a new one, and what becomes of their reminders.

    ``already_sent`` went out by the settings of before. ``in_progress``: there is more, which is still being done (or,
    of a change that is only tried out, was not counted).
    """

    appointments: int = 0
    moved: int = 0
    added: int = 0
    cancelled: int = 0
    already_sent: int = 0
    in_progress: bool = False

    def count(self, changes: Changes | Diff) -> None:
        """Add one appointment."""
        self.appointments += 1
        self.moved += len(changes.moved)
        self.added += len(changes.added)
        if isinstance(changes, Diff):
            self.cancelled += len(changes.cancelled)
            self.already_sent += len(changes.already_sent)
        else:
            self.cancelled += len(changes.dropped)
            self.already_sent += len(changes.sent) + len(changes.fenced)


def apply(workspace_id: str, change: Callable[[Session], Result], *, keep: bool = True) -> tuple[Result, Affected]:
    """Make a change of what the plans of a workspace follow from, and bring them up to date.

    ``change`` gets the session of its transaction. ``keep=False`` only tries it out, and counts. Whatever ``change``
    raises, nothing has happened then.
    """
    if not keep:
        with writing(keep=False) as session:
            result = change(session)
            session.flush()
            return result, affected(session, workspace_id)
    with writing() as session:
        result = change(session)
        request(session, workspace_id)
    return result, run(workspace_id)


def request(session: Session, workspace_id: str, contact_id: str = "") -> None:
    """Write down that plans have to be looked at, from the beginning if somebody is doing that already.

    Holds the workspace's (or the contact's) row, so that it waits for every booking that may have read the settings of
    before (its appointment refers to the row, which holds it too), and those that come later read the new ones.
    """
    session.flush()
    held: Any = select(Contact.id).where(Contact.id == contact_id) if contact_id else _workspace(workspace_id)
    session.execute(held.with_for_update())
    now = clock.now()
    row = {"workspace_id": workspace_id, "contact_id": contact_id, "place_at": now, "place_id": "", "requested_at": now}
    if not insert_ignore(session, Replan, [row], returning=Replan.workspace_id):
        session.execute(
            update(Replan)
            .where(Replan.workspace_id == workspace_id, Replan.contact_id == contact_id)
            .values(place_at=now, place_id="", requested_at=now)
        )


def _workspace(workspace_id: str) -> Any:
    return select(Workspace.id).where(Workspace.id == workspace_id)


def affected(session: Session, workspace_id: str, patience_s: float = PATIENCE_S) -> Affected:
    """What would become of the plans of a workspace as its settings are in this session; nothing is written."""
    result, now, begun = Affected(), clock.now(), time.monotonic()
    planner, place = Planner(session, workspace_id), (now, "")
    while found := _page(session, workspace_id, "", place):
        for _, _, changes in _changed(session, planner, found, now):
            result.count(changes)
        place = _place(found)
        if time.monotonic() - begun > patience_s and _page(session, workspace_id, "", place):
            result.in_progress = True
            break
    return result


def run(workspace_id: str, contact_id: str = "", patience_s: float = PATIENCE_S) -> Affected:
    """Go on with what `request` wrote down, and say what that did: one batch, and more until it takes too long."""
    result, begun = Affected(), time.monotonic()
    while _step(workspace_id, contact_id, result):
        if time.monotonic() - begun > patience_s:
            result.in_progress = True
            break
    log.info("plans brought up to date", workspace_id=workspace_id, **asdict(result))
    return result


def _step(workspace_id: str, contact_id: str, result: Affected) -> bool:
    """The next batch; whether there may be more."""
    diffs: list[Diff] = []
    with writing() as session:
        # The order of locks is that of a change: the workspace, the mark, the appointments, their messages.
        session.execute(_workspace(workspace_id).with_for_update(read=True, key_share=True))
        mark = session.get(Replan, (workspace_id, contact_id), with_for_update=True)
        if mark is None:
            return False
        now = clock.now()
        page = _page(session, workspace_id, contact_id, (max(mark.place_at, now), mark.place_id))
        found = _portion(session, page)
        # In the order of their ids, as the cron does: two of us wait for each other, and never in a circle.
        ids = [appointment.id for appointment, _ in found]
        held = select(Appointment).where(Appointment.id.in_(ids)).order_by(Appointment.id)
        fresh = held.with_for_update(key_share=True).execution_options(populate_existing=True)
        session.scalars(fresh).all()
        planner = Planner(session, workspace_id)
        for appointment, contact, _ in _changed(session, planner, found, now):
            diffs.append(planning.replan(session, planner, appointment, contact, now, only_ahead=True))
        more = len(page) == BATCH or len(found) < len(page)
        if more:
            mark.place_at, mark.place_id = _place(found)
        else:
            session.delete(mark)
    for diff in diffs:
        diff.announce()
        result.count(diff)
    return more


def _portion(session: Session, page: Found) -> Found:
    """The first ones of a page, as many as have `MOST_REMINDERS` together; at least one. A transaction holds up others,
    on SQLite everybody.
    """
    ids = [appointment.id for appointment, _ in page]
    counted = select(Message.appointment_id, func.count()).where(Message.appointment_id.in_(ids))
    numbers = {row[0]: row[1] for row in session.execute(counted.group_by(Message.appointment_id))}
    total, taken = 0, 0
    for appointment, _ in page:
        total += numbers.get(appointment.id, 0)
        if taken and total > MOST_REMINDERS:
            break
        taken += 1
    return page[:taken]


def _page(session: Session, workspace_id: str, contact_id: str, place: tuple[datetime, str]) -> Found:
    query = (
        select(Appointment, Contact)
        .join(Contact, Contact.id == Appointment.contact_id)
        .where(
            Appointment.workspace_id == workspace_id,
            Appointment.starts_at >= place[0],
            tuple_(Appointment.starts_at, Appointment.id) > place,
            Appointment.status.in_(OPEN),
        )
        .order_by(Appointment.starts_at, Appointment.id)
        .limit(BATCH)
    )
    if contact_id:
        query = query.where(Appointment.contact_id == contact_id)
    return [(row[0], row[1]) for row in session.execute(query)]


def _place(found: Found) -> tuple[datetime, str]:
    return found[-1][0].starts_at, found[-1][0].id


def _changed(
    session: Session, planner: Planner, found: Found, now: datetime
) -> Iterator[tuple[Appointment, Contact, Changes]]:
    """Those whose reminders would not stay as they are."""
    if not found:
        return
    rows: dict[str, list[Existing]] = {}
    for row in planning.rows_of(session, [appointment.id for appointment, _ in found]):
        rows.setdefault(row.appointment_id, []).append(row)
    names = [appointment.public_id for appointment, _ in found]
    marked = tracker.marked_types(session, found[0][0].workspace_id, names)
    for appointment, contact in found:
        if appointment.status not in OPEN or appointment.starts_at <= now:
            continue
        taken, existing = marked.get(appointment.public_id, ()), rows.get(appointment.id, [])
        try:
            changes = planning.compare(planner, appointment, contact, existing, taken, now, only_ahead=True)
        except (ValueError, KeyError):  # a zone that left the tz database: its plan stays, and the others go on
            metrics.errors.inc("replanning")
            log.exception("plan cannot be brought up to date", appointment_id=appointment.id)
            continue
        if changes:
            yield appointment, contact, changes


def go_on(now: datetime) -> None:
    """What a crash or a request's end has left; the sweep's chore."""
    with reading() as session:
        marks = session.execute(select(Replan.workspace_id, Replan.contact_id).order_by(Replan.requested_at)).all()
    begun = time.monotonic()
    for workspace_id, contact_id in marks:
        if time.monotonic() - begun > PATIENCE_S:
            return
        try:
            run(workspace_id, contact_id)
        except Exception as error:  # whatever is wrong with one workspace, the others go on
            if isinstance(error, SQLAlchemyError) and is_outage(error):
                raise
            metrics.errors.inc("replanning")
            log.exception("plans cannot be brought up to date", workspace_id=workspace_id)


sweep.every(EVERY, go_on)


@events.plan_inputs_changing.connect
def _on_change(_sender: object, *, session: Session, workspace_id: str) -> None:
    request(session, workspace_id)


@events.contact_changing.connect
def _on_contact(
    _sender: object, *, session: Session, workspace_id: str, contact_id: str, phone: str | None, email: str | None
) -> None:
    """Appointments that were booked with the number or address of before follow; those with one of their own do not."""
    session.flush()
    contact = session.get_one(Contact, contact_id)
    ahead = (Appointment.contact_id == contact_id, Appointment.starts_at > clock.now(), Appointment.status.in_(OPEN))
    ids = select(Appointment.id).where(*ahead).order_by(Appointment.id).with_for_update(key_share=True)
    held = list(session.scalars(ids))
    for column, before, after in ((Appointment.phone, phone, contact.phone), (Appointment.email, email, contact.email)):
        if before != after:
            follows = column.is_(None) if before is None else column == before
            session.execute(update(Appointment).where(Appointment.id.in_(held), follows).values({column: after}))
    request(session, workspace_id, contact_id)
