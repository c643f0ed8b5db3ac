"""Claim, send, settle: the life of one try; never early, and not at all where something speaks against it."""

from datetime import timedelta

import pytest

from app import queue
from app.contacts import service as contacts
from app.database import writing
from app.messages.models import Message
from jobs.scheduler import Scheduler
from tests.jobs.support import bodies, dies_at, follow, outcomes
from tests.world import PERSON, World


def test_a_message_is_claimed_sent_and_settled(world: World) -> None:
    job_id = world.salon.send(body="Your table is ready")
    world.work()

    message, [attempt] = world.message(job_id), world.attempts(job_id)
    [posted], [record] = world.provider.posted, world.provider.log
    assert (posted.to, posted.sender, posted.body) == (PERSON, message.from_address, "Your table is ready")
    assert posted.attempt_id == attempt.id
    assert posted.valid_for_s == 4 * 3600
    assert (message.status, message.attempt, message.attempts_used, message.lease_until) == ("sent", 1, 1, None)
    assert message.provider_message_id == attempt.provider_message_id == record.provider_message_id
    assert (message.sent_at, message.finished_at) == (world.clock.now(), world.clock.now())
    assert (attempt.number, attempt.outcome, attempt.http_status) == (1, "accepted", 201)
    assert (attempt.started_at, attempt.finished_at) == (world.clock.now(), world.clock.now())


def test_the_attempt_is_on_record_before_the_provider_hears_of_the_message(world: World) -> None:
    job_id = world.salon.send()

    with dies_at("claimed"):
        world.work()

    message = world.message(job_id)
    assert world.provider.posted == []
    assert (message.status, message.attempt) == ("sending", 1)
    assert message.lease_until == world.clock.now() + timedelta(seconds=30)
    assert outcomes(world, job_id) == [None]


def test_nothing_is_held_while_the_provider_is_called(world: World) -> None:
    def look_around(message):
        # Another worker can write meanwhile: no transaction is open.
        other = world.salon.send(body="Meanwhile")
        assert world.message(other).status == "scheduled"
        return world.provider.accept(message)

    world.provider.script.append(look_around)
    world.salon.send()
    world.work()
    assert bodies(world) == ["Hello", "Meanwhile"]


def test_an_opt_out_is_looked_at_when_the_message_is_sent(world: World) -> None:
    job_id = world.salon.delay(5)
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, "manual")
    follow(world, 400)

    message = world.message(job_id)
    assert (message.status, message.reason, message.attempt) == ("skipped", "opted_out", 0)
    assert world.salon.status(job_id)["reason"] == "opted_out"
    assert world.provider.posted == []


def test_a_message_found_after_its_validity_is_skipped(world: World) -> None:
    until = world.clock.now() + timedelta(minutes=10)
    job_id = world.salon.delay(5, validUntil=until.isoformat())
    world.clock.set(until)  # nobody worked meanwhile
    world.work()

    message = world.message(job_id)
    assert (message.status, message.reason, message.finished_at) == ("skipped", "expired", until)
    assert world.provider.posted == []


def test_the_last_instant_of_its_validity_is_not_too_late(world: World) -> None:
    until = world.clock.now() + timedelta(minutes=10)
    job_id = world.salon.delay(5, validUntil=until.isoformat())
    world.clock.set(until - timedelta(microseconds=1))
    world.work()

    assert world.message(job_id).status == "sent"
    assert world.provider.posted[0].valid_for_s == 1


def test_an_early_nudge_loses_the_claim_and_is_scheduled_again(world: World) -> None:
    job_id = world.salon.delay(1)
    message = world.message(job_id)
    world.redis.flushall()
    queue.add([queue.send_nudge(message.id, 0, None)])  # a nudge without its due time
    world.clock.set(message.due_at - timedelta(microseconds=1))
    assert world.work() == 1
    assert world.provider.posted == []
    assert (world.message(job_id).status, world.message(job_id).attempt) == ("scheduled", 0)

    world.clock.set(message.due_at)
    assert world.work() == 1
    assert [record.created_at for record in world.provider.log] == [message.due_at]


def test_a_redis_whose_clock_is_fast_makes_nothing_early(world: World) -> None:
    job_id = world.salon.delay(1)
    due_at = world.message(job_id).due_at
    scheduler = Scheduler(world.redis)
    for _ in range(3):
        world.clock.set(due_at + timedelta(seconds=1))  # what Redis believes
        scheduler.promote_due()
        world.clock.set(due_at - timedelta(seconds=1))  # what the worker knows
        world.work()
    assert world.provider.posted == []

    world.live(10)
    assert bodies(world) == ["Hello"]
    assert world.provider.log[0].created_at >= due_at


@pytest.mark.parametrize("early", [timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(seconds=59)])
def test_a_due_time_is_kept_to_the_microsecond(world: World, early: timedelta) -> None:
    due_at = world.clock.now() + timedelta(minutes=1, microseconds=123_457)
    body = world.salon.text(scheduledTime=due_at.isoformat())
    assert world.salon.post("/api/trigger/schedule-until", body).status_code == 202

    world.clock.set(due_at - early)
    assert world.work() == 0
    world.clock.set(due_at)
    assert world.work() == 1
    assert bodies(world) == ["Hello"]


def test_a_second_nudge_for_the_same_message_does_nothing(world: World) -> None:
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    queue.add([queue.Nudge(queue.SEND, row_id, f"{row_id}-twice"), queue.Nudge(queue.SEND, "0" * 32, "nobody")])

    assert world.work() == 3
    assert len(world.provider.posted) == 1


@pytest.mark.parametrize("status", ["sending", "unknown", "sent", "delivered", "failed", "skipped", "cancelled"])
def test_only_what_waits_can_be_claimed(world: World, status: str) -> None:
    job_id = world.salon.send()
    with writing() as session:
        session.get_one(Message, world.message(job_id).id).status = status
    world.work()

    assert world.provider.posted == []
    assert world.message(job_id).status == status
    assert world.attempts(job_id) == []
