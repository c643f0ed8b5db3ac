"""Local stand-ins for Resend, SendGrid and a mail server, for tests that need the other end of the wire."""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self, cast
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.twilio_server import AUTH_TOKEN, Reply

KEY = AUTH_TOKEN
RESET = struct.pack("ii", 1, 0)


class EmailApiServer:
    """Speaks what we use of both HTTP interfaces; what the next POSTs are answered can be scripted."""

    def __init__(self) -> None:
        self.auth_ok = True
        self.accepted: list[dict[str, Any]] = []
        """The documents that were taken."""
        self.headers: list[dict[str, str]] = []
        """Of each request, names in lower case."""
        self.events: dict[str, str] = {}
        """Resend's last event, by id."""
        self.scripted: deque[Reply] = deque()
        self.closing = threading.Event()
        self.first: dict[str, tuple[bytes, str]] = {}
        """Body and id by Idempotency-Key."""
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def script(self, *replies: Reply) -> None:
        """Answer the next POSTs like this, one each."""
        self.scripted.extend(replies)

    def take(self, document: dict[str, Any]) -> str:
        """Accept an email; its id."""
        self.accepted.append(document)
        return str(uuid4())


class _Http(ThreadingHTTPServer):
    owner: EmailApiServer
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        owner = self.server.owner
        if not self._authorized():
            self._say(401, {"name": "invalid_api_key", "message": "API key is invalid"})
        elif self.path.startswith("/emails/"):
            email_id = self.path.removeprefix("/emails/")
            event = owner.events.get(email_id)
            unknown = {"name": "not_found", "message": "-"}
            self._say(200 if event else 404, {"id": email_id, "last_event": event} if event else unknown)
        else:
            self._say(200, {"data": [], "scopes": []})

    def do_POST(self) -> None:
        owner, raw = self.server.owner, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        owner.headers.append({name.lower(): value for name, value in self.headers.items()})
        if not self._authorized():
            self._say(401, {"name": "invalid_api_key", "message": "API key is invalid", "errors": [{"message": "no"}]})
            return
        reply = owner.scripted.popleft() if owner.scripted else None
        status, document, headers = self._take(raw, reply)
        if reply and reply.delay_s:
            owner.closing.wait(reply.delay_s)
        if reply and reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close_connection = True
            self.connection.close()
            return
        if reply and reply.retry_after is not None:
            headers["Retry-After"] = str(reply.retry_after)
        self._say(status, document, headers | dict(reply.headers if reply else {}), reply)

    def _take(self, raw: bytes, reply: Reply | None) -> tuple[int, dict[str, Any], dict[str, str]]:
        owner, resend = self.server.owner, self.path == "/emails"
        if reply and reply.status >= 300 and not reply.accept:
            return reply.status, _error(reply), {}
        key = self.headers.get("Idempotency-Key", "")
        if key and key in owner.first:
            body, email_id = owner.first[key]
            if body != raw:
                return 409, {"statusCode": 409, "name": "invalid_idempotent_request", "message": "Another body"}, {}
        else:
            email_id = owner.take(json.loads(raw))
            if key:
                owner.first[key] = raw, email_id
        if reply and reply.status >= 300:
            return reply.status, _error(reply), {}
        return (200, {"id": email_id}, {}) if resend else (202, {}, {"X-Message-Id": email_id})

    def _authorized(self) -> bool:
        return self.server.owner.auth_ok and self.headers.get("Authorization") == f"Bearer {KEY}"

    def _say(
        self, status: int, document: Any, headers: dict[str, str] | None = None, reply: Reply | None = None
    ) -> None:
        body = json.dumps(document).encode() if reply is None or reply.body is None else reply.body
        if reply is not None and reply.body is not None:
            status, headers = reply.status, dict(reply.headers)
        length = len(body) + (100 if reply and reply.truncate else 0)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        whole = f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{lines}\r\n".encode() + body
        self.close_connection = bool(reply and (reply.truncate or reply.drip_s))
        if reply is None or not reply.drip_s:
            self.wfile.write(whole)
            return
        for byte in whole:
            if self.server.owner.closing.wait(reply.drip_s):
                return
            self.wfile.write(bytes([byte]))


