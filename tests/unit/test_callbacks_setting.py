"""Whether the provider is asked for status callbacks: only where it could reach us."""

from typing import Any

import pytest

from tests.conftest import make_settings

TWILIO = {"sms_provider": "twilio", "twilio_account_sid": "ACx", "twilio_auth_token": "x"}
LOCAL_TWILIO = {**TWILIO, "twilio_api_base_url": "http://127.0.0.1:8765"}


@pytest.mark.parametrize(
    "values, reached",
    [
        (TWILIO, False),
        ({**TWILIO, "host": "0.0.0.0"}, False),
        ({**TWILIO, "public_base_url": "http://localhost:3000"}, False),
        ({**TWILIO, "public_base_url": "https://sms.example.com"}, True),
        (LOCAL_TWILIO, True),
    ],
    ids=["unset", "every address", "loopback", "public", "a provider on this machine"],
)
def test_callbacks_are_asked_for_where_they_can_arrive(values: dict[str, Any], reached: bool) -> None:
    assert make_settings(**values).status_callbacks_reach_us is reached


def test_a_secret_s_file_may_be_named_in_dotenv(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.settings import load

    monkeypatch.delenv("SECRET_KEY", raising=False)
    (tmp_path / "key").write_text("from the file\n")
    (tmp_path / ".env").write_text(f"SECRET_KEY_FILE={tmp_path / 'key'}\n")

    assert load(str(tmp_path / ".env")).load_secret_key() == "from the file"
