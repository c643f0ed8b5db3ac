"""The sending half of a worker, threads and all: every job it takes is finished, whatever becomes of the message."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import pytest
import redis
from sqlalchemy.exc import DataError, OperationalError

from app import queue
from app.messages import claims, settling
from app.messages.claims import Claim
from jobs import sending
from jobs.finisher import finish
from jobs.redis_jobs import RedisJobs, Taken
from jobs.sending import Sending
from tests.jobs.support import AMBIGUOUS, PERMANENT, TRANSIENT, bodies, outcomes
from tests.world import World


class Bench:
    """A worker's sending part and what it has finished."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs = RedisJobs(world.redis, "worker-1", queue.QUEUES)
        self.finished: list[str] = []
        self._ended = threading.Semaphore(0)
        self.stop = threading.Event()
        self.let_go: list[str] = []
        self.sending = Sending(world.app, 4, self.finish, self.leave, self.stop)

    def finish(self, jobs: Sequence[Taken]) -> None:
        finish(self.jobs, jobs)
        self.finished += [job.job_id for job in jobs]
        for _ in jobs:
            self._ended.release()

    def leave(self, jobs: Sequence[Taken]) -> None:
        self.let_go += [job.job_id for job in jobs]

    def run(self) -> list[str]:
        """Take everything that is queued, do it, and stop; returns the ids of the jobs that were taken."""
        taken = self.jobs.take(1000)
        self.sending.start()
        self.sending.claim(taken)
        for _ in taken:
            assert self._ended.acquire(timeout=30), f"{len(self.finished)} of {len(taken)} jobs finished"
        self.sending.drain(30)
        return [job.job_id for job in taken]


@pytest.fixture
def bench(world: World) -> Iterator[Bench]:
    made = Bench(world)
    yield made
    made.sending.drain(5)


def left(world: World) -> set[str]:
    """Jobs that Redis still shows as waiting or running."""
    return queue.present(queue.SEND_QUEUE)


def test_messages_with_all_kinds_of_ends(world: World, bench: Bench) -> None:
    answers = {"Fine": None, "Refused": PERMANENT, "Later": TRANSIENT, "Lost": AMBIGUOUS}
    jobs = {body: world.salon.send(body=body) for body in answers}
    off = world.salon.send(body="Cancelled")
    nudge = queue.send_nudge(world.message(off).id, 0, None)
    world.salon.cancel(off)
    queue.add([nudge])
    accept = world.provider.accept
    world.provider.send = lambda message: answers[message.body] or accept(message)  # type: ignore[method-assign]

    taken = bench.run()

    assert sorted(bench.finished) == sorted(taken)
    assert len(taken) == 5
    assert {body: world.message(job_id).status for body, job_id in jobs.items()} == {
        "Fine": "sent",
        "Refused": "failed",
        "Later": "scheduled",
        "Lost": "unknown",
    }
    assert bodies(world) == ["Fine"]
    assert left(world) == set()


def test_two_jobs_for_one_message_are_both_finished(world: World, bench: Bench) -> None:
    # A nudge that came early, and the one that was made in its place, may wait side by side.
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    queue.add([queue.Nudge(queue.SEND, row_id, f"{row_id}-0-again")])

    taken = bench.run()

    assert sorted(taken) == sorted(bench.finished) == [f"{row_id}-0", f"{row_id}-0-again"]
    assert bodies(world) == ["Hello"]
    assert left(world) == set()


