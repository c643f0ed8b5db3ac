"""What people have allowed: given, listed, run out, revoked."""

from datetime import datetime
from typing import Any

import pytest

from app import clock
from app.contacts import consents, service
from app.database import reading
from tests.answers import data_of, error_of, fields_of
from tests.people import CONTACTS, add
from tests.world import PERSON, World

PATH = f"{CONTACTS}/ana/consents"


def give(world: World, **fields: Any) -> dict[str, Any]:
    return data_of(world.salon.post(PATH, {"kind": "marketing", "source": "form"} | fields), 201)


def allowed(kind: str = "marketing", channel: str = "sms", at: datetime | None = None) -> bool:
    with reading() as session:
        contact = service.find(session, "ws_salon", "ana")
        return consents.has_consent(session, contact.id, kind, channel, at or clock.now())


def test_a_consent_counts_for_its_kind_and_channel(world: World) -> None:
    add(world.salon, contactId="ana", phone=PERSON)
    assert not allowed()

    given = give(world, channel="sms")

    assert (given["contactId"], given["kind"], given["channel"], given["source"]) == ("ana", "marketing", "sms", "form")
    assert (given["givenAt"], given["expiresAt"], given["inForce"]) == ("2026-05-11T12:00:00.000+00:00", None, True)
    assert allowed()
    assert not allowed(channel="email")
    assert not allowed(kind="informational")
    give(world)
    assert allowed(channel="email")


def test_it_runs_out_at_its_end(world: World) -> None:
    add(world.salon, contactId="ana", phone=PERSON)
    give(world, givenAt="2026-05-01T00:00:00+10:00", expiresAt="2026-05-11T12:05:00Z")

    assert allowed()
    world.clock.advance(minutes=5)
    assert not allowed()
    [listed] = data_of(world.salon.get(PATH))["consents"]
    assert (listed["inForce"], listed["givenAt"]) == (False, "2026-04-30T14:00:00.000+00:00")


def test_a_revoked_one_stays_on_record(world: World) -> None:
    add(world.salon, contactId="ana", phone=PERSON)
    kept, revoked = give(world, channel="email"), give(world, channel="sms")
    path = f"{PATH}/{revoked['consentId']}"

    tried = data_of(world.salon.call("DELETE", path, X_Dry_Run="true"))
    assert (tried["consentId"], tried["inForce"]) == (revoked["consentId"], False)
    assert allowed()
    first = data_of(world.salon.call("DELETE", path))
    world.clock.advance(minutes=1)

    assert data_of(world.salon.call("DELETE", path)) == first
    assert (first["revokedAt"], first["inForce"]) == ("2026-05-11T12:00:00.000+00:00", False)
    assert not allowed()
    assert data_of(world.salon.get(PATH))["consents"] == [first, kept]


def test_it_is_revoked_only_by_way_of_its_own_person(world: World) -> None:
    add(world.salon, contactId="ana", phone=PERSON)
    add(world.salon, contactId="bo", email="bo@example.com")
    given = give(world)

    error_of(world.salon.call("DELETE", f"{CONTACTS}/bo/consents/{given['consentId']}"), 404)
    error_of(world.salon.call("DELETE", f"{PATH}/nothing"), 404)
    error_of(world.salon.get(f"{CONTACTS}/nobody/consents"), 404)
    assert allowed()


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"kind": "all"}, "kind"),
        ({"kind": None}, "kind"),
        ({"channel": "fax"}, "channel"),
        ({"source": ""}, "source"),
        ({"source": " "}, "source"),
        ({"source": "x" * 101}, "source"),
        ({"source": "a\0"}, "source"),
        ({"source": "\ud800"}, "source"),
        ({"givenAt": "2026-05-11T12:00:01Z"}, "givenAt"),
        ({"givenAt": "2026-05-11T11:00:00"}, "givenAt"),
        ({"givenAt": "2026-02-29T11:00:00Z"}, "givenAt"),
        ({"givenAt": 1778500000}, "givenAt"),
        ({"expiresAt": "2026-05-11T12:00:00Z"}, "expiresAt"),
        ({"expiresAt": "9999-12-31T23:59:59Z"}, "expiresAt"),
        ({"revokedAt": "2026-05-11T12:00:00Z"}, "revokedAt"),
    ],
)
def test_a_wrong_consent_is_refused_by_the_name_of_its_field(world: World, changes: Any, field: str) -> None:
    add(world.salon, contactId="ana", phone=PERSON)

    assert fields_of(world.salon.post(PATH, {"kind": "marketing", "source": "form"} | changes)) == {field}
    assert data_of(world.salon.get(PATH))["consents"] == []


def test_a_repeated_request_gives_one(world: World) -> None:
    add(world.salon, contactId="ana", phone=PERSON)
    add(world.salon, contactId="bo", email="bo@example.com")
    body = {"kind": "marketing", "source": "form"}
    first = data_of(world.salon.post(PATH, body, Idempotency_Key="k"), 201)

    assert data_of(world.salon.post(PATH, body, Idempotency_Key="k"), 201) == first
    assert len(data_of(world.salon.get(PATH))["consents"]) == 1
    other = f"{CONTACTS}/bo/consents"
    error_of(world.salon.post(other, body, Idempotency_Key="k"), 422, "idempotency_key_reused")
