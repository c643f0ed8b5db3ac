"""Looks at the provider's log come exactly when they are planned: no sweep runs here."""

from datetime import timedelta

from app.messages import sweep
from tests.jobs.support import bodies, dies_at, follow, lose_quietly, watch_looks
from tests.world import World


def test_after_an_answer_that_was_lost(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(lose_quietly)
    looks = watch_looks(world)

    follow(world, 40)

    assert looks == [10, 20, 30]
    message = world.message(job_id)
    assert message.sent_at == message.due_at + timedelta(seconds=30)


def test_after_the_death_of_a_worker_it_goes_out_again_within_a_minute(world: World) -> None:
    job_id = world.salon.send()
    with dies_at("claimed"):
        world.work()
    lease = world.message(job_id).lease_until - world.clock.now()
    looks = watch_looks(world)
    world.clock.advance(seconds=lease.total_seconds() + 4.9)  # as late as a sweep can be
    sweep.release_expired_leases(world.clock.now())

    follow(world, 60)

    first = lease.total_seconds() + world.provider.timeout_s
    assert looks == [first, first + 10]
    assert (world.message(job_id).sent_at - world.message(job_id).due_at).total_seconds() <= 60
    assert bodies(world) == ["Hello"]


def test_a_look_whose_nudge_was_lost_is_found_by_the_sweep(world: World) -> None:
    world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    world.redis.delete("rq:scheduled:upkeep")
    world.live(60)
    assert bodies(world) == ["Hello"]


def test_a_look_that_waits_already_is_not_nudged_again(world: World) -> None:
    world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    world.clock.advance(seconds=10)
    sweep.sweep()
    sweep.sweep()

    assert world.redis.zcard("rq:scheduled:upkeep") + world.redis.llen("rq:queue:upkeep") == 1
