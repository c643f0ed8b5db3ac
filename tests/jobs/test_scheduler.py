"""The scheduler: one leads, nothing is promoted twice or early, and one bad entry stops nobody."""

import threading
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq_scheduler import Scheduler as StockScheduler

from app import queue
from jobs.periodic import next_run
from jobs.scheduler import POISON_KEY, Scheduler, promote_forever
from tests.world import World


def in_queue(world: World) -> list[str]:
    return [job_id.decode() for job_id in world.redis.lrange("rq:queue:send", 0, -1)]


def test_what_is_due_is_promoted_in_order_and_not_a_millisecond_early(world: World) -> None:
    for milliseconds in (300, 100, 200):
        world.salon.delay(milliseconds / 60_000, body=str(milliseconds))
    scheduler = Scheduler(world.redis)

    world.clock.advance(seconds=0.0995)
    assert scheduler.promote_due() == 0
    world.clock.advance(seconds=0.2)
    assert scheduler.promote_due() == 2

    rows = {queue.send_nudge(row.id, 0, None).job_id: row.body for row in world.messages()}
    assert [rows[job_id] for job_id in in_queue(world)] == ["100", "200"]


def test_it_says_how_long_to_sleep(world: World) -> None:
    scheduler = Scheduler(world.redis)
    assert scheduler.turn() == 1.0  # nothing is scheduled: the longest sleep
    world.salon.delay(0.005)
    assert 0.29 < scheduler.turn() <= 0.3001


def test_more_than_a_batch_is_promoted_at_once(world: World) -> None:
    nudges = [
        queue.Nudge(queue.SEND, "0" * 32, f"job-{n}", world.clock.now() + timedelta(seconds=1)) for n in range(1201)
    ]
    assert queue.add(nudges) == 1201
    world.clock.advance(seconds=1)

    assert Scheduler(world.redis).promote_due() == 1201
    assert len(set(in_queue(world))) == 1201


def test_only_one_leads_until_it_lets_go(world: World) -> None:
    world.salon.delay(0.01)
    first, second = Scheduler(world.redis), Scheduler(world.redis)
    first.turn()
    world.clock.advance(seconds=1)

    assert second.turn() > 0
    assert (first.leads, second.leads, in_queue(world)) == (True, False, [])
    second.release()  # not the leader's: changes nothing
    assert second.turn() > 0
    first.release()
    assert second.promote_due() == 1


def test_a_leader_that_lost_its_lease_promotes_nothing(world: World) -> None:
    paused, heir = Scheduler(world.redis), Scheduler(world.redis)
    paused.turn()
    world.redis.delete(paused.scheduler_lock_key)  # its lease has run out while it slept
    heir.turn()
    world.salon.delay(0.01)
    world.clock.advance(seconds=1)

    paused.turn()

    assert (paused.leads, paused.promoted, in_queue(world)) == (False, 0, [])
    assert heir.promote_due() == 1


def test_schedules_of_queues_that_others_made_are_promoted_too(world: World) -> None:
    theirs = Queue("reports", connection=world.redis, serializer=JSONSerializer)
    theirs.enqueue_at(world.clock.now() + timedelta(seconds=5), "tests.bench.stock_jobs.nothing")
    scheduler = Scheduler(world.redis)
    assert scheduler.promote_due() == 0
    world.clock.advance(seconds=5)
    assert scheduler.promote_due() == 1
    assert theirs.count == 1


def test_a_stock_scheduler_finds_the_lock_taken(world: World) -> None:
    Scheduler(world.redis).turn()

    assert not StockScheduler(connection=world.redis).acquire_lock()


def test_a_cancelled_nudge_is_not_promoted(world: World) -> None:
    job_id = world.salon.delay(0.01)
    world.salon.cancel(job_id)
    world.clock.advance(seconds=1)

    assert Scheduler(world.redis).promote_due() == 0


def test_a_key_that_is_no_job_is_put_aside_and_stops_nobody(world: World) -> None:
    world.redis.set("rq:job:odd", "not a hash")
    world.redis.zadd("rq:scheduled:send", {"odd": 0})
    world.salon.delay(0.01)
    world.clock.advance(seconds=1)

    assert Scheduler(world.redis).promote_due() == 1
    assert world.redis.zscore(POISON_KEY, "odd") is not None
    assert world.redis.zcard("rq:scheduled:send") == 0


def periodic(world: World, meta: dict[str, Any], due: float) -> Job:
    job = Job.create(
        "jobs.refresh", args=["x"], connection=world.redis, serializer=JSONSerializer, origin=queue.UPKEEP_QUEUE
    )
    job.meta = meta
    job.save()
    world.redis.zadd(Scheduler.scheduled_jobs_key, {job.id: due})
    return job


def test_entries_of_rq_scheduler_s_own_api_run_and_come_again(world: World) -> None:
    due = world.clock.now().timestamp()
    job = periodic(world, {"interval": 60}, due)

    Scheduler(world.redis).turn()

    assert world.redis.lrange("rq:queue:upkeep", 0, -1) == [job.id.encode()]
    assert world.redis.zscore(Scheduler.scheduled_jobs_key, job.id) == due + 60


