"""Redis may lose anything at any time: the sweep puts back what is missing, and nothing goes out twice."""

from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from rq.job import Job
from rq.registry import StartedJobRegistry
from sqlalchemy import func, select

from app import queue
from app.api.models import IdempotencyKey
from app.database import reading
from app.messages import claims, recurring
from tests.jobs.support import CONFIGURATION, bodies, dies_at, lose_quietly
from tests.world import World


def in_schedule(world: World) -> int:
    return int(world.redis.zcard("rq:scheduled:send"))


def in_queue(world: World) -> int:
    return int(world.redis.llen("rq:queue:send"))


def test_a_flushed_redis_loses_and_doubles_nothing(world: World) -> None:
    now = [world.salon.send(body=f"Now {n}") for n in range(3)]
    later = [world.salon.delay(minutes, body=f"In {minutes}") for minutes in (0.5, 1, 45)]
    world.redis.flushall()
    world.repair()
    assert (in_queue(world), in_schedule(world)) == (3, 3)
    world.repair()
    assert (in_queue(world), in_schedule(world)) == (3, 3)

    world.live(40)
    world.redis.flushall()
    world.live(46 * 60, step=30)
    assert sorted(bodies(world)) == ["In 0.5", "In 1", "In 45", "Now 0", "Now 1", "Now 2"]
    for job_id in now + later:
        message = world.message(job_id)
        assert message.status == "sent"
        assert timedelta(0) <= message.sent_at - message.due_at <= timedelta(seconds=30)


def test_a_flush_at_every_moment_of_a_message_s_life(world: World) -> None:
    job_id = world.salon.delay(0.1)
    world.provider.script.append(lose_quietly)
    for _ in range(30):
        world.redis.flushall()
        world.clock.advance(seconds=5)
        world.repair()
        world.work()
    assert world.message(job_id).status == "sent"
    assert bodies(world) == ["Hello"]


def test_what_is_due_beyond_the_horizon_waits_in_sql(world: World) -> None:
    world.salon.delay(59)
    job_id = world.salon.delay(61)
    assert in_schedule(world) == 1
    world.repair()
    assert in_schedule(world) == 1
    world.clock.advance(minutes=2)
    world.repair()
    assert in_schedule(world) == 2
    world.live(60 * 60, step=30)
    assert world.message(job_id).status == "sent"


@pytest.mark.parametrize("due_in_minutes", [0, 1])
def test_a_job_whose_hash_is_lost(world: World, due_in_minutes: int) -> None:
    job_id = world.salon.delay(due_in_minutes) if due_in_minutes else world.salon.send()
    world.redis.delete(Job.key_for(f"{world.message(job_id).id}-0"))
    world.live(90)
    assert bodies(world) == ["Hello"]


def test_a_job_that_lost_its_place_in_the_queue(world: World) -> None:
    # A stock worker on two queues pops with BLPOP: if it dies there, only the hash is left.
    world.salon.send()
    world.redis.lpop("rq:queue:send")
    world.live(5)
    assert bodies(world) == []  # it might be a live worker that has just taken it
    world.live(15)
    assert bodies(world) == ["Hello"]


def test_a_job_that_lost_its_place_in_the_schedule(world: World) -> None:
    world.salon.delay(1)
    world.redis.delete("rq:scheduled:send")
    world.repair()
    assert in_schedule(world) == 1
    world.live(60)
    assert bodies(world) == ["Hello"]


def started_by_a_worker(world: World, job_id: str, ttl: float) -> None:
    """RQ's mark that a worker runs the job; it dies with it."""
    rq_id = f"{world.message(job_id).id}-0"
    world.redis.lrem("rq:queue:send", 0, rq_id)
    registry = StartedJobRegistry(queue.SEND_QUEUE, connection=world.redis)
    world.redis.zadd(registry.key, {f"{rq_id}:execution": (world.clock.now() + timedelta(seconds=ttl)).timestamp()})


