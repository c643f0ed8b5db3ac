"""Taking jobs and giving them back: in batches, from any number of queues, with leases that others respect."""

from datetime import timedelta

import pytest
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from app import queue
from jobs.redis_jobs import LEASE_S, MOST_REAPS, Reaped, RedisJobs, Taken
from jobs.scheduler import Scheduler
from tests.world import World


def add(world: World, *names: str, to: str = queue.SEND_QUEUE) -> None:
    function = queue.SEND if to == queue.SEND_QUEUE else queue.REFRESH
    queue.add([queue.Nudge(function, name * 32, f"job-{name}", queue=to) for name in names])


@pytest.fixture
def jobs(world: World) -> RedisJobs:
    return RedisJobs(world.redis, "worker-1", queue.QUEUES)


def test_the_first_queue_comes_first_and_each_job_is_taken_once(world: World, jobs: RedisJobs) -> None:
    add(world, "u", to=queue.UPKEEP_QUEUE)
    add(world, "a", "b")

    taken = jobs.take(3)

    assert [(job.job_id, job.queue, job.function, job.argument[0]) for job in taken] == [
        ("job-a", "send", "jobs.send", "a"),
        ("job-b", "send", "jobs.send", "b"),
        ("job-u", "upkeep", "jobs.refresh", "u"),
    ]
    assert jobs.take(3) == []


def test_no_more_is_taken_than_asked_for(world: World, jobs: RedisJobs) -> None:
    add(world, "a", "b", "c")

    assert len(jobs.take(2)) == 2
    assert world.redis.llen("rq:queue:send") == 1


def test_a_second_push_of_the_same_job_is_worth_nothing(world: World, jobs: RedisJobs) -> None:
    add(world, "a")
    world.redis.rpush("rq:queue:send", "job-a", "job-gone")

    assert [job.job_id for job in jobs.take(10)] == ["job-a"]


def test_a_finished_job_leaves_nothing_behind(world: World, jobs: RedisJobs) -> None:
    add(world, "a")
    before = set(world.redis.keys("*"))

    taken = jobs.take(1)
    assert jobs.finish(taken) == []

    left = set(world.redis.keys("*"))
    assert left - before == {b"rq:worker:worker-1"}  # its count of jobs
    assert world.redis.hget("rq:worker:worker-1", "successful_job_count") == b"1"


def test_what_runs_is_shown_as_started(world: World, jobs: RedisJobs) -> None:
    add(world, "a")
    jobs.take(1)

    registry = StartedJobRegistry("send", connection=world.redis, serializer=JSONSerializer)
    assert registry.get_job_ids(cleanup=False) == ["job-a"]
    assert world.redis.hget("rq:job:job-a", "worker_name") == b"worker-1"


def test_a_renewed_job_stays_and_a_dead_worker_s_goes_back(world: World, jobs: RedisJobs) -> None:
    add(world, "a", "b")
    alive, dead = jobs.take(2)

    world.clock.advance(seconds=LEASE_S - 1)
    assert jobs.renew([alive]) == 1
    world.clock.advance(seconds=2)

    assert jobs.reap().back == ["job-b"]
    assert jobs.renew([dead]) == 0
    assert jobs.finish([dead]) == ["job-b"]  # not ours any more: nothing is written for it
    assert [job.job_id for job in jobs.take(5)] == ["job-b"]


def test_foreign_jobs_are_recognised_and_left_to_rq_s_own_way(world: World, jobs: RedisJobs) -> None:
    queue.rq_queue("upkeep").enqueue("builtins.len", [1, 2], job_id="foreign")

    assert [(job.job_id, job.function) for job in jobs.take(1)] == [("foreign", None)]


def kills(world: World, jobs: RedisJobs) -> Taken:
    """A worker takes a job and dies of it."""
    [taken] = jobs.take(1)
    world.clock.advance(seconds=LEASE_S + 1)
    return taken


def test_a_job_of_ours_that_went_back_is_still_a_plain_one(world: World, jobs: RedisJobs) -> None:
    queue.add([queue.Nudge(queue.SEND, "a" * 32, "job-a", world.clock.now() + timedelta(seconds=1))])
    world.clock.advance(seconds=1)
    Scheduler(world.redis).promote_due()
    kills(world, jobs)
    jobs.reap()

    assert [job.function for job in jobs.take(1)] == [queue.SEND]


def test_a_job_that_kills_every_worker_is_run_again_three_times_and_has_failed(world: World, jobs: RedisJobs) -> None:
    rq = queue.rq_queue("upkeep")
    job = rq.enqueue("builtins.len", [1, 2], job_id="foreign", failure_ttl=600)
    for _ in range(MOST_REAPS):
        kills(world, jobs)
        assert jobs.reap() == Reaped(["foreign"], [])
    kills(world, jobs)

    assert jobs.reap() == Reaped([], ["foreign"])
    failed = FailedJobRegistry("upkeep", connection=world.redis, serializer=JSONSerializer)
    assert failed.get_job_ids(cleanup=False) == ["foreign"]
    assert world.redis.zscore(failed.key, "foreign") == pytest.approx(world.clock.now().timestamp() + 600)
    assert (job.get_status(), rq.count, jobs.take(1)) == ("failed", 0, [])
    failed.requeue(job)
    kills(world, jobs)
    assert jobs.reap().back == ["foreign"]  # all its tries again


def test_a_send_that_kills_every_worker_is_forgotten_and_sql_decides(world: World, jobs: RedisJobs) -> None:
    world.salon.send()
    [rq_id] = [job_id.decode() for job_id in world.redis.lrange("rq:queue:send", 0, -1)]
    for _ in range(MOST_REAPS):
        kills(world, jobs)
        jobs.reap()
    kills(world, jobs)

    assert jobs.reap().poison == [rq_id]
    assert not world.redis.exists(f"rq:job:{rq_id}", "rq:failed:send", "rq:queue:send")
    world.repair()
    assert [job.job_id for job in jobs.take(1)] == [rq_id]


def test_a_job_that_is_called_off_leaves_an_id_that_nobody_shows_or_runs(world: World, jobs: RedisJobs) -> None:
    add(world, "a", "b")
    queue.remove(["job-a"])

    assert world.redis.llen("rq:queue:send") == 2  # the list is not looked through
    assert [job.id for job in queue.rq_queue("send").get_jobs()] == ["job-b"]
    assert [job.job_id for job in jobs.take(5)] == ["job-b"]
    assert world.redis.llen("rq:queue:send") == 0


def test_a_job_that_is_called_off_before_its_time_is_not_in_the_schedule(world: World) -> None:
    queue.add([queue.Nudge(queue.SEND, "a" * 32, "job-a", world.clock.now() + timedelta(seconds=9))])
    queue.remove(["job-a"])

    assert world.redis.zcard("rq:scheduled:send") == 0
