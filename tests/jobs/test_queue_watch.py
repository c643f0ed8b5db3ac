"""Looking at queues without taking: whichever of them gets something ends the wait, and nothing is moved."""

import threading

import pytest
import redis

from app.extensions import make_redis
from jobs.queue_watch import QueueWatch
from tests.world import World

LISTS = ["rq:queue:first", "rq:queue:second", "rq:queue:third"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_in_any_queue_ends_the_wait_and_stays_where_it_is(world: World, name: str) -> None:
    watch = QueueWatch(world.redis, LISTS)
    assert watch.wait(0) is False
    seen: list[bool] = []
    waiting = threading.Thread(target=lambda: seen.append(watch.wait(30)))
    waiting.start()
    world.redis.rpush(name, "job-1", "job-2")
    waiting.join(timeout=20)

    assert seen == [True]
    assert world.redis.lrange(name, 0, -1) == [b"job-1", b"job-2"]
    watch.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_there_before_is_seen_at_once_and_again(world: World) -> None:
    world.redis.rpush(LISTS[1], "job-1")
    watch = QueueWatch(world.redis, LISTS)
    assert watch.wait(20) is True
    assert watch.wait(20) is True
    watch.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_redis_that_hangs_up_is_reported_and_met_anew(world: World) -> None:
    watch = QueueWatch(world.redis, LISTS)
    watch.wait(0)
    world.redis.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(redis.ConnectionError):
        watch.wait(5)
    world.redis.rpush(LISTS[0], "job-1")
    assert watch.wait(20) is True
    watch.close()


def test_a_redis_that_is_away_is_an_error_and_no_endless_wait() -> None:
    watch = QueueWatch(make_redis("redis://127.0.0.1:1/0"), LISTS)
    with pytest.raises(redis.ConnectionError):
        watch.wait(1)