def _error(reply: Reply) -> dict[str, Any]:
    """Both providers' way of saying it."""
    name = str(reply.headers.get("x-name", "validation_error"))
    return {"statusCode": reply.status, "name": name, "message": reply.message, "errors": [{"message": reply.message}]}


@dataclass(frozen=True, kw_only=True)
class At:
    """What the mail server does at one step: ``greeting``, ``EHLO``, ``AUTH``, ``MAIL``, ``RCPT``, ``DATA`` or
    ``content`` (when the whole message has come).
    """

    step: str
    say: str = ""
    close: bool = False
    """Close the connection in place of an answer."""
    wait_s: float = 0
    drip_s: float = 0
    accept: bool = False
    """Take the message all the same."""


class MailServer:
    """A mail server on loopback; ``script`` says what it does at the next times that a step is reached."""

    def __init__(
        self,
        *,
        password: str | None = None,
        user: str = "salon",
        tls: ssl.SSLContext | None = None,
        from_the_start: bool = False,
    ) -> None:
        """``tls``: offers STARTTLS, or begins with it ``from_the_start``."""
        self._tls, self._from_the_start = tls, from_the_start
        self.accepted: list[EmailMessage] = []
        self.said: list[str] = []
        """Every command that came."""
        self._login = (user, password)
        self._script: deque[At] = deque()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        scheme, login = "smtps" if from_the_start else "smtp", f"{user}:{password}@" if password else ""
        self.url = f"{scheme}://{login}127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def script(self, *steps: At) -> None:
        """What to do when these steps are reached."""
        self._script.extend(steps)

    def _listen(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection = self._listener.accept()[0]
                connection.settimeout(5)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            secure = self._from_the_start
            if secure and self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            lines = stack.enter_context(connection.makefile("rb"))
            if not self._answer(connection, "greeting", "220 mail.test ESMTP"):
                return
            while line := lines.readline():
                command = line.decode("latin-1").strip()
                self.said.append(command)
                verb = command.split(" ")[0].upper()
                if verb == "STARTTLS" and self._tls:
                    self._answer(connection, verb, "220 go on")
                    connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
                    lines, secure = stack.enter_context(connection.makefile("rb")), True
                elif verb == "EHLO" and self._tls and not secure:
                    self._answer(connection, verb, "250-mail.test\r\n250 STARTTLS")
                elif not self._obey(connection, verb, command, lines):
                    return

    def _obey(self, connection: socket.socket, verb: str, command: str, lines: Any) -> bool:
        if verb == "QUIT":
            return False
        if verb == "EHLO":
            return self._answer(connection, verb, "250-mail.test\r\n250-AUTH PLAIN\r\n250 SIZE 1000000")
        if verb == "AUTH":
            from base64 import b64decode

            user, password = self._login
            right = b64decode(command.split(" ")[-1]).decode() == f"\0{user}\0{password}"
            return self._answer(connection, verb, "235 welcome" if right else f"535 5.7.8 {command} is wrong")
        if verb != "DATA":
            return self._answer(connection, verb, "250 fine")
        if not self._answer(connection, verb, "354 go on"):
            return False
        if self._last != "354 go on":
            return True
        content = b""
        while not content.endswith(b"\r\n.\r\n"):
            line = lines.readline()
            if not line:
                return False
            content += line
        return self._finish(connection, content[:-3].replace(b"\r\n..", b"\r\n."))

    def _finish(self, connection: socket.socket, content: bytes) -> bool:
        planned = self._script[0] if self._script and self._script[0].step == "content" else None
        if planned is None or planned.accept:
            self.accepted.append(cast(EmailMessage, message_from_bytes(content, policy=default)))
        return self._answer(connection, "content", "250 taken")

    def _answer(self, connection: socket.socket, step: str, usual: str) -> bool:
        """Answer as scripted or as usual; False where the connection is to be closed."""
        planned = self._script.popleft() if self._script and self._script[0].step == step else None
        if planned and planned.wait_s and self._closing.wait(planned.wait_s):
            return False
        if planned and planned.close:
            return False
        self._last = (planned and planned.say) or usual
        whole = f"{self._last}\r\n".encode()
        for piece in [whole] if not planned or not planned.drip_s else [bytes([byte]) for byte in whole]:
            if planned and planned.drip_s and self._closing.wait(planned.drip_s):
                return False
            connection.sendall(piece)
        return True


def own_tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for this machine, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(Encoding.PEM).decode())