def test_an_entry_that_cannot_be_read_is_put_aside_and_the_next_one_runs(world: World) -> None:
    due = world.clock.now().timestamp()
    world.redis.hset("rq:job:pickled", mapping={"data": b"\x80\x05garbage", "origin": "upkeep", "created_at": ""})
    world.redis.zadd(Scheduler.scheduled_jobs_key, {"pickled": due - 1})
    good = periodic(world, {}, due)

    Scheduler(world.redis).turn()

    assert world.redis.zscore(POISON_KEY, "pickled") is not None
    assert world.redis.lrange("rq:queue:upkeep", 0, -1) == [good.id.encode()]
    assert world.redis.zcard(Scheduler.scheduled_jobs_key) == 0


def test_an_interval_keeps_its_phase_over_what_was_missed(world: World) -> None:
    now = world.clock.now()
    due = now.timestamp() - 150

    assert next_run({"interval": 60}, due, now) == due + 180


def test_a_cron_entry_is_read_in_its_zone_and_a_repeat_ends(world: World) -> None:
    now = world.clock.now()  # 12:00 UTC, 22:00 in Sydney
    meta = {"cron_string": "0 9 * * *", "timezone": "Australia/Sydney", "repeat": 2}

    assert next_run(meta, now.timestamp(), now) == (now + timedelta(hours=11)).timestamp()
    assert meta["repeat"] == 1
    assert next_run(meta, now.timestamp(), now) is None


def test_a_leader_that_lets_go_wakes_the_others(world: World) -> None:
    leader, heir = Scheduler(world.redis), Scheduler(world.redis)
    leader.turn()
    with world.redis.pubsub(ignore_subscribe_messages=True) as wake:
        wake.subscribe(queue.WAKE_CHANNEL)
        wake.get_message(timeout=5)  # Redis' word that we listen

        heir.release()  # not the leader's
        leader.release()

        assert wake.get_message(timeout=5) is not None
        assert wake.get_message(timeout=0) is None
    heir.turn()
    assert heir.leads


def test_an_id_that_is_not_text_is_put_aside_and_the_next_one_runs(world: World) -> None:
    due = world.clock.now().timestamp()
    world.redis.zadd(Scheduler.scheduled_jobs_key, {b"\xff\xfe": due - 1})
    world.redis.sadd("rq:queues", b"rq:queue:\xff")
    good = periodic(world, {}, due)

    Scheduler(world.redis).turn()

    assert world.redis.zscore(POISON_KEY, b"\xff\xfe") is not None
    assert world.redis.lrange("rq:queue:upkeep", 0, -1) == [good.id.encode()]


@pytest.mark.parametrize("key", ["rq:scheduled:other", "rq:queue:other", Scheduler.scheduled_jobs_key])
def test_a_key_of_another_type_is_reported_once_and_the_rest_is_promoted(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[str] = []
    monkeypatch.setattr("jobs.scheduler.log.error", lambda _event, **facts: reports.append(facts["key"]))
    world.redis.sadd("rq:queues", "rq:queue:other")
    world.redis.zadd("rq:scheduled:other", {"theirs": 0})
    world.redis.delete(key)
    world.redis.set(key, "something else")
    world.salon.delay(0.01)
    world.clock.advance(seconds=1)
    scheduler = Scheduler(world.redis)

    assert scheduler.promote_due() == 1
    scheduler.turn()
    assert (scheduler.leads, reports) == (True, [key])
    world.redis.delete(key)
    scheduler.turn()
    world.redis.set(key, "again")
    scheduler.turn()
    assert reports == [key, key]


def runs_until_it_sleeps(scheduler: Scheduler) -> None:
    stop = threading.Event()
    with patch("jobs.scheduler.sleep_until", lambda *_: stop.set()):
        promote_forever(scheduler, stop)


def test_a_good_turn_is_the_sign_of_life_of_one_that_leads_and_of_one_that_waits(world: World) -> None:
    Scheduler(world.redis).turn()
    waiting = Scheduler(world.redis)

    runs_until_it_sleeps(waiting)

    beat = world.redis.get(queue.HEARTBEAT_KEY)
    assert not waiting.leads
    assert isinstance(beat, bytes)
    assert float(beat) == world.clock.now().timestamp()


def test_a_scheduler_that_cannot_promote_gives_no_sign_of_life(world: World) -> None:
    stop = threading.Event()
    scheduler = Scheduler(world.redis)

    def fails() -> float:
        stop.set()
        raise redis.ResponseError("WRONGTYPE")

    with patch.object(scheduler, "turn", fails):
        promote_forever(scheduler, stop)

    assert world.redis.get(queue.HEARTBEAT_KEY) is None


def test_a_scheduler_that_lost_a_thread_ends_and_lets_another_lead(world: World) -> None:
    ended = threading.Thread(target=int, name="sweep")
    ended.start()
    ended.join()
    leader, heir = Scheduler(world.redis), Scheduler(world.redis)
    leader.turn()

    with pytest.raises(RuntimeError, match="sweep"):
        promote_forever(leader, threading.Event(), [threading.current_thread(), ended])

    heir.turn()
    assert heir.leads
