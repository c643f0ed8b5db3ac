"""The ledger of seed 003: whoever marks a reminder may send it, and of all who try at once exactly one may.

The unique index decides, not a look beforehand. A call without ``channel`` and ``occurrence`` means what the seed says
(resolution D9); the type of a reminder is compared in one form (D2). An entity that is an appointment of ours has its
reminders among the messages: those count as marked, under the appointment's lock, which the planner takes as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, delete, exists, select, tuple_
from sqlalchemy.orm import Session

from app import clock
from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import insert_ignore, reading, write, writing
from app.logs import get_logger
from app.messages import sweep
from app.messages.models import Message
from app.messages.states import ACCEPTED, IN_FLIGHT, Status
from app.reminders.models import ReminderSent
from app.reminders.policy import canonical_type
from app.workspaces.service import ensure_workspace

DEFAULT_WORKSPACE = "default"
"""Whose ledger it is where the caller has only one."""
APPOINTMENT_TYPES = ("MEETING", "APPOINTMENT", "BOOKING")
"""What an entity is called that may be one of our appointments (resolution D21)."""
KEEP_DAYS = 90
BATCH = 1000
MOST_BATCHES = 100
"""A bound on one clean-up: 100,000 rows; the next one goes on."""
EVERY = timedelta(days=1)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """What may be sent once. ``reminder_type`` is canonical."""

    workspace_id: str
    entity_type: str
    entity_id: str
    reminder_type: str
    user_id: str
    channel: str = ""
    occurrence: str = ""

    @classmethod
    def of(
        cls,
        workspace_id: str,
        entity_type: str,
        entity_id: str,
        reminder_type: str,
        user_id: str,
        channel: str | None = None,
        occurrence: str | None = None,
    ) -> "Key":
        """The key of a call, whatever its spelling of the type."""
        kind = canonical_type(reminder_type)
        return cls(workspace_id, _entity_type(entity_type), entity_id, kind, user_id, channel or "", occurrence or "")

    def row(self) -> dict[str, str]:
        """Its columns."""
        return {name: getattr(self, name) for name in self.__slots__}

    def matches(self) -> ColumnElement[bool]:
        """The condition that a row of the ledger has this key."""
        return and_(*(getattr(ReminderSent, name) == value for name, value in self.row().items()))


@dataclass(frozen=True, slots=True)
class Sent:
    """A reminder that was sent, by the ledger or by us. ``user_id`` of ours is the contact's public id."""

    reminder_type: str
    user_id: str
    sent_at: datetime
    channel: str = ""
    occurrence: str = ""


