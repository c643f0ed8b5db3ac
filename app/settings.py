"""Every environment variable that Bellhop reads, typed, in one place.

An empty value counts as unset. Secrets can also be given as ``NAME_FILE``, the path of a file that holds the
value (Docker and Kubernetes mount them that way). Settings are checked together at start: the process refuses to
run with a clear list of what is wrong rather than failing at the first message.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import SettingsError
from app.setting_files import NamedFileSource
from app.setting_types import (
    BootstrapKey,
    DatabaseUrl,
    EmailAddress,
    HttpUrl,
    PublicKey,
    Rate,
    RedisUrl,
    Sender,
    SmtpUrl,
    SvixSecret,
    WhatsappSender,
    is_loopback,
    url_is_loopback,
)

TWILIO_API = "https://api.twilio.com"
RESEND_API = "https://api.resend.com"
SENDGRID_API = "https://api.sendgrid.com"
PLACEHOLDERS = {
    "whatsapp_account_sid": "your_account_sid",
    "whatsapp_auth_token": "your_auth_token",
    "whatsapp_api_url": "https://api.whatsapp.com",
}
"""What seed 004 prints in its example. No account has these values, and nothing of use answers there: they count as
unset.
"""


class Settings(BaseSettings):
    """The configuration of one installation; ``docs/configuration.md`` describes each variable."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, env_file_encoding="utf-8")

    # Where we listen and keep things
    host: str = "127.0.0.1"
    port: int = Field(3000, ge=1, le=65535)
    var_dir: Path = Path("var")
    public_base_url: HttpUrl | None = None
    secret_key: SecretStr | None = None
    trusted_proxies: int = Field(0, ge=0, le=10)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    metrics_token: SecretStr | None = None

    # Stores
    database_url: DatabaseUrl = ""
    redis_url: RedisUrl = ""
    redis_host: str | None = Field(None, pattern=r"^[A-Za-z0-9.:_-]+$")
    redis_port: int = Field(6379, ge=1, le=65535)

    # Access
    auth_required: bool = True
    api_key_bootstrap: BootstrapKey | None = None
    rate_limit: int = Field(1200, ge=0)
    admin_email: EmailAddress | None = None
    admin_password: SecretStr | None = None

    # Sending
    sms_provider: Literal["twilio", "sandbox"] = "sandbox"
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from_number: Sender | None = None
    twilio_messaging_service_sid: str | None = None
    twilio_api_base_url: HttpUrl = TWILIO_API
    twilio_timeout_s: float = Field(10.0, gt=0, le=60)
    phone_strictness: Literal["e164", "possible", "valid"] = "e164"
    sender_rate: Rate = Field(0, ge=0, le=10_000, allow_inf_nan=False)
    whatsapp_account_sid: str | None = None
    whatsapp_auth_token: SecretStr | None = None
    whatsapp_from_number: WhatsappSender | None = None
    whatsapp_api_url: HttpUrl | None = None
    whatsapp_rate: Rate = Field(0, ge=0, le=10_000, allow_inf_nan=False)
    email_provider: Literal["resend", "sendgrid", "smtp", "sandbox", "none"] = "none"
    email_from: EmailAddress | None = None
    email_rate: Rate = Field(0, ge=0, le=10_000, allow_inf_nan=False)
    email_timeout_s: float = Field(10.0, gt=0, le=60)
    resend_api_key: SecretStr | None = None
    resend_api_url: HttpUrl = RESEND_API
    resend_webhook_secret: SvixSecret | None = None
    sendgrid_api_key: SecretStr | None = None
    sendgrid_api_url: HttpUrl = SENDGRID_API
    sendgrid_webhook_public_key: PublicKey | None = None
    smtp_url: SmtpUrl | None = None

    # Processes
    workers: int = Field(1, ge=1, le=32)
    worker_concurrency: int = Field(64, ge=1, le=1024)
    web_concurrency: int = Field(2, ge=1, le=64)
    horizon_minutes: float = Field(60, gt=0, le=24 * 60)
    horizon_max: int = Field(200_000, ge=1)
    retention_days: int = Field(90, ge=0, le=36_500)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order: arguments, environment, ``NAME_FILE``, ``.env``."""
        dotenv = getattr(dotenv_settings, "env_vars", {})
        return init_settings, env_settings, NamedFileSource(settings_cls, dotenv), dotenv_settings

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend(cls, data: Any) -> Any:
        if isinstance(data, dict):
            _fill_in_sending(data)
            if not data.get("database_url"):
                data["database_url"] = f"sqlite:///{Path(data.get('var_dir') or 'var').absolute()}/bellhop.db"
            if not data.get("redis_url") and data.get("redis_host"):
                host = str(data["redis_host"])
                host = f"[{host}]" if ":" in host else host
                data["redis_url"] = f"redis://{host}:{data.get('redis_port') or 6379}/0"
            if not data.get("web_concurrency"):
                # SQLite has one writer: a second process only adds waiting.
                data["web_concurrency"] = 1 if str(data["database_url"]).startswith("sqlite") else 2
        return data

    @model_validator(mode="after")
    def _checked_together(self) -> "Settings":
        needed = {
            "twilio_account_sid": ("SMS_PROVIDER is twilio", self.sms_provider == "twilio"),
            "twilio_auth_token": ("SMS_PROVIDER is twilio", self.sms_provider == "twilio"),
            "whatsapp_account_sid": ("WHATSAPP_AUTH_TOKEN is set", self.whatsapp_auth_token),
            "whatsapp_auth_token": ("WHATSAPP_ACCOUNT_SID is set", self.whatsapp_account_sid),
            "resend_api_key": ("EMAIL_PROVIDER is resend", self.email_provider == "resend"),
            "sendgrid_api_key": ("EMAIL_PROVIDER is sendgrid", self.email_provider == "sendgrid"),
            "smtp_url": ("EMAIL_PROVIDER is smtp", self.email_provider == "smtp"),
        }
        problems = [
            f"{name.upper()} is missing, and {reason}"
            for name, (reason, is_so) in needed.items()
            if is_so and not getattr(self, name)
        ]
        if not self.auth_required and not self.is_local:
            problems.append("AUTH_REQUIRED=0 is only allowed while HOST and PUBLIC_BASE_URL are loopback")
        if not is_loopback(self.host) and not self.secret_key:
            problems.append("SECRET_KEY is required when HOST is not loopback")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach us."""
        return is_loopback(self.host) and (self.public_base_url is None or url_is_loopback(self.public_base_url))

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of ours."""
        return self.database_url.startswith("sqlite")

    @property
    def redis_address(self) -> str:
        """Where Redis is: ``REDIS_URL``, else the usual port of this machine."""
        return self.redis_url or "redis://127.0.0.1:6379/0"

    @property
    def base_url(self) -> str:
        """The URL under which others reach us; what providers sign."""
        return self.public_base_url or f"http://{'127.0.0.1' if is_loopback(self.host) else self.host}:{self.port}"

    @property
    def status_callbacks_reach_us(self) -> bool:
        """Whether Twilio can post reports to us; if not, the sweep pulls them."""
        if url_is_loopback(self.twilio_api_base_url):
            return True
        return self.public_base_url is not None and not url_is_loopback(self.public_base_url)

    def reports_reach_us(self, provider: str) -> bool:
        """Whether a provider's reports come by themselves."""
        known = {
            "resend": self.resend_webhook_secret is not None,
            "sendgrid": self.sendgrid_webhook_public_key is not None,
            "smtp": False,
        }
        return known.get(provider, self.status_callbacks_reach_us)

    def provider_of(self, channel: str) -> str | None:
        """Who carries a channel; None where nobody does."""
        if channel == "email":
            return None if self.email_provider == "none" else self.email_provider
        return "twilio" if channel == "whatsapp" and self.whatsapp_account_sid else self.sms_provider

    @property
    def has_sandbox(self) -> bool:
        """Whether the built-in test carrier carries anything."""
        return "sandbox" in (self.sms_provider, self.provider_of("whatsapp"), self.email_provider)

    @property
    def whatsapp_api_base_url(self) -> str:
        """Where the Twilio API is through which WhatsApp goes."""
        return self.whatsapp_api_url or self.twilio_api_base_url

    def shared_sender(self, channel: str) -> str | None:
        """The installation's own sender of a channel, which every workspace may use."""
        return {"sms": self.twilio_from_number, "whatsapp": self.whatsapp_from_number, "email": self.email_from}[
            channel
        ]

    def load_secret_key(self) -> str:
        """``SECRET_KEY``, else one that is made once and kept in ``VAR_DIR`` for its owner only."""
        if self.secret_key:
            return self.secret_key.get_secret_value()
        path = self.var_dir / "secret_key"
        try:
            return path.read_text(encoding="ascii")
        except FileNotFoundError:
            pass
        self.var_dir.mkdir(parents=True, exist_ok=True)
        # Written aside and linked into place: of several processes that start together one makes the key, and none
        # reads half of it.
        aside = self.var_dir / f"secret_key.{os.getpid()}"
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
        return path.read_text(encoding="ascii")


