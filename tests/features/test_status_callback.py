"""POST /webhooks/twilio/status: reports move a message forward, and never back."""

from itertools import permutations

import pytest

from app.channels.base import Accepted, OutgoingMessage
from app.messages.states import PROVIDER_RANK
from tests.features import lives, signing
from tests.features.signing import STATUS, TOKEN
from tests.world import World


@pytest.fixture
def world(make_world) -> World:
    return make_world(twilio_auth_token=TOKEN)


def report(world: World, sid: str, word: str, *, attempt: str = "", **more: str) -> None:
    path = f"{STATUS}?attempt={attempt}" if attempt else STATUS
    response = signing.post(world, path, signing.status_of(sid, word, **more))
    assert (response.status_code, response.data) == (204, b"")


def sent(world: World) -> tuple[str, str]:
    job_id = lives.sent(world)
    return job_id, str(world.message(job_id).provider_message_id)


@pytest.mark.parametrize(
    "word, message_status",
    [("queued", "sent"), ("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("Delivered", "delivered")],
)
def test_a_report_shows_in_the_job_s_status(world: World, word: str, message_status: str) -> None:
    job_id, sid = sent(world)

    report(world, sid, word)

    assert world.salon.status(job_id)["messageStatus"] == message_status


@pytest.mark.parametrize("word", ["undelivered", "failed"])
def test_a_failure_comes_with_its_code(world: World, word: str) -> None:
    job_id, sid = sent(world)

    report(world, sid, word, ErrorCode="30005")

    assert world.salon.status(job_id)["messageStatus"] == "undelivered"
    assert world.message(job_id).error_code == 30005


def test_in_any_order_the_last_word_is_the_highest(world: World) -> None:
    for order in permutations(["sent", "delivered", "read"]):
        job_id, sid = sent(world)
        seen = []
        for word in order:
            report(world, sid, word)
            message = world.message(job_id)
            seen.append((message.status, message.provider_status))

        assert seen[-1] == ("read", "read"), order
        assert seen == sorted(seen, key=lambda pair: PROVIDER_RANK[pair[1]]), order
        assert [inside for inside, _ in seen] == [known for _, known in seen], order


def test_a_late_sent_does_not_undo_a_failure(world: World) -> None:
    job_id, sid = sent(world)

    for word in ("undelivered", "sent", "queued", "delivered"):
        report(world, sid, word, ErrorCode="30003" if word == "undelivered" else "")

    assert world.message(job_id).status == "undelivered"
    assert world.message(job_id).error_code == 30003


def test_repeated_reports_are_stored_once(world: World) -> None:
    job_id, sid = sent(world)

    for word in ("sent", "delivered", "sent", "delivered", "delivered"):
        report(world, sid, word)

    assert [event.status for event in world.delivery_events()] == ["sent", "delivered"]
    assert {event.message_id for event in world.delivery_events()} == {world.message(job_id).id}
    assert world.delivery_events()[0].raw["MessageStatus"] == "sent"


@pytest.mark.parametrize("with_attempt", [True, False])
def test_a_report_that_overtakes_the_answer_is_not_lost(world: World, with_attempt: bool) -> None:
    job_id = world.salon.send()

    def report_first(message: OutgoingMessage) -> Accepted:
        accepted = world.provider.accept(message)
        attempt = message.attempt_id if with_attempt else ""
        report(world, accepted.provider_message_id, "delivered", attempt=attempt)
        return accepted

    world.provider.script.append(report_first)
    world.work()

    assert world.salon.status(job_id)["messageStatus"] == "delivered"
    assert [event.message_id for event in world.delivery_events()] == [world.message(job_id).id]
    world.live(120)
    assert len(world.provider.posted) == 1


def test_a_report_settles_an_unknown_message_and_nobody_sends_again(world: World) -> None:
    job_id = lives.unknown(world)
    [record], [attempt] = world.provider.log, world.attempts(job_id)

    report(world, record.provider_message_id, "sent", attempt=attempt.id)

    assert world.salon.status(job_id)["status"] == "completed"
    world.live(300, step=60)
    assert len(world.provider.posted) == 1
