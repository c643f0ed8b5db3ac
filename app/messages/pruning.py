"""Forgetting: messages that have been over for long enough, with their tries and reports (resolution D20).

Row ids are in the order of their making, so the oldest are found on the primary key, without an index of their own.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select

from app.appointments.models import Appointment
from app.database import writing
from app.extensions import settings
from app.logs import get_logger
from app.messages import sweep
from app.messages.models import Message
from app.messages.states import IN_FLIGHT, Status

EVERY = timedelta(hours=1)
BATCH = 1000
MOST_BATCHES = 20
"""In one run: an hour later it goes on."""

log = get_logger(__name__)


def prune(now: datetime) -> int:
    """Delete what was over more than ``RETENTION_DAYS`` ago, and whose appointment has passed; returns how many."""
    days = settings().retention_days
    if not days:
        return 0
    before, deleted = now - timedelta(days=days), 0
    for _ in range(MOST_BATCHES):
        number = _batch(before, now)
        deleted += number
        if number < BATCH:
            break
    if deleted:
        log.info("old messages deleted", count=deleted)
    return deleted


def _batch(before: datetime, now: datetime) -> int:
    ahead = exists(select(Appointment.id).where(Appointment.id == Message.appointment_id, Appointment.starts_at > now))
    old = (
        select(Message.id)
        .where(
            Message.id < _first_id(before),
            Message.status.not_in((Status.SCHEDULED, *IN_FLIGHT)),
            Message.finished_at < before,
            ~ahead,
        )
        .order_by(Message.id)
        .limit(BATCH)
    )
    with writing() as session:
        ids = list(session.scalars(old))
        session.execute(delete(Message).where(Message.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def _first_id(at: datetime) -> str:
    """The smallest id of a row that is made at an instant (UUIDv7: it begins with the milliseconds)."""
    return f"{int(at.timestamp() * 1000):012x}"


sweep.every(EVERY, prune)
