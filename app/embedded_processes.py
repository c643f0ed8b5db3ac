"""Processes that a supervisor keeps running: signals, children that come back, and an end without orphans."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from app.errors import BellhopError

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
STEADY_AFTER_S = 10.0
PR_SET_PDEATHSIG = 1

# Ctrl-C and a closing terminal reach every process of the group at once. Only the supervisor may act on them,
# or a worker would be cut short by the second Ctrl-C of an impatient hand.
SHIELDED = frozenset({signal.SIGINT, signal.SIGHUP})
# Service managers send SIGTERM to the whole group too. What others need until their end must not hear that.
SHIELDED_TO_THE_LAST = SHIELDED | {signal.SIGTERM}


class StartError(BellhopError):
    """Bellhop cannot start here; the message tells the person at the terminal what to do."""


def say(text: str) -> None:
    """Write lines for the operator; a terminal that was closed must not break a shutdown."""
    try:
        os.write(sys.stdout.fileno(), f"{text}\n".encode())
    except OSError:
        return


class Signals:
    """Turns signals into a flag and a wake-up, so that the main loop alone decides what to do."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._wake_up, writer = os.pipe()
        os.set_blocking(self._wake_up, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGINT, self._request_stop)
        signal.signal(signal.SIGTERM, self._request_stop)
        # nohup asks for SIGHUP to be ignored, and means it.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._request_stop)

    def wait(self, seconds: float | None) -> None:
        """Sleep until a signal arrives (a child that died is one) or the time is up."""
        if select.select([self._wake_up], [], [], seconds)[0]:
            os.read(self._wake_up, 4096)

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requested = True


class Child:
    """A process that has to run: it is started again, with growing pauses, whenever it ends."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        shielded: frozenset[signal.Signals] = SHIELDED,
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._shielded = shielded
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._delay = FIRST_DELAY_S
        self._due: float | None = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process runs now."""
        return self._process is not None and self._process.poll() is None

    def tend(self) -> float | None:
        """Start the process if it is due; answer the seconds until it will be, None while it runs."""
        now = time.monotonic()
        if self._due is None and not self.alive:
            self._note_death(now)
        if self._due is not None and self._due <= now:
            self._start(now)
        return None if self._due is None else self._due - now

    def terminate(self) -> None:
        """Ask the process to finish what it is doing and leave."""
        if self._process is not None and self.alive:
            self._process.terminate()

    def kill(self) -> None:
        """End the process and whatever it started, without asking."""
        if self._process is not None and self.alive:
            family = _descendants(self._process.pid)
            self._process.kill()
            self._process.wait()
            for pid in family:
                _kill(pid)

    def _start(self, now: float) -> None:
        try:
            self._process = spawn(self._command, self._environment, self._shielded)
        except OSError as error:
            self._postpone(now, f"cannot be started ({error})")
        else:
            self._started_at, self._due = now, None

    def _note_death(self, now: float) -> None:
        if now - self._started_at >= STEADY_AFTER_S:
            self._delay = FIRST_DELAY_S
        code = self._process.returncode if self._process else 0
        verdict = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self._postpone(now, f"stopped ({verdict})")

    def _postpone(self, now: float, why: str) -> None:
        say(f"{self.name} {why}; starting it again in {self._delay:g} s")
        self._due = now + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY_S)


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    shielded: frozenset[signal.Signals] = SHIELDED,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in our group that is deaf to ``shielded`` and does not outlive us."""
    return subprocess.Popen(  # noqa: S603 - our own commands, no shell
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=_between_fork_and_exec(shielded),
    )


def _between_fork_and_exec(shielded: frozenset[signal.Signals]) -> Callable[[], None]:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    supervisor = os.getpid()

    def prepare() -> None:
        # A blocked signal stays blocked across exec, and no program that we start unblocks it. Ignoring it
        # would not do: each of them installs handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, shielded)
        if libc:
            # If the supervisor is killed outright, the kernel takes its children along. Not by SIGTERM: a
            # worker that drains while its Redis is gone may never end. The next start finds what was in
            # flight.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != supervisor:
                os._exit(1)

    return prepare


def _descendants(pid: int) -> list[int]:
    """The children of a process and theirs, where the system tells (Linux)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [one for child in map(int, children) for one in (child, *_descendants(child))]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
