"""Whatever bytes are sent, the answer is JSON in the envelope: never a page, never a 500."""

import io
import json
from typing import Any

import pytest

from tests.answers import data_of, error_of
from tests.world import World

SEND = "/api/trigger/send-sms"
POSTS = [
    SEND,
    "/api/trigger/schedule-delay",
    "/api/trigger/schedule-until",
    "/api/trigger/schedule-recurring",
    "/api/trigger/schedule-bulk",
    "/api/trigger/cancel-job",
    "/api/trigger/reschedule-job",
]

NOT_JSON = {
    "empty": b"",
    "a space": b" ",
    "cut off": b'{"to": "+1234',
    "words": b"to=+12345678901&body=Hi",
    "two values": b"{} {}",
    "a comment": b"{} // hello",
    "single quotes": b"{'to': '+12345678901'}",
    "a trailing comma": b'{"to": "+12345678901",}',
    "a control character": b'{"to": "+1\n2345678901"}',
    "NaN": b'{"metadata": {"a": NaN}}',
    "Infinity": b'{"metadata": {"a": [Infinity]}}',
    "-Infinity": b'{"metadata": -Infinity}',
    "a number past the largest": b'{"metadata": {"a": 1e999}}',
    "five thousand digits": b'{"metadata": {"a": ' + b"9" * 5000 + b"}}",
    "bad UTF-8": b'{"to": "\xff\xfe"}',
    "overlong UTF-8": b'{"to": "\xc0\x80"}',
    "a surrogate in UTF-8": b'{"to": "\xed\xa0\x80"}',
    "UTF-16": '{"to": "+12345678901"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a hundred thousand brackets": b"[" * 100_000,
    "a deep object": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "no object": b'["to"]',
    "a string": b'"to"',
    "null": b"null",
    "a number": b"1",
}


@pytest.mark.parametrize("path", POSTS)
def test_what_is_no_json_object_is_malformed(world: World, path: str) -> None:
    for name, body in NOT_JSON.items():
        response = world.salon.post_raw(path, body)
        assert (response.status_code, name) == (400, name)
        error_of(response, 400, "malformed")
    assert world.messages() == []


@pytest.mark.parametrize("levels, status", [(30, 202), (31, 400), (200, 400)])
@pytest.mark.parametrize("shape", ["list", "object"])
def test_a_body_may_nest_32_levels(world: World, levels: int, status: int, shape: str) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value] if shape == "list" else {"a": value}

    # The body itself and the metadata are the first two levels.
    response = world.salon.post(SEND, world.salon.text(metadata={"a": value}))

    assert response.status_code == status, response.text
    assert status == 202 or error_of(response, 400, "malformed")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "*/*",
        "",
        "json",
    ],
)
def test_what_does_not_say_that_it_is_json_is_415(world: World, content_type: str) -> None:
    body = json.dumps(world.salon.text()).encode()

    for path in POSTS:
        error_of(world.salon.post_raw(path, body, content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"])
def test_what_says_so_in_other_words_is_json(world: World, content_type: str) -> None:
    data_of(world.salon.post_raw(SEND, json.dumps(world.salon.text()).encode(), content_type), 202)


@pytest.mark.parametrize("size", [300_000, 10_000_000])
def test_a_large_body_is_413(world: World, size: int) -> None:
    body = json.dumps(world.salon.text(metadata={"a": "x" * size})).encode()
    for path in set(POSTS) - {"/api/trigger/schedule-bulk"}:
        error_of(world.salon.post_raw(path, body), 413, "payload_too_large")


def test_a_bulk_may_be_larger_but_not_without_end(world: World) -> None:
    path = "/api/trigger/schedule-bulk"
    small = json.dumps({"workspaceId": "ws_salon", "messages": ["x" * 300_000]}).encode()
    large = json.dumps({"workspaceId": "ws_salon", "messages": ["x" * 17_000_000]}).encode()

    assert data_of(world.salon.post_raw(path, small), 202)["rejected"] == 1
    error_of(world.salon.post_raw(path, large), 413, "payload_too_large")


def test_a_body_of_untold_length_is_413_too(world: World) -> None:
    environ = {"wsgi.input": io.BytesIO(b" " * 10_000_000), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    headers = {"Authorization": f"Bearer {world.salon.key}", "Content-Type": "application/json"}

    error_of(world.salon.client.post(SEND, environ_overrides=environ, headers=headers), 413, "payload_too_large")
