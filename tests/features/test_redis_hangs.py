"""A Redis that takes connections and never answers holds up next to nobody, and is used again when it is back."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from rq.job import Job

from app import circuit, metrics, queue
from app.extensions import make_redis
from tests import stores
from tests.answers import data_of
from tests.together import together
from tests.world import PERSON, SENDER, World

SEND = "/api/trigger/send-sms"


class Seconds:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    stands = Seconds()
    monkeypatch.setattr(circuit, "monotonic", stands)
    return stands


@contextmanager
def hanging(world: World) -> Iterator[None]:
    """Within the block Redis hangs; the app keeps its client throughout."""
    client = world.redis
    working = client.connection_pool
    with stores.silent_server() as (url, _):
        client.connection_pool = make_redis(url, socket_timeout=0.1).connection_pool
        try:
            yield
        finally:
            client.connection_pool = working


def waits_in_redis(world: World, job_id: str) -> bool:
    return bool(world.redis.exists(Job.key_for(f"{world.message(job_id).id}-0")))


def counted(word: str) -> float:
    return sum(count for field, count in metrics._buffer.items() if word in " ".join(field))


def asked() -> float:
    """How often Redis was asked in vain."""
    return counted("enqueue") + counted("remove")


def test_after_a_failure_nobody_asks_for_a_second(world: World, seconds: Seconds) -> None:
    with hanging(world):
        for _ in range(21):
            world.salon.send()
        assert (asked(), counted("left_out")) == (1, 20)
        seconds.now += circuit.REST_S
        for _ in range(5):
            world.salon.send()
        assert (asked(), counted("left_out")) == (2, 24)
    world.live(10)
    assert len(world.provider.log) == 26


def test_a_bulk_and_a_cancellation_do_not_ask_either(world: World, seconds: Seconds) -> None:
    job_id = world.salon.delay(5)
    with hanging(world):
        world.salon.send()
        items = [{"to": PERSON, "body": f"Item {n}", "delayMinutes": 1} for n in range(50)]
        bulk = {"workspaceId": "ws_salon", "fromNumber": SENDER, "messages": items}
        assert data_of(world.salon.post("/api/trigger/schedule-bulk", bulk), 202)["accepted"] == 50
        assert data_of(world.salon.cancel(job_id))["status"] == "cancelled"
        assert (asked(), counted("left_out")) == (1, 50)
    world.live(70)
    assert len(world.provider.log) == 51


def test_of_many_at_once_one_asks_after_the_rest(world: World, seconds: Seconds) -> None:
    with hanging(world):
        world.salon.send()
        seconds.now += circuit.REST_S
        headers = {"Authorization": f"Bearer {world.salon.key}"}

        def send() -> Any:
            return data_of(world.app.test_client().post(SEND, json=world.salon.text(), headers=headers), 202)

        assert len(together(world.app, [send] * 12)) == 12
        assert (asked(), counted("left_out")) == (2, 11)


def test_where_a_thread_adds_no_request_waits_for_redis_at_all(
    world: World, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_in, go_on, add = threading.Event(), threading.Event(), queue.add

    def hangs(nudges: Sequence[queue.Nudge]) -> int:
        asked_in.set()
        assert go_on.wait(30)
        return add(nudges)

    monkeypatch.setattr(queue, "add", hangs)
    adder = queue.add_in_background(world.app)
    jobs = [world.salon.send() for _ in range(12)]
    assert asked_in.wait(30)
    assert not any(waits_in_redis(world, job_id) for job_id in jobs)
    go_on.set()
    adder.stop(30)
    assert all(waits_in_redis(world, job_id) for job_id in jobs)


def test_what_waits_for_a_redis_that_hangs_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hangs(_nudges: Sequence[queue.Nudge]) -> int:
        begun.set()
        assert go_on.wait(30)
        return 0

    monkeypatch.setattr(queue, "add", hangs)
    monkeypatch.setattr(queue, "MOST_WAITING", 3)
    adder = queue.add_in_background(world.app)
    world.salon.send()
    assert begun.wait(30)
    for _ in range(5):
        world.salon.send()
    assert (adder.backlog, counted("left_out")) == (3, 2)
    go_on.set()
    adder.stop(30)


def test_a_defect_in_adding_does_not_end_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    add, defects = queue.add, ["a defect"]

    def fails_once(nudges: Sequence[queue.Nudge]) -> int:
        if defects:
            raise LookupError(defects.pop())
        return add(nudges)

    monkeypatch.setattr(queue, "add", fails_once)
    adder = queue.add_in_background(world.app)
    first = world.salon.send()
    deadline = threading.Event()
    for _ in range(3000):
        if not defects:
            break
        deadline.wait(0.01)
    second = world.salon.send()
    adder.stop(30)
    assert (waits_in_redis(world, first), waits_in_redis(world, second)) == (False, True)


def test_when_it_is_back_nudges_flow_again(world: World, seconds: Seconds) -> None:
    with hanging(world):
        job_ids = [world.salon.delay(5), world.salon.delay(5)]
    resting = world.salon.delay(5)
    assert not any(waits_in_redis(world, job_id) for job_id in (*job_ids, resting))

    seconds.now += circuit.REST_S
    assert waits_in_redis(world, world.salon.delay(5))
    assert waits_in_redis(world, world.salon.delay(5))


def test_a_try_that_never_ends_does_not_close_the_way_for_good(seconds: Seconds) -> None:
    way = circuit.Circuit()
    way.failed()
    seconds.now += circuit.REST_S
    assert [way.may_try(), way.may_try()] == [True, False]
    seconds.now += circuit.TRY_WITHIN_S
    assert [way.may_try(), way.may_try()] == [True, False]
    way.worked()
    assert [way.may_try(), way.may_try()] == [True, True]


def test_the_rate_limit_counts_on_in_the_process(make_world: Any) -> None:
    with stores.silent_server() as (url, heard):
        world = make_world(redis_url=url, rate_limit=5)
        world.app.extensions["bellhop.redis"] = make_redis(url, socket_timeout=0.1)
        # A window slides, by the machine's own clock, so it may let one or two more through.
        statuses = [world.salon.post(SEND, world.salon.text()).status_code for _ in range(15)]
        assert statuses[:5] == [202] * 5
        assert statuses[-1] == 429
        assert heard
