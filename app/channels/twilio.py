"""Twilio's Programmable Messaging over its REST API, 2010-04-01
(twilio.com/docs/messaging/api/message-resource).

Called directly and not through Twilio's SDK: the SDK has no time-out of its own, hides whether a request
left, and drops Retry-After. A test keeps our request equal to the SDK's. The creation of a message is not
idempotent and Twilio has no idempotency key for it, so nothing is ever repeated here.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from app import clock
from app.channels.base import (
    Accepted,
    Failure,
    FailureKind,
    Hindsight,
    OutgoingMessage,
    ProviderRecord,
    ProviderUnavailable,
    SendResult,
)
from app.channels.transport import Answer, NoAnswer, NotSent, Transport
from app.channels.twilio_errors import classify, explain
from app.masking import mask_bare
from app.settings import TWILIO_API

VALIDITY_S = (1, 36_000)
"""What Twilio takes as ValidityPeriod; 36,000 is also its default."""
RETRY_AFTER_CAP_S = 3600.0

_ID = re.compile(r"[\x21-\x7e]{1,64}")
_PAGE_SIZE = 100
_MAX_PAGES = 10
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class TwilioProvider:
    """One Twilio account. Safe for threads; make one in each process."""

    name = "twilio"
    hindsight = Hindsight()

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        base_url: str = TWILIO_API,
        timeout_s: float = 10.0,
    ) -> None:
        self.account = f"twilio:{account_sid}"
        self.timeout_s = timeout_s
        self._secret = auth_token
        self._base_path = urlsplit(base_url).path.rstrip("/")
        self._messages = f"{self._base_path}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Messages"
        pair = b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "User-Agent": "bellhop", "Accept": "application/json"}
        self._http = Transport(base_url, timeout_s=timeout_s, headers=headers)

    def close(self) -> None:
        """Close the idle connections."""
        self._http.close()

    def send(self, message: OutgoingMessage) -> SendResult:
        """POST one message."""
        try:
            form = urlencode(_fields(message), errors="strict")
        except UnicodeEncodeError:
            return Failure(FailureKind.PERMANENT, "The text has half of a character in it (a lone surrogate).")
        answer = self._ask("POST", f"{self._messages}.json", form)
        if isinstance(answer, Failure):
            return answer
        if 200 <= answer.status < 300:
            created = _json_object(answer.body)
            sid = created.get("sid")
            if isinstance(sid, str) and _ID.fullmatch(sid):
                return Accepted(sid, str(created.get("status") or "queued"), answer.status)
        return self._failure(answer)

    def fetch(self, provider_message_id: str) -> ProviderRecord | None:
        """One message from Twilio's log; None where it does not know the id."""
        answer = self._ask("GET", f"{self._messages}/{quote(provider_message_id, safe='')}.json")
        # Only a 404 that speaks JSON is Twilio's; any other says that we asked in the wrong place.
        if isinstance(answer, Answer) and answer.status == 404 and _json_object(answer.body):
            return None
        return self._record(self._read(answer))

    def find(self, *, to: str, sender: str, since: datetime) -> list[ProviderRecord]:
        """Messages to one recipient from one sender made at or after an instant, newest first.

        The filters on DateSent are of no use here: date_sent is null until a message has been sent, and the
        one we look for may still be queued. So we read from the newest on until a whole page is older than
        ``since``.
        """
        query = {"To": to, "PageSize": str(_PAGE_SIZE)}
        by_service = sender.startswith("MG")
        if not by_service:
            query["From"] = sender
        # date_created has whole seconds.
        since = since.replace(microsecond=0)
        found: list[ProviderRecord] = []
        target = f"{self._messages}.json?{urlencode(query)}"
        for _ in range(_MAX_PAGES):
            page = self._read(self._ask("GET", target))
            items = page.get("messages")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise ProviderUnavailable(self._unreadable("it has no list of messages"))
            records = [
                self._record(item)
                for item in items
                # Absent or null counts as ours; a message through another messaging service does not.
                if (item.get("direction") or "outbound-api") == "outbound-api"
                and (not by_service or (item.get("messaging_service_sid") or sender) == sender)
            ]
            recent = [record for record in records if record.created_at >= since]
            found += recent
            following = self._next_page(page)
            if following is None or (records and not recent):
                return found
            target = following
        raise ProviderUnavailable(self._unreadable(f"it is longer than {_MAX_PAGES * _PAGE_SIZE} messages"))

    def probe(self) -> Failure | None:
        """Whether the account works again: reads one message of the log, which costs nothing."""
        try:
            self._read(self._ask("GET", f"{self._messages}.json?PageSize=1"))
        except ProviderUnavailable as error:
            return error.failure
        return None

    def _ask(self, method: str, target: str, form: str | None = None) -> Answer | Failure:
        try:
            return self._http.request(method, target, form=form)
        except NotSent as error:
            return Failure(FailureKind.UNREACHABLE, f"Twilio could not be reached: {error}.")
        except NoAnswer as error:
            return Failure(FailureKind.AMBIGUOUS, f"The request left for Twilio, but no clear answer came: {error}.")

    def _read(self, answer: Answer | Failure) -> dict[str, Any]:
        if isinstance(answer, Failure):
            raise ProviderUnavailable(answer)
        body = _json_object(answer.body) if answer.status == 200 else {}
        if not body:
            raise ProviderUnavailable(self._failure(answer))
        return body

    def _next_page(self, page: Mapping[str, Any]) -> str | None:
        target = page.get("next_page_uri")
        if not target:
            return None
        # Our credentials go with every request, so it stays on our host whatever the answer says.
        if not isinstance(target, str) or not target.startswith("/") or target.startswith("//"):
            raise ProviderUnavailable(self._unreadable("its next page is somewhere else"))
        return target if target.startswith(f"{self._base_path}/") else self._base_path + target

    def _record(self, item: Mapping[str, Any]) -> ProviderRecord:
        try:
            created_at = parsedate_to_datetime(item["date_created"])
            return ProviderRecord(
                provider_message_id=str(item["sid"]),
                status=str(item.get("status") or ""),
                to=str(item.get("to") or ""),
                sender=item.get("from") or item.get("messaging_service_sid"),
                body=str(item.get("body") or ""),
                # "-0000" means UTC too, and is read as a naive time.
                created_at=created_at.astimezone(UTC) if created_at.tzinfo else created_at.replace(tzinfo=UTC),
                error_code=_integer(item.get("error_code")),
                error_message=self._clean(item["error_message"]) if item.get("error_message") else None,
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ProviderUnavailable(self._unreadable("a message in it lacks its sid or its date")) from error

    def _unreadable(self, why: str) -> Failure:
        # To guess here could mean to send twice.
        return Failure(FailureKind.AMBIGUOUS, f"Twilio's log of messages cannot be read: {why}.", http_status=200)

    def _failure(self, answer: Answer) -> Failure:
        """The failure in an answer: ``{code, message, …}``, or RFC 9457's ``{title, code, detail, …}``."""
        body = _json_object(answer.body)
        code = _integer(body.get("code"))
        kind, min_delay_s = classify(answer.status, code)
        if not answer.whole and kind is FailureKind.PERMANENT:
            # The status says refused, but the code that would say why is lost: ask once more.
            kind = FailureKind.TRANSIENT
        said = next((body[name] for name in ("message", "detail", "title") if isinstance(body.get(name), str)), None)
        if said:
            text = f"Twilio {code or answer.status}: {said}"
        elif code is not None:
            text = explain(code)
        elif 200 <= answer.status < 300:
            text = f"Twilio answered HTTP {answer.status}, but what it said cannot be read."
        else:
            text = f"Twilio answered HTTP {answer.status}."
        retry_after_s = _retry_after(answer.headers.get("retry-after"))
        return Failure(kind, self._clean(text), code, answer.status, retry_after_s, min_delay_s)

    def _clean(self, text: object) -> str:
        """Fit for logs and for the owner: one line, no phone numbers, no secret, not long."""
        line = " ".join(str(text).replace(self._secret, "***").split())
        return mask_bare("".join(character for character in line if character.isprintable()))[:300]


def _fields(message: OutgoingMessage) -> list[tuple[str, str]]:
    """The form of one POST; MediaUrl repeats, and a messaging service as sender has a field of its own."""
    fields = [("To", message.to)]
    fields.append(("MessagingServiceSid" if message.sender.startswith("MG") else "From", message.sender))
    if message.body:
        fields.append(("Body", message.body))
    fields += [("MediaUrl", url) for url in message.media_urls]
    if message.status_callback is not None:
        fields.append(("StatusCallback", message.status_callback))
    if message.valid_for_s is not None:
        least, most = VALIDITY_S
        fields.append(("ValidityPeriod", str(min(max(message.valid_for_s, least), most))))
    return fields


def _json_object(body: bytes) -> dict[str, Any]:
    """The object in a body; empty where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _integer(value: object) -> int | None:
    """An error code, which Twilio writes as a number, and in some products as a string."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3): a number or a date; None where it is neither."""
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), RETRY_AFTER_CAP_S)
    try:
        at = parsedate_to_datetime(value)
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_S)
