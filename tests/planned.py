"""Rows of people, appointments and planned messages, written straight into the tables."""

from datetime import datetime, timedelta
from typing import Any

from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import writing
from app.ids import new_id
from app.messages import service
from app.messages.service import Draft, Origin
from tests.world import PERSON, SENDER, World

ZONE = "Australia/Brisbane"


def make_contact(workspace_id: str = "ws_salon", **values: Any) -> str:
    """A person; returns the row's id."""
    row_id = new_id()
    fields = {"public_id": f"contact_{row_id}", "first_name": "Ada", "last_name": "Lovelace", "phone": PERSON} | values
    with writing() as session:
        session.add(Contact(id=row_id, workspace_id=workspace_id, **fields))
    return row_id


def make_appointment(contact_id: str, starts_at: datetime, workspace_id: str = "ws_salon", **values: Any) -> str:
    """An appointment; returns the row's id."""
    row_id = new_id()
    fields = {"public_id": f"appointment_{row_id}", "starts_text": starts_at.isoformat(), "timezone": ZONE} | values
    with writing() as session:
        session.add(
            Appointment(id=row_id, workspace_id=workspace_id, contact_id=contact_id, starts_at=starts_at, **fields)
        )
    return row_id


def plan(world: World, appointment_id: str | None, due_at: datetime, kind: str = "reminder", **values: Any) -> str:
    """A message with a template, as a plan stores it, announced; returns the job id."""
    origin = {"kind": kind, "appointment_id": appointment_id, "plan_revision": 1 if appointment_id else None}
    of_origin = {name: values.pop(name) for name in ("template_id", "contact_id", "plan_revision") if name in values}
    fields: dict[str, Any] = {
        "workspace_id": "ws_salon",
        "to": PERSON,
        "sender": SENDER,
        "body": "(not written yet)",
        "due_at": due_at,
        "due_text": due_at.isoformat(),
        "valid_until": due_at + timedelta(hours=4),
        "origin": Origin(**origin | of_origin),
    }
    with writing() as session:
        stored = service.store(session, [Draft(**fields | values)])
    service.announce(stored)
    return stored[0].job_id
