"""SENDER_RATE: one segment a second with Twilio, as fast as it goes in the sandbox, and what is set where it is set."""

import pytest

from app.errors import SettingsError
from app.settings import load

TWILIO = {"twilio_account_sid": "ACtest", "twilio_auth_token": "token"}


def test_its_default_is_the_provider_s() -> None:
    assert load(None).sender_rate == 0
    assert load(None, **TWILIO).sender_rate == 1


@pytest.mark.parametrize("rate", ["0", "0.5", "80"])
def test_what_is_set_holds(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("SENDER_RATE", rate)
    assert load(None, **TWILIO).sender_rate == load(None).sender_rate == float(rate)


@pytest.mark.parametrize("rate", ["-1", "0.001", "nan", "inf", "fast", "100000"])
def test_what_is_no_rate_stops_the_start(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("SENDER_RATE", rate)
    with pytest.raises(SettingsError, match="SENDER_RATE"):
        load(None)
