"""One HTTP exchange with a provider, and the exact phase in which it failed.

Whether a request *left* decides whether it may be repeated, so that question is answered here by construction
and not by reading exception types: whatever goes wrong while connecting is `NotSent`, whatever goes wrong
later is `NoAnswer`.

Every exchange has one deadline, headers and body included: each wait for the socket gets only what is left of it,
so a server that sends a byte now and then cannot hold a thread. Nothing is ever retried or redirected at this level.

Straight on the socket, with a parser in C: one send, one or two reads. A general client costs more processor time for
each message than everything else that a worker does for it (`./run bench` has the figures).
"""

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import certifi
import httptools

MAX_BODY = 4 * 1024 * 1024
"""A page of 100 messages has at most about 1 MB; more than this is not an answer to anything we ask."""

_CONNECT_SHARE = 0.6
_IDLE_S = 50.0
"""Load balancers drop connections that were idle for 60 s or more, and a request on one that was dropped
without our knowledge ends ambiguously."""
_CHUNK = 65_536
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


class NotSent(Exception):
    """The request did not leave: no connection. The text says why and holds no address of a person."""


class NoAnswer(Exception):
    """The request left and no whole answer came: it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; names of headers are in lower case. ``whole`` is False where the status came, but not the body or
    not all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class _Connection:
    """A socket, and what is left of the present exchange."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._used_at = time.monotonic()
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def is_usable(self) -> bool:
        """Whether a request may be trusted to it: used lately, not closed by the other side, nothing left unread."""
        return time.monotonic() - self._used_at < _IDLE_S and not self._readable.poll(0)

    def exchange(self, request: bytes, ends: float) -> "_Parser":
        """Send a request and read its answer, whole or not.

        Raises:
            OSError, ssl.SSLError: not even a status came.
        """
        self.sock.settimeout(_left(ends))
        self.sock.sendall(request)
        answer = _Parser()
        try:
            while not answer.complete:
                self.sock.settimeout(_left(ends))
                answer.feed(self.sock.recv(_CHUNK))
        except (OSError, httptools.HttpParserError):
            if not answer.status:
                raise
            answer.keep_alive = False
        self._used_at = time.monotonic()
        return answer

    def close(self) -> None:
        """Close the socket; nobody waits for its farewell."""
        self.sock.close()


class _Parser:
    """Collects one answer from the pieces that the socket yields."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.keep_alive = False
        self._body: list[bytes] = []
        self._size = 0
        self._parser = httptools.HttpResponseParser(self)

    @property
    def body(self) -> bytes:
        """What there is of the body."""
        return b"".join(self._body)

    def feed(self, data: bytes) -> None:
        """Take the next piece; an empty one is the end of the stream.

        Raises:
            OSError: the stream ended, or the body is too large. httptools.HttpParserError: this is not HTTP.
        """
        self._size += len(data)
        if data:
            self._parser.feed_data(data)
        elif self.status and not {"content-length", "transfer-encoding"} & self.headers.keys():
            self.complete = True  # without a length the end of the stream is the end of the body (RFC 9112, 6.3)
        else:
            raise ConnectionResetError("the connection was closed without an answer")
        if self._size > MAX_BODY:
            self.complete = False
            raise OSError("the answer is too large")

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A second answer, which nobody asked for, ends the connection."""
        self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self.complete:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Before the body; 1xx are no answers yet."""
        status = self._parser.get_status_code()
        if status < 200 and not self.complete:
            self.headers = {}
        elif not self.complete:
            self.status = status

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The end of the body, or of a 1xx."""
        if self.status and not self.complete:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()


class Transport:
    """Connections to one host, kept and used again. Safe for threads; make one in each process, after forking."""

    def __init__(self, base_url: str, *, timeout_s: float, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._tls = tls_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._timeout_s = timeout_s
        lines = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        # The one that was used last is the likeliest to be alive still. Appending and popping need no lock.
        self._idle: deque[_Connection] = deque()

    def request(
        self,
        method: str,
        target: str,
        *,
        form: str | None = None,
        json: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange; ``target`` is a path with its query on our host. ``form`` and ``json``, of which there is at
        most one, are written in ASCII.

        Raises:
            NotSent: the request did not leave.
            NoAnswer: it left, and not even a status came back.
        """
        ends = time.monotonic() + self._timeout_s
        body = ""
        head = f"{method} {target} HTTP/1.1\r\n{self._head}"
        for kind, text in ((_FORM, form), (_JSON, json)):
            if text is not None:
                body = text
                head += f"Content-Type: {kind}\r\nContent-Length: {len(text)}\r\n"
        if headers:
            head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection = self._kept() or _Connection(self._connect())
        try:
            answer = connection.exchange(f"{head}\r\n{body}".encode("ascii"), ends)
        except (OSError, httptools.HttpParserError) as error:
            connection.close()
            raise NoAnswer(why(error)) from error
        if answer.keep_alive:
            self._idle.append(connection)
        else:
            connection.close()
        whole = answer.complete
        return Answer(answer.status, answer.headers, answer.body if whole else b"", whole)

    def close(self) -> None:
        """Close the connections that nobody is using."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()

    def _connect(self) -> socket.socket:
        allowed = self._timeout_s * _CONNECT_SHARE
        ends = time.monotonic() + allowed
        try:
            sock = self._first_that_answers(ends)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock.settimeout(_left(ends))
                    sock = self._tls.wrap_socket(sock, server_hostname=self._host)
                # A slow name server, for instance, which no time-out of a socket covers. Whoever called us may
                # have been given up already: what has not left by now must not leave.
                _left(ends)
            except BaseException:  # an interrupt leaves no socket behind either
                sock.close()
                raise
        except TimeoutError as error:
            raise NotSent(f"no answer in time, connecting may take {allowed:.1f} s") from error
        except (OSError, UnicodeError) as error:
            raise NotSent(why(error)) from error
        return sock

    def _first_that_answers(self, ends: float) -> socket.socket:
        addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        problem: OSError = OSError("the host has no address")
        for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
            sock = socket.socket(family, kind, protocol)
            try:
                # All addresses together get the time of one.
                sock.settimeout(max((ends - time.monotonic()) / left, 0.001))
                sock.connect(address)
            except OSError as error:
                sock.close()
                problem = error
            else:
                return sock
        raise problem


def _left(ends: float) -> float:
    """Seconds until an instant of the monotonic clock.

    Raises:
        TimeoutError: it has passed.
    """
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of the exchange is over")
    return left


def tls_context() -> ssl.SSLContext:
    """What a certificate is checked with."""
    # The system's trust store first (a company's own authority), certifi's for systems that have none.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def why(error: BaseException) -> str:
    """A sentence about a network error that names no address and holds nothing of the request."""
    if isinstance(error, socket.gaierror):
        return "the host name did not resolve"
    if isinstance(error, ssl.SSLError):
        return f"the TLS connection failed ({error.reason or 'unknown reason'})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, httptools.HttpParserError):
        return "the answer is not HTTP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "the connection was closed without an answer"
