"""What is particular to each way of sending email."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import clock
from app.channels.base import Accepted, Failure, FailureKind, OutgoingMessage, SendResult
from app.channels.email_content import html_of, one_line
from app.channels.resend import ResendProvider
from app.channels.sendgrid import SendGridProvider
from app.channels.smtp import SmtpProvider
from tests.email_servers import KEY, At, EmailApiServer, MailServer, own_tls
from tests.twilio_server import Reply

EMAIL = OutgoingMessage(
    attempt_id="a" * 32,
    message_id="b" * 32,
    to="jo@example.com",
    sender="hello@salon.example",
    body="Hi Jo,\n\n.Tomorrow at 9:00 <b>\n.",
    channel="email",
    subject="Your appointment",
    sender_name='Salon "Süd"',
)


@pytest.fixture
def api() -> Iterator[EmailApiServer]:
    with EmailApiServer() as server:
        yield server


@pytest.fixture
def resend(api: EmailApiServer) -> Iterator[ResendProvider]:
    made = ResendProvider(api_key=KEY, base_url=api.url, timeout_s=5)
    yield made
    made.close()


@pytest.fixture
def sendgrid(api: EmailApiServer) -> Iterator[SendGridProvider]:
    made = SendGridProvider(api_key=KEY, base_url=api.url, timeout_s=5)
    yield made
    made.close()


def failure(result: SendResult) -> Failure:
    assert isinstance(result, Failure), result
    return result


class TestResend:
    def test_the_email_is_complete(self, api: EmailApiServer, resend: ResendProvider) -> None:
        resend.send(EMAIL)

        [document] = api.accepted
        assert document == {
            "from": '"Salon \\"Süd\\"" <hello@salon.example>',
            "to": ["jo@example.com"],
            "subject": "Your appointment",
            "text": EMAIL.body,
            "html": "<p>Hi Jo,</p><p>.Tomorrow at 9:00 &lt;b&gt;<br>.</p>",
            "tags": [{"name": "message", "value": "b" * 32}],
        }

    def test_a_second_try_is_the_same_request_and_has_no_second_effect(
        self, api: EmailApiServer, resend: ResendProvider
    ) -> None:
        api.script(Reply(reset=True, accept=True))
        assert failure(resend.send(EMAIL)).kind is FailureKind.AMBIGUOUS

        again = resend.send(replace(EMAIL, attempt_id="f" * 32, valid_for_s=5, status_callback="https://x.example"))

        assert isinstance(again, Accepted)
        assert len(api.accepted) == 1
        assert [headers["idempotency-key"] for headers in api.headers] == [f"msg-{'b' * 32}"] * 2

    def test_another_text_under_the_same_key_is_no_proof_of_anything(
        self, api: EmailApiServer, resend: ResendProvider
    ) -> None:
        resend.send(EMAIL)

        result = failure(resend.send(replace(EMAIL, body="Another")))

        assert (result.kind, result.http_status) == (FailureKind.AMBIGUOUS, 409)
        assert len(api.accepted) == 1

    @pytest.mark.parametrize(
        "status, name, kind, wait_s, at_least_s",
        [
            (409, "concurrent_idempotent_requests", FailureKind.THROTTLED, 5, 0),
            (429, "daily_quota_exceeded", FailureKind.THROTTLED, None, 3600),
            (429, "rate_limit_exceeded", FailureKind.THROTTLED, None, 0),
            (403, "validation_error", FailureKind.PERMANENT, None, 0),
            (403, "invalid_api_key", FailureKind.CONFIGURATION, None, 0),
            (400, "missing_api_key", FailureKind.CONFIGURATION, None, 0),
            (422, "invalid_from_address", FailureKind.PERMANENT, None, 0),
            (408, "x", FailureKind.AMBIGUOUS, None, 0),
        ],
    )
    def test_what_it_calls_an_error_decides(
        self,
        api: EmailApiServer,
        resend: ResendProvider,
        status: int,
        name: str,
        kind: FailureKind,
        wait_s: float | None,
        at_least_s: float,
    ) -> None:
        api.script(Reply(status=status, headers={"x-name": name}))

        result = failure(resend.send(EMAIL))

        assert (result.kind, result.retry_after_s, result.min_delay_s) == (kind, wait_s, at_least_s)

    def test_a_status_can_be_asked_for(self, api: EmailApiServer, resend: ResendProvider) -> None:
        api.events |= {"one": "bounced", "two": "queued", "three": "something new"}

        found = [resend.fetch(email_id) for email_id in ("one", "two", "three", "none")]

        assert [record.status if record else None for record in found] == ["undelivered", "accepted", "accepted", None]


class TestSendGrid:
    def test_the_email_is_complete(self, api: EmailApiServer, sendgrid: SendGridProvider) -> None:
        sendgrid.send(EMAIL)

        [document] = api.accepted
        assert document == {
            "personalizations": [{"to": [{"email": "jo@example.com"}], "custom_args": {"attempt": "a" * 32}}],
            "from": {"email": "hello@salon.example", "name": 'Salon "Süd"'},
            "subject": "Your appointment",
            "content": [
                {"type": "text/plain", "value": EMAIL.body},
                {"type": "text/html", "value": html_of(EMAIL.body)},
            ],
        }

    @pytest.mark.parametrize(
        "reset, seconds", [("1772359220", 20), ("1772359100", 0), ("1872359100", 3600), ("soon", None), ("", None)]
    )
    def test_a_limit_says_when_it_begins_anew(
        self, api: EmailApiServer, sendgrid: SendGridProvider, reset: str, seconds: float | None
    ) -> None:
        class Ten:
            def now(self) -> datetime:
                return datetime(2026, 3, 1, 10, tzinfo=UTC)

        api.script(Reply(status=429, headers={"X-RateLimit-Reset": reset}))
        with clock.use(Ten()):
            result = failure(sendgrid.send(EMAIL))

        assert (result.kind, result.retry_after_s) == (FailureKind.THROTTLED, seconds)

    @pytest.mark.parametrize("field, kind", [("from", FailureKind.PERMANENT), ("null", FailureKind.CONFIGURATION)])
    def test_a_sender_that_is_not_verified_is_not_the_account(
        self, api: EmailApiServer, sendgrid: SendGridProvider, field: str, kind: FailureKind
    ) -> None:
        body = f'{{"errors": [{{"message": "no", "field": "{field}"}}]}}'.encode()
        api.script(Reply(status=403, body=body))

        assert failure(sendgrid.send(EMAIL)).kind is kind


class TestMailServer:
    def test_the_email_arrives_as_it_was_written(self) -> None:
        with MailServer() as server:
            result = SmtpProvider(server.url, timeout_s=5).send(EMAIL)

        [email] = server.accepted
        assert result == Accepted(f"{'b' * 32}@salon.example", "accepted", 250)
        assert email["From"] == '"Salon \\"Süd\\"" <hello@salon.example>'
        assert (email["To"], email["Subject"]) == ("jo@example.com", "Your appointment")
        assert email["Message-ID"] == f"<{'b' * 32}@salon.example>"
        plain, html = email.iter_parts()
        assert plain.get_content().replace("\r\n", "\n") == EMAIL.body + "\n"
        assert html.get_content().strip() == html_of(EMAIL.body)

    def test_nothing_in_a_subject_or_a_name_becomes_a_header(self) -> None:
        with MailServer() as server:
            bad = "Hello\r\nBcc: everybody@example.com\x00\u2028x"
            SmtpProvider(server.url, timeout_s=5).send(replace(EMAIL, subject=bad, sender_name=bad))

        [email] = server.accepted
        assert "Bcc" not in email
        assert email["Subject"] == "Hello Bcc: everybody@example.com x"

    @pytest.mark.parametrize("address", ["jo\r\nRCPT TO:<x@example.com>", "jo", "jö@example.com", "<>", "a@b@c", ""])
    def test_an_address_that_is_none_is_refused_before_anything_is_said(self, address: str) -> None:
        with MailServer() as server:
            result = SmtpProvider(server.url, timeout_s=5).send(replace(EMAIL, to=address))

        assert failure(result).kind is FailureKind.PERMANENT
        assert server.said == []

    @pytest.mark.parametrize(
        "step, kind",
        [
            (At(step="greeting", say="421 later"), FailureKind.THROTTLED),
            (At(step="greeting", close=True), FailureKind.UNREACHABLE),
            (At(step="EHLO", say="550 go away"), FailureKind.CONFIGURATION),
            (At(step="AUTH", say="454 later"), FailureKind.THROTTLED),
            (At(step="AUTH", say="534 no"), FailureKind.CONFIGURATION),
            (At(step="AUTH", close=True), FailureKind.UNREACHABLE),
            (At(step="MAIL", say="530 log in first"), FailureKind.CONFIGURATION),
            (At(step="MAIL", say="451 later"), FailureKind.TRANSIENT),
            (At(step="MAIL", say="553 not yours"), FailureKind.PERMANENT),
            (At(step="MAIL", close=True), FailureKind.UNREACHABLE),
            (At(step="RCPT", say="452 mailbox full"), FailureKind.TRANSIENT),
            (At(step="RCPT", say="rubbish"), FailureKind.UNREACHABLE),
            (At(step="DATA", say="554 no"), FailureKind.PERMANENT),
            (At(step="DATA", close=True), FailureKind.UNREACHABLE),
            (At(step="content", say="451 later"), FailureKind.TRANSIENT),
            (At(step="content", say="552 too large"), FailureKind.PERMANENT),
            (At(step="content", close=True), FailureKind.AMBIGUOUS),
        ],
        ids=lambda value: f"{value.step} {value.say}" if isinstance(value, At) else str(value),
    )
    def test_each_step_that_fails_says_what_may_be_done_next(self, step: At, kind: FailureKind) -> None:
        with MailServer(password="secret") as server:
            server.script(step)
            result = failure(SmtpProvider(server.url, timeout_s=5).send(EMAIL))

        assert result.kind is kind
        assert server.accepted == []

    @pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL"])
    def test_a_server_that_hangs_before_the_email_left_is_given_up_in_time(self, step: str) -> None:
        with MailServer() as server:
            server.script(At(step=step, wait_s=2))
            assert failure(SmtpProvider(server.url, timeout_s=0.3).send(EMAIL)).kind is FailureKind.UNREACHABLE

    def test_a_password_is_not_sent_in_the_clear_beyond_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.channels.smtp.is_loopback", lambda _host: False)
        with MailServer(password="secret") as server:
            result = failure(SmtpProvider(server.url, timeout_s=5).send(EMAIL))

        assert result.kind is FailureKind.CONFIGURATION
        assert not [command for command in server.said if command.startswith("AUTH")]

    @pytest.mark.parametrize("from_the_start", [False, True])
    def test_a_password_goes_through_tls_with_a_server_that_is_who_it_says(
        self, from_the_start: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs, ours = own_tls(tmp_path)
        monkeypatch.setattr("app.channels.smtp.is_loopback", lambda _host: False)
        with MailServer(password="secret", tls=theirs, from_the_start=from_the_start) as server:
            stranger = SmtpProvider(server.url, timeout_s=5).send(EMAIL)
            monkeypatch.setattr("app.channels.smtp.tls_context", lambda: ours)
            result = SmtpProvider(server.url, timeout_s=5).send(EMAIL)

        assert failure(stranger).kind is FailureKind.UNREACHABLE
        assert isinstance(result, Accepted)
        assert len(server.accepted) == 1
        assert len([command for command in server.said if command.startswith("AUTH")]) == 1

    def test_tls_that_fails_lets_nothing_leave(self) -> None:
        with MailServer() as server:
            url = server.url.replace("smtp://", "smtps://")
            assert failure(SmtpProvider(url, timeout_s=1).send(EMAIL)).kind is FailureKind.UNREACHABLE
        assert server.accepted == []


@pytest.mark.parametrize(
    "text, html",
    [
        ("", "<p></p>"),
        ("a", "<p>a</p>"),
        ("a\nb\n\n\n c", "<p>a<br>b</p><p>c</p>"),
        ("a\r\n\r\nb", "<p>a</p><p>b</p>"),
        ("<script>&\"'", "<p>&lt;script&gt;&amp;&quot;&#x27;</p>"),
    ],
)
def test_the_html_says_the_same_as_the_text(text: str, html: str) -> None:
    assert html_of(text) == html


def test_a_header_is_one_line_of_bounded_length() -> None:
    assert one_line(" a\r\n\tb\x00c ") == "a b c"
    assert len(one_line("x" * 5000)) == 200
