"""A report that comes before the answer, or instead of it."""

import pytest

from app.channels.base import Accepted, OutgoingMessage, SendResult
from app.messages.status import Report, apply_report
from tests.world import World


@pytest.mark.parametrize(
    ("word", "expected"), [("delivered", "delivered"), ("failed", "undelivered"), ("queued", "sent")]
)
def test_a_callback_that_overtakes_the_answer_counts_in_full(world: World, word: str, expected: str) -> None:
    def report_first(message: OutgoingMessage) -> SendResult:
        accepted = world.provider.accept(message)
        apply_report(Report("twilio", accepted.provider_message_id, word, attempt_id=message.attempt_id))
        return Accepted(accepted.provider_message_id, "queued")

    world.provider.script.append(report_first)

    job_id = world.salon.send()
    world.work()

    assert world.message(job_id).status == expected
    assert world.message(job_id).attempts_used == 1
    assert len(world.delivery_events()) == 1


def test_a_message_found_delivered_in_the_log_is_delivered(world: World) -> None:
    world.provider.script.append(world.provider.accept_then_lose)
    job_id = world.salon.send()
    world.work()
    record = world.provider.log[0]
    world.provider.log[0] = type(record)(
        record.provider_message_id, "delivered", record.to, record.sender, record.body, record.created_at
    )

    world.live(20)

    assert world.message(job_id).status == "delivered"
    assert len(world.provider.log) == 1
