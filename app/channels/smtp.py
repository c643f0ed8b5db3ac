"""Email through a mail server (RFC 5321), with the standard library's client.

A message counts as sent off only once its content begins to leave: whatever goes wrong before that, the server has
nothing that it could deliver. There is no log to ask and there are no reports. Every conversation has one deadline.
"""

import smtplib
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import unquote, urlsplit

from app import clock
from app.channels.answers import clean
from app.channels.base import Accepted, Failure, FailureKind, Hindsight, OutgoingMessage, SendResult, WithoutLog
from app.channels.email_content import html_of, mailbox, subject_of
from app.channels.transport import tls_context, why
from app.setting_types import is_loopback

_WIRE = SMTP.clone(cte_type="7bit")  # not every server takes eight bits
_CONNECT_SHARE = 0.6
_NO_NAME = "localhost"
_AUTHENTICATION = frozenset({530, 534, 535, 538})
"""Codes that are about who we are, whatever command they answer (RFC 4954)."""


class _Refused(Exception):
    """The conversation ended before the content left, for a reason that is a `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class SmtpProvider(WithoutLog):
    """One mail server, with a connection for each message. Safe for threads."""

    name = "smtp"
    hindsight = Hindsight(searchable=False, fetchable=False)

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """``url``: ``smtp://user:password@host:587`` or ``smtps://…``; the first takes up TLS where the server can."""
        parts = urlsplit(url)
        self.timeout_s = timeout_s
        self._implicit_tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (465 if self._implicit_tls else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        encoded = b64encode(f"\0{self._user}\0{self._password}".encode()).decode()
        self._secrets = (encoded, self._password, self._user)
        self._tls = tls_context()
        self.account = f"smtp:{self._host}"[:64]

    def send(self, message: OutgoingMessage) -> SendResult:
        """Hand one message to the server."""
        ours = message.message_id or message.attempt_id
        name = f"{ours}@{message.sender.rpartition('@')[2]}"
        try:
            content = _content(message, name)
        except (ValueError, UnicodeError):
            return Failure(
                FailureKind.PERMANENT, "The email cannot be written: an address or a character is not valid."
            )
        try:
            with self._conversation() as (client, ends):
                self._need(client.mail(message.sender), 250)
                self._need(client.rcpt(message.to), 250, 251)
                self._need(client.docmd("DATA"), 354)
                if time.monotonic() >= ends:
                    return Failure(FailureKind.UNREACHABLE, "The mail server is too slow: nothing was sent.")
                return self._hand_over(client, content, name)
        except _Refused as error:
            return error.failure

    def probe(self) -> Failure | None:
        """Whether the server takes our name and password; nothing is sent."""
        try:
            with self._conversation() as (client, _):
                self._need(client.noop(), 250)
        except _Refused as error:
            return error.failure
        return None

    def _hand_over(self, client: smtplib.SMTP, content: bytes, name: str) -> SendResult:
        try:
            client.send(content)
            code, said = client.getreply()
        except OSError as error:
            reason = f"The email left, but the mail server gave no clear answer: {_why(error)}."
            return Failure(FailureKind.AMBIGUOUS, reason)
        if code == 250:
            return Accepted(name[:64], "accepted", code)
        return self._failure(code, said, unclear=FailureKind.AMBIGUOUS)

    @contextmanager
    def _conversation(self) -> Iterator[tuple[smtplib.SMTP, float]]:
        """A connection that has been greeted and logged in, and when its time is over (monotonic seconds).

        Raises:
            _Refused: also for what fails within the block.
        """
        ends = time.monotonic() + self.timeout_s
        client = self._client()
        # Waits on a socket are bounded one by one; a server that sends a byte now and then is cut off here.
        cut = threading.Timer(self.timeout_s, _cut, (client,))
        cut.daemon = True
        cut.start()
        try:
            self._need(client.connect(self._host, self._port), 220, refused=FailureKind.CONFIGURATION)
            self._introduce(client)
            yield client, ends
        except smtplib.SMTPResponseException as error:
            # Of the greeting or the log-in: nothing that is about one message.
            refusal = self._failure(error.smtp_code, error.smtp_error, refused=FailureKind.CONFIGURATION)
            raise _Refused(refusal) from error
        except smtplib.SMTPNotSupportedError as error:
            reason = "The mail server has no way to log in that we know."
            raise _Refused(Failure(FailureKind.CONFIGURATION, reason)) from error
        except (OSError, UnicodeError) as error:
            reason = f"The mail server could not be reached: {_why(error)}."
            raise _Refused(Failure(FailureKind.UNREACHABLE, reason)) from error
        except ValueError as error:
            reason = "The email cannot be sent: an address is not valid."
            raise _Refused(Failure(FailureKind.PERMANENT, reason)) from error
        finally:
            cut.cancel()
            with suppress(OSError):
                client.putcmd("QUIT")  # nobody waits for the farewell
            client.close()

    def _client(self) -> smtplib.SMTP:
        timeout_s = self.timeout_s * _CONNECT_SHARE
        # The name of this machine would have to be asked for, which can take long; it is set once we are connected.
        if self._implicit_tls:
            client: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=_NO_NAME, timeout=timeout_s, context=self._tls)
        else:
            client = smtplib.SMTP(local_hostname=_NO_NAME, timeout=timeout_s)
        client._host = self._host  # type: ignore[attr-defined]  # whose certificate is expected
        return client

    def _introduce(self, client: smtplib.SMTP) -> None:
        if client.sock is not None:
            address = client.sock.getsockname()[0]
            client.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        client.ehlo_or_helo_if_needed()
        secure = self._implicit_tls
        if not secure and client.has_extn("starttls"):
            self._need(client.starttls(context=self._tls), 220, refused=FailureKind.CONFIGURATION)
            client.ehlo_or_helo_if_needed()
            secure = True
        if self._user:
            if not secure and not is_loopback(self._host):
                reason = "The mail server offers no TLS, and the password is not sent in the clear."
                raise _Refused(Failure(FailureKind.CONFIGURATION, reason))
            client.login(self._user, self._password)

    def _need(self, reply: tuple[int, bytes], *wanted: int, refused: FailureKind = FailureKind.PERMANENT) -> None:
        if reply[0] not in wanted:
            raise _Refused(self._failure(*reply, refused=refused))

    def _failure(
        self,
        code: int,
        said: bytes | str,
        *,
        refused: FailureKind = FailureKind.PERMANENT,
        unclear: FailureKind = FailureKind.UNREACHABLE,
    ) -> Failure:
        """A refusal (RFC 5321, 4.2): ``refused`` is what a 5xx means here, ``unclear`` an answer that is none."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if code in _AUTHENTICATION:
            kind = FailureKind.CONFIGURATION
        elif code in (421, 454):
            kind = FailureKind.THROTTLED  # too many connections, or the server is about to stop: it took nothing
        elif 400 <= code < 500:
            kind = FailureKind.TRANSIENT
        elif 500 <= code < 600:
            kind = refused
        else:
            kind = unclear
        known = code if 0 < code < 1000 else None
        message = f"The mail server answered {known}: {text}" if known else "The mail server's answer makes no sense."
        return Failure(kind, clean(message, *self._secrets))


def _content(message: OutgoingMessage, name: str) -> bytes:
    """The email as it travels: headers, text and HTML, lines that begin with a dot escaped (RFC 5321, 4.5.2).

    Raises:
        ValueError: an address is none. UnicodeError: half of a character.
    """
    email = EmailMessage(policy=_WIRE)
    email["From"] = mailbox(message.sender, message.sender_name)
    email["To"] = mailbox(message.to)
    email["Subject"] = subject_of(message)
    email["Date"] = clock.now()
    email["Message-ID"] = f"<{name}>"
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(message.body)
    email.add_alternative(html_of(message.body), subtype="html")
    return email.as_bytes().replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _cut(client: smtplib.SMTP) -> None:
    if client.sock is not None:
        with suppress(OSError):
            client.sock.shutdown(socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    # smtplib says of a time-out, too, that the server has disconnected.
    cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else error
    return why(cause) if isinstance(cause, OSError) else "it closed the connection"
