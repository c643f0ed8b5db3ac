"""Our request is the one that Twilio's own SDK sends, and the stand-in signs as the SDK checks."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from app.channels.base import OutgoingMessage
from app.channels.twilio import TwilioProvider
from tests.twilio_server import ACCOUNT_SID, AUTH_TOKEN, TwilioServer

TO, FROM, SERVICE = "+61400000549", "+61400000000", "MG" + "a" * 32
PICTURES = ("https://example.test/a.png?x=1&y=2", "https://example.test/b c.png")
CALLBACK = "https://bellhop.test/webhooks/twilio/status?attempt=01J&x=a%20b"


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


@pytest.fixture
def provider(twilio: TwilioServer) -> Iterator[TwilioProvider]:
    made = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=twilio.url)
    yield made
    made.close()


@pytest.fixture
def sdk(twilio: TwilioServer) -> Iterator[Any]:
    http = TwilioHttpClient(timeout=5)
    client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=http)
    client.api.base_url = twilio.url
    yield client
    http.session.close()


@pytest.mark.parametrize(
    "message, arguments",
    [
        (OutgoingMessage("a", TO, FROM, "Hello"), {"from_": FROM, "body": "Hello"}),
        (
            OutgoingMessage("a", TO, FROM, "Grüße & 100% = +1 💇\r\n"),
            {"from_": FROM, "body": "Grüße & 100% = +1 💇\r\n"},
        ),
        (
            OutgoingMessage("a", f"whatsapp:{TO}", f"whatsapp:{FROM}", "Hello"),
            {"to": f"whatsapp:{TO}", "from_": f"whatsapp:{FROM}", "body": "Hello"},
        ),
        (OutgoingMessage("a", TO, SERVICE, "Hello"), {"messaging_service_sid": SERVICE, "body": "Hello"}),
        (
            OutgoingMessage("a", TO, FROM, "Look", PICTURES),
            {"from_": FROM, "body": "Look", "media_url": list(PICTURES)},
        ),
        (OutgoingMessage("a", TO, FROM, "", PICTURES), {"from_": FROM, "media_url": list(PICTURES)}),
        (
            OutgoingMessage("a", TO, FROM, "Hello", (), CALLBACK, 900),
            {"from_": FROM, "body": "Hello", "status_callback": CALLBACK, "validity_period": 900},
        ),
        (
            OutgoingMessage(
                "a", TO, FROM, "As we write it", PICTURES, content_sid="HX1", content_variables={"1": "Jo", "2": "ü"}
            ),
            {"from_": FROM, "content_sid": "HX1", "content_variables": '{"1": "Jo", "2": "ü"}'},
        ),
    ],
)
def test_we_send_what_twilios_sdk_sends(
    twilio: TwilioServer,
    provider: TwilioProvider,
    sdk: Any,
    message: OutgoingMessage,
    arguments: dict[str, Any],
) -> None:
    provider.send(message)
    sdk.messages.create(**{"to": TO} | arguments)
    ours, theirs = twilio.accepted
    assert sorted(ours.fields) == sorted(theirs.fields)
    # The order of repeated fields is the order of the pictures; an approved template has its own.
    pictures = [url for name, url in ours.fields if name == "MediaUrl"]
    assert pictures == ([] if message.content_sid else list(message.media_urls))
    assert twilio.requests[0] == twilio.requests[1]


def test_the_sdk_reads_from_the_stand_in_what_we_read(twilio: TwilioServer, provider: TwilioProvider, sdk: Any) -> None:
    for number in range(3):
        provider.send(OutgoingMessage("a", TO, FROM, f"{number}"))
    listed = sdk.messages.list(to=TO, from_=FROM, page_size=2)
    assert [message.sid for message in listed] == [sent.sid for sent in reversed(twilio.accepted)]
    record = provider.fetch(listed[0].sid)
    assert record is not None
    assert record.created_at == sdk.messages(listed[0].sid).fetch().date_created


@pytest.mark.parametrize(
    "valid_for_s, period",
    [(None, None), (0, "1"), (1, "1"), (900, "900"), (36_000, "36000"), (90_000, "36000")],
)
def test_twilio_is_told_for_how_long_the_message_is_of_use(
    twilio: TwilioServer, provider: TwilioProvider, valid_for_s: int | None, period: str | None
) -> None:
    provider.send(OutgoingMessage("a", TO, FROM, "Hello", valid_for_s=valid_for_s))
    assert dict(twilio.accepted[0].fields).get("ValidityPeriod") == period


@pytest.fixture
def webhook() -> Iterator[Any]:
    """A server that checks the signature of what it gets with Twilio's own validator and notes the form."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode())
            url = f"http://127.0.0.1:{server.server_address[1]}{self.path}"
            signature = self.headers["X-Twilio-Signature"]
            genuine = RequestValidator(AUTH_TOKEN).validate(url, dict(form), signature)
            server.got.append(dict(form))
            self.send_response(204 if genuine else 403)
            self.end_headers()
            if len(server.got) == server.expected:
                server.complete.set()

        def log_message(self, *_: object) -> None:
            pass

    server: Any = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.expected, server.complete = [], 0, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/status?attempt=1&x=%20"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_stand_in_posts_signed_callbacks_in_the_order_that_the_test_chose(
    twilio: TwilioServer, provider: TwilioProvider, webhook: Any
) -> None:
    provider.send(OutgoingMessage("a", TO, FROM, "Hello", status_callback=webhook.url))
    [sent] = twilio.accepted
    webhook.expected = 3
    twilio.report_in_background([(sent, "delivered"), (sent, "sent"), (sent, "sent")])
    assert webhook.complete.wait(5)
    assert [form["MessageStatus"] for form in webhook.got] == ["delivered", "sent", "sent"]
    assert twilio.report(sent, "undelivered", 30003) == 204
    assert webhook.got[-1]["ErrorCode"] == "30003"
    assert {answer for _, _, answer in twilio.callbacks} == {204}
    assert sent.status == "delivered"


def test_the_stand_in_can_report_before_it_answers(
    twilio: TwilioServer, provider: TwilioProvider, webhook: Any
) -> None:
    twilio.auto_statuses, webhook.expected = ("sent", "delivered"), 2
    twilio.default_delay_s = 0.1
    provider.send(OutgoingMessage("a", TO, FROM, "Hello", status_callback=webhook.url))
    assert webhook.complete.wait(5)
    assert [form["MessageSid"] for form in webhook.got] == [twilio.accepted[0].sid] * 2