def test_a_job_that_runs_is_left_alone(world: World) -> None:
    job_id = world.salon.send()
    started_by_a_worker(world, job_id, ttl=180)
    world.live(60)
    assert bodies(world) == []


def test_a_job_whose_worker_died_before_the_claim_is_added_again_when_its_mark_expires(world: World) -> None:
    job_id = world.salon.send()
    started_by_a_worker(world, job_id, ttl=60)
    world.live(75)
    assert bodies(world) == ["Hello"]


def test_a_job_that_failed_is_added_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The database was away when the job ran: RQ has put it among its failures.
    world.salon.send()
    monkeypatch.setattr(claims, "claim", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.work()
    monkeypatch.undo()
    world.live(20)
    assert bodies(world) == ["Hello"]


def test_while_the_account_is_paused_nothing_is_pushed_in_vain(world: World) -> None:
    world.salon.send()
    world.provider.script.append(CONFIGURATION)
    world.provider.probe_failure = CONFIGURATION
    world.work()
    for n in range(5):
        world.salon.delay(10, body=f"Later {n}")
    world.redis.flushall()
    world.repair()
    assert (in_queue(world), in_schedule(world)) == (0, 5)  # what is due later keeps its place


def test_sweeping_twice_or_in_two_places_changes_nothing(world: World) -> None:
    world.salon.send(body="One")
    world.salon.delay(1, body="Two")
    world.provider.script.append(lose_quietly)
    world.work()
    for _ in range(12):
        world.clock.advance(seconds=10)
        world.repair()
        world.repair()
        world.work()
        world.repair()
    assert sorted(bodies(world)) == ["One", "Two"]


@pytest.mark.parametrize("problem", [redis.ConnectionError("away"), ZeroDivisionError("a defect")])
def test_a_chore_that_fails_does_not_stop_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    world.salon.send()
    with dies_at("claimed"):
        world.work()

    def away(*_: object) -> None:
        raise problem

    monkeypatch.setattr(recurring, "materialise_all", away)
    monkeypatch.setattr(queue, "present", away)
    world.clock.advance(seconds=30)
    world.repair()
    assert world.messages()[0].status == "unknown"


def test_what_stays_without_a_final_report_is_asked_for(world: World) -> None:
    job_id = world.salon.send()
    fetch, asked = world.provider.fetch, []

    def watched(sid: str):
        asked.append((world.clock.now() - world.message(job_id).sent_at).total_seconds())
        return fetch(sid) if len(asked) < 3 else replace(fetch(sid), status="delivered")

    world.provider.fetch = watched
    world.work()
    world.live(300)
    assert asked == [10, 30, 60]
    assert world.message(job_id).status == "delivered"
    assert world.message(job_id).next_check_at is None
    assert [(event.status, event.raw["source"]) for event in world.delivery_events()] == [
        ("queued", "pull"),
        ("delivered", "pull"),
    ]


def test_a_pull_that_fails_is_repeated_later(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    world.provider.log_failure = CONFIGURATION
    world.live(60)
    world.provider.log_failure = None
    assert world.message(job_id).status == "sent"
    world.provider.log[0] = replace(world.provider.log[0], status="delivered")
    world.live(120)
    assert world.message(job_id).status == "delivered"


def test_pulling_ends_when_it_is_no_longer_worth_it(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    world.live(55 * 3600, step=1800)
    assert world.message(job_id).status == "sent"
    assert world.message(job_id).next_check_at is None


def keys() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0


def test_idempotency_keys_are_forgotten_after_a_day(world: World) -> None:
    answer = world.salon.post("/api/trigger/send-sms", world.salon.text(), Idempotency_Key="one")
    assert answer.status_code == 202
    world.clock.advance(hours=23, minutes=59)
    world.repair()
    assert keys() == 1
    world.clock.advance(minutes=1)
    world.repair()
    assert keys() == 0
