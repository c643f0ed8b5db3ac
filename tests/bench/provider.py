"""A provider that answers like Twilio after a fixed latency, cheap enough not to be what is measured.

Runs as a process of its own: ``python -m tests.bench.provider PORT LATENCY_MS``. A GET of ``/arrivals`` gives when each
message came and what its text was, and forgets them.
"""

import asyncio
import contextlib
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote_plus

from tests.stores import free_port

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "the-token-of-the-benchmark"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:\s*(\d+)")
_BODY = re.compile(rb"(?:^|&)Body=([^&]*)")


class _Connection(asyncio.Protocol):
    arrivals: list[tuple[float, str]] = []
    latency_s = 0.05

    def __init__(self) -> None:
        self._pending = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at = time.time()
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._pending) < total:
                return
            body, self._pending = self._pending[end + 4 : total], self._pending[total:]
            if head.startswith(b"POST"):
                text = _BODY.search(body)
                self.arrivals.append((at, unquote_plus(text[1].decode()) if text else ""))
                asyncio.get_running_loop().call_later(self.latency_s, self._created, len(self.arrivals), at)
            else:
                said = json.dumps(self.arrivals).encode()
                self.arrivals.clear()
                self._answer(b"200 OK", said)

    def _created(self, number: int, at: float) -> None:
        sid = f"SM{number:08x}{int(at * 1e6):024x}"
        body = (
            f'{{"sid":"{sid}","status":"queued","to":"+15005550006","from":"+15005550006","body":"","num_segments":"1",'
            '"direction":"outbound-api","date_created":null,"date_sent":null,"date_updated":null,"error_code":null,'
            f'"error_message":null,"account_sid":"{ACCOUNT_SID}","api_version":"2010-04-01","price":null,'
            '"price_unit":"USD","num_media":"0","messaging_service_sid":null,"uri":"","subresource_uris":{}}'
        )
        self._answer(b"201 Created", body.encode())

    def _answer(self, status: bytes, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


@dataclass(frozen=True)
class BenchProvider:
    """The provider as the benchmark sees it."""

    port: int
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process send through it."""
        return {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{self.port}",
        }

    def arrivals(self) -> list[tuple[float, str]]:
        """When each message came since the last call (seconds since 1970), and its text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/arrivals")
            return [(at, text) for at, text in json.loads(connection.getresponse().read())]


@contextmanager
def bench_provider(latency_ms: int = 50) -> Iterator[BenchProvider]:
    """A running provider."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.provider", str(port), str(latency_ms)]
    process = subprocess.Popen(command)
    try:
        provider = BenchProvider(port, process.pid)
        for _ in range(200):
            try:
                provider.arrivals()
                break
            except OSError:
                time.sleep(0.02)
        yield provider
    finally:
        process.terminate()
        process.wait(timeout=10)


if __name__ == "__main__":
    _Connection.latency_s = int(sys.argv[2]) / 1000
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
