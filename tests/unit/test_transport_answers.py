"""What a server may write as an answer, byte by byte: it is read as RFC 9112 says, or it is no answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from app.channels import transport
from app.channels.transport import Answer, NoAnswer, Transport

Pieces = list[bytes]


@contextmanager
def server(*answers: Pieces, close: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """Answers the n-th request with the n-th answer, in these pieces; yields its URL and what it was sent."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            connection: socket.socket | None = None
            for pieces in answers:
                request = b""
                while b"\r\n\r\n" not in request:
                    if connection is None:
                        connection = listener.accept()[0]
                        connection.settimeout(10)
                    data = connection.recv(65536)
                    if not data:
                        connection.close()
                        connection = None
                    request += data
                requests.append(request)
                for piece in pieces:
                    connection.sendall(piece)  # type: ignore[union-attr]
                    threading.Event().wait(0.01)  # so that each arrives on its own
                if close:
                    connection.close()  # type: ignore[union-attr]
                    connection = None
            if connection:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        finally:
            thread.join(timeout=20)


def ask(url: str, times: int = 1) -> list[Answer]:
    with closing(Transport(url, timeout_s=5, headers={"User-Agent": "test"})) as http:
        return [http.request("GET", "/") for _ in range(times)]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ([OK], 200, b"hi"),
        ([bytes([byte]) for byte in OK], 200, b"hi"),
        (
            [b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nh\r\n1\r\n", b"i\r\n0\r\n\r\n"],
            201,
            b"hi",
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, b"hi"),
        ([b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" + OK], 200, b"hi"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
        ([b"HTTP/1.1 429 Too Many Requests\r\nRETRY-AFTER: 7\r\nContent-Length: 0\r\n\r\n"], 429, b""),
    ],
)
def test_an_answer_in_any_pieces(pieces: Pieces, status: int, body: bytes) -> None:
    with server(pieces) as (url, _):
        [answer] = ask(url)
    assert (answer.status, answer.body, answer.whole) == (status, body, True)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert "x" not in answer.headers


def test_without_a_length_the_end_of_the_connection_is_the_end_of_the_body() -> None:
    with server([b"HTTP/1.1 200 OK\r\n\r\nh", b"i"], close=True) as (url, _):
        [answer] = ask(url)
    assert (answer.body, answer.whole) == (b"hi", True)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"],
    ],
)
def test_half_a_body_is_not_taken_for_a_whole_one(pieces: Pieces) -> None:
    with server(pieces, close=True) as (url, _):
        [answer] = ask(url)
    assert (answer.status, answer.body, answer.whole) == (200, b"", False)


@pytest.mark.parametrize(
    "pieces", [[b""], [b"HTTP/1.1 "], [b"HTTP/1.1 200 OK\r\nContent-Le"], [b"SSH-2.0-hello\r\n\r\n"]]
)
def test_without_a_status_there_was_no_answer(pieces: Pieces) -> None:
    with server(pieces, close=True) as (url, _), pytest.raises(NoAnswer) as caught:
        ask(url)
    assert str(caught.value) in ("the connection was closed without an answer", "the answer is not HTTP")


@pytest.mark.parametrize(
    "first",
    [
        OK + OK,  # a second answer that nobody asked for
        OK + b"garbage",
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
    ],
)
def test_a_connection_whose_state_is_in_doubt_is_not_used_again(first: bytes) -> None:
    with server([first], [OK], close=True) as (url, requests):
        answers = ask(url, 2)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"hi")] * 2
    assert len(requests) == 2


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 1000)
    with server([b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000], close=True) as (url, _):
        [answer] = ask(url)
    assert (answer.whole, answer.body) == (False, b"")
    headers = b"X-More: y\r\n" * 200
    with server([b"HTTP/1.1 200 OK\r\n" + headers], close=True) as (url, _), pytest.raises(NoAnswer):
        ask(url)


def test_the_request_says_where_it_goes_and_what_it_brings() -> None:
    with (
        server([OK]) as (url, requests),
        closing(Transport(f"{url}/base", timeout_s=5, headers={"User-Agent": "test"})) as http,
    ):
        http.request("POST", "/base/x?y=1", form="To=%2B1")
    host = url.removeprefix("http://")
    head, _, body = requests[0].decode().partition("\r\n\r\n")
    assert head.split("\r\n") == [
        "POST /base/x?y=1 HTTP/1.1",
        f"Host: {host}",
        "User-Agent: test",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 7",
    ]
    assert body == "To=%2B1"