def _fill_in_sending(data: dict[str, Any]) -> None:
    """Defaults that follow from which accounts there are."""
    for name, value in PLACEHOLDERS.items():
        given = data.get(name)
        if (given.get_secret_value() if isinstance(given, SecretStr) else str(given or "").rstrip("/")) == value:
            del data[name]
    if not data.get("sms_provider"):
        data["sms_provider"] = "twilio" if data.get("twilio_account_sid") else "sandbox"
    real = data["sms_provider"] == "twilio"
    if not data.get("phone_strictness"):
        data["phone_strictness"] = "valid" if real else "e164"
    if data.get("sender_rate") in (None, ""):
        # What a US long code may send (twilio.com, "Understanding Twilio Rate Limits and Message Queues").
        data["sender_rate"] = 1 if real else 0
    if data.get("whatsapp_rate") in (None, ""):
        # Seed 004 leaves a second between two messages.
        data["whatsapp_rate"] = 1 if real or data.get("whatsapp_account_sid") else 0
    if not data.get("email_provider"):
        keys = {"resend": "resend_api_key", "sendgrid": "sendgrid_api_key", "smtp": "smtp_url"}
        found = next((name for name, key in keys.items() if data.get(key)), None)
        data["email_provider"] = found or ("none" if real else "sandbox")


def load_or_exit() -> Settings:
    """The settings; a process that cannot have them ends with one line for each thing to mend, and code 2."""
    try:
        return load()
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        sys.exit(2)


def load(env_file: str | None = ".env", **overrides: Any) -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: with one line per problem, each naming its variable.
    """
    try:
        return Settings(_env_file=env_file, **overrides)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_input=False, include_url=False, include_context=False):
            name = ".".join(str(part) for part in item["loc"]).upper()
            message = item["msg"].removeprefix("Value error, ")
            problems += [f"{name}: {message}"] if name else message.split("; ")
        raise SettingsError(problems) from None
