"""A local stand-in for Twilio's messaging API, for tests that need the other end of the wire.

It speaks the part of the API that we use (create, list with filters and paging, fetch), checks the
credentials, and remembers what it accepted and when. What the next POSTs are answered can be scripted,
including that it accepts a message and then fails to say so. Status callbacks are posted and signed as Twilio
does.

    with TwilioServer() as twilio:
        twilio.script(Reply(status=500, accept=True), Reply(reset=True, accept=True), Reply(delay_s=0.3))
        ...
        assert [message.body for message in twilio.accepted] == [...]
"""

import argparse
import queue
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Self
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from tests.twilio_wire import Handler, Server

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "the-auth-token-of-the-test-account"
RANKS = ("scheduled", "accepted", "queued", "sending", "sent", "delivered", "read")
"""The way of a message that arrives; ``undelivered``, ``failed`` and ``canceled`` rank with ``delivered``."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How one request is answered. With nothing set: as Twilio would, after the server's default delay."""

    status: int = 201
    code: int | None = None
    message: str = "Scripted failure"
    accept: bool | None = None
    """Whether the message is taken all the same; None: where the status says so."""
    delay_s: float | None = None
    retry_after: str | float | None = None
    reset: bool = False
    """Reset the connection instead of answering."""
    problem: bool = False
    """Write the error as RFC 9457 has it."""
    body: bytes | None = None
    """Send exactly this body."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_s: float | None = None
    """Send the answer, its headers included, byte by byte with this pause."""
    truncate: bool = False
    """Promise more bytes than are sent, then close."""


@dataclass
class Sent:
    """A message that the server accepted."""

    sid: str
    to: str
    from_: str | None
    body: str
    status_callback: str | None
    at: float
    """When the request had arrived, in seconds since 1970."""
    status: str
    fields: list[tuple[str, str]]
    """The form as it came."""
    error_code: int | None = None
    direction: str = "outbound-api"

    @property
    def service(self) -> str | None:
        """The messaging service that it was sent through."""
        return dict(self.fields).get("MessagingServiceSid")


class TwilioServer:
    """Runs in threads of this process from construction to `close`; all attributes may be set at any time."""

    unscripted = Reply()

    def __init__(self, port: int = 0, *, account_sid: str = ACCOUNT_SID, auth_token: str = AUTH_TOKEN) -> None:
        self.account_sid, self.auth_token = account_sid, auth_token
        self.auth_ok = True
        """False: every request is refused with 401 / 20003, as after the token was changed."""
        self.default_delay_s = 0.0
        self.list_lag_s = 0.0
        """The list does not show messages younger than this."""
        self.auto_statuses: Sequence[str] = ()
        """Statuses to report in this order, from a background thread, for each message as it is accepted."""
        self.accepted: list[Sent] = []
        self.requests: list[tuple[str, str]] = []
        """Method and path with query of everything that came."""
        self.callbacks: list[tuple[str, str, int]] = []
        """Sid, status and our answer's HTTP status (0: none) of each status callback that was posted."""
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._scripts: dict[str, deque[Reply]] = {"POST": deque(), "GET": deque()}
        self._to_report: queue.Queue[tuple[Sent, str] | None] = queue.Queue()
        self.messages_path = f"/2010-04-01/Accounts/{account_sid}/Messages"
        self._http = Server(("127.0.0.1", port), Handler)
        self._http.twilio = self
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [
            threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self._report_all, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and wait for every thread and connection to end."""
        self.closing.set()
        self._to_report.put(None)
        self._http.shutdown()
        self._http.cut_connections()
        self._http.server_close()
        for thread in self._threads:
            thread.join()

    @property
    def connections_made(self) -> int:
        """How many connections have been opened to it since it began."""
        return self._http.made

    def script(self, *replies: Reply) -> None:
        """Answer the next POSTs like this, one each; after that as Twilio would."""
        with self.lock:
            self._scripts["POST"].extend(replies)

    def script_reads(self, *replies: Reply) -> None:
        """Answer the next GETs like this."""
        with self.lock:
            self._scripts["GET"].extend(replies)

    def next_reply(self, method: str) -> Reply:
        """What was scripted for this request."""
        with self.lock:
            return self._scripts[method].popleft() if self._scripts[method] else self.unscripted

    def accept(self, fields: list[tuple[str, str]], at: float | None = None, **changes: Any) -> Sent:
        """Take a message; tests also use it to put one into the log that nobody posted."""
        values = dict(fields)
        sent = Sent(
            sid=("MM" if "MediaUrl" in values else "SM") + secrets.token_hex(16),
            to=values.get("To", ""),
            from_=values.get("From"),
            body=values.get("Body", ""),
            status_callback=values.get("StatusCallback"),
            at=time.time() if at is None else at,
            status="accepted" if "MessagingServiceSid" in values else "queued",
            fields=fields,
        )
        sent = replace(sent, **changes)
        with self.lock:
            self.accepted.append(sent)
        for status in self.auto_statuses:
            self._to_report.put((sent, status))
        return sent

    def set_status(self, sent: Sent, status: str, error_code: int | None = None) -> None:
        """What the log says about a message from now on; it never goes back."""
        with self.lock:
            before, after = _rank(sent.status), _rank(status)
            if after > before:
                sent.status, sent.error_code = status, error_code

    def report(self, sent: Sent, status: str, error_code: int | None = None) -> int:
        """Post one status callback now; the HTTP status of the answer, 0 where there was none or no URL."""
        self.set_status(sent, status, error_code)
        answer = 0
        if sent.status_callback:
            values = {
                "MessageSid": sent.sid,
                "SmsSid": sent.sid,
                "MessageStatus": status,
                "SmsStatus": status,
            }
            values |= {"AccountSid": self.account_sid, "ApiVersion": "2010-04-01", "To": sent.to}
            values |= {"From": sent.from_} if sent.from_ else {}
            values |= {"MessagingServiceSid": sent.service} if sent.service else {}
            values |= {"ErrorCode": str(error_code)} if error_code else {}
            answer = self.post_signed(sent.status_callback, values)
        with self.lock:
            self.callbacks.append((sent.sid, status, answer))
        return answer

    def report_in_background(self, reports: Iterable[tuple[Sent, str]]) -> None:
        """Post callbacks in this order, repeats included, from a thread; `callbacks` grows meanwhile."""
        for report in reports:
            self._to_report.put(report)

    def post_signed(self, url: str, values: Mapping[str, str]) -> int:
        """Post a form as Twilio's webhooks do; the HTTP status of the answer, 0 where there was none."""
        signature = RequestValidator(self.auth_token).compute_signature(url.partition("#")[0], dict(values))
        request = urllib.request.Request(url, urlencode(values).encode(), {"X-Twilio-Signature": signature})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=15) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def _report_all(self) -> None:
        while (item := self._to_report.get()) is not None and not self.closing.is_set():
            self.report(*item)

    def in_list(self, to: str | None, from_: str | None) -> list[Sent]:
        """What the list shows, newest first."""
        newest = time.time() - self.list_lag_s
        with self.lock:
            shown = [m for m in self.accepted if to in (None, m.to) and from_ in (None, m.from_)]
        return sorted((m for m in shown if self.list_lag_s == 0 or m.at <= newest), key=lambda m: -m.at)

    def resource(self, sent: Sent) -> dict[str, Any]:
        """A message as the API writes it."""
        path = f"{self.messages_path}/{sent.sid}"
        created = formatdate(sent.at).replace("-0000", "+0000")
        return {
            "sid": sent.sid,
            "account_sid": self.account_sid,
            "messaging_service_sid": sent.service,
            "to": sent.to,
            "from": sent.from_,
            "body": sent.body,
            "status": sent.status,
            "direction": sent.direction,
            "date_created": created,
            "date_updated": created,
            "date_sent": created if sent.status in ("sent", "delivered", "read") else None,
            "error_code": sent.error_code,
            "error_message": f"Scripted {sent.error_code}" if sent.error_code else None,
            "num_media": str(sum(name == "MediaUrl" for name, _ in sent.fields)),
            "num_segments": "1",
            "price": None,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "uri": f"{path}.json",
            "subresource_uris": {"media": f"{path}/Media.json"},
        }


def _rank(status: str) -> int:
    return RANKS.index(status if status in RANKS else "delivered")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A local stand-in for Twilio's messaging API.")
    parser.add_argument("--port", type=int, default=8765)
    with TwilioServer(parser.parse_args().port) as twilio:
        print(f"{twilio.url}  {twilio.account_sid}  {twilio.auth_token}", flush=True)  # noqa: T201
        threading.Event().wait()
