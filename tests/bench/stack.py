"""What the measurements run on: stores of their own, processes, and what these cost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from app.database import db
from app.factory import create_app
from app.settings import Settings
from tests import stores

ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
_NUMBERS = count()


@dataclass
class Stack:
    """A Redis, a database and the environment for processes that use both."""

    redis_url: str
    database_url: str
    folder: Path
    environment: dict[str, str]
    app: Flask = field(init=False)

    def __post_init__(self) -> None:
        settings = {
            name.lower(): value for name, value in self.environment.items() if name.lower() in Settings.model_fields
        }
        self.app = create_app(Settings(_env_file=None, **settings))
        with self.app.app_context():
            upgrade()

    @property
    def redis(self) -> redis.Redis:
        """A client of the stack's Redis."""
        return redis.Redis.from_url(self.redis_url)

    def store_pids(self) -> dict[str, list[int]]:
        """The processes of the stores that work for this stack, for counting their processor time."""
        redis_pid = int(self.redis.info("server")["process_id"])
        if not self.database_url.startswith("postgresql"):
            return {"redis": [redis_pid]}
        query = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        with self.app.app_context(), db.engine.connect() as connection:
            return {"redis": [redis_pid], "sql": list(connection.scalars(query))}

    @contextmanager
    def running(self, *modules: str, **environment: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Python modules of ours as processes, until the end of the block."""
        with processes(
            [[sys.executable, "-m", *module.split()] for module in modules], self.environment | environment
        ) as started:
            yield started


@contextmanager
def stack(database: str = "postgresql", **environment: str) -> Iterator[Stack]:
    """A fresh stack on ``postgresql`` or ``sqlite``."""
    with ExitStack() as resources:
        folder = Path(resources.enter_context(TemporaryDirectory(prefix="bellhop-bench-")))
        redis_url = resources.enter_context(stores.redis_server(folder))
        url = f"sqlite:///{folder}/bellhop.db"
        if database == "postgresql":
            url = resources.enter_context(stores.postgres_database(f"bellhop_bench_{os.getpid()}_{next(_NUMBERS)}"))
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "VAR_DIR": str(folder),
            "SECRET_KEY": "benchmark",
            "LOG_LEVEL": "warning",
            "RATE_LIMIT": "0",
        }
        made = Stack(redis_url, url, folder, base | environment)
        try:
            yield made
        finally:
            with made.app.app_context():
                db.engine.dispose()


@contextmanager
def processes(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are told to stop at the end of the block, and killed where they do not."""
    started = [subprocess.Popen(command, env=dict(environment), cwd=ROOT) for command in commands]
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(timeout=35)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time of processes and of their children that have ended."""
    return sum(sum(_stat(pid)[11:15]) for pid in pids) / TICK


def _stat(pid: int) -> list[int]:
    try:
        return [
            int(word) if word.lstrip("-").isdigit() else 0
            for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ]
    except FileNotFoundError:
        return [0] * 50


def wait_for(look: Callable[[], Any], seconds: float, what: str) -> Any:
    """Look again and again until there is something true to see.

    Raises:
        TimeoutError: when the time is up.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie: nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
