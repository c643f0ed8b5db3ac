"""Reading Twilio's own log: what reconciling an unknown outcome and pulling late statuses rest on."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.channels.base import FailureKind, OutgoingMessage, ProviderUnavailable
from app.channels.twilio import TwilioProvider
from tests.twilio_server import ACCOUNT_SID, AUTH_TOKEN, Reply, Sent, TwilioServer

TO, FROM, SERVICE = "+61400000549", "+61400000000", "MG" + "a" * 32
NOW = datetime(2026, 3, 1, 10, 0, 30, 700_000, tzinfo=UTC)


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


@pytest.fixture
def provider(twilio: TwilioServer) -> Iterator[TwilioProvider]:
    made = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=twilio.url, timeout_s=0.4)
    yield made
    made.close()


def logged(twilio: TwilioServer, body: str, *, ago_s: float = 0, **changes: Any) -> Sent:
    """A message in the log that was made some seconds before NOW."""
    fields = {"To": TO, "From": FROM, "Body": body} | changes.pop("fields", {})
    at = (NOW - timedelta(seconds=ago_s)).timestamp()
    return twilio.accept([(name, value) for name, value in fields.items() if value], at, **changes)


def bodies(provider: TwilioProvider, since: datetime, *, to: str = TO, sender: str = FROM) -> list[str]:
    return [record.body for record in provider.find(to=to, sender=sender, since=since)]


def test_find_gives_what_was_made_since_newest_first(twilio: TwilioServer, provider: TwilioProvider) -> None:
    logged(twilio, "old", ago_s=61)
    logged(twilio, "first", ago_s=10)
    logged(twilio, "second", ago_s=5)
    assert bodies(provider, NOW - timedelta(seconds=60)) == ["second", "first"]


def test_find_does_not_miss_a_message_of_the_same_second(twilio: TwilioServer, provider: TwilioProvider) -> None:
    # The log has whole seconds: made at 30.7 it says 30, which is before a `since` of 30.5.
    logged(twilio, "same second")
    assert bodies(provider, NOW - timedelta(seconds=0.2)) == ["same second"]


def test_find_sees_messages_that_are_still_queued_and_so_have_no_date_sent(
    twilio: TwilioServer, provider: TwilioProvider
) -> None:
    sent = logged(twilio, "queued")
    [record] = provider.find(to=TO, sender=FROM, since=NOW)
    assert (record.provider_message_id, record.status) == (sent.sid, "queued")
    assert (record.to, record.sender, record.error_code, record.error_message) == (TO, FROM, None, None)
    assert record.created_at == NOW.replace(microsecond=0)
    assert "DateSent" not in twilio.requests[-1][1]


def test_find_asks_for_one_recipient_and_one_sender(twilio: TwilioServer, provider: TwilioProvider) -> None:
    logged(twilio, "theirs", fields={"To": "+61400000777"})
    logged(twilio, "from elsewhere", fields={"From": "+61400000888"})
    logged(twilio, "inbound", direction="inbound")
    logged(twilio, "ours")
    assert bodies(provider, NOW) == ["ours"]
    assert provider.find(to="whatsapp:" + TO, sender=FROM, since=NOW) == []


def test_find_through_a_messaging_service_does_not_filter_by_the_number_it_chose(
    twilio: TwilioServer, provider: TwilioProvider
) -> None:
    ours = {"From": None, "MessagingServiceSid": SERVICE}
    logged(twilio, "not sent yet", fields=ours)
    logged(twilio, "sent", fields=ours, from_="+61400000333")
    logged(twilio, "another service", fields=ours | {"MessagingServiceSid": "MG" + "b" * 32})
    assert sorted(bodies(provider, NOW, sender=SERVICE)) == ["not sent yet", "sent"]
    assert [record.sender for record in provider.find(to=TO, sender=SERVICE, since=NOW)] == [
        SERVICE,
        "+61400000333",
    ]


def test_find_reads_page_after_page_until_a_whole_page_is_too_old(
    twilio: TwilioServer, provider: TwilioProvider
) -> None:
    for number in range(450):
        logged(twilio, f"{number}", ago_s=number)
    found = bodies(provider, NOW - timedelta(seconds=150))
    assert found == [f"{number}" for number in range(151)]
    assert len(twilio.requests) == 3


def test_find_says_so_when_the_log_is_longer_than_it_reads(twilio: TwilioServer) -> None:
    for _ in range(1001):
        logged(twilio, "again")
    # Ten long pages: a slow machine needs more than the others' time-out for one.
    patient = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=twilio.url, timeout_s=10)
    with closing(patient), pytest.raises(ProviderUnavailable, match="longer than 1000"):
        patient.find(to=TO, sender=FROM, since=NOW)
    assert len(twilio.requests) == 10


@pytest.mark.parametrize("uri", ['"https://evil.test/steal"', '"//evil.test/steal"', "7", '"steal"'])
def test_find_takes_the_credentials_nowhere_else(twilio: TwilioServer, provider: TwilioProvider, uri: str) -> None:
    twilio.script_reads(Reply(body=f'{{"messages": [], "next_page_uri": {uri}}}'.encode()))
    with pytest.raises(ProviderUnavailable):
        provider.find(to=TO, sender=FROM, since=NOW)
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html></html>",
        b"{}",
        b'{"messages": null}',
        b'{"messages": [1]}',
        b'{"messages": [{}]}',
        b'{"messages": [{"sid": "SM1", "date_created": null}]}',
        b'{"messages": [{"sid": "SM1", "date_created": "yesterday"}]}',
    ],
)
def test_a_log_that_cannot_be_read_is_never_taken_for_an_empty_one(
    twilio: TwilioServer, provider: TwilioProvider, page: bytes
) -> None:
    twilio.script_reads(Reply(body=page))
    with pytest.raises(ProviderUnavailable) as caught:
        provider.find(to=TO, sender=FROM, since=NOW)
    assert caught.value.failure.kind is FailureKind.AMBIGUOUS


def test_dates_without_a_direction_or_a_zone_are_read_as_ours_and_utc(
    twilio: TwilioServer, provider: TwilioProvider
) -> None:
    twilio.script_reads(
        Reply(
            body=b'{"messages": [{"sid": "SM1", "date_created": "Sun, 01 Mar 2026 10:00:30 -0000"},'
            b' {"sid": "SM2", "direction": null, "date_created": "Sun, 01 Mar 2026 21:00:30 +1100"}]}'
        )
    )
    records = provider.find(to=TO, sender=FROM, since=NOW)
    assert [record.created_at for record in records] == [NOW.replace(microsecond=0)] * 2


@pytest.mark.parametrize(
    "reply, kind",
    [
        (Reply(status=503, code=20503), FailureKind.AMBIGUOUS),
        (Reply(status=429, code=20429, retry_after=3), FailureKind.THROTTLED),
        (Reply(status=401, code=20003), FailureKind.CONFIGURATION),
        (Reply(status=404, body=b"<html>Nothing here</html>"), FailureKind.CONFIGURATION),
        (Reply(delay_s=0.5), FailureKind.AMBIGUOUS),
        (Reply(reset=True), FailureKind.AMBIGUOUS),
    ],
)
def test_find_fetch_and_probe_say_why_there_is_no_answer(
    twilio: TwilioServer, provider: TwilioProvider, reply: Reply, kind: FailureKind
) -> None:
    twilio.script_reads(reply, reply, reply)
    with pytest.raises(ProviderUnavailable) as found:
        provider.find(to=TO, sender=FROM, since=NOW)
    with pytest.raises(ProviderUnavailable) as fetched:
        provider.fetch("SM" + "0" * 32)
    probed = provider.probe()
    assert probed is not None
    assert found.value.failure.kind is fetched.value.failure.kind is probed.kind is kind
    assert probed.retry_after_s == (3 if reply.retry_after else None)


def test_fetch_gives_the_status_and_the_error_of_one_message(twilio: TwilioServer, provider: TwilioProvider) -> None:
    sent = logged(twilio, "late")
    twilio.set_status(sent, "undelivered", 30003)
    record = provider.fetch(sent.sid)
    assert record is not None
    assert (record.provider_message_id, record.status, record.error_code) == (sent.sid, "undelivered", 30003)
    assert record.error_message == "Scripted 30003"


def test_fetch_of_an_unknown_id_is_none(twilio: TwilioServer, provider: TwilioProvider) -> None:
    assert provider.fetch("SM" + "0" * 32) is None
    assert provider.fetch("../../escape?x=1") is None
    assert twilio.requests[-1][1].endswith("/Messages/..%2F..%2Fescape%3Fx%3D1.json")


def test_probe_tells_when_the_account_works_again_and_sends_nothing(
    twilio: TwilioServer, provider: TwilioProvider
) -> None:
    twilio.auth_ok = False
    refused = provider.probe()
    assert refused is not None
    assert (refused.kind, refused.code) == (FailureKind.CONFIGURATION, 20003)
    twilio.auth_ok = True
    assert provider.probe() is None
    assert {method for method, _ in twilio.requests} == {"GET"}
    assert twilio.requests[-1][1].endswith("/Messages.json?PageSize=1")


def test_what_was_sent_is_found_again(twilio: TwilioServer, provider: TwilioProvider) -> None:
    twilio.script(Reply(status=500, accept=True))
    started = datetime.now(UTC)
    provider.send(OutgoingMessage("attempt-1", TO, FROM, "Tomorrow at 9:00 💇"))
    assert bodies(provider, started) == ["Tomorrow at 9:00 💇"]