def test_a_database_that_is_away_when_the_answers_come_is_waited_for(
    world: World, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [world.salon.send(to=f"+1234567890{n}", body=f"Text {n}") for n in range(3)]
    settle, failures = settling.settle, [OperationalError("UPDATE", {}, Exception("away"))] * 2

    def away(*arguments: object) -> None:
        if failures:
            raise failures.pop()
        settle(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(settling, "settle", away)
    monkeypatch.setattr(sending, "RETRY_S", 0)
    bench.run()
    assert [outcomes(world, job_id) for job_id in jobs] == [["accepted"]] * 3
    assert len(bodies(world)) == 3


def test_a_defect_while_posting_is_a_doubt_and_not_the_end_of_the_thread(world: World, bench: Bench) -> None:
    jobs = [world.salon.send(to=f"+1234567890{n}", body=f"Text {n}") for n in range(6)]
    accept = world.provider.accept

    def defective(message):
        accept(message)
        raise ValueError("a defect after the request left")

    world.provider.send = defective
    bench.run()
    assert {world.message(job_id).status for job_id in jobs} == {"unknown"}
    world.live(60)
    assert len(bodies(world)) == 6
    assert {world.message(job_id).status for job_id in jobs} == {"sent"}


def test_a_redis_that_is_away_when_jobs_end_leaves_nudges_that_claim_nothing(
    world: World, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.salon.send()

    def away(_jobs: object) -> list[str]:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(bench.jobs, "finish", away)
    bench.run()
    assert bodies(world) == ["Hello"]

    world.clock.advance(seconds=60)
    assert len(RedisJobs(world.redis, "worker-2", queue.QUEUES).reap().back) == 1
    world.work()
    assert bodies(world) == ["Hello"]


def test_what_no_thread_has_begun_is_given_back_when_the_worker_stops(world: World, bench: Bench) -> None:
    jobs = [world.salon.send(to=f"+123456789{n:02}", body=f"Text {n:02}") for n in range(12)]
    begun, emptied, go_on = threading.Semaphore(0), threading.Event(), threading.Event()
    accept, stop = world.provider.accept, bench.sending.lane.stop

    def slow(message):
        begun.release()
        go_on.wait(30)
        return accept(message)

    world.provider.send = slow

    def stop_and_say_so() -> None:
        stop()
        emptied.set()

    bench.sending.lane.stop = stop_and_say_so  # type: ignore[method-assign]
    bench.sending.start()
    bench.sending.claim(bench.jobs.take(100))
    for _ in range(4):
        assert begun.acquire(timeout=30)
    drained = threading.Thread(target=bench.sending.drain, args=(30,))
    drained.start()
    assert emptied.wait(30)  # what nobody had begun is out of the lane; four are on their way
    go_on.set()
    drained.join(60)

    assert len(bodies(world)) == 4
    given_back = [job_id for job_id in jobs if outcomes(world, job_id) == ["given_back"]]
    assert len(given_back) == 8
    assert {world.message(job_id).status for job_id in given_back} == {"scheduled"}
    world.provider.send = accept
    world.work()
    assert sorted(bodies(world)) == [f"Text {n:02}" for n in range(12)]


def outage(*_: object) -> NoReturn:
    raise OperationalError("UPDATE", None, Exception("the database is away"))


def test_a_worker_that_is_to_stop_does_not_wait_for_its_database(
    world: World, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = world.salon.send()
    taken = bench.jobs.take(10)
    bench.sending.start()
    bench.stop.set()
    with monkeypatch.context() as patched:
        patched.setattr(claims, "claim", outage)
        bench.sending.claim(taken)
    assert bench.let_go == [job.job_id for job in taken]
    assert world.message(job_id).status == "scheduled"


def test_what_the_database_refuses_for_good_does_not_hold_up_the_others(
    world: World, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [world.salon.send(body=f"Text {n}") for n in range(3)]
    bad = world.message(jobs[1]).id
    claim, settle = claims.claim, settling.settle

    def refused(message_ids: Sequence[str], *rest: object) -> Any:
        if world.message(jobs[2]).id in message_ids:
            raise DataError("UPDATE", None, Exception("what is this?"))
        return claim(message_ids, *rest)

    def unstorable(results: Sequence[tuple[Claim, object]], *rest: object) -> None:
        if bad in [one.id for one, _ in results]:
            raise DataError("UPDATE", None, Exception("not to be stored"))
        settle(results, *rest)

    monkeypatch.setattr(claims, "claim", refused)
    monkeypatch.setattr(settling, "settle", unstorable)
    bench.run()
    assert [world.message(job_id).status for job_id in jobs] == ["sent", "sending", "scheduled"]
    monkeypatch.undo()
    world.live(120, step=10)
    assert sorted(bodies(world)) == ["Text 0", "Text 1", "Text 2"]


def test_a_job_that_names_no_row_is_dropped(world: World, bench: Bench) -> None:
    queue.add([queue.Nudge(queue.SEND, "\0", "job-strange"), queue.Nudge(queue.SEND, "x" * 32, "job-odd")])
    job_id = world.salon.send()
    bench.run()
    assert world.message(job_id).status == "sent"
    assert left(world) == set()
