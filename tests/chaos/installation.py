"""The installation that a chaos run hurts: real processes, and a provider that remembers what it accepted."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.acceptance.processes import KINDS, RunningBellhop, wait_until
from tests.chaos.databases import Database, database
from tests.chaos.plan import Disturbance, Mood
from tests.twilio_server import Reply, TwilioServer

KEY = "a-key-of-the-chaos-run-0000000000001"
WORKSPACE = "ws_chaos"
SENDER = "+19876543210"
TIMEOUT_S = 1.0
LATENCY_S = 0.2

REPLIES = {
    "429, come back later": Reply(status=429, code=20429, retry_after=2),
    "429": Reply(status=429, code=20429),
    "500 after acceptance": Reply(status=500, accept=True),
    "500 without acceptance": Reply(status=500, accept=False),
    "time-out after acceptance": Reply(accept=True, delay_s=TIMEOUT_S + 0.5),
    "reset after acceptance": Reply(accept=True, reset=True),
    "reset without acceptance": Reply(accept=False, reset=True),
    "half an answer after acceptance": Reply(accept=True, truncate=True),
}


class SpareScheduler:
    """A second ``python -m jobs.scheduler`` beside the supervised one."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> list[int]:
        """Its process, if it runs."""
        return [self._process.pid] if self._process is not None and self._process.poll() is None else []

    def tend(self) -> None:
        """Start it if it does not run."""
        if self.pids:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobs.scheduler"], env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@dataclass
class Installation:
    """Two workers, two schedulers, a web process, and everything that can happen to them."""

    bellhop: RunningBellhop
    twilio: TwilioServer
    database: Database
    spare: SpareScheduler
    redis_url: str
    closing: threading.Event = field(default_factory=threading.Event)

    def disturb(self, planned: Disturbance) -> str:
        """Do what is planned, to its end; returns what it was done to."""
        what, _, target = planned.kind.partition(" ")
        act: Callable[[str, Disturbance], str] = getattr(self, f"_{what}")
        return act(target, planned)

    def _kill(self, target: str, planned: Disturbance) -> str:
        pid = self._one(target, planned.which)
        with suppress(ProcessLookupError):  # it was killed already, and is not noticed to be gone yet
            os.kill(pid, signal.SIGKILL)
        return f"pid {pid}"

    def _freeze(self, target: str, planned: Disturbance) -> str:
        pid = self._one(target, planned.which)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.closing.wait(planned.seconds)
            os.kill(pid, signal.SIGCONT)
        return f"pid {pid} for {planned.seconds:.1f} s"

    def _flush(self, _target: str, _planned: Disturbance) -> str:
        with redis.Redis.from_url(self.redis_url, socket_timeout=5) as client:
            try:
                client.flushall()
            except redis.RedisError:
                return "it was away"
        return "done"

    def _restart(self, _target: str, planned: Disturbance) -> str:
        hard = planned.which < 0.5
        self.database.restart(planned.seconds, hard)
        return f"{'hard' if hard else 'orderly'}, away for {planned.seconds:.1f} s"

    def _one(self, kind: str, which: float) -> int:
        """One process of a kind; of web also gunicorn's own workers."""

        def look() -> list[int]:
            family = {process.pid for process in self.bellhop.members() if KINDS[kind] in process.command}
            return sorted(family | set(self.spare.pids if kind == "scheduler" else []))

        found = wait_until(look, 20, f"a {kind}")
        return found[int(which * len(found))]

    def be_in_mood(self, mood: Mood) -> None:
        """The provider's next answers."""
        self.twilio.script(*[REPLIES[mood.kind]] * mood.count)
        # Reports prove what an answer did not say. A provider's own service for them has its moods too.
        self.twilio.auto_statuses = ("sent", "delivered") if mood.count % 2 else ()

    def tend(self) -> None:
        """What a supervisor of the spare scheduler would do."""
        self.spare.tend()

    def calm(self) -> None:
        """No more disturbances: the provider answers, and everybody is up."""
        self.twilio.forget_scripts()
        self.closing.set()
        self.spare.tend()


@contextmanager
def installation(kind: str, folder: Path, **changes: str) -> Iterator[Installation]:
    """A running one on a fresh database of this kind; ``changes`` are to its environment."""
    with ExitStack() as resources:
        twilio = resources.enter_context(TwilioServer())
        twilio.default_delay_s = LATENCY_S
        store = resources.enter_context(database(kind, folder))
        environment = {
            "DATABASE_URL": store.url,
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
            "TWILIO_API_BASE_URL": twilio.url,
            "TWILIO_TIMEOUT_S": f"{TIMEOUT_S:g}",
            "TWILIO_FROM_NUMBER": SENDER,
            "SENDER_RATE": "0",
            "PHONE_STRICTNESS": "e164",
            "AUTH_REQUIRED": "1",
            "API_KEY_BOOTSTRAP": f"{WORKSPACE}:{KEY}",
            "RATE_LIMIT": "0",
            "WORKERS": "2",
            "LOG_FORMAT": "json",
            **changes,
        }
        bellhop = resources.enter_context(RunningBellhop(folder / "var", environment))
        redis_url = bellhop.redis_url
        spare = SpareScheduler(bellhop.env | {"REDIS_URL": redis_url}, bellhop.log)
        resources.callback(spare.stop)
        made = Installation(bellhop, twilio, store, spare, redis_url)
        resources.callback(made.closing.set)
        made.tend()
        yield made
