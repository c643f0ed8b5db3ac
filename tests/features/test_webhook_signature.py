"""Twilio's callbacks: nobody else's are believed, whatever else the settings say."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.database import reading
from app.messages.models import DeliveryEvent, InboundMessage
from tests.answers import error_of
from tests.features import lives, signing
from tests.features.signing import BASE, INBOUND, STATUS, TOKEN
from tests.world import PERSON, World

FORMS = {STATUS: signing.status_of("SM1", "delivered"), INBOUND: signing.text_from(PERSON, "STOP")}


def stored() -> int:
    with reading() as session:
        return sum(
            session.scalar(select(func.count()).select_from(table)) or 0 for table in (DeliveryEvent, InboundMessage)
        )


def taken(world: World, path: str, headers: dict[str, str], **options: Any) -> int:
    return world.app.test_client().post(path, data=FORMS[path], headers=headers, **options).status_code


@pytest.mark.parametrize("path", FORMS)
def test_a_right_signature_passes(make_world, path: str) -> None:
    world = make_world(twilio_auth_token=TOKEN)

    assert signing.post(world, path, FORMS[path]).status_code in (200, 204)
    assert stored() == 1


@pytest.mark.parametrize("path", FORMS)
def test_a_wrong_signature_is_403_and_changes_nothing(make_world, path: str) -> None:
    world = make_world(twilio_auth_token=TOKEN)
    job_id = world.salon.delay(60)
    right = signing.signature(BASE + path, FORMS[path])

    for wrong in (
        "",
        "x",
        right[:-2] + "==",
        right.lower(),
        signing.signature(BASE + path, FORMS[path], "other"),
        "\xff",
    ):
        response = world.app.test_client().post(path, data=FORMS[path], headers={"X-Twilio-Signature": wrong})
        error_of(response, 403, "forbidden")
    error_of(world.app.test_client().post(path, data=FORMS[path]), 403)
    changed = FORMS[path] | {"From": "+15550000009"}
    error_of(world.app.test_client().post(path, data=changed, headers={"X-Twilio-Signature": right}), 403)
    error_of(world.app.test_client().post(f"{path}?a=1", data=FORMS[path], headers={"X-Twilio-Signature": right}), 403)

    assert stored() == 0
    assert world.salon.status(job_id)["status"] == "scheduled"


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("auth_required", [True, False])
def test_without_an_auth_token_every_callback_is_403(make_world, path: str, auth_required: bool) -> None:
    world = make_world(auth_required=auth_required)

    for token in ("", "None", TOKEN):
        error_of(signing.post(world, path, FORMS[path], token=token), 403, "forbidden")
    error_of(world.app.test_client().post(path, data=FORMS[path]), 403)


@pytest.mark.parametrize("path", FORMS)
def test_an_api_key_is_no_signature(make_world, path: str) -> None:
    world = make_world(twilio_auth_token=TOKEN)

    assert taken(world, path, {"Authorization": f"Bearer {world.salon.key}"}) == 403


@pytest.mark.parametrize("path", FORMS)
def test_the_public_url_is_what_was_signed_and_not_the_host_header(make_world, path: str) -> None:
    public = "https://sms.example.com/bellhop"
    world = make_world(twilio_auth_token=TOKEN, public_base_url=public + "/")
    signed = {"X-Twilio-Signature": signing.signature(public + path, FORMS[path])}
    forged = {"X-Twilio-Signature": signing.signature(f"http://evil.example{path}", FORMS[path])}

    assert taken(world, path, signed, base_url="http://10.1.2.3:3000") in (200, 204)
    assert taken(world, path, forged, base_url="http://evil.example") == 403
    assert taken(world, path, {"X-Twilio-Signature": signing.signature(f"http://localhost{path}", FORMS[path])}) == 403


def test_the_query_is_signed_as_it_stands(make_world) -> None:
    world = make_world(twilio_auth_token=TOKEN)
    job_id = lives.sent(world)
    sid = world.message(job_id).provider_message_id
    path = f"{STATUS}?attempt={world.attempts(job_id)[0].id}&x=%20a%2Bb&x=+&y"

    assert signing.post(world, path, signing.status_of(sid, "delivered")).status_code == 204
    assert world.message(job_id).status == "delivered"


def test_repeated_and_empty_fields_are_signed_too(make_world) -> None:
    world = make_world(twilio_auth_token=TOKEN)
    form = FORMS[STATUS] | {"Empty": "", "Media": ["b", "a", "a"], "Umlaut": "Gr\xfc\xdfe \U0001f600", "A b": " x "}

    assert signing.post(world, STATUS, form).status_code == 204


@pytest.mark.parametrize("path", FORMS)
def test_only_a_post_of_reasonable_size_is_read(make_world, path: str) -> None:
    world = make_world(twilio_auth_token=TOKEN)

    error_of(world.app.test_client().get(path), 405, "method_not_allowed")
    error_of(signing.post(world, path, FORMS[path] | {"Body": "x" * 100_000}), 413, "payload_too_large")
    assert stored() == 0


@pytest.mark.parametrize("path", FORMS)
def test_whatsapp_with_an_account_of_its_own_is_checked_with_that_account_s_token(make_world, path: str) -> None:
    world = make_world(twilio_auth_token=TOKEN, whatsapp_account_sid="ACwhatsapp", whatsapp_auth_token="own")
    form = FORMS[path] | {"AccountSid": "ACwhatsapp"}

    error_of(signing.post(world, path, form, token=TOKEN), 403)
    error_of(signing.post(world, path, FORMS[path], token="own"), 403)
    assert stored() == 0
    assert signing.post(world, path, form, token="own").status_code in (200, 204)
    assert stored() == 1
