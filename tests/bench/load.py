"""A load generator in a process of its own: some keep-alive connections that each send one request after the other.

``python -m tests.bench.load PORT CONNECTIONS SECONDS < request`` sends the bytes of ``request`` again and again and
prints one line of JSON (see `Load`). It ends when every request has its answer, so that its counts can be compared
with the rows in the database.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

WARM_UP_S = 1.0
ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it. ``accepted`` (2xx) and ``refused`` count all answers; the rate leaves the warm-up out."""

    accepted: int
    refused: int
    per_second: float
    """2xx answers a second."""
    p50_ms: float
    p99_ms: float


class _Connection:
    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._answer = b""
        self._whole = 0
        self.sent_at = 0.0

    def send(self) -> None:
        self._answer, self._whole = b"", 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> bool | None:
        """Take what has come: None while there is more to come, then whether the answer is a 2xx."""
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise ConnectionError("the server closed a connection")
        self._answer += piece
        if not self._whole:
            head, found, _ = self._answer.partition(b"\r\n\r\n")
            if not found:
                return None
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._whole = len(head) + 4 + int(length)
        return self._answer[9:10] == b"2" if len(self._answer) >= self._whole else None


def run(port: int, connections: int, seconds: float, request: bytes) -> Load:
    """Keep the server busy for some seconds, after a second of warm-up."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = _Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    begin = time.perf_counter() + WARM_UP_S
    end = begin + seconds
    waiting, counts, latencies = connections, [0, 0], []
    while waiting:
        ready = selector.select(ANSWER_WITHIN_S)
        if not ready:
            raise TimeoutError("no answer")
        for key, _ in ready:
            connection = key.data
            good = connection.read()
            if good is None:
                continue
            now = time.perf_counter()
            counts[good] += 1
            if good and begin <= now < end:
                latencies.append(now - connection.sent_at)
            if now < end:
                connection.send()
            else:
                selector.unregister(connection.socket)
                waiting -= 1
    latencies.sort()
    return Load(
        accepted=counts[True],
        refused=counts[False],
        per_second=len(latencies) / seconds,
        p50_ms=_quantile(latencies, 0.5) * 1000,
        p99_ms=_quantile(latencies, 0.99) * 1000,
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def in_a_process(port: int, connections: int, seconds: float, request: bytes) -> Load:
    """`run` in a process of its own, so that it does not share an interpreter with what it measures."""
    command = [sys.executable, "-m", "tests.bench.load", str(port), str(connections), str(seconds)]
    done = subprocess.run(command, input=request, stdout=subprocess.PIPE, check=True, timeout=seconds + 60)
    return Load(**json.loads(done.stdout))


def post(path: str, body: object, **headers: str) -> bytes:
    """A POST of JSON as it goes over the wire."""
    data = json.dumps(body).encode()
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{given}"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


if __name__ == "__main__":
    _port, _connections, _seconds = sys.argv[1:4]
    print(json.dumps(asdict(run(int(_port), int(_connections), float(_seconds), sys.stdin.buffer.read()))))
