"""Appointments in tests: bodies, and what there is to see of a plan."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from app.database import reading
from app.messages.models import Message
from tests.world import PERSON, Tenant, World

ANNA = {"name": "Anna Muster", "phone": PERSON, "email": "anna@example.com"}


def at(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text)


def appointment(**changes: Any) -> dict[str, Any]:
    """A valid body."""
    return ANNA | {"appointmentId": "uuid-123", "appointmentDateTime": "2026-05-15T10:00:00Z"} | changes


def booking(**changes: Any) -> dict[str, Any]:
    """A valid body of seed 004's route."""
    return ANNA | {"bookingId": "booking_123", "appointmentTime": "2026-05-11T22:00:00Z"} | changes


def make(tenant: Tenant, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make an appointment or booking; returns the answer's data."""
    response = tenant.post(path, body)
    assert response.status_code == 201, response.text
    return dict(response.json["data"])


def plan(workspace_id: str = "ws_salon", name: str | None = None) -> dict[str, Message]:
    """The rows of all plans of a workspace by job id."""
    with reading() as session:
        query = select(Message).where(Message.workspace_id == workspace_id, Message.reminder_type.is_not(None))
        return {row.job_id: row for row in session.scalars(query.order_by(Message.due_at, Message.id))}


def posted(world: World) -> list[tuple[str, datetime | None]]:
    """What the provider was asked to send: recipient and text."""
    return [(message.to, message.body) for message in world.provider.posted]


def utc(text: str) -> datetime:
    """A UTC wall time of the story's year."""
    return datetime.fromisoformat(f"{text}+00:00").astimezone(UTC)
