"""What lies in Redis is plain RQ: small JSON jobs by dotted names, which a stock worker can run as well as ours."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

from app import queue
from app.channels.testing import ScriptedProvider
from app.messages import sweep
from app.testing import FrozenClock
from tests.jobs.support import lose_quietly
from tests.world import PERSON, World

ROOT = Path(__file__).resolve().parents[2]
SMALL = 64  # a larger value turns Redis' compact hash into a table: three times the memory


@pytest.mark.parametrize("name", queue.FUNCTIONS)
def test_each_name_that_is_enqueued_is_a_function(name: str) -> None:
    assert callable(import_attribute(name))
    assert name.startswith("jobs.")


def test_the_names_are_all_that_the_jobs_package_offers() -> None:
    import jobs

    assert {f"jobs.{name}" for name in jobs.__all__} == set(queue.FUNCTIONS)


def raw_jobs(world: World) -> dict[str, dict[str, bytes]]:
    keys = [key.decode() for key in world.redis.scan_iter("rq:job:*")]
    return {
        key.removeprefix("rq:job:"): {name.decode(): value for name, value in world.redis.hgetall(key).items()}
        for key in keys
    }


def test_a_job_to_send_carries_an_id_and_nothing_else(world: World) -> None:
    world.salon.send(body="Nobody's business", metadata={"name": "Ada"})
    world.salon.delay(5, body="Nobody's business")
    rows = {message.id for message in world.messages()}

    jobs = raw_jobs(world)
    assert {job_id.partition("-")[0] for job_id in jobs} == rows
    for fields in jobs.values():
        data = fields["data"]  # as it is: RQ reads both, and short is smaller than compressed
        assert len(data) <= SMALL
        name, instance, [row_id], keywords = json.loads(data)
        assert (name, instance, keywords) == ("jobs.send", None, {})
        assert row_id in rows
        assert json.loads(fields.get("meta", b"{}")) == {}


def test_no_key_and_no_value_in_redis_holds_a_text_or_a_number(world: World) -> None:
    world.provider.script.append(lose_quietly)
    world.salon.send(body="Nobody's business")
    world.salon.delay(5, body="Nobody's business")
    world.work()
    world.clock.advance(seconds=11)
    sweep.sweep()  # adds the jobs that look messages up

    everything = b"".join(
        key + b"".join(part for item in world.redis.hgetall(key).items() for part in item)
        for key in world.redis.scan_iter("rq:job:*")
    )
    text = everything + b"".join(fields["data"] for fields in raw_jobs(world).values())
    assert b"jobs.reconcile" in text
    assert b"business" not in text
    assert PERSON.encode() not in text
    assert not re.search(rb"\+[1-9][0-9]{7,}", text)


def test_ids_are_such_as_rq_takes_and_say_which_message(world: World) -> None:
    job_id = world.salon.delay(5)
    row_id = world.message(job_id).id
    world.salon.post("/api/trigger/reschedule-job", {"jobId": job_id, "workspaceId": "ws_salon", "delayMinutes": 7})
    [waiting] = raw_jobs(world)
    assert waiting == f"{row_id}-1"
    assert re.fullmatch(r"[A-Za-z0-9_-]+", waiting)


def test_the_schedule_holds_the_exact_due_time(world: World) -> None:
    due_at = world.clock.now().replace(microsecond=123_456, minute=1)
    body = world.salon.text(scheduledTime=due_at.isoformat())
    world.salon.post("/api/trigger/schedule-until", body)
    [(_, score)] = world.redis.zrange("rq:scheduled:send", 0, -1, withscores=True)
    assert datetime.fromtimestamp(score, UTC) == due_at


@pytest.fixture
def stock(make_app: Callable[..., Flask], tmp_path: Path, redis_url: str) -> Any:
    """A world in real time on the sandbox, and a way to run RQ's own worker on its stores until nothing is queued."""
    app = make_app()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": str(app.config["SQLALCHEMY_DATABASE_URI"]),
        "REDIS_URL": redis_url,
        "VAR_DIR": str(tmp_path / "var"),
        "SECRET_KEY": "test",
    }

    def run(worker_class: str) -> subprocess.CompletedProcess[str]:
        rq = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", redis_url]
        serializer = ["--serializer", "rq.serializers.JSONSerializer", "--worker-class", worker_class]
        return subprocess.run(
            [*rq, *serializer, *queue.QUEUES], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    with app.app_context():
        yield World(app, FrozenClock(datetime.now(UTC)), ScriptedProvider()), run


@pytest.mark.parametrize("worker_class", ["rq.SimpleWorker", "rq.worker.Worker"])
def test_a_stock_worker_runs_our_jobs(stock: Any, worker_class: str) -> None:
    world, run = stock
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    queue.add([queue.Nudge(queue.RECONCILE, row_id, f"reconcile-{row_id}-0", queue=queue.UPKEEP_QUEUE)])

    worker = run(worker_class)

    assert worker.returncode == 0, worker.stderr
    message = world.message(job_id)
    assert (message.status, message.provider) == ("sent", "sandbox")
    assert not Job.exists(f"{row_id}-0", connection=world.redis)
    for name in queue.QUEUES:
        registry = FailedJobRegistry(name, connection=world.redis, serializer=JSONSerializer)
        assert registry.get_job_ids() == []
        assert world.redis.llen(f"rq:queue:{name}") == 0
