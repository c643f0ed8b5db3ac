"""Looking at queues without taking: whichever of them gets something ends the wait, and nothing is moved."""

import threading

import pytest
import redis

from app.extensions import make_redis
from jobs.queue_watch import QueueWatch
from tests.world import World

NAMES = ["first", "second", "third"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_in_any_queue_ends_the_wait_and_stays_where_it_is(world: World, name: str) -> None:
    watch = QueueWatch(world.redis)
    assert watch.wait(0, NAMES) is False
    seen: list[bool] = []
    waiting = threading.Thread(target=lambda: seen.append(watch.wait(30, NAMES)))
    waiting.start()
    world.redis.rpush(f"rq:queue:{name}", "job-1", "job-2")
    waiting.join(timeout=20)

    assert seen == [True]
    assert world.redis.lrange(f"rq:queue:{name}", 0, -1) == [b"job-1", b"job-2"]
    watch.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_there_before_is_seen_at_once_and_again(world: World) -> None:
    world.redis.rpush("rq:queue:second", "job-1")
    watch = QueueWatch(world.redis)
    assert watch.wait(20, NAMES) is True
    assert watch.wait(20, NAMES) is True
    watch.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_redis_that_hangs_up_is_reported_and_met_anew(world: World) -> None:
    watch = QueueWatch(world.redis)
    watch.wait(0, NAMES)
    world.redis.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(redis.ConnectionError):
        watch.wait(5, NAMES)
    world.redis.rpush("rq:queue:first", "job-1")
    assert watch.wait(20, NAMES) is True
    watch.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_bell_ends_a_wait_and_is_not_lost_before_one(world: World) -> None:
    watch = QueueWatch(world.redis)
    watch.ring()
    watch.ring()
    assert watch.wait(20, NAMES) is False
    assert watch.wait(0, NAMES) is False
    world.redis.rpush("rq:queue:third", "job-1")
    assert watch.wait(0.01, NAMES[:2]) is False  # nobody asked about that one
    assert watch.wait(20, NAMES) is True
    watch.close()


def test_a_redis_that_is_away_is_an_error_and_no_endless_wait() -> None:
    watch = QueueWatch(make_redis("redis://127.0.0.1:1/0"))
    with pytest.raises(redis.ConnectionError):
        watch.wait(1, NAMES)
    watch.close()
