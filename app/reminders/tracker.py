"""The ledger of seed 003."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.reminders.models import ReminderSent


def marked_types(session: Session, workspace_id: str, appointment_ids: Sequence[str]) -> dict[str, set[str]]:
    """The reminder types that callers have marked for appointments, by the appointment's public id."""
    rows = session.execute(
        select(ReminderSent.entity_id, ReminderSent.reminder_type).where(
            ReminderSent.workspace_id == workspace_id,
            ReminderSent.entity_type == "MEETING",
            ReminderSent.entity_id.in_(appointment_ids),
        )
    )
    marked: dict[str, set[str]] = {}
    for entity_id, reminder_type in rows:
        marked.setdefault(entity_id, set()).add(reminder_type)
    return marked
