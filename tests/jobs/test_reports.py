"""Delivery reports in any order, repeated, early or late: a status only ever moves forwards."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.messages.states import PROVIDER_FINAL, PROVIDER_RANK
from app.messages.status import Report, apply_report
from tests.jobs.support import bodies, report
from tests.world import World

ORDER = {"sent": 0, "delivered": 1, "undelivered": 1, "read": 2}
WORDS = [*PROVIDER_RANK, "partially_delivered", "something new"]


def known(world: World, job_id: str) -> tuple[str, str | None]:
    message = world.message(job_id)
    return message.status, message.provider_status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(WORDS), max_size=8))
def test_no_order_of_reports_moves_a_status_backwards(world: World, words: list[str]) -> None:
    job_id = world.salon.send()
    world.work()
    before = known(world, job_id)
    for word in words:
        report(world, job_id, word)
        after = known(world, job_id)
        assert ORDER[after[0]] >= ORDER[before[0]]
        assert PROVIDER_RANK[str(after[1])] >= PROVIDER_RANK[str(before[1])]
        assert after == before or after[1] == word
        before = after

    # Where the reports agree on the end, that is where it ends, whatever came after it.
    if len(PROVIDER_FINAL & set(words)) == 1:
        [end] = PROVIDER_FINAL & set(words)
        assert before[1] == end
        assert world.message(job_id).next_check_at is None


@pytest.mark.parametrize("first", ["undelivered", "failed"])
def test_what_came_to_nothing_does_not_arrive_afterwards(world: World, first: str) -> None:
    job_id = world.salon.send()
    world.work()
    for word in (first, "delivered", "sent", "read"):
        report(world, job_id, word)
    assert known(world, job_id) == ("undelivered", first)


def test_a_repeated_report_is_stored_once(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    for _ in range(3):
        report(world, job_id, "delivered")
    [event] = world.delivery_events()
    assert (event.status, event.message_id) == ("delivered", world.message(job_id).id)


def test_a_report_that_names_no_attempt_and_comes_before_the_answer_is_kept(world: World) -> None:
    job_id = world.salon.send()

    def overtaken(message):
        answer = world.provider.accept(message)
        for word in ("delivered", "sent"):
            apply_report(Report("twilio", answer.provider_message_id, word))
        return answer

    world.provider.script.append(overtaken)
    world.work()
    assert known(world, job_id) == ("delivered", "delivered")
    assert {event.message_id for event in world.delivery_events()} == {world.message(job_id).id}


def test_a_report_about_nothing_of_ours_is_stored_and_moves_nothing(world: World) -> None:
    job_id = world.salon.send()
    apply_report(Report("twilio", "SM" + "0" * 32, "delivered"))
    apply_report(Report("twilio", "SM" + "1" * 32, "delivered", attempt_id="nobody"))
    assert [event.message_id for event in world.delivery_events()] == [None, None]
    assert world.message(job_id).status == "scheduled"


def test_a_report_of_a_message_that_was_sent_long_ago_still_counts(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    world.clock.advance(hours=60)
    report(world, job_id, "delivered")
    message = world.message(job_id)
    assert message.status == "delivered"
    assert message.finished_at == world.clock.now() - timedelta(hours=60)  # the job was over when it was accepted
    assert bodies(world) == ["Hello"]
