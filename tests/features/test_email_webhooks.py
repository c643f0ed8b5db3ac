"""POST /webhooks/resend and /webhooks/sendgrid: only what is signed is believed, and no report takes another back."""

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select

from app.contacts.models import Suppression
from app.database import reading
from app.messages.models import DeliveryEvent
from tests.answers import error_of
from tests.features import email_signing as signing
from tests.features.email_signing import RESEND, SENDGRID
from tests.jobs.channels import EMAIL, REPEATABLE, SILENT, Carriers, carriers, store
from tests.world import World

OTHER = "other@example.com"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(**signing.settings())


def by_name(world: World, name: str) -> Carriers:
    by = carriers(world, REPEATABLE if name == "resend" else SILENT)
    by.email.name = name
    return by


def sent(world: World, name: str, to: str = EMAIL) -> tuple[str, str, str]:
    """An email that the provider took: job id, its id, our attempt's id."""
    by_name(world, name)
    job = store(to)
    world.work()
    message = world.message(job)
    assert message.status == "sent"
    return job, str(message.provider_message_id), world.attempts(job)[0].id


def tell(world: World, name: str, email_id: str, word: str, event_id: str | None = None, **more: Any) -> None:
    """An event in the provider's form."""
    if name == "resend":
        data = {"email_id": email_id, "to": [EMAIL], "subject": "Secret", **more}
        response = signing.resend_event(world, {"type": f"email.{word}", "created_at": "x", "data": data}, event_id)
    else:
        event = {"event": word, "email": EMAIL, "sg_message_id": f"{email_id}.filter0001.1.2", **more}
        response = signing.sendgrid_events(world, event | ({"sg_event_id": event_id} if event_id else {}))
    assert (response.status_code, response.data) == (204, b"")


def stored() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(DeliveryEvent)) or 0


def suppressed() -> list[tuple[str, str, str, str]]:
    with reading() as session:
        rows = session.execute(
            select(Suppression.workspace_id, Suppression.channel, Suppression.address, Suppression.source)
        )
        return [tuple(row) for row in rows]  # type: ignore[misc]


@pytest.mark.parametrize(
    "name, word, status",
    [
        ("resend", "sent", "sent"),
        ("resend", "delivery_delayed", "sent"),
        ("resend", "delivered", "delivered"),
        ("resend", "bounced", "undelivered"),
        ("resend", "failed", "undelivered"),
        ("resend", "opened", "read"),
        ("resend", "clicked", "read"),
        ("sendgrid", "processed", "sent"),
        ("sendgrid", "deferred", "sent"),
        ("sendgrid", "delivered", "delivered"),
        ("sendgrid", "bounce", "undelivered"),
        ("sendgrid", "dropped", "undelivered"),
        ("sendgrid", "open", "read"),
        ("sendgrid", "click", "read"),
    ],
)
def test_an_event_shows_in_the_job_s_status(world: World, name: str, word: str, status: str) -> None:
    job, email_id, _ = sent(world, name)

    tell(world, name, email_id, word)

    assert world.salon.status(job)["messageStatus"] == status


@pytest.mark.parametrize("name", ["resend", "sendgrid"])
def test_in_any_order_the_last_word_is_the_highest(world: World, name: str) -> None:
    words = {"resend": ("sent", "delivered", "opened"), "sendgrid": ("processed", "delivered", "open")}[name]
    for order in permutations(words):
        job, email_id, _ = sent(world, name)
        for word in order:
            tell(world, name, email_id, word)
        assert world.salon.status(job)["messageStatus"] == "read"


@pytest.mark.parametrize("name", ["resend", "sendgrid"])
def test_an_event_that_comes_again_is_stored_once_and_without_what_was_written(world: World, name: str) -> None:
    _, email_id, _ = sent(world, name)

    for _ in range(3):
        tell(world, name, email_id, "delivered", "event-1")

    [event] = world.delivery_events()
    assert event.event_id == f"{name}:event-1"
    assert "Secret" not in json.dumps(event.raw)
    assert EMAIL not in json.dumps(event.raw)


