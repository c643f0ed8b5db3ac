"""POST /api/trigger/schedule-bulk (seed 001.31, 001.39): up to 1,000 messages, each judged on its own."""

from typing import Any

import pytest

from tests.answers import data_of, error_of, fields_of
from tests.world import PERSON, SENDER, World

PATH = "/api/trigger/schedule-bulk"


def item(**changes: Any) -> dict[str, Any]:
    return {"to": PERSON, "body": "Hello", "delayMinutes": 5} | changes


def bulk(messages: Any, **changes: Any) -> dict[str, Any]:
    return {"workspaceId": "ws_salon", "fromNumber": SENDER, "messages": messages} | changes


def test_every_item_has_its_verdict_in_the_order_of_the_request(world: World) -> None:
    messages = [
        item(body="First", reference="booking-1"),
        item(to="nobody", reference="booking-2"),
        item(body="Third", delayMinutes=None, scheduledTime="2026-05-12T16:00:00+10:00"),
    ]
    del messages[2]["delayMinutes"]

    answer = data_of(world.salon.post(PATH, bulk(messages)), 202)

    assert set(answer) == {"accepted", "rejected", "results"}
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    first, second, third = answer["results"]
    assert set(first) == {"index", "success", "jobId", "messageId", "status", "scheduledTime", "reference"}
    assert (first["index"], first["success"], first["status"]) == (0, True, "scheduled")
    assert first["scheduledTime"] == "2026-05-11T12:05:00.000+00:00"
    assert first["reference"] == "booking-1"
    assert set(second) == {"index", "success", "error"}
    assert (second["index"], second["success"]) == (1, False)
    assert set(second["error"]["fields"]) == {"to"}
    assert (third["index"], third["scheduledTime"]) == (2, "2026-05-12T16:00:00+10:00")
    assert world.message(first["jobId"]).body == "First"
    assert world.message(third["jobId"]).body == "Third"
    assert world.message(first["jobId"]).reference == "booking-1"


def test_a_thousand_fit_in_one_request(world: World) -> None:
    answer = data_of(world.salon.post(PATH, bulk([item(body=f"Text {n}") for n in range(1000)])), 202)

    assert (answer["accepted"], answer["rejected"]) == (1000, 0)
    assert [result["index"] for result in answer["results"]] == list(range(1000))
    assert len({result["jobId"] for result in answer["results"]}) == 1000
    by_job = {message.job_id: message.body for message in world.messages()}
    assert [by_job[result["jobId"]] for result in answer["results"]] == [f"Text {n}" for n in range(1000)]


@pytest.mark.parametrize("messages", [[], [item()] * 1001, None, {}, "x", 1, True], ids=lambda value: str(value)[:9])
def test_no_list_of_1_to_1000_is_refused_as_a_whole(world: World, messages: Any) -> None:
    assert fields_of(world.salon.post(PATH, bulk(messages))) == {"messages"}
    assert world.messages() == []


BAD: list[tuple[Any, set[str]]] = [
    (item(to="+0123"), {"to"}),
    (item(to="+12345678901\n"), {"to"}),
    (item(to="a\0b"), {"to"}),
    (item(body=""), {"body"}),
    (item(body="a" * 1601), {"body"}),
    (item(body="a\0b"), {"body"}),
    (item(body="\ud800"), {"body"}),
    (item(mediaUrl="javascript:alert(1)"), {"mediaUrl"}),
    (item(fromNumber="whatsapp:+19876543210"), {"fromNumber"}),
    (item(fromNumber="1"), {"fromNumber"}),
    (item(delayMinutes=0), {"delayMinutes"}),
    (item(delayMinutes=True), {"delayMinutes"}),
    (item(delayMinutes=731 * 24 * 60 + 1), {"delayMinutes"}),
    (item(scheduledTime="2026-05-12T16:00:00Z"), {"scheduledTime", "delayMinutes"}),
    ({"to": PERSON, "body": "Hello"}, {"scheduledTime", "delayMinutes"}),
    ({"to": PERSON, "body": "Hello", "scheduledTime": "2026-05-12T16:00:00"}, {"scheduledTime"}),
    ({"to": PERSON, "body": "Hello", "scheduledTime": "2026-05-11T12:00:00Z"}, {"scheduledTime"}),
    (item(reference=""), {"reference"}),
    (item(reference="x" * 129), {"reference"}),
    (item(reference=7), {"reference"}),
    (item(workspaceId="ws_salon"), {"workspaceId"}),
    (item(priority=1), {"priority"}),
    ({}, {"to", "body"}),
    (None, set()),
    ("text", set()),
    ([], set()),
    (7, set()),
]


def test_one_bad_item_of_each_kind_spoils_nothing(world: World) -> None:
    messages = [message for number, (bad, _) in enumerate(BAD) for message in (item(body=f"Good {number}"), bad)]

    answer = data_of(world.salon.post(PATH, bulk(messages), Idempotency_Key="k"), 202)

    assert data_of(world.salon.post(PATH, bulk(messages), Idempotency_Key="k"), 202) == answer
    assert [result["success"] for result in answer["results"]] == [True, False] * len(BAD)
    assert (answer["accepted"], answer["rejected"]) == (len(BAD), len(BAD))
    for result, (bad, names) in zip(answer["results"][1::2], BAD, strict=True):
        error = result["error"]
        assert set(error["fields"]) == names, ascii(bad)
        assert error["code"]
        assert error["message"]
    assert {message.body for message in world.messages()} == {f"Good {number}" for number in range(len(BAD))}


def test_nothing_but_bad_items_is_still_an_answer(world: World) -> None:
    answer = data_of(world.salon.post(PATH, bulk([item(to="1"), {}])), 202)

    assert (answer["accepted"], answer["rejected"]) == (0, 2)
    assert world.messages() == []


def test_equal_items_are_messages_of_their_own(world: World) -> None:
    answer = data_of(world.salon.post(PATH, bulk([item(reference="same")] * 3)), 202)

    assert len({result["jobId"] for result in answer["results"]}) == 3
    world.clock.advance(minutes=5)
    world.work()
    assert len(world.provider.log) == 3


def test_an_item_s_own_sender_comes_before_the_bulk_s(world: World) -> None:
    answer = data_of(world.salon.post(PATH, bulk([item(), item(fromNumber="+15550000001")])), 202)

    senders = [world.message(result["jobId"]).from_address for result in answer["results"]]
    assert senders == [SENDER, "+15550000001"]


@pytest.mark.parametrize("changes", [{"workspaceId": "a b"}, {"fromNumber": "1"}, {"reference": "x"}, {"to": PERSON}])
def test_what_is_wrong_with_the_bulk_itself_is_refused_as_a_whole(world: World, changes: dict[str, str]) -> None:
    assert fields_of(world.salon.post(PATH, bulk([item()], **changes))) == set(changes)


def test_an_outsider_cannot_write_here_and_sees_none_of_it(world: World) -> None:
    error_of(world.outsider.post(PATH, bulk([item()])), 403, "forbidden")
    [result] = data_of(world.salon.post(PATH, bulk([item()])), 202)["results"]

    error_of(world.outsider.cancel(result["jobId"]), 404, "not_found")
    assert data_of(world.salon.cancel(result["jobId"]))["status"] == "cancelled"
