"""Which provider carries which channel, as the settings say it; what does not fit together stops the start."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import SettingsError
from app.settings import Settings, load

TWILIO = {"twilio_account_sid": "ACx", "twilio_auth_token": "x"}
WHATSAPP = {"whatsapp_account_sid": "ACw", "whatsapp_auth_token": "w"}
PUBLIC_KEY = b64encode(
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "given, sms, whatsapp, email",
    [
        ({}, "sandbox", "sandbox", "sandbox"),
        (TWILIO, "twilio", "twilio", None),
        (WHATSAPP, "sandbox", "twilio", "sandbox"),
        (TWILIO | {"resend_api_key": "re_1"}, "twilio", "twilio", "resend"),
        (TWILIO | {"sendgrid_api_key": "SG.1"}, "twilio", "twilio", "sendgrid"),
        ({"smtp_url": "smtp://u:p@mail.example:587"}, "sandbox", "sandbox", "smtp"),
        ({"resend_api_key": "re_1", "email_provider": "sandbox"}, "sandbox", "sandbox", "sandbox"),
        ({"email_provider": "none"}, "sandbox", "sandbox", None),
        (TWILIO | {"sms_provider": "sandbox"}, "sandbox", "sandbox", "sandbox"),
        (
            {"whatsapp_account_sid": "your_account_sid", "whatsapp_auth_token": "your_auth_token"},
            "sandbox",
            "sandbox",
            "sandbox",
        ),
    ],
)
def test_what_has_a_key_carries(given: dict[str, str], sms: str, whatsapp: str, email: str | None) -> None:
    chosen = load(None, **given)

    assert [chosen.provider_of(channel) for channel in ("sms", "whatsapp", "email")] == [sms, whatsapp, email]


@pytest.mark.parametrize(
    "given, problem",
    [
        ({"email_provider": "resend"}, "RESEND_API_KEY is missing, and EMAIL_PROVIDER is resend"),
        ({"email_provider": "sendgrid"}, "SENDGRID_API_KEY is missing, and EMAIL_PROVIDER is sendgrid"),
        ({"email_provider": "smtp"}, "SMTP_URL is missing, and EMAIL_PROVIDER is smtp"),
        ({"whatsapp_account_sid": "ACw"}, "WHATSAPP_AUTH_TOKEN is missing, and WHATSAPP_ACCOUNT_SID is set"),
        ({"whatsapp_auth_token": "w"}, "WHATSAPP_ACCOUNT_SID is missing, and WHATSAPP_AUTH_TOKEN is set"),
        ({"email_from": "nobody"}, "EMAIL_FROM: must be an e-mail address"),
        ({"whatsapp_from_number": "12"}, "WHATSAPP_FROM_NUMBER: must be a phone number in E.164 form"),
        ({"smtp_url": "http://u:p@mail.example"}, "SMTP_URL: must be a URL such as smtp://user:password@host:587"),
        ({"smtp_url": "smtp://u@mail.example"}, "SMTP_URL: must be a URL"),
        ({"smtp_url": "smtp://u:p@mail.example:99999"}, "SMTP_URL: must be a URL"),
        ({"resend_webhook_secret": "whsec_***"}, "RESEND_WEBHOOK_SECRET: must be the signing secret"),
        ({"sendgrid_webhook_public_key": "AAAA"}, "SENDGRID_WEBHOOK_PUBLIC_KEY: must be the verification key"),
        ({"email_timeout_s": "0"}, "EMAIL_TIMEOUT_S: "),
        ({"email_rate": "nan"}, "EMAIL_RATE: "),
        ({"whatsapp_rate": "0.001"}, "WHATSAPP_RATE: must be 0 (no pacing) or at least 0.01"),
        ({"resend_api_url": "resend"}, "RESEND_API_URL: must be a full http(s) URL"),
        ({"email_provider": "pigeon"}, "EMAIL_PROVIDER: "),
        ({"redis_host": "bad host"}, "REDIS_HOST: "),
        ({"redis_port": "0"}, "REDIS_PORT: "),
    ],
)
def test_what_does_not_fit_is_said_by_name(given: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, **given)

    assert any(one.startswith(problem) for one in error.value.problems), error.value.problems
    assert "u:p" not in str(error.value)


def test_a_number_for_whatsapp_may_be_written_with_or_without_its_prefix() -> None:
    for written in ("+1234567890", "whatsapp:+1234567890"):
        assert load(None, whatsapp_from_number=written).shared_sender("whatsapp") == "whatsapp:+1234567890"


def test_the_printed_placeholder_is_no_address_of_an_api() -> None:
    for written in ("https://api.whatsapp.com", "https://api.whatsapp.com/"):
        assert load(None, whatsapp_api_url=written).whatsapp_api_base_url == "https://api.twilio.com"
    assert load(None, whatsapp_api_url="http://127.0.0.1:9/").whatsapp_api_base_url == "http://127.0.0.1:9"


def test_redis_can_be_named_in_two_pieces() -> None:
    assert load(None, redis_host="localhost").redis_address == "redis://localhost:6379/0"
    assert load(None, redis_host="::1", redis_port=6380).redis_address == "redis://[::1]:6380/0"
    assert load(None, redis_host="other", redis_url="redis://one/2").redis_address == "redis://one/2"
    assert load(None, redis_port=6380).redis_address == "redis://127.0.0.1:6379/0"


def test_whatsapp_leaves_a_second_between_two_messages_and_email_none() -> None:
    assert (load(None).whatsapp_rate, load(None).email_rate) == (0, 0)
    assert (load(None, **WHATSAPP).whatsapp_rate, load(None, **WHATSAPP).sender_rate) == (1, 0)
    assert (load(None, **TWILIO).whatsapp_rate, load(None, **TWILIO).email_rate) == (1, 0)
    assert load(None, **TWILIO, whatsapp_rate=80).whatsapp_rate == 80


def test_reports_reach_us_where_they_can_be_verified() -> None:
    keys = {
        "resend_webhook_secret": f"whsec_{b64encode(b'x' * 24).decode()}",
        "sendgrid_webhook_public_key": PUBLIC_KEY,
    }
    reach = [load(None, **given).reports_reach_us(name) for given in ({}, keys) for name in ("resend", "sendgrid")]

    assert reach == [False, False, True, True]
    assert not load(None, **keys).reports_reach_us("smtp")


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    path = tmp_path / "key"
    path.write_text("re_from_a_file\n")
    monkeypatch.setenv("RESEND_API_KEY_FILE", str(path))

    chosen = load(None)

    assert chosen.email_provider == "resend"
    assert chosen.resend_api_key is not None
    assert chosen.resend_api_key.get_secret_value() == "re_from_a_file"
    assert "re_from_a_file" not in repr(chosen)
