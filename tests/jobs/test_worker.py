"""The whole worker in one process: time limits, foreign jobs, and an end when it has lost one of its threads."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rq import Callback, Queue, Retry
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from app import clock, queue
from jobs import worker as worker_module
from jobs.foreign import ForeignJob
from jobs.worker import Worker
from tests.conftest import make_settings
from tests.jobs.support import bodies
from tests.world import World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _real_time(world: World) -> Iterator[None]:
    """RQ's own housekeeping looks at the machine's clock."""
    with clock.use(clock.SystemClock()):
        yield


begun = threading.Event()
go_on = threading.Event()


def hang(_argument: str) -> None:
    """A job that does not come back until the test says so."""
    begun.set()
    go_on.wait(60)


def fail(_argument: str) -> None:
    """A job that never works."""
    raise LookupError("there is no such thing")


def leave(_argument: str) -> None:
    """A job that thinks that the process is its own."""
    sys.exit(3)


def report(_job: Job, _connection: object, result: object) -> None:
    """A callback of RQ."""
    noted.append(f"result {result}")


def note(argument: str) -> None:
    """A job that leaves a trace."""
    noted.append(argument)


noted: list[str] = []


@contextmanager
def working(world: World, queues: tuple[str, ...] = queue.QUEUES) -> Iterator[Worker]:
    """A worker in a thread of this process."""
    stop = threading.Event()
    settings = make_settings(worker_concurrency=4)
    worker = Worker(world.app, settings, world.redis, stop, queues)
    problems: list[BaseException] = []

    def run() -> None:
        try:
            with world.app.app_context():
                worker.run()
        except RuntimeError as error:
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(timeout=40)
        assert not thread.is_alive()
        worker.problems = problems  # type: ignore[attr-defined]


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread, at most half a minute."""
    ready = threading.Event()
    for _ in range(3000):
        if condition():
            return
        ready.wait(0.01)
    raise AssertionError("not within 30 s")


def test_a_job_beyond_its_time_limit_has_failed_and_holds_nobody_up(world: World) -> None:
    begun.clear()
    go_on.clear()
    job = Queue(queue.UPKEEP_QUEUE, connection=world.redis, serializer=JSONSerializer).enqueue(
        "tests.jobs.test_worker.hang", "x", job_timeout=1
    )
    with working(world):
        assert begun.wait(20)
        failed = FailedJobRegistry(queue.UPKEEP_QUEUE, connection=world.redis, serializer=JSONSerializer)
        until(lambda: job.id in failed.get_job_ids(cleanup=False))
        go_on.set()
        late = Job.fetch(job.id, connection=world.redis, serializer=JSONSerializer)
        assert "maximum timeout value (1 seconds)" in str(late.latest_result().exc_string)  # type: ignore[union-attr]


@pytest.mark.parametrize("more", [{}, {"meta": {"as": "RQ's own"}}])
def test_a_job_that_calls_exit_has_failed_and_costs_no_thread(world: World, more: dict[str, object]) -> None:
    noted.clear()
    target = Queue(queue.UPKEEP_QUEUE, connection=world.redis, serializer=JSONSerializer)
    left = [target.enqueue("tests.jobs.test_worker.leave", "x", **more) for _ in range(10)]
    target.enqueue("tests.jobs.test_worker.note", "still here")
    with working(world):
        until(lambda: noted == ["still here"])
        failed = FailedJobRegistry(queue.UPKEEP_QUEUE, connection=world.redis, serializer=JSONSerializer)
        until(lambda: set(failed.get_job_ids(cleanup=False)) == {job.id for job in left})
    assert "SystemExit: 3" in str(left[0].latest_result().exc_string)  # type: ignore[union-attr]


def test_a_retry_waits_in_the_schedule_for_its_time_to_the_millisecond(world: World) -> None:
    job = Queue("send", connection=world.redis, serializer=JSONSerializer).enqueue(
        "tests.jobs.test_worker.fail", "x", retry=Retry(max=2, interval=[30, 60])
    )
    before = clock.now().timestamp()
    with working(world):
        until(lambda: world.redis.zscore("rq:scheduled:send", job.id))
    after = clock.now().timestamp()
    due = world.redis.zscore("rq:scheduled:send", job.id)
    assert isinstance(due, float)
    assert before + 30 <= due <= after + 30
    assert due % 1 != 0
    assert (job.get_status(), Job.fetch(job.id, world.redis, JSONSerializer).retries_left) == ("scheduled", 1)


