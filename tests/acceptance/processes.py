"""Bellhop as its users run it, real processes and all, for the acceptance tests.

The only place in the tests that waits for time to pass: what is waited for is always named, and bounded.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN_S = 60.0
STOP_WITHIN_S = 35.0
POLL_S = 0.05

# How each kind of process is recognised by its command line.
KINDS = {
    "web": "app.wsgi:app",
    "worker": "jobs.worker",
    "scheduler": "jobs.scheduler",
    "redis": "-server 127.0.0.1:",
}

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found], timeout: float = 10.0, what: str = "") -> Found:
    """Look again and again until there is something true to see, and return that.

    Raises:
        AssertionError: when the time is up.
    """
    deadline = time.monotonic() + timeout
    while not (found := look()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or getattr(look, '__name__', look)}")
        time.sleep(POLL_S)
    return found


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Process:
    """A line of the system's process table."""

    pid: int
    parent: int
    group: int
    command: str


def running_processes() -> list[Process]:
    """All processes of this machine that are not dead yet."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,args="], capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 4) for line in listing.stdout.splitlines()]
        return [
            Process(int(pid), int(parent), int(group), args)
            for pid, parent, group, state, args in rows
            if "Z" not in state
        ]
    return [process for entry in Path("/proc").glob("[0-9]*") if (process := _from_proc(entry))]


def _from_proc(entry: Path) -> Process | None:
    try:
        # The second field is the name in brackets, which may itself contain blanks and brackets.
        state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else Process(int(entry.name), int(parent), int(group), command)


@dataclass(frozen=True)
class Answer:
    """What the service answered; ``body`` is decoded where it is JSON."""

    status: int
    body: Any


class RunningBellhop:
    """One installation with a folder and a port of its own.

    The environment is empty but for ``env`` and the bare necessities, and no ``.env`` file is read, so that
    what is set on the developer's machine changes nothing. A second instance on the same ``var_dir`` goes on
    with the data of the first.
    """

    def __init__(self, var_dir: Path, env: Mapping[str, str] | None = None, port: int | None = None) -> None:
        self.var_dir = var_dir
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(var_dir.parent),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "VAR_DIR": str(var_dir),
            **(env or {}),
        }
        self.log = var_dir.parent / f"{var_dir.name}.{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clean_up()

    def launch(self) -> Self:
        """Start the supervisor, as the leader of a new process group, and return at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.embedded"],
                cwd=self.var_dir.parent,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def start(self) -> Self:
        """Start and wait until the service says that it is ready.

        Raises:
            AssertionError: with all that was printed, where it does not get there.
        """
        before = self.output.count("Bellhop is ready")
        self.launch()
        try:
            wait_until(
                lambda: self.output.count("Bellhop is ready") > before or self._leader.poll() is not None,
                START_WITHIN_S,
                "Bellhop is ready",
            )
            assert self._leader.poll() is None, "Bellhop stopped while starting"
        except AssertionError as error:
            self.clean_up()
            raise AssertionError(f"{error}\n{self.output}") from None
        return self

    def run_to_end(self, timeout: float = STOP_WITHIN_S) -> int:
        """Start where starting must fail (or the caller has seen to the end); the exit code."""
        self.launch()
        try:
            return self._leader.wait(timeout)
        finally:
            self.clean_up()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self._leader.pid, number)

    def stop(self, number: signal.Signals = signal.SIGINT, timeout: float = STOP_WITHIN_S) -> int:
        """Stop as a user would, by a signal to the supervisor alone; the exit code."""
        self._leader.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = STOP_WITHIN_S) -> int:
        """Wait for the supervisor's end; its exit code."""
        return self._leader.wait(timeout)

    def kill(self, kind: str) -> int:
        """``kill -9`` one child of a kind (see ``KINDS``); the pid that it had."""
        pid = wait_until(lambda: self.pids(kind), what=f"a {kind} to kill")[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_supervisor(self) -> None:
        """``kill -9`` the supervisor alone."""
        self._leader.kill()
        self._leader.wait()

    def pids(self, kind: str) -> list[int]:
        """The supervisor's own children of a kind; not what these have started in turn."""
        return [
            process.pid
            for process in running_processes()
            if process.parent == self._leader.pid and KINDS[kind] in process.command
        ]

    def members(self) -> list[Process]:
        """Everything alive that belongs to us, orphans included: nothing may leave our process group."""
        return [process for process in running_processes() if process.group == self._leader.pid]

    def clean_up(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for process in self.members():
            os.kill(process.pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        """All that this installation has printed so far, over every start."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def redis_url(self) -> str:
        """Where the embedded Redis listens."""
        found = [
            re.search(r"-server (127\.0\.0\.1:\d+)", process.command)
            for process in running_processes()
            if process.parent == self._leader.pid
        ]
        return next(f"redis://{match[1]}/0" for match in found if match)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Answer:
        """One HTTP request; a ``body`` is sent as JSON.

        Raises:
            OSError: where nothing answers.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            text = response.read().decode()
            is_json = "json" in response.headers.get_content_type()
            return Answer(response.status, json.loads(text) if is_json else text)
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        """Whether a GET gets 200."""
        try:
            return self.request("GET", path).status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    @property
    def _leader(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process
