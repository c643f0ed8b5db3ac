"""Databases that a chaos run may hurt: a PostgreSQL cluster of its own, or one on the machine's, or a SQLite file."""

import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests import stores

START_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
NAME = "bellhop_chaos"


@dataclass(frozen=True)
class Database:
    """A database; ``restart`` takes it away for so many seconds, as a crash would (True) or in an orderly way."""

    url: str
    what: str
    """What a restart is here, in words for the report."""
    restart: Callable[[float, bool], None]


def database(kind: str, folder: Path) -> AbstractContextManager[Database]:
    """A fresh one: ``sqlite`` below the folder, or ``postgresql``."""
    if kind == "sqlite":
        return _sqlite(folder / "bellhop.db")
    binaries, user = _binaries(), _unprivileged()
    return _cluster(binaries, user) if binaries and user else _machine_s()


@contextmanager
def _sqlite(path: Path) -> Iterator[Database]:
    def restart(seconds: float, _hard: bool) -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            holder.execute("ROLLBACK")

    yield Database(f"sqlite:///{path}", "SQLite's write lock is held by somebody else", restart)


@contextmanager
def _machine_s() -> Iterator[Database]:
    """Where no cluster can be made: all connections are cut again and again instead."""

    def restart(seconds: float, _hard: bool) -> None:
        ends = time.monotonic() + seconds
        with closing(psycopg.connect(stores.POSTGRES_URL, autocommit=True)) as admin:
            while time.monotonic() < ends:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                time.sleep(0.1)

    name = f"{NAME}_{os.getpid()}"
    with stores.postgres_database(name) as url:
        yield Database(url, "all connections to PostgreSQL are cut (no cluster of its own could be made)", restart)


@contextmanager
def _cluster(binaries: Path, user: str) -> Iterator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="bellhop-chaos-pg-"))
    server = _Cluster(binaries, user, folder)
    try:
        server.create()
        yield Database(server.url, "a PostgreSQL cluster of its own is stopped and started", server.restart)
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


class _Cluster:
    """One server process on a free port; initdb and it refuse to run as root."""

    def __init__(self, binaries: Path, user: str, folder: Path) -> None:
        self._binaries, self._folder, self._port = binaries, folder, stores.free_port()
        self._owner = None if os.geteuid() else pwd.getpwnam(user)
        self._process: subprocess.Popen[bytes] | None = None
        self._restarting = threading.Lock()
        self._base = f"postgresql://postgres@127.0.0.1:{self._port}"
        self.url = f"{self._base}/{NAME}"
        if self._owner:
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)

    def create(self) -> None:
        made = self._begin("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        if made.wait(START_WITHIN_S):
            raise RuntimeError(f"initdb failed: {(self._folder / 'log').read_text()[-500:]}")
        self.start()
        with closing(psycopg.connect(f"{self._base}/postgres", autocommit=True)) as admin:
            admin.execute(f"CREATE DATABASE {NAME}")

    def start(self) -> None:
        where = ("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}")
        self._process = self._begin("postgres", "-p", str(self._port), *where)
        ends = time.monotonic() + START_WITHIN_S
        while not self._answers():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self._base}/postgres", connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _begin(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._binaries / program, "-D", self._folder / "data", *arguments],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._owner.pw_uid if self._owner else None,
                group=self._owner.pw_gid if self._owner else None,
                extra_groups=[] if self._owner else None,
            )

    def stop(self, how: signal.Signals) -> None:
        """SIGQUIT: at once and without a checkpoint, so that the next start recovers as after a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_WITHIN_S)
        self._process = None

    def restart(self, seconds: float, hard: bool) -> None:
        with self._restarting:
            self.stop(signal.SIGQUIT if hard else signal.SIGINT)
            time.sleep(seconds)
            self.start()


def _binaries() -> Path | None:
    """The folder of the newest initdb and postgres of this machine."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


def _unprivileged() -> str | None:
    """Who may run the cluster: ourselves, or, where we are root, somebody who is not."""
    if os.geteuid():
        return pwd.getpwuid(os.geteuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)
