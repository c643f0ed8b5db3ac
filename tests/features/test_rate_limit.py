"""RATE_LIMIT: so many requests a minute and API key, whatever they ask for."""

import pytest
import redis
from werkzeug.test import TestResponse

from tests.answers import data_of, error_of
from tests.world import Tenant

HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
AWAY = "redis://127.0.0.1:1/0"


def asked(tenant: Tenant, times: int) -> list[TestResponse]:
    return [tenant.get("/api/trigger/recurring") for _ in range(times)]


def test_the_headers_count_down(make_world) -> None:
    responses = asked(make_world(rate_limit=3).salon, 4)

    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert [response.headers["RateLimit-Limit"] for response in responses] == ["3"] * 4
    assert [response.headers["RateLimit-Remaining"] for response in responses] == ["2", "1", "0", "0"]
    for response in responses:
        assert 1 <= int(response.headers["RateLimit-Reset"]) <= 60


def test_past_the_limit_the_answer_is_a_429_that_says_when_to_come_back(make_world) -> None:
    response = asked(make_world(rate_limit=1).salon, 2)[1]

    error_of(response, 429, "rate_limited")
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_a_success_has_no_retry_after(make_world) -> None:
    assert "Retry-After" not in asked(make_world(rate_limit=1).salon, 1)[0].headers


def test_all_routes_count_together(make_world) -> None:
    world = make_world(rate_limit=4)
    salon = world.salon

    job_id = salon.delay(60)
    salon.status(job_id)
    data_of(salon.get("/api/trigger/recurring"))
    data_of(salon.get("/api/sandbox/inbox"))
    error_of(salon.post("/api/trigger/send-sms", salon.text()), 429)
    error_of(salon.cancel(job_id), 429)

    assert [message.status for message in world.messages()] == ["scheduled"]


def test_refused_requests_count_as_well(make_world) -> None:
    salon = make_world(rate_limit=2).salon

    error_of(salon.post("/api/trigger/send-sms", {}), 422)
    error_of(salon.post_raw("/api/trigger/send-sms", b"{"), 400)
    error_of(salon.post("/api/trigger/send-sms", {}), 429)


def test_each_key_has_its_own_count(make_world) -> None:
    world = make_world(rate_limit=1)

    assert [response.status_code for response in asked(world.salon, 2)] == [200, 429]
    assert [response.status_code for response in asked(world.outsider, 2)] == [200, 429]


def test_without_keys_each_address_has_its_own_count(make_world) -> None:
    world = make_world(rate_limit=1, auth_required=False)

    def ask(address: str) -> int:
        return (
            world.app.test_client()
            .get("/api/trigger/recurring?workspaceId=ws_salon", environ_base={"REMOTE_ADDR": address})
            .status_code
        )

    assert [ask("127.0.0.1"), ask("127.0.0.1"), ask("127.0.0.2")] == [200, 429, 200]


def test_zero_switches_it_off(make_world) -> None:
    responses = asked(make_world(rate_limit=0).salon, 30)

    assert {response.status_code for response in responses} == {200}
    assert not any(name in response.headers for response in responses for name in HEADERS)


def test_webhooks_and_health_are_not_limited(make_world) -> None:
    world = make_world(rate_limit=1)

    client = world.salon.client
    assert {client.get("/healthz").status_code for _ in range(5)} == {200}
    assert {client.post("/webhooks/twilio/status").status_code for _ in range(5)} == {403}


def test_it_works_while_redis_is_away(make_world) -> None:
    world = make_world(rate_limit=2, redis_url=AWAY)

    assert world.salon.send()
    responses = asked(world.salon, 2)
    assert [response.status_code for response in responses] == [200, 429]
    assert 1 <= int(responses[1].headers["Retry-After"]) <= 60


def test_it_goes_on_when_redis_goes_away_in_between(make_world, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(rate_limit=2)
    assert asked(world.salon, 1)[0].status_code == 200
    [limiter] = [one for one in world.app.extensions["limiter"] if one._key_prefix == "bellhop"]

    def away(*_: object) -> None:
        raise redis.ConnectionError("gone")

    for name in ("acquire_sliding_window_entry", "get_sliding_window", "check"):
        monkeypatch.setattr(limiter.storage, name, away)

    # The process counts on its own from here: looser, but not gone.
    assert [response.status_code for response in asked(world.salon, 3)] == [200, 200, 429]