def test_an_event_that_names_our_message_proves_that_it_was_taken(world: World) -> None:
    by = by_name(world, "resend")
    by.email.script.append(by.email.accept_then_lose)
    job = store(EMAIL)
    world.work()
    assert world.message(job).status == "unknown"

    tags = {"message": world.message(job).id}
    tell(world, "resend", by.email.log[0].provider_message_id, "delivered", tags=tags)
    world.live(60)

    assert world.salon.status(job)["messageStatus"] == "delivered"
    assert len(by.email.posted) == 1


def test_a_list_of_tags_is_understood_too_and_a_foreign_one_does_no_harm(world: World) -> None:
    by = by_name(world, "resend")
    by.email.script.append(by.email.accept_then_lose)
    job = store(EMAIL)
    world.work()

    for tags in ([{"name": "message", "value": "x"}], [1, {"name": []}], "message", {"message": "f" * 32}):
        tell(world, "resend", "stranger", "delivered", tags=tags)
    assert world.message(job).status == "unknown"
    tell(world, "resend", "re_1", "delivered", tags=[{"name": "message", "value": world.message(job).id}])

    assert world.salon.status(job)["messageStatus"] == "delivered"


def test_an_event_that_names_our_attempt_proves_that_it_was_taken(world: World) -> None:
    by = by_name(world, "sendgrid")
    by.email.script.append(by.email.accept_then_lose)
    job = store(EMAIL)
    world.work()

    tell(world, "sendgrid", by.email.log[0].provider_message_id, "delivered", attempt=world.attempts(job)[0].id)
    world.live(60)

    assert world.salon.status(job)["messageStatus"] == "delivered"
    assert len(by.email.posted) == 1


@pytest.mark.parametrize(
    "name, word, more, source",
    [
        ("resend", "bounced", {"bounce": {"type": "Permanent", "message": "no such person"}}, "provider"),
        ("resend", "bounced", {}, "provider"),
        ("resend", "bounced", {"bounce": {"type": "Transient"}}, None),
        ("resend", "complained", {}, "provider"),
        ("resend", "suppressed", {}, "provider"),
        ("resend", "delivered", {}, None),
        ("resend", "failed", {"failed": {"reason": "reached_daily_quota"}}, None),
        ("sendgrid", "bounce", {"type": "bounce", "status": "5.1.1"}, "provider"),
        ("sendgrid", "bounce", {"type": "blocked"}, None),
        ("sendgrid", "spamreport", {}, "provider"),
        ("sendgrid", "unsubscribe", {}, "stop"),
        ("sendgrid", "group_unsubscribe", {}, "stop"),
        ("sendgrid", "dropped", {"reason": "Invalid"}, None),
        ("sendgrid", "open", {}, None),
    ],
)
def test_who_cannot_or_does_not_want_to_be_reached_is_not_written_to_again(
    world: World, name: str, word: str, more: dict[str, Any], source: str | None
) -> None:
    _, email_id, _ = sent(world, name)
    waiting, another = store(EMAIL, delay_s=3600), store(EMAIL, workspace_id="ws_outsider", delay_s=3600)

    tell(world, name, email_id, word, **more)

    assert suppressed() == ([("ws_salon", "email", EMAIL, source)] if source else [])
    assert world.message(waiting).status == ("cancelled" if source else "scheduled")
    assert world.message(another).status == "scheduled"


def test_who_subscribes_again_may_be_written_to_again(world: World) -> None:
    _, email_id, _ = sent(world, "sendgrid")

    tell(world, "sendgrid", email_id, "group_unsubscribe")
    tell(world, "sendgrid", email_id, "group_resubscribe")

    assert suppressed() == []


def test_a_mail_program_that_loads_pictures_is_not_the_person(world: World) -> None:
    job, email_id, _ = sent(world, "sendgrid")

    tell(world, "sendgrid", email_id, "open", sg_machine_open=True)

    assert world.salon.status(job)["messageStatus"] == "sent"