def test_a_worker_that_dies_while_it_plans_a_retry_leaves_a_job_that_is_still_running(world: World) -> None:
    job = Queue("send", connection=world.redis, serializer=JSONSerializer).enqueue(
        "tests.jobs.test_worker.fail", "x", retry=Retry(max=2, interval=30)
    )
    dying = ForeignJob.fetch(job.id, connection=world.redis, serializer=JSONSerializer)
    with world.redis.pipeline() as pipeline:
        dying.retry(Queue("send", connection=world.redis, serializer=JSONSerializer), pipeline)
    assert job.get_status() == "queued"  # as before: nothing of it was carried out


def test_callbacks_and_results_of_foreign_jobs_work_in_a_thread(world: World) -> None:
    noted.clear()
    target = Queue("send", connection=world.redis, serializer=JSONSerializer)
    job = target.enqueue("tests.jobs.test_worker.note", "x", on_success=Callback("tests.jobs.test_worker.report"))
    with working(world):
        until(lambda: len(noted) == 2)
        until(lambda: job.get_status() == "finished")
    assert noted == ["x", "result None"]


def test_other_jobs_that_hang_do_not_take_the_places_of_sends(world: World) -> None:
    go_on.clear()
    target = Queue(queue.UPKEEP_QUEUE, connection=world.redis, serializer=JSONSerializer)
    for _ in range(60):
        target.enqueue("tests.jobs.test_worker.hang", "x")
    with working(world):
        until(lambda: target.count == 50)  # ten are in hand, eight of them running
        texts = [f"Text {n}" for n in range(20)]
        for text in texts:
            world.salon.send(body=text)
        until(lambda: len(bodies(world)) == 20)
        assert sorted(bodies(world)) == sorted(texts)
        assert target.count == 50
        go_on.set()
        until(lambda: target.count == 0)


def test_a_flood_of_other_jobs_in_the_queue_of_sends_is_taken_as_there_is_room(world: World) -> None:
    go_on.clear()
    target = Queue(queue.SEND_QUEUE, connection=world.redis, serializer=JSONSerializer)
    for _ in range(60):
        target.enqueue("tests.jobs.test_worker.hang", "x")
    with working(world) as worker:
        until(lambda: len(worker._rooms.held()) == 5)  # a quarter more than four threads that send
        noted.clear()
        Queue(queue.UPKEEP_QUEUE, connection=world.redis, serializer=JSONSerializer).enqueue(
            "tests.jobs.test_worker.note", "x"
        )
        until(lambda: noted == ["x"])
        assert target.count == 55
        go_on.set()
        until(lambda: target.count == 0)


def test_queues_are_served_in_the_order_of_their_names_and_others_not_at_all(world: World) -> None:
    noted.clear()
    for name in ("low", "middle", "high", "other"):
        target = Queue(name, connection=world.redis, serializer=JSONSerializer)
        target.enqueue("tests.jobs.test_worker.note", name)
    with working(world, ("high", "middle", "low")):
        until(lambda: len(noted) == 3)
    assert sorted(noted) == ["high", "low", "middle"]
    assert world.redis.llen("rq:queue:other") == 1


def test_a_job_that_hangs_does_not_keep_a_worker_from_stopping(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "DRAIN_S", 0.2)
    begun.clear()
    go_on.clear()
    Queue("upkeep", connection=world.redis, serializer=JSONSerializer).enqueue("tests.jobs.test_worker.hang", "x")
    with working(world) as worker:
        assert begun.wait(20)
    assert not worker._keeper.is_alive()
    go_on.set()


def test_a_worker_that_lost_a_thread_ends_so_that_it_is_started_again(world: World) -> None:
    with working(world) as worker:
        until(lambda: worker._keeper.is_alive())  # the last one to be started
        worker._finisher.put(None)  # type: ignore[arg-type]  what ends the thread
        until(lambda: not worker._finisher.thread.is_alive())
        world.redis.rpush("rq:queue:send", "nothing")
        until(lambda: not worker._keeper.is_alive())
    assert "finisher" in str(worker.problems[0])  # type: ignore[attr-defined]
