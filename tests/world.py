"""The world that tests live in: a salon, an outsider, an app on real stores, and a clock that stands still."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from flask import Flask
from flask.testing import FlaskClient
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import queue
from app.channels.testing import ScriptedProvider
from app.database import reading, writing
from app.extensions import redis_client
from app.messages import sweep
from app.messages.models import Attempt, DeliveryEvent, Message
from app.testing import FrozenClock
from app.workspaces import service as workspaces
from jobs.feeder import Feeder
from jobs.scheduler import Scheduler

SENDER = "+19876543210"
PERSON = "+12345678901"


@dataclass
class Tenant:
    """A workspace with its key, as its developer sees the API."""

    workspace_id: str
    key: str
    client: FlaskClient

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        """POST JSON with the workspace's key; header names are written with underscores."""
        return self.client.post(path, data=json.dumps(body), headers=self._headers(headers))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Any method, with JSON and the workspace's key."""
        data = None if body is None else json.dumps(body)
        return self.client.open(path, method=method, data=data, headers=self._headers(headers))

    def post_raw(self, path: str, body: bytes, content_type: str = "application/json") -> TestResponse:
        """POST bytes as they are, with the workspace's key."""
        return self.client.post(path, data=body, headers=self._headers({"Content_Type": content_type}))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Any method with JSON, or without a body, and the workspace's key."""
        data = None if body is None else json.dumps(body)
        return self.client.open(path, method=method, data=data, headers=self._headers(headers))

    def get(self, path: str, **query: str) -> TestResponse:
        """GET with the workspace's key."""
        return self.client.get(path, query_string=query, headers=self._headers({}))

    def _headers(self, extra: dict[str, str]) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return headers | {name.replace("_", "-"): value for name, value in extra.items()}

    def text(self, **changes: Any) -> dict[str, Any]:
        """A valid message body."""
        return {"to": PERSON, "body": "Hello", "workspaceId": self.workspace_id, "fromNumber": SENDER} | changes

    def send(self, **changes: Any) -> str:
        """Send now; returns the job id."""
        return self._accepted("/api/trigger/send-sms", self.text(**changes))

    def delay(self, minutes: float, **changes: Any) -> str:
        """Send after some minutes; returns the job id."""
        return self._accepted("/api/trigger/schedule-delay", self.text(delayMinutes=minutes, **changes))

    def _accepted(self, path: str, body: dict[str, Any]) -> str:
        response = self.post(path, body)
        assert response.status_code == 202, response.text
        return str(response.json["data"]["jobId"])

    def status(self, job_id: str) -> dict[str, Any]:
        """The job's state."""
        response = self.get("/api/trigger/job-status", jobId=job_id, workspaceId=self.workspace_id)
        assert response.status_code == 200, response.text
        return dict(response.json["data"])

    def cancel(self, job_id: str) -> TestResponse:
        """Call the job off."""
        return self.post("/api/trigger/cancel-job", {"jobId": job_id, "workspaceId": self.workspace_id})


@dataclass
class World:
    """``salon`` is the tenant of the story, ``outsider`` must never see any of it."""

    app: Flask
    clock: FrozenClock
    provider: ScriptedProvider
    salon: Tenant = field(init=False)
    outsider: Tenant = field(init=False)
    feeder: Feeder = field(init=False)

    def __post_init__(self) -> None:
        self.salon = self.tenant("ws_salon")
        self.outsider = self.tenant("ws_outsider")
        with self.app.app_context():
            self.feeder = Feeder()

    def tenant(self, workspace_id: str) -> Tenant:
        """A workspace with a key and a sender."""
        key = workspaces.create_key(workspace_id)
        with writing() as session:
            workspaces.add_sender(session, workspace_id, "sms", SENDER)
        return Tenant(workspace_id, key, self.app.test_client())

    @property
    def redis(self) -> redis.Redis:
        """The app's Redis."""
        return redis_client()

    def work(self, limit: int = 1000) -> int:
        """Promote what is due and run every queued job, until nothing is left; returns how many ran."""
        ran = 0
        scheduler = Scheduler(self.redis)
        # The lease of one that died has run out: only the clock of the tests stands still.
        self.redis.delete(scheduler.scheduler_lock_key)
        while ran < limit:
            scheduler.promote_due()
            job = self._pop()
            if job is None:
                return ran
            job.perform()
            job.delete()
            ran += 1
        raise AssertionError(f"more than {limit} jobs: does one make another for ever?")

    def _pop(self) -> Job | None:
        for name in queue.QUEUES:
            while job_id := self.redis.lpop(f"rq:queue:{name}"):
                if Job.exists(job_id.decode(), connection=self.redis):
                    return Job.fetch(job_id.decode(), connection=self.redis, serializer=JSONSerializer)
        return None

    def repair(self) -> None:
        """What the scheduler process does beside promoting: its sweep, and a tick of its feeder."""
        sweep.sweep()
        with suppress(redis.RedisError):  # as in the thread: the next tick tries again
            self.feeder.tick()

    def another_leads(self) -> None:
        """Another scheduler takes over, and its feeder has begun."""
        self.feeder = Feeder()
        self.feeder.tick()

    def live(self, seconds: float, step: float = 5.0) -> None:
        """Let time pass: workers, scheduler, feeder and sweep run at each step."""
        for _ in range(round(seconds / step)):
            self.clock.advance(seconds=step)
            self.repair()
            self.work()

    def scheduled(self) -> list[str]:
        """The ids of the sends that wait in Redis for their time, in order."""
        return [job_id.decode() for job_id in self.redis.zrange("rq:scheduled:send", 0, -1)]

    def message(self, job_id: str) -> Message:
        """The row behind a job."""
        with reading() as session:
            return session.scalars(select(Message).where(Message.job_id == job_id)).one()

    def messages(self) -> list[Message]:
        """All rows, oldest first."""
        with reading() as session:
            return list(session.scalars(select(Message).order_by(Message.created_at, Message.id)))

    def attempts(self, job_id: str) -> list[Attempt]:
        """The tries of a job, in order."""
        with reading() as session:
            query = select(Attempt).join(Message).where(Message.job_id == job_id).order_by(Attempt.number)
            return list(session.scalars(query))

    def delivery_events(self) -> list[DeliveryEvent]:
        """All reports, oldest first."""
        with reading() as session:
            return list(session.scalars(select(DeliveryEvent).order_by(DeliveryEvent.received_at, DeliveryEvent.id)))
