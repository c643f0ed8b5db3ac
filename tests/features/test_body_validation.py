"""What each field of a message may hold: every refusal is a 422 that names the field, and stores nothing."""

from typing import Any

import pytest

from tests.answers import data_of, fields_of
from tests.features.hostile import REFUSED, URL
from tests.world import World

ROUTES = {
    "/api/trigger/send-sms": {},
    "/api/trigger/schedule-delay": {"delayMinutes": 5},
    "/api/trigger/schedule-until": {"scheduledTime": "2026-05-12T16:00:00Z"},
    "/api/trigger/schedule-recurring": {"cron": "0 9 * * *", "timezone": "UTC"},
}
SEND = "/api/trigger/send-sms"


@pytest.mark.parametrize("field", REFUSED)
def test_a_hostile_value_is_refused_by_the_name_of_its_field(world: World, field: str) -> None:
    for value in REFUSED[field]:
        response = world.salon.post(SEND, world.salon.text(**{field: value}))

        assert (response.status_code, ascii(value)[:60]) == (422, ascii(value)[:60])
        assert {name.split(".")[0] for name in fields_of(response)} == {field}, ascii(value)[:60]
    assert world.messages() == []


@pytest.mark.parametrize("path", ROUTES)
def test_every_creating_route_refuses_alike(world: World, path: str) -> None:
    for field in ("to", "fromNumber", "body", "mediaUrl", "workspaceId"):
        for value in [True, "", "x\0", REFUSED[field][-1]]:
            response = world.salon.post(path, world.salon.text(**ROUTES[path], **{field: value}))

            assert {name.split(".")[0] for name in fields_of(response)} == {field}, ascii(value)[:60]


@pytest.mark.parametrize("path", ROUTES)
def test_a_missing_field_is_named(world: World, path: str) -> None:
    for field in ("to", "body", "workspaceId"):
        body = world.salon.text(**ROUTES[path])
        del body[field]

        assert fields_of(world.salon.post(path, body)) == {field}


@pytest.mark.parametrize("path", ROUTES)
def test_an_unknown_field_is_refused_by_its_name(world: World, path: str) -> None:
    for name in ("from", "To", "workspace_id", "from_number", "media", "priority", "__proto__", "x" * 100):
        response = world.salon.post(path, world.salon.text(**ROUTES[path], **{name: "x"}))
        assert fields_of(response) == {name}
    for path_of_other in set(ROUTES) - {path}:
        for name, value in ROUTES[path_of_other].items():
            assert fields_of(world.salon.post(path, world.salon.text(**ROUTES[path], **{name: value}))) == {name}


def test_all_that_is_wrong_is_said_at_once(world: World) -> None:
    response = world.salon.post(SEND, {"to": "0", "body": 7, "fromNumber": "x", "mediaUrl": "x", "when": 1})

    assert fields_of(response) == {"to", "body", "fromNumber", "mediaUrl", "when", "workspaceId"}


def test_a_refusal_does_not_repeat_what_was_sent(world: World) -> None:
    for field in set(REFUSED) - {"body"}:
        response = world.salon.post(SEND, world.salon.text(**{field: "hunter2 secret\n"}))
        assert fields_of(response) == {field}
        assert "hunter2" not in response.text


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "+12"},
        {"to": "+123456789012345"},
        {"to": "whatsapp:+12345678901", "fromNumber": "whatsapp:+19876543210"},
        {"body": "a" * 1600},
        {"body": "é" * 1600},
        {"body": "😀" * 800},
        {"body": " leading, trailing and\nnew lines\t "},
        {"body": "<script>'\"; DROP TABLE messages;-- {{name}} %s \u202e\u0007"},
        {"mediaUrl": URL},
        {"mediaUrl": [URL] * 10},
        {"mediaUrl": []},
        {"mediaUrl": "HTTP://Example.com:8080/a.png?x=1&y=%20#z"},
        {"mediaUrl": URL, "body": ""},
        {"mediaUrl": [URL], "body": " "},
        {"metadata": {"a": [1, 2.5, None, True, {"b": "ü"}]}},
        {"validUntil": "2026-05-11T12:00:00.001Z"},
    ],
    ids=str,
)
def test_what_the_contract_allows_is_taken_and_kept_as_it_was_sent(world: World, changes: dict[str, Any]) -> None:
    data = data_of(world.salon.post(SEND, world.salon.text(**changes)), 202)

    row = world.message(data["jobId"])
    media = changes.get("mediaUrl", [])
    assert row.to_address == changes.get("to", row.to_address)
    assert row.body == changes.get("body", "Hello")
    assert row.media_urls == ([media] if isinstance(media, str) else media)
    assert row.extra == changes.get("metadata", {})
