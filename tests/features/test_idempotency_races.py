"""Twenty equal requests at the same instant: one effect, and the same answer for all."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.answers import data_of, error_of
from tests.features.test_idempotency import ROUTES, body_for, made
from tests.together import together
from tests.world import World

CALLERS = 20


def at_once(world: World, route: str, bodies: list[dict[str, Any]]) -> list[TestResponse]:
    """Each with a client of its own, as separate connections would."""
    headers = {"Authorization": f"Bearer {world.salon.key}", "Idempotency-Key": "booking-7"}

    def ask(body: dict[str, Any]) -> TestResponse:
        return world.app.test_client().post(f"/api/trigger/{route}", json=body, headers=headers)

    return together(world.app, [lambda body=body: ask(body) for body in bodies])


@pytest.mark.parametrize("route", ROUTES)
def test_equal_requests_make_one_thing_and_all_get_its_answer(world: World, route: str) -> None:
    responses = at_once(world, route, [body_for(world.salon, route)] * CALLERS)

    first, *others = [data_of(response, 202) for response in responses]
    assert others == [first] * (CALLERS - 1)
    assert sum("Idempotency-Replayed" in response.headers for response in responses) == CALLERS - 1
    assert made(world) == (2 if route == "schedule-bulk" else 1)


def test_of_different_requests_under_one_key_one_wins_and_the_others_hear_of_it(world: World) -> None:
    bodies = [body_for(world.salon, "send-sms", body=f"Text {n}") for n in range(CALLERS)]

    responses = at_once(world, "send-sms", bodies)

    assert sorted(response.status_code for response in responses) == [202] + [422] * (CALLERS - 1)
    for response in responses:
        assert response.status_code == 202 or error_of(response, 422, "idempotency_key_reused")
    assert made(world) == 1


def test_the_message_goes_out_once(world: World) -> None:
    at_once(world, "send-sms", [body_for(world.salon, "send-sms")] * CALLERS)

    world.live(30)

    assert len(world.provider.posted) == 1


def test_when_the_winner_fails_another_may_win(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.messages import service

    store, calls = service.store, []

    def fails_at_first(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the first one dies before its commit")
        return store(*arguments)

    monkeypatch.setattr(service, "store", fails_at_first)

    responses = at_once(world, "send-sms", [body_for(world.salon, "send-sms")] * CALLERS)

    assert sorted(response.status_code for response in responses) == [202] * (CALLERS - 1) + [500]
    assert len({response.json["data"]["jobId"] for response in responses if response.status_code == 202}) == 1
    assert made(world) == 1
