"""What an installation puts up with: bytes that are not HTTP, clients that stop half-way, lost and damaged stores."""

import json
import socket
from contextlib import closing
from pathlib import Path

import pytest
import redis

from tests.acceptance.processes import RunningBellhop, wait_until

pytestmark = pytest.mark.acceptance

HEAD = b"POST /api/trigger/send-sms HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def raw(bellhop: RunningBellhop, request: bytes) -> tuple[int, dict[str, object]]:
    """The status and JSON body that these bytes are answered with."""
    with closing(socket.create_connection(("127.0.0.1", bellhop.port), timeout=20)) as client:
        client.sendall(request)
        answer = client.makefile("rb")
        status = int(answer.readline().split()[1])
        length = 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b":")
            assert name.lower() != b"content-type" or value.strip() == b"application/json"
            length = int(value) if name.lower() == b"content-length" else length
        return status, json.loads(answer.read(length))


def test_what_is_not_http_and_who_stops_half_way(tmp_path: Path) -> None:
    with RunningBellhop(tmp_path / "var") as bellhop:
        refused = {
            400: HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            414: b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            431: HEAD + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n",
        }
        for expected, request in refused.items():
            status, body = raw(bellhop, request)
            assert (status, body["success"]) == (expected, False)
        status, _ = raw(bellhop, b"GET /api/messages?to=%2B12345678901&x=\xd9\xa3 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status == 400
        assert raw(bellhop, b"GET /api/messages?workspaceId=ws_1 HTTP/1.1\r\n\r\n")[0] == 401

        half = [socket.create_connection(("127.0.0.1", bellhop.port)) for _ in range(8)]
        for client in half:
            client.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert bellhop.request("GET", "/healthz", timeout=25).status == 200
        for client in half:
            client.close()

        assert "12345678901" not in bellhop.output
        assert "Traceback" not in bellhop.output
        assert bellhop.stop() == 0


def test_lost_and_damaged_stores(tmp_path: Path) -> None:
    var = tmp_path / "var"
    with RunningBellhop(var) as bellhop:
        with redis.Redis.from_url(bellhop.redis_url) as client:
            client.flushall()
        wait_until(lambda: bellhop.answers("/readyz"), 15, "the worker makes itself known again")
        gauges = bellhop.request("GET", "/metrics").body
        assert "bellhop_queue_depth" in gauges
        assert "bellhop_oldest_due_seconds" in gauges
        assert bellhop.stop() == 0

        for file in (var / "redis" / "appendonlydir").iterdir():
            file.write_bytes(b"not what it was")
        bellhop.start()
        assert "is moved to" in bellhop.output
        assert [path.name for path in var.glob("redis.damaged-*")]
        assert {path.stat().st_mode & 0o077 for path in var.glob("bellhop.db*")} == {0}
        assert bellhop.stop() == 0


@pytest.mark.parametrize("url", ["postgresql://user:hunter2@127.0.0.1:1/x", "sqlite:////nonexistent/folder/x.db"])
def test_a_database_that_cannot_be_opened_is_one_clear_line(tmp_path: Path, url: str) -> None:
    bellhop = RunningBellhop(tmp_path / "var", {"DATABASE_URL": url})

    assert bellhop.run_to_end() == 1

    lines = [line for line in bellhop.output.splitlines() if line.strip()]
    assert len(lines) == 1, bellhop.output
    assert lines[0].startswith("DATABASE_URL: cannot open")
    assert "hunter2" not in lines[0]
