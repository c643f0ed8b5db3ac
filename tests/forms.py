"""The public booking form in tests: switching it on, filling it in, and what came of it."""

import re
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.api.models import IdempotencyKey
from app.appointments.models import Appointment
from app.contacts.models import Consent, Contact
from app.database import reading, writing
from app.messages.models import Message
from app.workspaces.booking_form import BookingForm, store
from app.workspaces.models import Workspace
from tests.world import World

PAGE = "/book/ws_salon"
BERLIN = "Europe/Berlin"
FILLED = {"name": "Anna Muster", "phone": "0151 23456789", "date": "2026-05-15", "time": "10:00"}
PHONE = "+4915123456789"


def switch_on(workspace_id: str = "ws_salon", zone: str = BERLIN, **values: Any) -> None:
    """Show a workspace's form."""
    form = BookingForm.model_validate({"enabled": True, "countries": ["DE", "US"]} | values)
    with writing() as session:
        store(session, workspace_id, form)
        session.get_one(Workspace, workspace_id).timezone = zone


def token_in(response: TestResponse) -> str:
    """The token of a page."""
    found = re.search(r'name="token" value="([^"]+)"', response.text)
    assert found, response.text
    return found[1]


def open_form(client: FlaskClient, path: str = PAGE) -> str:
    """Look at the form; returns its token."""
    response = client.get(path)
    assert response.status_code == 200, response.text
    return token_in(response)


def send(client: FlaskClient, path: str = PAGE, headers: dict[str, str] | None = None, **values: Any) -> TestResponse:
    """Send the form as a browser does; a token of the page is fetched where none is given."""
    values = {"token": open_form(client, path) if "token" not in values else values.pop("token")} | FILLED | values
    return client.post(path, data={name: value for name, value in values.items() if value is not None}, headers=headers)


def send_json(
    client: FlaskClient, path: str = PAGE, headers: dict[str, str] | None = None, **values: Any
) -> TestResponse:
    """Book as a program does."""
    body = {name: value for name, value in (FILLED | values).items() if value is not ...}
    return client.post(path, json=body, headers=headers)


def everything() -> list[int]:
    """How many rows there are of all that a form makes."""
    tables = (Appointment, Contact, Message, Consent, IdempotencyKey)
    with reading() as session:
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def appointments() -> list[tuple[Appointment, Contact]]:
    """All appointments with their contacts, in the order in which they were made."""
    query = select(Appointment, Contact).join(Contact, Contact.id == Appointment.contact_id).order_by(Appointment.id)
    with reading() as session:
        return [(row[0], row[1]) for row in session.execute(query)]


def client_of(world: World) -> FlaskClient:
    """A stranger's browser."""
    return world.app.test_client()
