"""The sandbox: a carrier of our own, which behaves like Twilio and keeps what it took where one can look."""

from typing import Any

import pytest

from tests.answers import data_of, error_of, fields_of
from tests.world import PERSON, SENDER, World

INBOX, REPLY = "/api/sandbox/inbox", "/api/sandbox/reply"
TWILIO = {"sms_provider": "twilio", "twilio_account_sid": "ACtest", "twilio_auth_token": "token"}


@pytest.fixture
def world(make_world) -> World:
    return make_world(scripted=False)


def inbox(world: World, **query: str) -> list[dict[str, Any]]:
    return list(data_of(world.salon.get(INBOX, **query))["messages"])


def test_a_message_is_sent_and_then_delivered_within_five_seconds(world: World) -> None:
    job_id = world.salon.send()
    seen = [world.salon.status(job_id)["messageStatus"]]

    for _ in range(5):
        world.work()
        seen.append(world.salon.status(job_id)["messageStatus"])
        world.clock.advance(seconds=1)

    assert seen[:2] == ["pending", "sent"]
    assert seen[-1] == "delivered"
    assert [event.status for event in world.delivery_events()] == ["sent", "delivered"]


def test_it_is_delivered_without_the_reports_as_well(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    world.redis.flushall()

    world.live(30)

    assert world.salon.status(job_id)["messageStatus"] == "delivered"
    assert len(inbox(world)) == 1


def test_the_inbox_shows_what_arrived_newest_first(world: World) -> None:
    world.salon.send(body="First", mediaUrl=["https://example.com/a.png"])
    world.work()
    world.clock.advance(seconds=1)
    world.salon.send(body="Second \U0001f600", to="+12345678902")
    world.work()

    second, first = inbox(world)

    assert set(first) == {"sid", "channel", "to", "fromNumber", "subject", "body", "mediaUrl", "receivedAt"}
    assert (first["channel"], first["subject"]) == ("sms", None)
    assert (first["to"], first["fromNumber"], first["body"]) == (PERSON, SENDER, "First")
    assert first["mediaUrl"] == ["https://example.com/a.png"]
    assert first["receivedAt"] == "2026-05-11T12:00:00.000+00:00"
    assert second["body"] == "Second \U0001f600"
    assert len(first["sid"]) == 34
    assert first["sid"].startswith("SM")
    assert inbox(world, to=PERSON) == [first]
    assert inbox(world, to="+15550000000") == []


def test_everybody_sees_their_own_inbox_only(world: World) -> None:
    world.salon.send(body="For the salon's client")
    world.outsider.send(body="For the outsider's client")
    world.work()

    assert [message["body"] for message in inbox(world)] == ["For the salon's client"]
    messages = data_of(world.outsider.get(INBOX, to=PERSON))["messages"]
    assert [message["body"] for message in messages] == ["For the outsider's client"]
    error_of(world.outsider.get(INBOX, workspaceId="ws_salon"), 404, "not_found")


def test_an_answer_from_the_test_phone_goes_the_way_of_a_real_one(world: World) -> None:
    job_id = world.salon.delay(60)

    def reply(body: str) -> object:
        return data_of(world.salon.post(REPLY, {"from": PERSON, "to": SENDER, "body": body}))["intent"]

    assert [reply("Thanks!"), reply("HELP"), reply("STOP please")] == [None, "help", "stop"]
    assert world.salon.status(job_id)["reason"] == "opted_out"
    assert reply("START") == "start"
    again = world.salon.send()
    world.work()
    assert world.salon.status(again)["messageStatus"] == "sent"


def test_a_reply_needs_both_numbers_and_a_key(world: World) -> None:
    assert fields_of(world.salon.post(REPLY, {})) == {"from", "to", "body"}
    assert fields_of(world.salon.post(REPLY, {"from": "1", "to": SENDER, "body": "STOP"})) == {"from"}
    error_of(world.app.test_client().post(REPLY, json={"from": PERSON, "to": SENDER, "body": "STOP"}), 401)


def test_with_twilio_there_is_no_sandbox(make_world) -> None:
    world = make_world(**TWILIO)

    error_of(world.salon.get(INBOX), 404)
    error_of(world.salon.post(REPLY, {"from": PERSON, "to": SENDER, "body": "STOP"}), 404)
