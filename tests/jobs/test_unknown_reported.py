"""A status callback that names our attempt proves the acceptance, whenever it comes."""

import pytest

from app.messages import reconcile
from tests.jobs.support import (
    bodies,
    log_lags,
    outcomes,
    report,
    watch_looks,
)
from tests.world import World


@pytest.mark.parametrize("word", ["queued", "sent", "delivered", "undelivered"])
def test_a_callback_with_our_attempt_id_settles_it_earlier(world: World, word: str) -> None:
    job_id = world.salon.send()
    world.provider.script.append(world.provider.accept_then_lose)
    looks = watch_looks(world)
    world.work()
    report(world, job_id, word)

    expected = {"delivered": "delivered", "undelivered": "undelivered"}.get(word, "sent")
    assert world.message(job_id).status == expected
    world.live(120, step=10)
    assert looks == []
    assert bodies(world) == ["Hello"]
    assert outcomes(world, job_id) == ["accepted"]


def test_a_callback_may_come_before_the_answer_is_known_to_be_lost(world: World) -> None:
    job_id = world.salon.send()

    def overtaken(message):
        failure = world.provider.accept_then_lose(message)
        report(world, job_id, "sent")
        return failure

    world.provider.script.append(overtaken)
    world.work()
    world.live(60)

    assert world.message(job_id).status == "sent"
    assert outcomes(world, job_id) == ["accepted"]  # the time-out does not undo the proof
    assert bodies(world) == ["Hello"]


def test_a_late_callback_stops_a_resend_that_is_planned(world: World) -> None:
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    world.provider.script.append(world.provider.accept_then_lose)
    world.work()
    with log_lags(world):
        for _ in range(3):
            world.clock.advance(seconds=15)
            reconcile.reconcile(row_id)
    assert world.message(job_id).status == "scheduled"

    report(world, job_id, "delivered")
    world.live(60)

    assert bodies(world) == ["Hello"]
    assert world.message(job_id).status == "delivered"
    assert outcomes(world, job_id) == ["accepted"]
