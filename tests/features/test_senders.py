"""Which numbers a workspace may send from, and which it may write to."""

from typing import Any

import pytest
from sqlalchemy import update

from app.database import writing
from app.workspaces import service
from app.workspaces.models import Workspace
from tests.answers import data_of, error_of, fields_of
from tests.world import PERSON, SENDER, World

SEND = "/api/trigger/send-sms"
SHARED, DEFAULT, FOREIGN, SECOND = "+15550000001", "+15550000002", "+15550000003", "+15550000004"
TWILIO = {"sms_provider": "twilio", "twilio_account_sid": "ACtest", "twilio_auth_token": "token"}


def allow(workspace_id: str, address: str) -> None:
    with writing() as session:
        service.add_sender(session, workspace_id, "whatsapp" if address.startswith("whatsapp:") else "sms", address)


def sender_of(world: World, **changes: Any) -> str:
    """The sender that a message got; a change to None leaves the field out."""
    body = {name: value for name, value in world.salon.text(**changes).items() if value is not None}
    return world.message(data_of(world.salon.post(SEND, body), 202)["jobId"]).from_address


def test_with_twilio_the_workspace_s_own_number_passes_and_no_other(make_world) -> None:
    world = make_world(**TWILIO)
    allow("ws_outsider", FOREIGN)

    assert sender_of(world, fromNumber=SENDER) == SENDER
    for number in (FOREIGN, SHARED, SENDER[:-1]):
        assert fields_of(world.salon.post(SEND, world.salon.text(fromNumber=number))) == {"fromNumber"}
    assert data_of(world.outsider.post(SEND, world.outsider.text(fromNumber=FOREIGN)), 202)


def test_twilio_from_number_counts_as_everybody_s(make_world) -> None:
    world = make_world(**TWILIO, twilio_from_number=SHARED)

    assert sender_of(world, fromNumber=SHARED) == SHARED
    assert data_of(world.outsider.post(SEND, world.outsider.text(fromNumber=SHARED)), 202)


def test_without_a_number_the_only_one_of_the_workspace_is_taken(make_world) -> None:
    world = make_world(**TWILIO, twilio_from_number=SHARED)

    assert sender_of(world, fromNumber=None) == SENDER


def test_without_a_number_the_workspace_s_default_is_taken_and_then_ours(make_world) -> None:
    world = make_world(**TWILIO, twilio_from_number=SHARED)
    allow("ws_salon", DEFAULT)
    assert sender_of(world, fromNumber=None) == SHARED

    with writing() as session:
        session.execute(update(Workspace).values(default_sender=DEFAULT).where(Workspace.id == "ws_salon"))

    assert sender_of(world, fromNumber=None) == DEFAULT
    assert sender_of(world, fromNumber=SENDER) == SENDER


def test_without_any_number_the_messaging_service_sends(make_world) -> None:
    world = make_world(**TWILIO, twilio_messaging_service_sid="MGtest")
    allow("ws_salon", DEFAULT)

    assert sender_of(world, fromNumber=None) == "MGtest"
    assert sender_of(world, fromNumber=SENDER) == SENDER


@pytest.mark.parametrize("settings", [{}, TWILIO], ids=["sandbox", "twilio"])
def test_with_several_numbers_and_no_default_one_must_be_named(make_world, settings: dict[str, str]) -> None:
    world = make_world(**settings)
    allow("ws_salon", SECOND)
    body = world.salon.text()
    del body["fromNumber"]

    assert fields_of(world.salon.post(SEND, body)) == {"fromNumber"}
    assert world.messages() == []


def test_in_the_sandbox_any_number_passes(world: World) -> None:
    assert sender_of(world, fromNumber="+1987654321") == "+1987654321"
    assert sender_of(world, fromNumber="whatsapp:+1987654321", to=f"whatsapp:{PERSON}") == "whatsapp:+1987654321"


@pytest.mark.parametrize("settings", [{}, TWILIO | {"twilio_from_number": SHARED}], ids=["sandbox", "twilio"])
def test_sms_and_whatsapp_do_not_mix(make_world, settings: dict[str, str]) -> None:
    world = make_world(**settings)
    allow("ws_salon", f"whatsapp:{SECOND}")

    def answer(to: str, sender: str | None) -> int:
        body = world.salon.text(to=to, fromNumber=sender)
        if sender is None:
            del body["fromNumber"]
        response = world.salon.post(SEND, body)
        return 202 if response.status_code == 202 else len(fields_of(response) & {"fromNumber"})

    assert answer(PERSON, SENDER) == 202
    assert answer(f"whatsapp:{PERSON}", f"whatsapp:{SECOND}") == 202
    assert answer(f"whatsapp:{PERSON}", None) == 202
    assert answer(PERSON, f"whatsapp:{SECOND}") == 1
    assert answer(f"whatsapp:{PERSON}", SENDER) == 1


NUMBERS = {
    "+12015550123": {"e164", "possible", "valid"},
    "+61400000549": {"e164", "possible", "valid"},
    "+11234567890": {"e164", "possible"},  # no area code begins with 1
    "+1234567890": {"e164"},  # the seeds' number is one digit short
    "+999123456789": {"e164"},  # no such country
    "+123456789012345": {"e164"},
}


@pytest.mark.parametrize("strictness", ["e164", "possible", "valid"])
def test_recipients_are_judged_as_strictly_as_asked(make_world, strictness: str) -> None:
    world = make_world(phone_strictness=strictness)

    for number, passes in NUMBERS.items():
        for prefix in ("", "whatsapp:"):
            response = world.salon.post(SEND, world.salon.text(to=prefix + number, fromNumber=prefix + SENDER))
            assert response.status_code == (202 if strictness in passes else 422), number
            assert response.status_code == 202 or fields_of(response) == {"to"}


@pytest.mark.parametrize("settings, status", [({}, 202), (TWILIO, 422)], ids=["sandbox", "twilio"])
def test_the_sandbox_is_lenient_by_default_and_twilio_strict(make_world, settings: dict[str, str], status: int) -> None:
    world = make_world(**settings)

    response = world.salon.post(SEND, world.salon.text(to="+1234567890"))

    assert response.status_code == status
    assert status == 202 or set(error_of(response, 422)["fields"]) == {"to"}
