"""gunicorn under load: started, waited for, its CPU time read, stopped."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stores import free_port

START_WITHIN_S = 30.0
THREADS = 8
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A running gunicorn on 127.0.0.1."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU time of the master and its workers so far, in seconds (from /proc, so Linux only)."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(cpu_s(int(pid)) for pid in (self.pid, *children))


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S  # utime and stime, proc(5)


@contextmanager
def serve(app: str, environ: Mapping[str, str], options: Sequence[str] = (), *, workers: int = 2) -> Iterator[Server]:
    """Serve a WSGI application for the length of a block. With ``options`` of its own nothing is set for it but the
    address.
    """
    port = free_port()
    usual = [
        "--worker-class",
        "gthread",
        "--threads",
        str(THREADS),
        "--workers",
        str(workers),
        "--log-level",
        "warning",
    ]
    command = [sys.executable, "-m", "gunicorn", *(options or usual), "--bind", f"127.0.0.1:{port}", app]
    process = subprocess.Popen(command, env={**os.environ, **environ, "PORT": str(port)})
    try:
        _wait_for(port, process)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(int(START_WITHIN_S / 0.05)):
        if process.poll() is not None:
            raise RuntimeError(f"gunicorn ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                # The master listens before its workers can answer.
                probe.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                probe.settimeout(START_WITHIN_S)
                if probe.recv(16):
                    time.sleep(0.5)  # the other worker, too
                    return
        except ConnectionError:
            pass
        time.sleep(0.05)
    raise TimeoutError("gunicorn did not start")
