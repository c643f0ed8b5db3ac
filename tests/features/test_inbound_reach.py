"""Whom a STOP concerns: every workspace that may send from the number that it was sent to, and that channel."""

import pytest

from app.database import writing
from app.workspaces import service as workspaces
from tests.answers import data_of
from tests.features.signing import TOKEN
from tests.features.test_inbound import hear, intents, suppressed
from tests.world import PERSON, SENDER, World

OTHER_SENDER, SHARED = "+15550000001", "+15550000009"


@pytest.fixture
def world(make_world) -> World:
    return make_world(twilio_auth_token=TOKEN)


def test_it_applies_to_every_workspace_that_may_send_from_that_number(world: World) -> None:
    with writing() as session:
        workspaces.add_sender(session, "ws_salon", "sms", OTHER_SENDER)
    third = world.tenant("ws_third")

    hear(world, "STOP", to=OTHER_SENDER)
    assert {workspace for workspace, *_ in suppressed()} == {"ws_salon"}

    hear(world, "STOP", to=SENDER)
    assert {workspace for workspace, *_ in suppressed()} == {"ws_salon", "ws_outsider", "ws_third"}
    assert data_of(third.post("/api/trigger/send-sms", third.text()), 202)


@pytest.mark.parametrize("setting", ["twilio_from_number", "twilio_messaging_service_sid"])
def test_the_installation_s_own_number_is_everybody_s(make_world, setting: str) -> None:
    value = SHARED if setting == "twilio_from_number" else "MGours"
    world = make_world(twilio_auth_token=TOKEN, **{setting: value})

    service = {"MessagingServiceSid": value} if value == "MGours" else {}
    hear(world, "STOP", to=SHARED, **service)

    assert {workspace for workspace, *_ in suppressed()} == {"ws_salon", "ws_outsider"}


def test_a_number_of_nobody_s_changes_nothing(world: World) -> None:
    hear(world, "STOP", to="+15557777777")

    assert suppressed() == set()
    assert intents() == ["stop"]


def test_whatsapp_and_sms_are_stopped_apart(world: World) -> None:
    sms, whatsapp = {}, {"to": f"whatsapp:{PERSON}", "fromNumber": f"whatsapp:{SENDER}"}
    jobs = [world.salon.delay(60, **changes) for changes in (sms, whatsapp)]

    hear(world, "STOP", person=f"whatsapp:{PERSON}", to=f"whatsapp:{SENDER}")

    assert [world.salon.status(job_id)["status"] for job_id in jobs] == ["scheduled", "cancelled"]
    assert suppressed() == {("ws_salon", "whatsapp", f"whatsapp:{PERSON}")}
