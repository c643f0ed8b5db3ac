"""A bulk that its sender cannot carry in time is accepted, and told so."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.answers import data_of
from tests.world import PERSON, SENDER, World

PATH = "/api/trigger/schedule-bulk"


@pytest.fixture
def slow(make_world: Callable[..., World]) -> World:
    """A world in which a sender takes 100 seconds for a segment: 144 in the four hours of the usual validity."""
    return make_world(sender_rate=0.01)


def bulk(world: World, count: int, body: str = "Hello", **headers: str) -> dict[str, Any]:
    messages = [{"to": PERSON, "body": body, "delayMinutes": 10} for _ in range(count)]
    sent = {"workspaceId": "ws_salon", "fromNumber": SENDER, "messages": messages}
    return data_of(world.salon.post(PATH, sent, **headers), 200 if headers else 202)


def test_a_sender_that_needs_longer_than_the_messages_are_valid_is_warned_of(slow: World) -> None:
    answer = bulk(slow, 150)

    assert answer["accepted"] == 150
    (warning,) = answer["warnings"]
    assert warning == {
        "code": "sender_too_slow",
        "fromNumber": SENDER,
        "message": f"{SENDER} sends 0.01 segments a second, and is busy with all that is due by then until "
        "2026-05-11T16:18:20.000+00:00. 6 of these messages would be of no use any more when their turn comes, and "
        "will not go out. Spread them over more time or over more senders.",
        "affected": 6,
        "lastSlot": "2026-05-11T16:18:20.000+00:00",
    }


def test_what_fits_is_not_warned_of(slow: World) -> None:
    assert "warnings" not in bulk(slow, 144)


def test_segments_count(slow: World) -> None:
    assert bulk(slow, 80, body="ä" * 161)["warnings"][0]["affected"] == 8


def test_what_the_workspace_has_planned_before_is_counted_in(slow: World) -> None:
    assert "warnings" not in bulk(slow, 100)

    assert bulk(slow, 50)["warnings"][0]["affected"] == 6


def test_a_dry_run_warns_too_and_stores_nothing(slow: World) -> None:
    assert bulk(slow, 150, X_Dry_Run="true")["warnings"][0]["affected"] == 6
    assert slow.messages() == []


def test_without_pacing_nothing_is_warned_of(world: World) -> None:
    assert "warnings" not in bulk(world, 500)
