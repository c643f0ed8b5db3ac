"""The panel has words for everything that can happen, and says times as people do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from admin import times, words
from app.channels.base import FailureKind
from app.channels.models import ProviderAccount
from app.messages.decisions import SETTLED_REFUSALS
from app.messages.states import PROVIDER_RANK, Reason, Status
from app.messages.words import REASON

NOW = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def test_every_status_and_reason_has_words() -> None:
    assert set(words.STATUS) == set(Status)
    assert set(REASON) == set(Reason)


def test_every_outcome_of_a_try_has_words() -> None:
    assert set(words.OUTCOME) >= {*FailureKind, *SETTLED_REFUSALS, "accepted", "abandoned", "not_accepted", None}


def test_every_report_that_a_provider_sends_has_words() -> None:
    assert set(words.REPORT) >= set(PROVIDER_RANK) - {"scheduled"}


@pytest.mark.parametrize(
    "address, shown",
    [
        ("+4915112345678", "+49 1511 2345678"),
        ("whatsapp:+14155552671", "WhatsApp +1 415-555-2671"),
        ("MG0123456789", "MG0123456789"),
        ("+999", "+999"),
    ],
)
def test_numbers_are_grouped(address: str, shown: str) -> None:
    assert words.phone(address) == shown


@pytest.mark.parametrize(
    "distance, text",
    [
        (timedelta(seconds=30), "now"),
        (timedelta(minutes=5), "in 5 min"),
        (-timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=3), "in 3 h"),
        (-timedelta(hours=30), "30 h ago"),
        (timedelta(days=9, hours=3), "in 9 days"),
    ],
)
def test_distances(distance: timedelta, text: str) -> None:
    assert times.relative(NOW + distance, NOW) == text


def test_a_day_is_named_unless_it_is_today_there() -> None:
    assert times.since_text(NOW, BERLIN, NOW) == "14:00"
    assert times.since_text(NOW - timedelta(hours=15), BERLIN, NOW) == "Sun 10 May, 23:00"
    assert times.since_text(NOW - timedelta(days=365), BERLIN, NOW) == "Sun 11 May 2025, 14:00"


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd"])
def test_a_zone_that_is_gone_is_shown_in_utc(name: str) -> None:
    assert times.zone(name).key == "UTC"


@pytest.mark.parametrize(
    "code, reason, text",
    [
        (20003, "Authenticate", "Twilio refuses our password since 09:12: 14 messages wait."),
        (20005, "x", "The Twilio account is suspended or closed since 09:12: 14 messages wait."),
        (None, "The answer was a redirect.", "The answer was a redirect since 09:12: 14 messages wait."),
        (None, None, "Our account is refused since 09:12: 14 messages wait."),
    ],
)
def test_a_paused_account_is_said_in_one_sentence(code: int | None, reason: str | None, text: str) -> None:
    account = ProviderAccount(id="twilio:AC1", error_code=code, reason=reason)

    assert words.paused(account, "09:12", 14) == text
