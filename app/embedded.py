"""``python -m app.embedded``: all of Bellhop on one machine, as ``./run`` starts it.

Checks that it can work, provides a Redis where none is configured, brings the database up to date, and then
keeps web, worker and scheduler running until it is told to stop.
"""

import fcntl
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from app.database import engine_options
from app.embedded_processes import SHIELDED_TO_THE_LAST, Child, Signals, StartError, say, spawn
from app.embedded_redis import EmbeddedRedis, problem_with
from app.embedded_welcome import Welcome
from app.errors import SettingsError
from app.settings import Settings, load

# Together below the 35 s within which everything is down.
DRAIN_S = 28.0
REDIS_STOP_S = 2.0
OUTPUT_LINES = 20


def main() -> int:
    """Run until stopped; the exit code is 0 after a stop, 1 where we cannot start, 2 for wrong settings."""
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    signals = Signals()
    # What we write holds texts and phone numbers: it is for our own user only.
    os.umask(0o077)
    try:
        with exclusive_use(settings.var_dir):
            check_port(settings)
            Supervisor(settings, signals).run()
    except StartError as error:
        if not signals.stop_requested:
            print(error, file=sys.stderr)
            return 1
    return 0


def load_settings() -> Settings:
    """The settings; where only this machine can reach us, keys are needed only if somebody asked for that."""
    settings = load()
    if settings.is_local and "auth_required" not in settings.model_fields_set:
        return load(auth_required=False)
    return settings


@contextmanager
def exclusive_use(var_dir: Path) -> Iterator[None]:
    """Hold ``VAR_DIR`` for this supervisor: two on the same database file and Redis folder would fight."""
    path = var_dir / "run.lock"
    try:
        var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise StartError(
            f"VAR_DIR: {var_dir} cannot be written to ({error.strerror}); set it to a folder of yours"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"VAR_DIR: Bellhop is already running on {var_dir}; stop that one first, "
                "or set VAR_DIR and PORT to start another"
            ) from error
        yield


def check_port(settings: Settings) -> None:
    """Find out now, and in one line, what the web process would only say after many retries.

    Raises:
        StartError: where we cannot listen.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise StartError(
            f"PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            f"set PORT to a free one (like PORT={settings.port % 65535 + 1}), or HOST to an address of ours"
        ) from error


def database_problem(settings: Settings) -> str:
    """Why the database cannot be used, in one line; empty where it answers. Never repeats the URL's password."""
    engine = create_engine(settings.database_url, **engine_options(settings.database_url))
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        where = engine.url.render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return f"DATABASE_URL: cannot open {where}: {reason}"
    finally:
        engine.dispose()
    return ""


def service_modules(workers: int) -> dict[str, list[str]]:
    """What runs, by name: Python modules with their arguments, the same ones that the Procfile names."""
    return {
        "web": ["gunicorn", "-c", "python:app.gunicorn_config", "app.wsgi:app"],
        **{f"worker {number}": ["jobs.worker"] for number in range(1, workers + 1)},
        "scheduler": ["jobs.scheduler"],
    }


class Supervisor:
    """Prepares the stores, then keeps the processes running."""

    def __init__(self, settings: Settings, signals: Signals) -> None:
        self._settings = settings
        self._signals = signals
        self._server: EmbeddedRedis | None = None
        self._redis: list[Child] = []
        self._services: list[Child] = []
        self._environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "AUTH_REQUIRED": "1" if settings.auth_required else "0",
        }

    def run(self) -> None:
        """Start everything and stay until a stop is requested.

        Raises:
            StartError: where the stores cannot be made ready.
        """
        try:
            if problem := database_problem(self._settings):
                raise StartError(problem)
            self._provide_redis()
            self._once("Updating the database", "db", "upgrade")
            first_login = self._once("Creating the first login", "bootstrap")
            self._services = [
                Child(name, [sys.executable, "-m", *module], self._environment)
                for name, module in service_modules(self._settings.workers).items()
            ]
            self._supervise(Welcome(self._settings, first_login))
        finally:
            self._stop()

    def _provide_redis(self) -> None:
        if self._settings.redis_url:
            if problem := problem_with(self._settings.redis_url):
                raise StartError(problem)
            return
        try:
            self._start_redis()
        except StartError as error:
            if self._signals.stop_requested or self._server is None:
                raise
            for child in self._redis:
                child.kill()
            say(
                f"{error}\nIts data is moved to {self._server.set_aside()}; SQL holds every message, so nothing is lost"
            )
            self._start_redis()

    def _start_redis(self) -> None:
        server = self._server = EmbeddedRedis(self._settings.var_dir / "redis")
        self._environment["REDIS_URL"] = server.url
        child = Child("redis", server.command, self._environment, SHIELDED_TO_THE_LAST)
        self._redis = [child]
        child.tend()
        server.wait(lambda: child.alive and not self._signals.stop_requested)

    def _once(self, what: str, *command: str) -> str:
        """Run one of ``flask``'s commands to its end, even if a stop is asked for; answer what it printed."""
        if self._signals.stop_requested:
            return ""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            flask = [sys.executable, "-m", "flask", "--app", "app.wsgi"]
            process = spawn([*flask, *command], self._environment, stdout=output, stderr=errors)
            give_up = float("inf")
            while process.poll() is None:
                if self._signals.stop_requested:
                    give_up = min(give_up, time.monotonic() + DRAIN_S)
                if time.monotonic() >= give_up:
                    process.kill()
                self._signals.wait(1.0)
            output.seek(0)
            errors.seek(0)
            if process.returncode:
                lines = errors.read().decode(errors="replace").splitlines()[-OUTPUT_LINES:]
                raise StartError("\n".join([*lines, f"{what} failed; the lines above say why."]))
            return output.read().decode(errors="replace")

    def _supervise(self, welcome: Welcome) -> None:
        while not self._signals.stop_requested:
            pauses = [child.tend() for child in (*self._redis, *self._services)]
            pauses.append(welcome.poll())
            self._signals.wait(min((pause for pause in pauses if pause is not None), default=None))

    def _stop(self) -> None:
        """Let the services finish their work while Redis is there, then stop Redis."""
        if self._services:
            say("Stopping: messages that are being sent are finished first")
        for child in self._services:
            child.terminate()
        self._await_end(self._services, DRAIN_S)
        if self._server:
            self._server.shut_down()
        self._await_end(self._redis, REDIS_STOP_S)

    def _await_end(self, children: list[Child], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while any(child.alive for child in children) and time.monotonic() < deadline:
            self._signals.wait(max(0.0, deadline - time.monotonic()))
        for child in children:
            child.kill()


if __name__ == "__main__":
    sys.exit(main())
