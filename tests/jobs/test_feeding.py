"""The feeder: Redis has what is due within the horizon, has it again after a loss, and keeps it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.job import Job

from app import metrics, queue
from app.extensions import make_redis
from app.messages import feeding
from jobs import feeder
from jobs.feeder import Feeder, feed_forever
from tests import stores
from tests.jobs.support import CONFIGURATION, bodies
from tests.jobs.waiting import accept, commit, held, queued, scheduled
from tests.world import World

MINUTE = 60.0
HOUR = 60 * MINUTE


def counted(world: World) -> dict[str, float]:
    """The counters of feeding, by label."""
    page = metrics.render(world.redis).decode()
    lines = [line for line in page.splitlines() if line.startswith(("bellhop_nudges_fed", "bellhop_redis_refill"))]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.count('"') == 2 and "_total" in line}


def test_after_a_flush_all_of_the_next_hour_is_back_and_nothing_else(world: World) -> None:
    near = accept(world, [30 * MINUTE, 10, MINUTE, 59 * MINUTE])
    foreign = accept(world, [2 * MINUTE], world.outsider)
    accept(world, [61 * MINUTE, 30 * 24 * HOUR])
    world.repair()
    world.clock.advance(seconds=20)
    world.redis.flushall()

    world.repair()

    assert queued(world) == [near[1]]
    assert scheduled(world) == [near[2], foreign[0], near[0], near[3]]
    assert counted(world)["emptied"] == 1


def test_after_a_flush_what_is_due_first_comes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder, "BATCH", 2)
    monkeypatch.setattr(feeder, "BATCHES", 2)
    rows = accept(world, [50 * MINUTE, 5, 3 * MINUTE, 20 * MINUTE, 5 * MINUTE, 7 * MINUTE, 30 * MINUTE])
    world.repair()
    world.clock.advance(seconds=10)
    world.redis.flushall()

    pause = world.feeder.tick()

    assert held(world) == [rows[1], rows[2], rows[4], rows[5]]  # one tick's share
    assert pause == 0
    world.feeder.tick()
    assert held(world) == [rows[1], rows[2], rows[4], rows[5], rows[3], rows[6], rows[0]]


def test_the_log_says_what_was_found_and_how_long_it_took(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    accept(world, [MINUTE, 2 * MINUTE, 2 * HOUR, 3 * HOUR, 4 * HOUR])
    world.repair()
    world.redis.flushall()
    capsys.readouterr()

    world.repair()

    [line] = [line for line in capsys.readouterr().out.splitlines() if "redis audited" in line]
    for fact in ("emptied", "within", "beyond", "added", "seconds"):
        assert fact in line


def test_what_comes_into_the_horizon_is_added_as_time_passes(world: World) -> None:
    [row] = accept(world, [HOUR + 10])
    world.repair()
    assert held(world) == []

    world.clock.advance(seconds=9)
    world.repair()
    assert held(world) == []
    world.clock.advance(seconds=2)
    world.repair()
    assert held(world) == [row]


def test_a_server_that_came_back_without_its_last_second_is_filled_again(world: World, tmp_path: Path) -> None:
    early, late = accept(world, [10 * MINUTE, 40 * MINUTE])
    world.repair()
    mark = world.redis.hgetall(queue.MARK_KEY)
    before = world.redis
    with stores.redis_server(tmp_path) as url:
        world.app.extensions["bellhop.redis"] = make_redis(url)
        world.redis.hset(queue.MARK_KEY, mapping=mark)  # it has kept the mark, and lost what came after it

        world.repair()

        assert scheduled(world) == [early, late]
        world.redis.close()
        world.app.extensions["bellhop.redis"] = before


def test_what_was_committed_by_a_process_that_died_before_it_could_add_it(world: World) -> None:
    world.repair()
    near, far = commit(world, [2 * MINUTE, 40 * MINUTE])

    world.clock.advance(seconds=5)
    world.repair()
    assert scheduled(world) == [near.id]
    world.clock.advance(minutes=5)
    world.repair()
    assert far.id in scheduled(world)
    assert counted(world)["audit"] == 2


@pytest.mark.parametrize("lost", ["the hash", "the place in the schedule", "both"])
def test_what_redis_has_lost_of_itself_is_found_within_seconds(world: World, lost: str) -> None:
    job_id = f"{accept(world, [MINUTE])[0]}-0"
    world.repair()
    if lost != "the place in the schedule":
        world.redis.delete(Job.key_for(job_id))
    if lost != "the hash":
        world.redis.zrem("rq:scheduled:send", job_id)

    world.clock.advance(seconds=5)
    world.repair()

    assert world.scheduled() == [job_id]
    assert world.redis.hget(Job.key_for(job_id), "status") == b"scheduled"


def test_the_audit_looks_at_no_more_than_its_budget_and_comes_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeder, "AUDIT_ROWS", 2)
    world.repair()
    rows = [one.id for one in commit(world, [10, 20, 30, 40, 50])]
    world.clock.advance(seconds=5)
    seen = []
    for _ in range(3):
        world.feeder.tick()
        seen.append(len(held(world)))

    assert seen == [2, 4, 5]
    assert scheduled(world) == rows


def test_in_a_long_queue_nobody_is_looked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "READABLE", 3)
    lost, *_ = accept(world, [0.0] * 5)
    world.repair()
    world.redis.lrem("rq:queue:send", 1, f"{lost}-0")
    world.clock.advance(seconds=20)

    world.repair()
    assert lost not in held(world)
    world.redis.lpop("rq:queue:send", 2)
    world.clock.advance(seconds=5)
    world.repair()
    assert lost in held(world)


@pytest.mark.parametrize("change", ["cancelled", "earlier", "later"])
def test_what_changed_before_the_feeder_came_is_fed_as_it_is_now(world: World, change: str) -> None:
    job_id = world.salon.delay(70)
    world.repair()
    if change == "cancelled":
        world.salon.cancel(job_id)
    else:
        body = {"jobId": job_id, "workspaceId": "ws_salon", "delayMinutes": 20 if change == "earlier" else 100}
        assert world.salon.post("/api/trigger/reschedule-job", body).status_code == 200
    message = world.message(job_id)

    assert held(world) == ([message.id] if change == "earlier" else [])
    world.clock.advance(minutes=15)
    world.repair()
    assert world.scheduled() == ([f"{message.id}-1"] if change == "earlier" else [])


def test_when_the_account_works_again_everything_goes_out_at_once(world: World) -> None:
    world.salon.send(body="First")
    world.provider.script.append(CONFIGURATION)
    world.work()
    world.repair()
    accept(world, [1.0] * 8)
    world.clock.advance(seconds=70)
    world.redis.flushall()
    world.repair()
    assert held(world) == []  # due, and nobody would take it

    world.work()  # the probe
    world.repair()
    assert len(held(world)) == 9
    world.work()
    assert len(bodies(world)) == 9


def test_while_the_account_is_paused_what_has_lost_its_use_is_closed(world: World) -> None:
    world.salon.send(body="First")
    world.provider.script.append(CONFIGURATION)
    world.provider.probe_failure = CONFIGURATION
    world.work()
    until = world.clock.now() + timedelta(minutes=2)
    job_id = world.salon.delay(1, validUntil=until.isoformat())
    world.redis.flushall()
    world.clock.advance(minutes=2)
    world.live(10)
    assert world.message(job_id).reason == "expired"


class Turns:
    """A stop flag that lets the loop turn so many times, and runs something instead of each wait."""

    def __init__(self, turns: int, meanwhile: Callable[[], None]) -> None:
        self._left = turns
        self._meanwhile = meanwhile

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0

    def wait(self, _seconds: float) -> None:
        self._meanwhile()


def run(world: World, leads: Callable[[], bool], turns: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    feed_forever(world.app, leads, Turns(turns, meanwhile))  # type: ignore[arg-type]


def test_only_the_leader_feeds_and_a_new_one_begins_at_the_beginning(world: World) -> None:
    [row] = [one.id for one in commit(world, [MINUTE])]
    led = [False, False, True]
    seen: list[int] = []

    run(world, lambda: led[len(seen)], 3, lambda: seen.append(len(held(world))))

    assert seen == [0, 0, 1]
    assert scheduled(world) == [row]
    world.redis.delete("rq:scheduled:send", Job.key_for(f"{row}-0"))
    run(world, lambda: True, 1)
    assert scheduled(world) == [row]


@pytest.mark.parametrize("defect", [redis.ConnectionError("away"), ValueError("a defect of ours")])
def test_the_feeder_outlives_whatever_happens_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    commit(world, [MINUTE])
    waiting, times = feeding.waiting, []

    def fails_once(*args: Any) -> Any:
        times.append(args)
        if len(times) == 1:
            raise defect
        return waiting(*args)

    monkeypatch.setattr(feeding, "waiting", fails_once)
    run(world, lambda: True, 2)

    assert len(held(world)) == 1
    assert 'bellhop_background_errors_total{where="feeder"} 1.0' in metrics.render(world.redis).decode()


def test_a_server_that_does_not_tell_its_name_is_fed_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some hosts forbid INFO.
    monkeypatch.setattr(redis.client.Pipeline, "info", lambda pipe, _section: pipe.execute_command("NO-SUCH-COMMAND"))
    commit(world, [MINUTE])
    Feeder().tick()
    assert len(held(world)) == 1
