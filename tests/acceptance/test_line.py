"""The whole line with real processes: started as a user would, against a server that speaks Twilio's API.

Whatever is killed, flushed or lost on the way, each message is accepted by the provider exactly once, and none before
its time.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import stores
from tests.acceptance.processes import RunningBellhop, wait_until
from tests.twilio_server import Reply, TwilioServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

SENDER = "+19876543210"
SETTLED_WITHIN_S = 100.0
"""A claim's lease of 12 s with a time-out of 1 s, two looks at the log over half a minute, and a slow machine."""


class Line:
    """A Bellhop that sends through a Twilio of our own, and what was asked of it."""

    def __init__(self, bellhop: RunningBellhop, twilio: TwilioServer) -> None:
        self.bellhop = bellhop
        self.twilio = twilio
        self.due: dict[str, datetime] = {}
        self.jobs: dict[str, str] = {}

    def ask(self, body: str, in_s: float = 0.0) -> None:
        """Have a text sent now or after some seconds."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {"to": "+12345678901", "body": body, "workspaceId": "ws_1", "fromNumber": SENDER}
        if in_s:
            self.due[body] = now + timedelta(seconds=in_s)
            fields["scheduledTime"] = self.due[body].isoformat()
        else:
            self.due[body] = now
        path = "/api/trigger/schedule-until" if in_s else "/api/trigger/send-sms"
        answer = self.bellhop.request("POST", path, fields)
        assert answer.status == 202, answer
        self.jobs[body] = answer.body["data"]["jobId"]

    def status(self, body: str) -> str:
        """Our word for how a text is doing."""
        path = f"/api/messages/{self.jobs[body]}?workspaceId=ws_1"
        return str(self.bellhop.request("GET", path).body["data"]["state"])

    def accepted(self) -> Counter[str]:
        """How often the provider accepted each text."""
        return Counter(sent.body for sent in self.twilio.accepted)

    def check(self) -> None:
        """Every text was accepted once, none early, and we know it of each."""

        def all_known() -> bool:
            return all(self.status(body) in ("sent", "delivered") for body in self.jobs)

        wait_until(all_known, SETTLED_WITHIN_S, "every message is known to be sent")
        assert self.accepted() == dict.fromkeys(self.jobs, 1)
        for sent in self.twilio.accepted:
            assert sent.at >= self.due[sent.body].timestamp(), f"{sent.body} was early"


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


def environment(twilio: TwilioServer, **more: str) -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": twilio.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.auth_token,
        "TWILIO_API_BASE_URL": twilio.url,
        "TWILIO_TIMEOUT_S": "1",
        "TWILIO_FROM_NUMBER": SENDER,
        "PHONE_STRICTNESS": "e164",
        "RATE_LIMIT": "0",
        **more,
    }


@pytest.mark.parametrize("step", ["claimed", "posted", "settled"])
def test_a_worker_killed_in_the_middle_of_a_send_neither_loses_nor_doubles(
    tmp_path: Path, twilio: TwilioServer, step: str
) -> None:
    fault = f"{step}:{tmp_path / 'died'}"
    with RunningBellhop(tmp_path / "var", environment(twilio, BELLHOP_FAULT=fault)) as bellhop:
        line = Line(bellhop, twilio)
        for n in range(3):
            line.ask(f"Text {n}")
        line.ask("Later", in_s=2)

        line.check()

        assert (tmp_path / "died").exists(), "the worker was never killed"
        assert bellhop.stop() == 0


def test_lost_answers_lost_stores_and_killed_processes_in_one_story(tmp_path: Path, twilio: TwilioServer) -> None:
    with RunningBellhop(tmp_path / "var", environment(twilio)) as bellhop:
        line = Line(bellhop, twilio)
        for n in range(4):
            line.ask(f"Pending {n}", in_s=6 + n / 2)
        twilio.script(
            Reply(accept=True, delay_s=2.5),  # a time-out after the acceptance
            Reply(status=500, accept=True),
            Reply(accept=True, reset=True),
            Reply(status=503, accept=False),
            Reply(status=429, retry_after=1),
        )
        for n in range(6):
            line.ask(f"Now {n}")
        with redis.Redis.from_url(bellhop.redis_url) as client:
            client.flushall()
        bellhop.kill("scheduler")
        bellhop.kill("worker")
        wait_until(lambda: bellhop.pids("worker") and bellhop.pids("scheduler"), 20, "they are back")
        bellhop.kill("redis")
        line.ask("Accepted while Redis is away")

        line.check()
        assert bellhop.stop() == 0


def test_what_fell_due_while_everything_was_down_goes_out_afterwards(tmp_path: Path, twilio: TwilioServer) -> None:
    with RunningBellhop(tmp_path / "var", environment(twilio)) as bellhop:
        line = Line(bellhop, twilio)
        line.ask("Due in the dark", in_s=2)
        assert bellhop.stop() == 0
        wait_until(lambda: datetime.now(UTC) > line.due["Due in the dark"], 5)
        assert not twilio.accepted

        bellhop.start()

        line.check()


def test_signed_reports_move_a_message_on_and_a_refused_account_waits(tmp_path: Path, twilio: TwilioServer) -> None:
    with RunningBellhop(tmp_path / "var", environment(twilio)) as bellhop:
        line = Line(bellhop, twilio)
        line.ask("Reported")
        wait_until(lambda: twilio.accepted, 10, "it was accepted")
        assert twilio.report(twilio.accepted[0], "delivered") == 204
        assert line.status("Reported") == "delivered"
        assert twilio.report(twilio.accepted[0], "sent") == 204
        assert line.status("Reported") == "delivered"

        twilio.auth_ok = False
        line.ask("Waits one")
        line.ask("Waits two")
        wait_until(lambda: "provider account paused" in bellhop.output, 10)
        assert line.accepted() == {"Reported": 1}
        twilio.auth_ok = True

        line.check()
        assert "provider account resumed" in bellhop.output


def test_the_same_processes_run_on_postgresql_and_a_redis_of_one_s_own(tmp_path: Path, twilio: TwilioServer) -> None:
    stores.need_postgres()
    folder = tmp_path / "redis"
    folder.mkdir()
    with (
        stores.redis_server(folder) as redis_url,
        stores.postgres_database(f"bellhop_line_{tmp_path.name}") as database_url,
    ):
        env = environment(twilio, REDIS_URL=redis_url, DATABASE_URL=database_url, WORKERS="2")
        with RunningBellhop(tmp_path / "var", env) as bellhop:
            line = Line(bellhop, twilio)
            twilio.script(Reply(accept=True, delay_s=2.5))
            for n in range(20):
                line.ask(f"Text {n}", in_s=n % 3)
            with redis.Redis.from_url(redis_url) as client:
                client.flushall()
            bellhop.kill("worker")

            line.check()
            assert bellhop.stop() == 0
