"""GET /api/channels: which channels work."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from app import clock
from app.channels import accounts
from app.channels.base import Failure, FailureKind
from app.channels.health import check
from app.database import writing
from app.workspaces import service as workspaces
from tests.answers import data_of, error_of, fields_of
from tests.jobs.channels import carriers
from tests.jobs.support import CONFIGURATION, UNREACHABLE
from tests.world import SENDER, World

PATH = "/api/channels"


def channels(world: World, **query: str) -> dict[str, dict[str, Any]]:
    return {one["channel"]: one for one in data_of(world.salon.get(PATH, **query))["channels"]}


def test_each_channel_says_who_carries_it_and_whether_it_works(world: World) -> None:
    by = carriers(world, without="whatsapp")
    by.email.probe_failure = UNREACHABLE

    found = channels(world)

    assert [found[name]["status"] for name in ("sms", "whatsapp", "email")] == ["ok", "not_configured", "unreachable"]
    assert [found[name]["provider"] for name in ("sms", "whatsapp", "email")] == ["twilio", None, "mailer"]
    assert [found[name]["configured"] for name in ("sms", "whatsapp", "email")] == [True, False, True]
    assert found["email"]["reason"] == "connection refused"
    assert found["sms"] == {
        "channel": "sms",
        "provider": "twilio",
        "configured": True,
        "status": "ok",
        "reason": None,
        "checkedAt": "2026-05-11T12:00:00.000+00:00",
        "senders": [SENDER],
    }


def test_an_account_that_is_refused_is_paused(world: World) -> None:
    by = carriers(world)
    by.whatsapp.probe_failure = CONFIGURATION
    with writing() as session:
        accounts.pause(session, by.email.account, Failure(FailureKind.CONFIGURATION, "no such key"), clock.now())

    found = channels(world)

    assert (found["email"]["status"], found["email"]["reason"]) == ("paused", "no such key")
    assert (found["whatsapp"]["status"], found["whatsapp"]["reason"]) == ("paused", "Authenticate")
    assert found["sms"]["status"] == "ok"


def test_the_senders_are_the_workspace_s_own_and_the_installation_s(make_world: Callable[..., World]) -> None:
    world = make_world(email_from="us@bellhop.example", whatsapp_from_number="+1555")
    with writing() as session:
        workspaces.add_sender(session, "ws_salon", "email", "hello@salon.example")
        workspaces.add_sender(session, "ws_outsider", "email", "hello@other.example")

    found = channels(world)

    assert found["email"]["senders"] == ["hello@salon.example", "us@bellhop.example"]
    assert found["whatsapp"]["senders"] == ["whatsapp:+1555"]


def test_a_provider_is_asked_once_in_half_a_minute(world: World) -> None:
    by = carriers(world)
    asked: list[str] = []
    for provider in (by.sms, by.whatsapp, by.email):
        provider.probe = lambda account=provider.account: asked.append(account)  # type: ignore[method-assign, misc]

    for _ in range(3):
        channels(world)
        world.clock.advance(seconds=10)
    assert sorted(asked) == sorted([by.sms.account, by.whatsapp.account, by.email.account])

    channels(world)
    assert len(asked) == 6


def test_a_provider_that_hangs_holds_up_one_request(world: World) -> None:
    by = carriers(world)
    check(by.sms)
    world.clock.advance(seconds=31)
    asked, release = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        release.wait(10)

    by.sms.probe = hang  # type: ignore[method-assign]

    def ask() -> None:
        with world.app.app_context():
            check(by.sms)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(10)

    assert check(by.sms).failure is None  # what it said before
    release.set()
    thread.join(10)
    assert not thread.is_alive()


def test_another_workspace_is_not_there(world: World) -> None:
    error_of(world.outsider.get(PATH, workspaceId="ws_salon"), 404, "not_found")
    error_of(world.app.test_client().get(PATH), 401)


@pytest.mark.parametrize(
    "name, value", [("workspaceId", ""), ("workspaceId", "a\0b"), ("workspaceId", "x" * 65), ("a", "b")]
)
def test_a_query_that_is_none_is_refused_by_name(world: World, name: str, value: str) -> None:
    assert fields_of(world.salon.get(PATH, **{name: value})) == {name}
