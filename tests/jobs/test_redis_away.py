"""Redis is away: accepting, cancelling and settling go on, and what was missed is made up for when it is back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from app.channels.base import OutgoingMessage
from app.extensions import make_redis
from app.messages import sweep
from jobs.scheduler import Scheduler, promote_forever
from tests.jobs.support import TRANSIENT, bodies, dies_at, outcomes
from tests.world import PERSON, SENDER, World

NOWHERE = "redis://127.0.0.1:1/0"


@contextmanager
def redis_away(world: World) -> Iterator[None]:
    """Within the block nothing listens where Redis should be."""
    before = world.app.extensions["bellhop.redis"]
    world.app.extensions["bellhop.redis"] = make_redis(NOWHERE)
    try:
        yield
    finally:
        world.app.extensions["bellhop.redis"] = before


def test_everything_is_accepted_and_sent_later(world: World) -> None:
    due_at = (world.clock.now() + timedelta(minutes=1)).isoformat()
    with redis_away(world):
        world.salon.send(body="Now")
        world.salon.delay(1, body="In a minute")
        until = world.salon.text(body="At a time", scheduledTime=due_at)
        assert world.salon.post("/api/trigger/schedule-until", until).status_code == 202
        items = [{"to": PERSON, "body": f"Item {n}", "delayMinutes": 1} for n in range(3)]
        bulk = {"workspaceId": "ws_salon", "fromNumber": SENDER, "messages": items}
        assert world.salon.post("/api/trigger/schedule-bulk", bulk).json["data"]["accepted"] == 3
        daily = world.salon.text(body="Daily", cron="1 12 * * *", timezone="UTC")
        assert world.salon.post("/api/trigger/schedule-recurring", daily).status_code == 202

    world.live(70)
    assert sorted(bodies(world)) == ["At a time", "Daily", "In a minute", "Item 0", "Item 1", "Item 2", "Now"]


def test_what_became_due_meanwhile_goes_out_when_redis_is_back(world: World) -> None:
    job_id = world.salon.delay(1)
    with redis_away(world):
        for _ in range(60):
            world.clock.advance(seconds=5)
            world.repair()
    world.redis.flushall()  # it came back empty
    world.live(5)
    assert bodies(world) == ["Hello"]
    assert world.message(job_id).sent_at == world.message(job_id).due_at + timedelta(seconds=245)


def test_what_lost_its_use_meanwhile_is_skipped(world: World) -> None:
    until = world.clock.now() + timedelta(minutes=3)
    job_id = world.salon.delay(1, validUntil=until.isoformat())
    with redis_away(world):
        world.clock.set(until)
    world.live(5)
    assert (world.message(job_id).status, world.message(job_id).reason) == ("skipped", "expired")


def test_cancel_and_reschedule_are_as_truthful_as_ever(world: World) -> None:
    cancelled, moved = world.salon.delay(1, body="Cancelled"), world.salon.delay(1, body="Moved")
    with redis_away(world):
        assert world.salon.cancel(cancelled).status_code == 200
        body = {"jobId": moved, "workspaceId": "ws_salon", "delayMinutes": 3}
        assert world.salon.post("/api/trigger/reschedule-job", body).status_code == 200
        assert world.salon.status(cancelled)["status"] == "cancelled"

    world.live(120)  # the old nudges are still there, and come to nothing
    assert bodies(world) == []
    world.live(120)
    assert bodies(world) == ["Moved"]
    assert world.provider.log[0].created_at == world.message(moved).due_at


@pytest.mark.parametrize("accepted", [True, False])
def test_a_try_is_settled_while_redis_is_away(world: World, accepted: bool) -> None:
    job_id = world.salon.send()
    present = world.app.extensions["bellhop.redis"]

    def redis_goes_away(message: OutgoingMessage) -> Any:
        world.app.extensions["bellhop.redis"] = make_redis(NOWHERE)
        return world.provider.accept(message) if accepted else TRANSIENT

    world.provider.script.append(redis_goes_away)
    with pytest.raises(redis.ConnectionError):
        world.work()
    assert outcomes(world, job_id) == ["accepted" if accepted else "transient"]

    world.app.extensions["bellhop.redis"] = present
    world.live(30)
    assert bodies(world) == ["Hello"]


def test_the_chores_that_need_no_redis_go_on(world: World) -> None:
    job_id = world.salon.send()
    with dies_at("claimed"):
        world.work()
    with redis_away(world):
        world.clock.advance(seconds=60)
        sweep.sweep()
        assert world.message(job_id).status == "unknown"
    world.live(60)
    assert bodies(world) == ["Hello"]


def test_the_service_says_what_is_missing_and_goes_on_answering(world: World) -> None:
    client = world.app.test_client()
    with redis_away(world):
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json["checks"]["redis"] == "does not answer (ConnectionError)"
        assert ready.json["checks"]["database"] == "ok"
        job_id = world.salon.send()
        assert world.salon.status(job_id)["status"] == "processing"
        metrics = client.get("/metrics")
        assert metrics.status_code == 200
        assert 'bellhop_background_errors_total{where="enqueue"} 1.0' in metrics.text


class _Turns:
    """A stop flag that lets the loop turn some times, and runs something instead of waiting."""

    def __init__(self, turns: int, meanwhile: Callable[[], None]) -> None:
        self._turns = turns
        self._meanwhile = meanwhile

    def is_set(self) -> bool:
        self._turns -= 1
        return self._turns < 0

    def wait(self, _seconds: float) -> None:
        self._meanwhile()


def test_the_scheduler_outlives_it(world: World) -> None:
    world.salon.send()
    world.salon.delay(1)
    world.clock.advance(minutes=1)
    away = make_redis(NOWHERE)
    scheduler = Scheduler(away)

    def comes_back() -> None:
        away.connection_pool = world.redis.connection_pool

    turns = _Turns(2, comes_back)
    promote_forever(scheduler, turns)  # type: ignore[arg-type]
    assert world.redis.llen("rq:queue:send") == 2