def test_a_list_of_events_is_taken_as_far_as_it_can_be_read(world: World) -> None:
    job, email_id, _ = sent(world, "sendgrid")
    odd = [
        None,
        1,
        "x",
        [],
        {},
        {"event": "delivered"},
        {"event": ["delivered"], "sg_message_id": email_id},
        {"event": "delivered", "sg_message_id": {"x": 1}},
        {"event": "something new", "sg_message_id": email_id},
        {"event": "delivered", "sg_message_id": "x" * 5000},
        {"event": "deferred", "sg_message_id": email_id, "reason": "\0\ud83d" + "x" * 5000, "sg_event_id": 7},
    ]

    assert signing.sendgrid_events(world, *odd, {"event": "delivered", "sg_message_id": email_id}).status_code == 204

    assert world.salon.status(job)["messageStatus"] == "delivered"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "email.delivered"},
        {"type": "email.delivered", "data": None},
        {"type": "email.delivered", "data": {"email_id": 1}},
        {"type": "email.delivered", "data": {"email_id": "x" * 65}},
        {"type": "email.delivered", "data": {"email_id": "a\0b"}},
        {"type": ["email.delivered"], "data": {"email_id": "x"}},
        {"type": "contact.created", "data": {"id": "x"}},
        {"type": "email.something_new", "data": {"email_id": "x"}},
    ],
)
def test_an_event_that_says_nothing_to_us_is_answered_like_the_others(world: World, event: Any) -> None:
    assert signing.resend_event(world, event).status_code == 204
    assert stored() == 0


def test_a_report_on_an_unknown_email_is_kept_until_it_is_known(world: World) -> None:
    by = by_name(world, "sendgrid")
    job = store(EMAIL, delay_s=5)

    def overtaken(message: Any) -> Any:
        accepted = by.email.accept(message)
        tell(world, "sendgrid", accepted.provider_message_id, "delivered")
        return accepted

    by.email.script.append(overtaken)
    world.clock.advance(seconds=5)
    world.work()

    assert world.salon.status(job)["messageStatus"] == "delivered"


BODIES = {RESEND: b'{"type": "email.delivered", "data": {"email_id": "x"}}', SENDGRID: b"[]"}


def headers_for(world: World, path: str, body: bytes, late_s: float = 0) -> dict[str, str]:
    at = world.clock.now().timestamp() - late_s
    return signing.svix(body, at) if path == RESEND else signing.ecdsa(body, at)


@pytest.mark.parametrize("path", BODIES)
def test_a_wrong_signature_is_403_and_stores_nothing(world: World, path: str) -> None:
    body = BODIES[path]
    right = headers_for(world, path, body)
    assert signing.post(world, path, body, right).status_code == 204
    before = stored()

    wrong: list[dict[str, str]] = [{}, headers_for(world, path, body + b" ")]
    for name in right:
        wrong += [right | {name: value} for value in ("", "x", "\xff", "v1,", right[name][:-4], "9" * 30)]
        wrong.append({key: value for key, value in right.items() if key != name})
    wrong.append(signing.svix(body, world.clock.now().timestamp(), secret="whsec_b3RoZXI="))
    wrong.append(signing.ecdsa(body, world.clock.now().timestamp(), ec.generate_private_key(ec.SECP256R1())))
    for headers in wrong:
        error_of(signing.post(world, path, body, headers), 403, "forbidden")

    assert stored() == before


@pytest.mark.parametrize("path, tolerance_s", [(RESEND, 300), (SENDGRID, 25 * 3600)])
def test_an_old_signature_is_not_believed(world: World, path: str, tolerance_s: int) -> None:
    body = BODIES[path]

    for late_s in (tolerance_s + 2, -tolerance_s - 2):
        error_of(signing.post(world, path, body, headers_for(world, path, body, late_s)), 403)
    assert signing.post(world, path, body, headers_for(world, path, body, tolerance_s - 2)).status_code == 204


@pytest.mark.parametrize("path", BODIES)
def test_where_no_key_is_set_nothing_is_believed(make_world: Callable[..., World], path: str) -> None:
    world = make_world()

    error_of(signing.post(world, path, BODIES[path], headers_for(world, path, BODIES[path])), 403, "forbidden")


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a": NaN}', b"1", b"null", b'"x"', b"[" * 100_000, b'{"a": "\\ud800"}']
)
def test_what_is_signed_and_no_event_is_400(world: World, path: str, body: bytes) -> None:
    response = signing.post(world, path, body, headers_for(world, path, body))

    assert response.status_code in (204, 400)
    assert stored() == 0


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_too_large_is_413(world: World, path: str) -> None:
    body = b"[" + b" " * (10 * 1024 * 1024) + b"]"

    error_of(signing.post(world, path, body, headers_for(world, path, body)), 413)
