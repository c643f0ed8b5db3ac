"""A whole installation, started as a user would, whose account is refused while messages go out and processes die.

It is one story, because what takes long is waiting: a lease of 12 s (with a time-out of 1 s), half a minute before a
message may be missed in the provider's log, a minute between two probes of the account. The witness is a server that
speaks Twilio's API: it counts what it accepted, and when.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import stores
from tests.acceptance.processes import Answer, RunningBellhop, wait_until
from tests.twilio_server import Reply, Sent, TwilioServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

KEY = "a-key-of-the-acceptance-test-000001"
SENDER = "+19876543210"
SETTLED_WITHIN_S = 100.0


class Story:
    """An installation, its Twilio, and everything that was asked of it so far."""

    def __init__(self, bellhop: RunningBellhop, twilio: TwilioServer) -> None:
        self.bellhop = bellhop
        self.twilio = twilio
        self.due: dict[str, float] = {}
        self.jobs: dict[str, str] = {}

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        return self.bellhop.request(method, path, body, {"Authorization": f"Bearer {KEY}"})

    def ask(self, body: str, in_s: float = 0) -> float:
        """Have a text sent now or after some seconds; returns when it is due."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {"to": "+12345678901", "body": body, "workspaceId": "ws_1"}
        path = "/api/trigger/send-sms"
        if in_s:
            now += timedelta(seconds=in_s)
            fields["scheduledTime"] = now.isoformat()
            path = "/api/trigger/schedule-until"
        answer = self.call("POST", path, fields)
        assert answer.status == 202, answer
        self.due[body], self.jobs[body] = now.timestamp(), answer.body["data"]["jobId"]
        return self.due[body]

    def said(self, body: str) -> str:
        """What the API says about a text."""
        path = f"/api/trigger/job-status?workspaceId=ws_1&jobId={self.jobs[body]}"
        return str(self.call("GET", path).body["data"]["messageStatus"])

    def posts(self) -> int:
        return sum(method == "POST" for method, _ in self.twilio.requests)

    def accepted(self, body: str) -> Sent:
        return wait_until(
            lambda: next((sent for sent in self.twilio.accepted if sent.body == body), None),
            20,
            f"{body!r} is accepted",
        )

    def ask_and_be_answered(self, body: str, reply: Reply) -> None:
        """Ask for a text whose request gets this answer."""
        before = self.posts()
        self.twilio.script(reply)
        self.ask(body)
        wait_until(lambda: self.posts() > before, 20, f"{body!r} is posted")

    def everything_is_known(self) -> bool:
        return all(self.said(body) in ("sent", "delivered") for body in self.jobs)

    def check(self) -> None:
        """Every text was accepted once, none before its time, and the API says so."""
        try:
            wait_until(self.everything_is_known, SETTLED_WITHIN_S)
        except AssertionError:
            open_ends = {body: word for body in self.jobs if (word := self.said(body)) not in ("sent", "delivered")}
            raise AssertionError(f"never settled: {open_ends}\n{self.bellhop.output[-4000:]}") from None
        assert Counter(sent.body for sent in self.twilio.accepted) == dict.fromkeys(self.jobs, 1)
        early = {sent.body: sent.at - self.due[sent.body] for sent in self.twilio.accepted}
        assert {body: at for body, at in early.items() if at < 0} == {}
        assert self.metric("bellhop_duplicate_acceptances_total") == 0

    def metric(self, name: str) -> float:
        text = str(self.call("GET", "/metrics").body)
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))

    def lose(self, kind: str) -> Callable[[], bool]:
        """``kill -9`` one process of a kind; returns the question whether another has taken its place."""
        killed = self.bellhop.kill(kind)
        return lambda: any(pid != killed for pid in self.bellhop.pids(kind))

    def flush(self, url: str) -> None:
        with redis.Redis.from_url(url) as client:
            client.flushall()


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


def environment(twilio: TwilioServer, **more: str) -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": twilio.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.auth_token,
        "TWILIO_API_BASE_URL": twilio.url,
        "SENDER_RATE": "0",
        "TWILIO_TIMEOUT_S": "1",
        "TWILIO_FROM_NUMBER": SENDER,
        "PHONE_STRICTNESS": "e164",
        "AUTH_REQUIRED": "1",
        "API_KEY_BOOTSTRAP": f"ws_1:{KEY}",
        "RATE_LIMIT": "0",
        **more,
    }


def test_two_workers_on_postgresql_whose_account_is_refused_for_a_while(tmp_path: Path, twilio: TwilioServer) -> None:
    stores.need_postgres()
    folder = tmp_path / "redis"
    folder.mkdir()
    with (
        stores.redis_server(folder) as redis_url,
        stores.postgres_database(f"bellhop_once_{time.time_ns()}") as database_url,
    ):
        env = environment(twilio, REDIS_URL=redis_url, DATABASE_URL=database_url, WORKERS="2")
        with RunningBellhop(tmp_path / "var", env) as bellhop:
            story = Story(bellhop, twilio)
            for n in range(20):
                story.ask(f"Now, to two workers, {n}")
            story.ask_and_be_answered("Time-out after acceptance", Reply(accept=True, delay_s=1.5))
            the_account_is_refused(story, redis_url)
            story.check()
            assert bellhop.stop() == 0
            assert "Traceback" not in bellhop.output


def the_account_is_refused(story: Story, redis_url: str) -> None:
    """401 to everything for a while, and Redis and processes are lost meanwhile: the messages wait."""
    bellhop, twilio = story.bellhop, story.twilio
    wait_until(lambda: len(twilio.accepted) == 21, 20, "what was asked for before is accepted")
    twilio.auth_ok = False
    for n in range(3):
        story.ask(f"Refused, {n}")
    wait_until(lambda: "provider account paused" in bellhop.output, 20, "the account is paused")
    assert story.metric("bellhop_provider_account_paused") == 1
    story.ask("Due in the pause", in_s=2)
    story.ask("Asked for in the pause")
    story.flush(redis_url)
    back = [story.lose("worker"), story.lose("scheduler")]
    wait_until(lambda: all(is_back() for is_back in back), 30, "all are back")
    assert len(twilio.accepted) == 21
    before = story.posts()
    twilio.auth_ok = True
    wait_until(lambda: "provider account resumed" in bellhop.output, 80, "a probe resumes the account")
    assert story.posts() == before, "something was posted in the pause"
    wait_until(lambda: len(twilio.accepted) == 26, 30, "what had waited goes out")