def mark_reminder_as_sent(
    *,
    entity_type: str,
    entity_id: str,
    reminder_type: str,
    user_id: str,
    channel: str | None = None,
    occurrence: str | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> bool:
    """Whether the caller is the first, and so is to send it: true exactly once for each key.

    Raises:
        SQLAlchemyError, Unavailable: the database is away; nothing is known, and trying again is right.
    """
    key = Key.of(workspace_id, entity_type, entity_id, reminder_type, user_id, channel, occurrence)
    return write(lambda session: mark(session, key))


def mark(session: Session, key: Key) -> bool:
    """`mark_reminder_as_sent` in the caller's transaction."""
    ensure_workspace(session, key.workspace_id)
    if (appointment := _appointment(session, key, lock=True)) is not None:
        ours = Message.status.in_({Status.SCHEDULED, *ACCEPTED}) & _of_plan(appointment)
        if session.scalar(select(_reminded(appointment, key, ours | Message.status.in_(IN_FLIGHT)))):
            return False
    return bool(insert_ignore(session, ReminderSent, [key.row()], returning=ReminderSent.id))


def was_reminder_sent(
    *,
    entity_type: str,
    entity_id: str,
    reminder_type: str,
    user_id: str,
    channel: str | None = None,
    occurrence: str | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> bool:
    """Whether it was marked, or, of an appointment of ours, went out for its present time."""
    key = Key.of(workspace_id, entity_type, entity_id, reminder_type, user_id, channel, occurrence)
    with reading() as session:
        if session.scalar(select(exists().where(key.matches()))):
            return True
        appointment = _appointment(session, key)
        if appointment is None:
            return False
        accepted = Message.status.in_(ACCEPTED) & _of_plan(appointment)
        return bool(session.scalar(select(_reminded(appointment, key, accepted))))


def get_reminders_sent_for_entity(
    entity_type: str, entity_id: str, *, workspace_id: str = DEFAULT_WORKSPACE, limit: int | None = None
) -> list[Sent]:
    """All reminders of an entity that were marked, or sent by us, in the order of their times; the first ``limit``."""
    entity_type = _entity_type(entity_type)
    with reading() as session:
        rows = session.execute(
            select(
                ReminderSent.reminder_type,
                ReminderSent.user_id,
                ReminderSent.sent_at,
                ReminderSent.channel,
                ReminderSent.occurrence,
            )
            .where(
                ReminderSent.workspace_id == workspace_id,
                ReminderSent.entity_type == entity_type,
                ReminderSent.entity_id == entity_id,
            )
            .order_by(ReminderSent.sent_at, ReminderSent.id)
            .limit(limit)
        )
        found = [Sent(*row) for row in rows]
        if entity_type in APPOINTMENT_TYPES:
            messages = session.execute(
                select(Message.reminder_type, Contact.public_id, Message.sent_at, Message.channel)
                .join(Appointment, Appointment.id == Message.appointment_id)
                .join(Contact, Contact.id == Appointment.contact_id)
                .where(
                    Appointment.workspace_id == workspace_id,
                    Appointment.public_id == entity_id,
                    Message.reminder_type.is_not(None),
                    Message.sent_at.is_not(None),
                    Message.status.in_(ACCEPTED),
                )
                .order_by(Message.sent_at, Message.id)
                .limit(limit)
            )
            found += [Sent(kind or "", user, sent_at, channel) for kind, user, sent_at, channel in messages if sent_at]
    return sorted(found, key=lambda one: one.sent_at)[:limit]


def release_reminder(
    *,
    entity_type: str,
    entity_id: str,
    reminder_type: str,
    user_id: str,
    channel: str | None = None,
    occurrence: str | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> bool:
    """Take a mark back, after a failure that is certain: the next who tries may send. Whether there was one."""
    key = Key.of(workspace_id, entity_type, entity_id, reminder_type, user_id, channel, occurrence)
    return write(lambda session: release(session, key))


def release(session: Session, key: Key) -> bool:
    """`release_reminder` in the caller's transaction."""
    return session.scalar(delete(ReminderSent).where(key.matches()).returning(ReminderSent.id)) is not None


def cleanup_old_reminders(days: int = KEEP_DAYS, *, workspace_id: str | None = None, keep: bool = True) -> int:
    """Delete marks older than so many days, of one workspace or of all; returns how many, `BATCH` times `MOST_BATCHES`
    at most.

    Those of an appointment that is still to come stay, however old (resolution D20). ``keep=False`` only tries it out.
    """
    before = clock.now() - timedelta(days=days)
    count = 0
    place: tuple[datetime, str] | None = None
    for _ in range(MOST_BATCHES):
        with writing(keep=keep) as session:
            found = session.execute(_old(before, workspace_id, place)).all()
            if found:
                ids = [row.id for row in found]
                deleted = delete(ReminderSent).where(ReminderSent.id.in_(ids)).returning(ReminderSent.id)
                count += len(session.scalars(deleted).all())
        if len(found) < BATCH:
            break
        place = (found[-1].sent_at, found[-1].id)
    if count:
        log.info(cleaned_up(count), days=days, workspace_id=workspace_id)
    return count


def cleaned_up(count: int) -> str:
    """The seed's words for it."""
    return f"Cleaned up {count:,} old reminder records"


def _old(before: datetime, workspace_id: str | None, place: tuple[datetime, str] | None) -> Select[str, datetime]:
    to_come = exists().where(
        Appointment.workspace_id == ReminderSent.workspace_id,
        Appointment.public_id == ReminderSent.entity_id,
        Appointment.starts_at > clock.now(),
        ReminderSent.entity_type.in_(APPOINTMENT_TYPES),
    )
    query = select(ReminderSent.id, ReminderSent.sent_at).where(ReminderSent.sent_at < before, ~to_come)
    if workspace_id is not None:
        query = query.where(ReminderSent.workspace_id == workspace_id)
    if place is not None:
        query = query.where(tuple_(ReminderSent.sent_at, ReminderSent.id) > place, ReminderSent.sent_at >= place[0])
    return query.order_by(ReminderSent.sent_at, ReminderSent.id).limit(BATCH)


Marks = set[tuple[str, str]]
"""Pairs of canonical reminder type and channel, which is empty where a mark is for all channels."""


def marked_types(session: Session, workspace_id: str, appointment_ids: Sequence[str]) -> dict[str, Marks]:
    """What callers have marked for appointments, by the appointment's public id; see `is_marked`."""
    rows = session.execute(
        select(ReminderSent.entity_id, ReminderSent.reminder_type, ReminderSent.channel).where(
            ReminderSent.workspace_id == workspace_id,
            ReminderSent.entity_type.in_(APPOINTMENT_TYPES),
            ReminderSent.entity_id.in_(appointment_ids),
        )
    )
    marked: dict[str, Marks] = {}
    for entity_id, reminder_type, channel in rows:
        marked.setdefault(entity_id, set()).add((reminder_type, channel))
    return marked


def is_marked(marked: Collection[tuple[str, str]], reminder_type: str, channel: str) -> bool:
    """Whether a reminder on a channel is among what `marked_types` found."""
    return (reminder_type, "") in marked or (reminder_type, channel) in marked


def _entity_type(text: str) -> str:
    """Those that may mean our own appointments in one spelling; a caller's own types are what they are."""
    return text.upper() if text.upper() in APPOINTMENT_TYPES else text


def _appointment(session: Session, key: Key, *, lock: bool = False) -> Appointment | None:
    """The appointment of ours that a key is about, if it is one; held until the transaction ends where ``lock``."""
    if key.entity_type not in APPOINTMENT_TYPES:
        return None
    query = select(Appointment).where(
        Appointment.workspace_id == key.workspace_id, Appointment.public_id == key.entity_id
    )
    return session.scalar(query.with_for_update(key_share=True) if lock else query)


def _of_plan(appointment: Appointment) -> ColumnElement[bool]:
    return Message.plan_revision == appointment.revision


def _reminded(appointment: Appointment, key: Key, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    same = [Message.appointment_id == appointment.id, Message.reminder_type == key.reminder_type, condition]
    return exists().where(*same, *([Message.channel == key.channel] if key.channel else []))


def clean_up(_now: datetime) -> None:
    """The clean-up of every day, of all workspaces."""
    cleanup_old_reminders()


sweep.every(EVERY, clean_up)
