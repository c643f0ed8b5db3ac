"""Sending through Twilio: what each answer, and each way of getting none, allows us to do next."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app import clock
from app.channels import transport
from app.channels.base import Accepted, Failure, FailureKind, OutgoingMessage
from app.channels.twilio import TwilioProvider
from tests.twilio_server import ACCOUNT_SID, AUTH_TOKEN, Reply, TwilioServer

MESSAGE = OutgoingMessage("attempt-1", "+61400000549", "+61400000000", "Tomorrow at 9:00")


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


@pytest.fixture
def provider(twilio: TwilioServer) -> Iterator[TwilioProvider]:
    made = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=twilio.url, timeout_s=5)
    yield made
    made.close()


@pytest.fixture
def hasty(twilio: TwilioServer) -> Iterator[TwilioProvider]:
    """A provider that waits 0.2 s."""
    made = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=twilio.url, timeout_s=0.2)
    yield made
    made.close()


def failure(result: object) -> Failure:
    assert isinstance(result, Failure)
    return result


def test_an_accepted_message_comes_back_with_twilios_id(twilio: TwilioServer, provider: TwilioProvider) -> None:
    result = provider.send(MESSAGE)
    [sent] = twilio.accepted
    assert result == Accepted(sent.sid, "queued", 201)
    assert (sent.to, sent.from_, sent.body) == (MESSAGE.to, MESSAGE.sender, MESSAGE.body)


def test_the_provider_names_the_account_that_is_paused_together(provider: TwilioProvider) -> None:
    assert (provider.name, provider.account, provider.timeout_s) == ("twilio", f"twilio:{ACCOUNT_SID}", 5)


@pytest.mark.parametrize(
    "reply, kind, code, min_delay_s",
    [
        (Reply(status=400, code=21211), FailureKind.PERMANENT, 21211, 0),
        (Reply(status=400, code=21610), FailureKind.OPTED_OUT, 21610, 0),
        (Reply(status=400, code=21610, problem=True), FailureKind.OPTED_OUT, 21610, 0),
        (Reply(status=400, code=21611), FailureKind.TRANSIENT, 21611, 60),
        (Reply(status=401, code=20003), FailureKind.CONFIGURATION, 20003, 0),
        (Reply(status=403, code=20005), FailureKind.CONFIGURATION, 20005, 0),
        (Reply(status=429, code=20429), FailureKind.THROTTLED, 20429, 0),
        (Reply(status=500, code=20500), FailureKind.AMBIGUOUS, 20500, 0),
        (Reply(status=503, body=b""), FailureKind.AMBIGUOUS, None, 0),
        (
            Reply(status=502, body=b"<html>Bad gateway</html>", content_type="text/html"),
            FailureKind.AMBIGUOUS,
            None,
            0,
        ),
        (Reply(status=400, body=b'{"code": "21211"}'), FailureKind.PERMANENT, 21211, 0),
        (Reply(status=400, body=b'{"code": true}'), FailureKind.PERMANENT, None, 0),
        (Reply(status=400, body=b'{"code": 9999999999}'), FailureKind.PERMANENT, None, 0),
        (Reply(status=400, body=b"[1]"), FailureKind.PERMANENT, None, 0),
        (Reply(status=301, headers={"Location": "/elsewhere"}), FailureKind.CONFIGURATION, None, 0),
        (Reply(status=303, headers={"Location": "/elsewhere"}), FailureKind.AMBIGUOUS, None, 0),
    ],
)
def test_a_refusal_says_what_may_be_done_next(
    twilio: TwilioServer,
    provider: TwilioProvider,
    reply: Reply,
    kind: FailureKind,
    code: int | None,
    min_delay_s: float,
) -> None:
    twilio.script(reply)
    result = failure(provider.send(MESSAGE))
    assert (result.kind, result.code, result.min_delay_s) == (kind, code, min_delay_s)
    assert result.http_status == reply.status
    assert [method for method, _ in twilio.requests] == ["POST"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b""),
        Reply(body=b"<html>Welcome to the hotel</html>"),
        Reply(body=b'{"sid": "SM12'),
        Reply(body=b'{"status": "queued"}'),
        Reply(body=b'{"sid": null}'),
        Reply(body=b'"SM1"'),
        Reply(body=b'{"sid": "' + b"x" * 65 + b'"}'),
        Reply(body=b'{"sid": "SM\\u0000"}'),
        Reply(body=b'{"sid": "SM 1"}'),
        Reply(body=b"[" * 100_000),
        Reply(body=b"\xff\xfe"),
        Reply(status=204, body=b""),
        Reply(truncate=True),
        Reply(reset=True),
    ],
)
def test_a_success_that_cannot_be_read_is_ambiguous(
    twilio: TwilioServer, provider: TwilioProvider, reply: Reply
) -> None:
    twilio.script(reply)
    assert failure(provider.send(MESSAGE)).kind is FailureKind.AMBIGUOUS
    assert len(twilio.accepted) == 1


def test_an_answer_that_is_too_long_is_ambiguous(
    twilio: TwilioServer, provider: TwilioProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 100)
    assert failure(provider.send(MESSAGE)).kind is FailureKind.AMBIGUOUS
    monkeypatch.undo()
    assert isinstance(provider.send(MESSAGE), Accepted)


def test_a_refusal_whose_reason_was_cut_off_may_be_tried_again(twilio: TwilioServer, provider: TwilioProvider) -> None:
    twilio.script(Reply(status=400, code=21211, truncate=True), Reply(status=401, code=20003, truncate=True))
    assert failure(provider.send(MESSAGE)).kind is FailureKind.TRANSIENT
    assert failure(provider.send(MESSAGE)).kind is FailureKind.CONFIGURATION


def test_no_answer_in_time_is_ambiguous_because_the_message_may_go_out(
    twilio: TwilioServer, hasty: TwilioProvider
) -> None:
    twilio.script(Reply(delay_s=0.5))
    started = time.monotonic()
    result = failure(hasty.send(MESSAGE))
    assert time.monotonic() - started < 0.45
    assert result.kind is FailureKind.AMBIGUOUS
    assert len(twilio.accepted) == 1


def test_an_answer_that_drips_is_given_up_at_the_same_time(twilio: TwilioServer, hasty: TwilioProvider) -> None:
    twilio.script(Reply(drip_s=0.02))
    started = time.monotonic()
    assert failure(hasty.send(MESSAGE)).kind is FailureKind.AMBIGUOUS
    assert time.monotonic() - started < 0.45


def test_a_new_connection_follows_one_that_failed(twilio: TwilioServer, provider: TwilioProvider) -> None:
    for reply in (Reply(reset=True), Reply(truncate=True), Reply(drip_s=0.0001), Reply(body=b"x")):
        twilio.script(reply)
        provider.send(MESSAGE)
        assert isinstance(provider.send(MESSAGE), Accepted)


@pytest.mark.parametrize(
    "header, seconds",
    [
        (None, None),
        ("7", 7),
        (" 1.5 ", 1.5),
        ("0", 0),
        ("86400", 3600),
        ("9" * 400, 3600),
        ("-5", None),
        ("soon", None),
        ("Sun, 01 Mar 2026 10:00:00 +99999999999999", None),
        ("Sun, 01 Mar 0001 10:00:00 +2300", 0),
        ("nan", None),
        ("", None),
        (format_datetime(datetime(2026, 3, 1, 10, 2, tzinfo=UTC), usegmt=True), 120),
        (format_datetime(datetime(2026, 3, 1, 9, 0, tzinfo=UTC), usegmt=True), 0),
        (format_datetime(datetime(2027, 3, 1, 9, 0, tzinfo=UTC), usegmt=True), 3600),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_never_trusted_beyond_an_hour(
    twilio: TwilioServer, provider: TwilioProvider, header: str | None, seconds: float | None
) -> None:
    class Ten:
        def now(self) -> datetime:
            return datetime(2026, 3, 1, 10, tzinfo=UTC)

    twilio.script(Reply(status=429, code=20429, retry_after=header))
    with clock.use(Ten()):
        result = failure(provider.send(MESSAGE))
    assert result.kind is FailureKind.THROTTLED
    assert result.retry_after_s == seconds


def test_the_reason_is_fit_for_logs_without_numbers_secrets_or_line_breaks(
    twilio: TwilioServer, provider: TwilioProvider
) -> None:
    said = f"The 'To' number +61400000549\n(61400000549) is bad \x1b[31m; {AUTH_TOKEN}" + " more" * 200
    twilio.script(Reply(status=400, code=21211, message=said))
    message = failure(provider.send(MESSAGE)).message
    assert message.startswith("Twilio 21211: The 'To' number +61*****549 (61*****549) is bad")
    assert "***" in message
    assert AUTH_TOKEN not in message
    assert message.isprintable()
    assert len(message) <= 300


def test_an_error_without_words_is_put_in_ours(twilio: TwilioServer, provider: TwilioProvider) -> None:
    twilio.script(Reply(status=400, body=b'{"code": 21614}'), Reply(status=400, body=b"{}"), Reply(body=b"{}"))
    assert failure(provider.send(MESSAGE)).message == "The recipient's number is not a mobile number."
    assert failure(provider.send(MESSAGE)).message == "Twilio answered HTTP 400."
    assert "cannot be read" in failure(provider.send(MESSAGE)).message


def test_revoked_credentials_are_a_matter_of_configuration(twilio: TwilioServer, provider: TwilioProvider) -> None:
    twilio.auth_ok = False
    result = failure(provider.send(MESSAGE))
    assert (result.kind, result.code, result.http_status) == (FailureKind.CONFIGURATION, 20003, 401)
    assert twilio.accepted == []


def test_an_account_that_twilio_does_not_know_is_a_matter_of_configuration(twilio: TwilioServer) -> None:
    twilio.account_sid = "AC" + "f" * 32
    stranger = TwilioProvider(account_sid="AC" + "f" * 32, auth_token=AUTH_TOKEN, base_url=twilio.url)
    result = failure(stranger.send(MESSAGE))
    stranger.close()
    assert (result.kind, result.code, result.http_status) == (FailureKind.CONFIGURATION, 20404, 404)


def test_half_a_character_is_refused_before_it_is_sent(twilio: TwilioServer, provider: TwilioProvider) -> None:
    broken = OutgoingMessage("attempt-1", MESSAGE.to, MESSAGE.sender, "\ud83d")
    assert failure(provider.send(broken)).kind is FailureKind.PERMANENT
    assert twilio.requests == []


def test_many_threads_share_one_provider(twilio: TwilioServer, provider: TwilioProvider) -> None:
    bodies = [f"Message {number}" for number in range(64)]
    messages = [OutgoingMessage("attempt", MESSAGE.to, MESSAGE.sender, body) for body in bodies]
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(provider.send, messages))
    assert all(isinstance(result, Accepted) for result in results)
    by_sid = {sent.sid: sent.body for sent in twilio.accepted}
    assert [by_sid[result.provider_message_id] for result in results if isinstance(result, Accepted)] == bodies


def test_the_time_of_acceptance_is_that_of_arrival(twilio: TwilioServer, provider: TwilioProvider) -> None:
    before = datetime.now(UTC)
    provider.send(MESSAGE)
    at = datetime.fromtimestamp(twilio.accepted[0].at, UTC)
    assert before - timedelta(milliseconds=1) <= at <= datetime.now(UTC)
