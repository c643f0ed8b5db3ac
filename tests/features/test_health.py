"""/healthz says that the process answers, /readyz whether messages can go out."""

from datetime import timedelta

from flask import Flask
from rq import SimpleWorker
from rq.utils import utcformat

from app import clock, queue
from tests.answers import error_of
from tests.world import World

AWAY = "redis://user:hunter2@127.0.0.1:1/0"
NO_DATABASE = "postgresql://user:hunter2@127.0.0.1:1/nothing"


def start_scheduler(world: World) -> None:
    world.redis.set(queue.HEARTBEAT_KEY, clock.now().timestamp())


def start_worker(world: World) -> SimpleWorker:
    worker = SimpleWorker(list(queue.QUEUES), connection=world.redis)
    worker.register_birth()
    return worker


def ready(app: Flask) -> tuple[int, dict[str, str]]:
    response = app.test_client().get("/readyz")
    body = response.json
    assert set(body) == {"status", "checks"}
    assert body["status"] == ("ok" if response.status_code == 200 else "not ready")
    assert "hunter2" not in response.text
    return response.status_code, body["checks"]


def test_the_process_answers_without_a_key_or_a_store(world: World, make_app) -> None:
    app = make_app(redis_url=AWAY, database_url=NO_DATABASE)

    response = app.test_client().get("/healthz")

    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_it_is_ready_when_database_redis_scheduler_and_worker_live(world: World) -> None:
    start_scheduler(world)
    start_worker(world)

    assert ready(world.app) == (200, {"database": "ok", "redis": "ok", "scheduler": "ok", "worker": "ok"})


def test_without_a_scheduler_it_is_not(world: World) -> None:
    start_worker(world)

    status, checks = ready(world.app)

    assert (status, checks["worker"]) == (503, "ok")
    assert "scheduler" in checks["scheduler"]


def test_a_scheduler_that_went_silent_does_not_count(world: World) -> None:
    start_worker(world)
    start_scheduler(world)
    world.clock.advance(seconds=15)
    assert ready(world.app)[0] == 200

    world.clock.advance(seconds=1)

    status, checks = ready(world.app)
    assert (status, checks["scheduler"]) == (503, "last heartbeat 16 s ago")


def test_without_a_worker_it_is_not(world: World) -> None:
    start_scheduler(world)
    worker = start_worker(world)
    assert ready(world.app)[0] == 200

    worker.register_death()

    status, checks = ready(world.app)
    assert (status, checks["scheduler"]) == (503, "ok")
    assert "worker" in checks["worker"]


def test_without_redis_it_is_not_and_messages_are_accepted_all_the_same(make_world) -> None:
    world = make_world(redis_url=AWAY)

    status, checks = ready(world.app)

    assert (status, checks["database"]) == (503, "ok")
    assert all("does not answer" in checks[name] for name in ("redis", "scheduler", "worker"))
    assert world.salon.send()


def test_without_a_database_it_is_not_and_the_api_says_when_to_come_back(world: World, make_app) -> None:
    app = make_app(database_url=NO_DATABASE)

    status, checks = ready(app)
    response = app.test_client().get("/api/trigger/recurring", headers={"Authorization": "Bearer x"})

    assert (status, checks["redis"]) == (503, "ok")
    assert "does not answer" in checks["database"]
    error_of(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert "hunter2" not in response.text


def test_a_worker_that_was_killed_does_not_count_though_redis_still_lists_it(world: World) -> None:
    start_scheduler(world)
    worker = start_worker(world)
    world.redis.hset(worker.key, "last_heartbeat", utcformat(world.clock.now() - timedelta(seconds=41)))

    status, checks = ready(world.app)

    assert (status, checks["worker"]) == (503, "last heartbeat 41 s ago")
