"""One HTTP exchange with a provider, and the exact phase in which it failed.

Whether a request *left* decides whether it may be repeated, so that question is answered here by construction
and not by reading exception types: whatever goes wrong while connecting is `NotSent`, whatever goes wrong
later is `NoAnswer`.

Every exchange has one deadline. urllib3's time-outs are per read from the socket, so a server that sends a
byte now and then could hold a thread for hours; here each read gets only what is left of the exchange,
headers included. Nothing is ever retried or redirected at this level.
"""

import http.client
import io
import logging
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout
from urllib3.util import connection as urllib3_connection

MAX_BODY = 4 * 1024 * 1024
"""A page of 100 messages has at most about 1 MB; more than this is not an answer to anything we ask."""

_CONNECT_SHARE = 0.6
_IDLE_S = 50.0
"""Load balancers drop connections that were idle for 60 s or more, and a request on one that was dropped
without our knowledge ends ambiguously."""


class NotSent(Exception):
    """The request did not leave: no connection. The text says why and holds no address of a person."""


class NoAnswer(Exception):
    """The request left and no whole answer came: it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``whole`` is False where the status came but the body did not, or not all of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class _DeadlineReader(io.RawIOBase):
    """The socket's stream, each read of which gets the time that is left until one instant."""

    def __init__(self, stream: io.RawIOBase, sock: socket.socket) -> None:
        super().__init__()
        self._stream, self._sock = stream, sock
        # urllib3 has just set the socket's time-out to what is left of the exchange.
        self._ends = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of the exchange is over")
        self._sock.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock))


class _Careful(HTTPConnection):
    """A connection that says `NotSent` itself, and that never sends late."""

    response_class = _Response
    _used_at = 0.0

    def connect(self) -> None:
        allowed, started = float(self.timeout or 0), time.monotonic()
        try:
            super().connect()
        except (OSError, UnicodeError, urllib3.exceptions.HTTPError) as error:
            self.close()
            raise NotSent(_why(error)) from error
        if time.monotonic() - started > allowed:
            # A slow name server, for instance, which no time-out of the socket covers. Whoever called us may
            # have been given up already: what has not left by now must not leave.
            self.close()
            raise NotSent(f"connecting took longer than {allowed:.1f} s")

    def _new_conn(self) -> socket.socket:
        # urllib3 would give each address of the host the whole time-out in turn.
        ends = time.monotonic() + float(self.timeout or 0)
        addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        problem: OSError = OSError("the host has no address")
        for left, (*_, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = max((ends - time.monotonic()) / left, 0.001)
            try:
                made = urllib3_connection.create_connection(
                    (str(address[0]), int(address[1])), share, socket_options=self.socket_options
                )
            except OSError as error:
                problem = error
            else:
                made.settimeout(max(ends - time.monotonic(), 0.001))
                return made
        raise problem

    @property
    def is_connected(self) -> bool:
        return super().is_connected and time.monotonic() - self._used_at < _IDLE_S

    def getresponse(self) -> Any:
        self._used_at = time.monotonic()
        return super().getresponse()


class _CarefulTLS(_Careful, HTTPSConnection):
    pass


class Transport:
    """A pool of connections to one host. Safe for threads; make one in each process, after forking."""

    def __init__(self, base_url: str, *, timeout_s: float, headers: Mapping[str, str], pool_size: int = 64) -> None:
        parts = urlsplit(base_url)
        options: dict[str, Any] = {
            "maxsize": pool_size,
            "retries": False,
            "timeout": Timeout(total=timeout_s, connect=timeout_s * _CONNECT_SHARE, read=timeout_s),
        }
        self._headers = dict(headers)
        self._pool: HTTPConnectionPool
        if parts.scheme == "https":
            # The system's trust store first (a company's own authority), certifi's for systems that have
            # none.
            context = ssl.create_default_context()
            context.load_verify_locations(certifi.where())
            self._pool = HTTPSConnectionPool(parts.hostname or "", parts.port, ssl_context=context, **options)
            self._pool.ConnectionCls = _CarefulTLS
        else:
            self._pool = HTTPConnectionPool(parts.hostname or "", parts.port, **options)
            self._pool.ConnectionCls = _Careful
        # At DEBUG urllib3 logs the path of each request, and the query of a list of messages holds a phone
        # number.
        logging.getLogger("urllib3").setLevel(logging.WARNING)

    def request(self, method: str, target: str, *, form: str | None = None) -> Answer:
        """One exchange; ``target`` is a path with its query on our host.

        Raises:
            NotSent: the request did not leave.
            NoAnswer: it left, and not even a status came back.
        """
        headers = self._headers
        if form is not None:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        try:
            response = self._pool.urlopen(
                method,
                target,
                body=None if form is None else form.encode("ascii"),
                headers=headers,
                redirect=False,
                preload_content=False,
            )
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise NoAnswer(_why(error)) from error
        try:
            body = response.read(MAX_BODY + 1)
        except (OSError, urllib3.exceptions.HTTPError):
            body, whole = b"", False
        else:
            whole = len(body) <= MAX_BODY
        if not whole:
            response.close()
        response.release_conn()
        return Answer(response.status, response.headers, body if whole else b"", whole)

    def close(self) -> None:
        """Close the connections that nobody is using."""
        self._pool.close()


def _why(error: BaseException) -> str:
    """A sentence about a network error. Those of urllib3 name objects and addresses; these do not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "the host name did not resolve"
        if isinstance(cause, ssl.SSLError):
            return f"the TLS connection failed ({cause.reason or 'unknown reason'})"
        if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
            return "no answer in time"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "the connection was closed without an answer"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        inner = cause.args[-1] if cause.args and isinstance(cause.args[-1], BaseException) else None
        cause = inner or cause.__cause__
    return type(error).__name__
