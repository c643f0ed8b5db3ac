"""Opting out by hand: it counts like a STOP, and a STOP shows up with the contact."""

from typing import Any

import pytest

from app import events
from app.contacts import service as contacts
from app.database import writing
from tests.answers import data_of, error_of, fields_of
from tests.people import CONTACTS, add
from tests.world import PERSON, SENDER, Tenant, World

PATH = f"{CONTACTS}/ana"


@pytest.fixture(autouse=True)
def ana(world: World) -> dict[str, Any]:
    return add(world.salon, contactId="ana", phone=PERSON, email="ana@example.com")


def out(tenant: Tenant) -> list[str]:
    return list(data_of(tenant.get(PATH))["optedOut"])


def test_it_calls_off_what_waits_and_lets_nothing_follow(world: World) -> None:
    waiting = [world.salon.delay(5), world.salon.delay(600)]
    other = world.salon.delay(5, to="+12345678902")
    elsewhere = world.outsider.delay(5)

    answer = data_of(world.salon.post(f"{PATH}/opt-out", {"channel": "sms"}))

    assert answer == {"contactId": "ana", "optedOut": ["sms"], "cancelled": 2}
    assert out(world.salon) == ["sms"]
    for job_id in waiting:
        state = world.salon.status(job_id)
        assert (state["status"], state["reason"]) == ("cancelled", "opted_out")
    later = world.salon.send()
    world.live(310)
    assert world.salon.status(later)["reason"] == "opted_out"
    assert sorted(message.to for message in world.provider.posted) == sorted([PERSON, "+12345678902"])
    assert world.salon.status(other)["status"] == world.outsider.status(elsewhere)["status"] == "completed"
    assert data_of(world.salon.post(f"{PATH}/opt-out", {"channel": "sms"}))["cancelled"] == 0


def test_without_a_channel_it_is_every_one(world: World) -> None:
    heard: list[tuple[str, str]] = []
    with events.opted_out.connected_to(lambda _sender, channel, address, **_: heard.append((channel, address))):
        assert data_of(world.salon.call("POST", f"{PATH}/opt-out"))["optedOut"] == ["sms", "whatsapp", "email"]
    assert heard == [("sms", PERSON), ("whatsapp", f"whatsapp:{PERSON}"), ("email", "ana@example.com")]
    assert data_of(world.salon.post(f"{PATH}/opt-in", {"channel": "email"}))["optedOut"] == ["sms", "whatsapp"]
    assert data_of(world.salon.post(f"{PATH}/opt-in", {})) == {"contactId": "ana", "optedOut": [], "cancelled": 0}
    assert out(world.salon) == []


def test_a_stop_shows_and_only_the_person_lifts_it(world: World) -> None:
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, "stop")
        contacts.suppress(session, ["ws_salon"], "email", "ana@example.com", "provider")
    assert out(world.salon) == ["sms", "email"]

    error_of(world.salon.post(f"{PATH}/opt-in", {"channel": "sms"}), 409, "said_stop")
    error_of(world.salon.post(f"{PATH}/opt-in", {}), 409, "said_stop")
    assert data_of(world.salon.post(f"{PATH}/opt-in", {"channel": "email"}))["optedOut"] == ["sms"]
    data_of(world.salon.post(f"{PATH}/opt-out", {"channel": "sms"}))  # does not soften it
    error_of(world.salon.post(f"{PATH}/opt-in", {"channel": "sms"}), 409, "said_stop")


@pytest.mark.parametrize("source", ["manual", "stop", "provider"])
def test_an_opt_out_goes_along_to_a_new_number_where_the_business_may_lift_it(world: World, source: str) -> None:
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, source)

    changed = data_of(world.salon.call("PATCH", PATH, {"phone": "+12345678902"}))

    assert changed["optedOut"] == ["sms"]
    assert data_of(world.salon.post(f"{PATH}/opt-in", {"channel": "sms"}))["optedOut"] == []


def test_an_address_that_bounced_is_left_behind_and_a_wish_is_not(world: World) -> None:
    for source, expected in (("provider", []), ("stop", ["email"])):
        with writing() as session:
            contacts.suppress(session, ["ws_salon"], "email", data_of(world.salon.get(PATH))["email"], source)
        changed = data_of(world.salon.call("PATCH", PATH, {"email": f"{source}@example.com"}))
        assert changed["optedOut"] == expected


def test_a_channel_without_an_address_is_refused(world: World) -> None:
    add(world.salon, contactId="bo", email="bo@example.com")
    for action in ("opt-out", "opt-in"):
        for channel in ("sms", "whatsapp", "fax", "", 1):
            assert fields_of(world.salon.post(f"{CONTACTS}/bo/{action}", {"channel": channel})) == {"channel"}
        assert fields_of(world.salon.post(f"{CONTACTS}/bo/{action}", {"why": "x"})) == {"why"}


def test_a_dry_run_calls_nothing_off(world: World) -> None:
    job_id = world.salon.delay(5)

    tried = data_of(world.salon.post(f"{PATH}/opt-out", {}, X_Dry_Run="true"))

    assert (tried["contactId"], tried["cancelled"], tried["dryRun"]) == ("ana", 1, True)
    assert out(world.salon) == []
    assert world.salon.status(job_id)["status"] == "scheduled"


def test_an_outsider_opts_nobody_out(world: World) -> None:
    for action in ("opt-out", "opt-in"):
        error_of(world.outsider.post(f"{PATH}/{action}", {}), 404, "not_found")
        error_of(world.outsider.post(f"{PATH}/{action}", {"workspaceId": "ws_salon"}), 404)
    assert out(world.salon) == []


def test_the_sandbox_s_stop_shows_too(make_world: Any) -> None:
    world = make_world(scripted=False)
    world.salon.post("/api/sandbox/reply", {"from": PERSON, "to": SENDER, "body": "STOP"})

    assert out(world.salon) == ["sms"]
