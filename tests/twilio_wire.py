"""The HTTP side of the stand-in for Twilio: parsing, routing and writing, politely or not."""

import contextlib
import json
import socket
import struct
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

if TYPE_CHECKING:
    from tests.twilio_server import Reply, TwilioServer

RESET = struct.pack("ii", 1, 0)
Said = tuple[int, dict[str, Any]]


class Server(ThreadingHTTPServer):
    """Knows its connections, so that it can end with all of its threads."""

    request_queue_size = 1024
    daemon_threads = False
    block_on_close = True
    twilio: "TwilioServer"

    def __init__(self, *args: Any) -> None:
        self.connections: set[socket.socket] = set()
        self.made = 0
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        self.made += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        # With a linger of zero, closing resets; a shutdown before it would end the stream in an orderly way.
        if request.fileno() >= 0 and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESET:
            request.close()
        else:
            super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Wake every thread that waits for the next request of its client."""
        for connection in self.connections.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive between requests as Twilio's are."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._handle("GET", b"")

    def do_POST(self) -> None:
        self._handle("POST", self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _handle(self, method: str, raw: bytes) -> None:
        at, twilio = time.time(), self.server.twilio
        with twilio.lock:
            twilio.requests.append((method, self.path))
        if self._authorized():
            reply = twilio.next_reply(method)
            status, content = self._create(raw, at, reply) if method == "POST" else self._read(reply)
        else:
            reply = twilio.unscripted
            status, content = _error(401, 20003, "Authenticate")
        delay = twilio.default_delay_s if reply.delay_s is None else reply.delay_s
        if delay:
            twilio.closing.wait(delay)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close_connection = True
        else:
            self._answer(status, content, reply)

    def _authorized(self) -> bool:
        twilio = self.server.twilio
        pair = f"{twilio.account_sid}:{twilio.auth_token}".encode()
        return twilio.auth_ok and self.headers.get("Authorization") == f"Basic {b64encode(pair).decode()}"

    def _create(self, raw: bytes, at: float, reply: "Reply") -> Said:
        twilio = self.server.twilio
        if self.path != f"{twilio.messages_path}.json":
            return _error(404, 20404, f"The requested resource {self.path} was not found")
        fields = parse_qsl(raw.decode(), keep_blank_values=True)
        names = {name for name, _ in fields}
        if "To" not in names:
            return _error(400, 21604, "A 'To' phone number is required.")
        if not names & {"From", "MessagingServiceSid"}:
            return _error(400, 21603, "A 'From' phone number is required.")
        if not names & {"Body", "MediaUrl", "ContentSid"}:
            return _error(400, 21619, "A text message body or media urls must be specified.")
        succeeds = reply.code is None and reply.status < 300
        sent = twilio.accept(fields, at) if (succeeds if reply.accept is None else reply.accept) else None
        if sent is None or not succeeds:
            return _error(reply.status, reply.code, reply.message, problem=reply.problem)
        return reply.status, twilio.resource(sent)

    def _read(self, reply: "Reply") -> Said:
        twilio, url = self.server.twilio, urlsplit(self.path)
        if reply.status >= 300:
            return _error(reply.status, reply.code, reply.message, problem=reply.problem)
        if url.path == f"{twilio.messages_path}.json":
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            return 200, _page(twilio, url.path, query)
        sid = url.path.removeprefix(f"{twilio.messages_path}/").removesuffix(".json")
        with twilio.lock:
            found = next((message for message in twilio.accepted if message.sid == sid), None)
        if found:
            return 200, twilio.resource(found)
        return _error(404, 20404, f"The requested resource {url.path} was not found")

    def _answer(self, status: int, content: dict[str, Any], reply: "Reply") -> None:
        body = json.dumps(content).encode() if reply.body is None else reply.body
        length = len(body) + 100 * reply.truncate
        headers = {"Content-Type": reply.content_type, "Content-Length": str(length)}
        if reply.retry_after is not None:
            headers["Retry-After"] = str(reply.retry_after)
        headers |= reply.headers
        if reply.truncate or reply.drip_s:
            headers["Connection"] = "close"
            self.close_connection = True
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        whole = f"HTTP/1.1 {status} As scripted\r\n{lines}\r\n".encode() + body
        if not reply.drip_s:
            self.wfile.write(whole)
            return
        for byte in whole:
            if self.server.twilio.closing.wait(reply.drip_s):
                return
            self.wfile.write(bytes([byte]))


def _error(status: int, code: int | None, message: str, *, problem: bool = False) -> Said:
    url = f"https://www.twilio.com/docs/errors/{code}"
    if problem:
        return status, {
            "type": url,
            "title": message,
            "status": status,
            "code": code,
            "detail": f"{message}.",
        }
    return status, {"code": code, "message": message, "more_info": url, "status": status}


def _page(twilio: "TwilioServer", path: str, query: dict[str, str]) -> dict[str, Any]:
    size, number = int(query.get("PageSize", 50)), int(query.get("Page", 0))
    shown = twilio.in_list(query.get("To"), query.get("From"))
    after = urlencode(query | {"Page": number + 1, "PageToken": f"PA{number + 1}"})
    return {
        "messages": [twilio.resource(message) for message in shown[number * size : (number + 1) * size]],
        "page": number,
        "page_size": size,
        "next_page_uri": f"{path}?{after}" if len(shown) > (number + 1) * size else None,
        "uri": f"{path}?{urlencode(query)}",
    }
