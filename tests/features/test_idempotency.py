"""Idempotency-Key: one effect per workspace, route and key, for 24 hours."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.messages import recurring
from tests.answers import data_of, error_of, fields_of
from tests.world import Tenant, World

SINGLE = {
    "send-sms": {},
    "schedule-delay": {"delayMinutes": 5},
    "schedule-until": {"scheduledTime": "2026-05-11T12:30:00Z"},
}
ROUTES = [*SINGLE, "schedule-bulk", "schedule-recurring"]
UNTIL = {"cron": "30 12 * * *", "timezone": "UTC", "until": "2026-05-11T12:30:00Z"}


def body_for(tenant: Tenant, route: str, **changes: Any) -> dict[str, Any]:
    if route in SINGLE:
        return tenant.text(**SINGLE[route], **changes)
    if route == "schedule-recurring":
        return tenant.text(**UNTIL, **changes)
    item = {name: value for name, value in tenant.text(**changes).items() if name != "workspaceId"}
    return {"workspaceId": tenant.workspace_id, "messages": [item | {"delayMinutes": n} for n in (1, 2)]}


def ask(tenant: Tenant, route: str, key: str = "booking-7", **changes: Any) -> TestResponse:
    return tenant.post(f"/api/trigger/{route}", body_for(tenant, route, **changes), Idempotency_Key=key)


def made(world: World) -> int:
    """How many things exist: messages that nobody repeats, and rules."""
    rules = [*recurring.in_workspace("ws_salon"), *recurring.in_workspace("ws_outsider")]
    return len([message for message in world.messages() if message.recurrence_id is None]) + len(rules)


@pytest.mark.parametrize("route", ROUTES)
def test_a_repeated_request_gets_the_first_answer_and_makes_nothing(world: World, route: str) -> None:
    first = ask(world.salon, route)
    count = made(world)
    world.clock.advance(hours=23, minutes=59)
    again = ask(world.salon, route)

    assert data_of(again, 202) == data_of(first, 202)
    assert made(world) == count
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("route", ROUTES)
def test_another_body_under_the_same_key_is_refused(world: World, route: str) -> None:
    data_of(ask(world.salon, route), 202)
    count = made(world)

    response = ask(world.salon, route, body="Something else")

    assert fields_of(response) == {"Idempotency-Key"}
    assert error_of(response, 422, "idempotency_key_reused")
    assert made(world) == count


def test_the_order_and_the_spelling_of_a_body_do_not_matter(world: World) -> None:
    body = body_for(world.salon, "schedule-delay")
    path = "/api/trigger/schedule-delay"
    first = data_of(world.salon.post(path, body, Idempotency_Key="k"), 202)

    same = dict(reversed(body.items())) | {"delayMinutes": 5.0}
    assert data_of(world.salon.post(path, same, Idempotency_Key="k"), 202) == first


def test_another_route_is_another_effect(world: World) -> None:
    answers = [data_of(ask(world.salon, route), 202) for route in SINGLE]

    assert len({answer["jobId"] for answer in answers}) == 3
    assert [data_of(ask(world.salon, route), 202) for route in SINGLE] == answers
    assert made(world) == 3


@pytest.mark.parametrize("route", ROUTES)
def test_another_workspace_is_another_effect(world: World, route: str) -> None:
    first = ask(world.salon, route)
    count = made(world)

    other = ask(world.outsider, route)

    assert data_of(other, 202) != data_of(first, 202)
    assert "Idempotency-Replayed" not in other.headers
    assert data_of(ask(world.salon, route), 202) == data_of(first, 202)
    assert data_of(ask(world.outsider, route), 202) == data_of(other, 202)
    assert made(world) == 2 * count


@pytest.mark.parametrize("route", ["send-sms", "schedule-delay", "schedule-bulk"])
def test_after_24_hours_the_key_is_free_again(world: World, route: str) -> None:
    first = ask(world.salon, route)
    count = made(world)
    world.clock.advance(hours=24)

    second = ask(world.salon, route)

    assert data_of(second, 202) != data_of(first, 202)
    assert made(world) == 2 * count
    assert data_of(ask(world.salon, route), 202) == data_of(second, 202)


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_that_fails_takes_no_key(world: World, route: str) -> None:
    if route != "schedule-bulk":  # a bulk with bad items is a success that says so
        assert fields_of(ask(world.salon, route, to="nobody")) == {"to"}
    assert fields_of(ask(world.salon, route, key="x" * 256)) == {"Idempotency-Key"}
    error_of(world.salon.post_raw(f"/api/trigger/{route}", b"{"), 400)

    data_of(ask(world.salon, route), 202)


def test_a_defect_takes_no_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("app.messages.service.store", lambda *_: 1 / 0)
        error_of(ask(world.salon, "send-sms"), 500)

    response = ask(world.salon, "send-sms")
    assert "Idempotency-Replayed" not in response.headers
    assert data_of(response, 202)
    assert made(world) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "schl\xfcssel", "a\tb"])
def test_a_key_is_1_to_255_printable_ascii_characters(world: World, key: str) -> None:
    assert fields_of(ask(world.salon, "send-sms", key=key)) == {"Idempotency-Key"}
    assert world.messages() == []


def test_without_a_key_every_request_counts(world: World) -> None:
    assert world.salon.send() != world.salon.send()


def test_a_replayed_request_does_not_send_again(world: World) -> None:
    ask(world.salon, "send-sms")
    world.work()
    ask(world.salon, "send-sms")
    world.live(30)

    assert len(world.provider.posted) == 1
