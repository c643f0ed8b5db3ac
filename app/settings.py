"""Every environment variable that Bellhop reads, typed, in one place.

An empty value counts as unset. Secrets can also be given as ``NAME_FILE``, the path of a file that holds the
value (Docker and Kubernetes mount them that way). Settings are checked together at start: the process refuses to
run with a clear list of what is wrong rather than failing at the first message.
"""

import ipaddress
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from redis.connection import Connection, parse_url
from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.errors import SettingsError
from app.ids import WORKSPACE_ID

TWILIO_API = "https://api.twilio.com"


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    host = host.strip("[]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def _is_database(url: str) -> bool:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    if parsed.drivername == "sqlite":
        return parsed.host is None
    return parsed.port is None or 1 <= parsed.port <= 65535


def _is_redis(url: str) -> bool:
    try:
        options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        options.pop("connection_class", Connection)(**options)  # connects to nothing yet, but knows its options
    except (ValueError, TypeError, RedisError):
        return False
    # A path that is no number is database 0 for redis-py, without a word.
    return url.startswith("unix://") or re.fullmatch(r"/?|/[0-9]+", urlsplit(url).path) is not None


class Settings(BaseSettings):
    """The configuration of one installation; ``docs/configuration.md`` describes each variable."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, env_file_encoding="utf-8")

    # Where we listen and keep things
    host: str = "127.0.0.1"
    port: int = Field(3000, ge=1, le=65535)
    var_dir: Path = Path("var")
    public_base_url: str | None = None
    secret_key: SecretStr | None = None
    trusted_proxies: int = Field(0, ge=0, le=10)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    metrics_token: SecretStr | None = None

    # Stores
    database_url: str = ""
    redis_url: str = ""

    # Access
    auth_required: bool = True
    api_key_bootstrap: SecretStr | None = None
    rate_limit: int = Field(1200, ge=0)
    admin_email: str | None = None
    admin_password: SecretStr | None = None

    # Sending
    sms_provider: Literal["twilio", "sandbox"] = "sandbox"
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from_number: str | None = None
    twilio_messaging_service_sid: str | None = None
    twilio_api_base_url: str = TWILIO_API
    twilio_timeout_s: float = Field(10.0, gt=0, le=60)
    whatsapp_from_number: str | None = None
    email_from: str | None = None
    phone_strictness: Literal["e164", "possible", "valid"] = "e164"
    sender_rate: float = Field(0, ge=0, le=10_000, allow_inf_nan=False)

    # Processes
    workers: int = Field(1, ge=1, le=32)
    worker_concurrency: int = Field(64, ge=1, le=1024)
    web_concurrency: int = Field(2, ge=1, le=64)
    horizon_minutes: float = Field(60, gt=0, le=24 * 60)
    horizon_max: int = Field(200_000, ge=1)

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
        return init_settings, env_settings, _NamedFileSource(settings_cls, dotenv), dotenv_settings

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        # Heroku and others still say postgres://, a name that SQLAlchemy dropped in 1.4.
        if value.startswith("postgres://"):
            value = "postgresql://" + value.removeprefix("postgres://")
        if value and not value.startswith(("postgresql://", "postgresql+psycopg://", "sqlite://")):
            raise ValueError("must start with postgresql:// or sqlite:///")
        if value and not _is_database(value):
            raise ValueError("must be a URL such as postgresql://user:password@host:5432/name or sqlite:///path")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        if value and not _is_redis(value):
            raise ValueError("must be a URL such as redis://user:password@host:6379/0 or unix:///path?db=0")
        return value

    @field_validator("public_base_url", "twilio_api_base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
            raise ValueError("must be a full http(s) URL")
        return value.rstrip("/")

    @field_validator("api_key_bootstrap")
    @classmethod
    def _bootstrap_pair(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            workspace, _, key = value.get_secret_value().partition(":")
            if not WORKSPACE_ID.fullmatch(workspace) or len(key) < 32:
                raise ValueError("must be workspaceId:key with a key of at least 32 characters")
        return value

    @field_validator("twilio_from_number")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(whatsapp:)?\+[1-9][0-9]{1,14}", value):
            raise ValueError("must be a phone number in E.164 form, such as +61400000549")
        return value

    @field_validator("whatsapp_from_number")
    @classmethod
    def _whatsapp_sender(cls, value: str | None) -> str | None:
        """Seed 004 writes it without ``whatsapp:``."""
        if value is None:
            return None
        number = value.removeprefix("whatsapp:")
        if not re.fullmatch(r"\+[1-9][0-9]{1,14}", number):
            raise ValueError("must be a phone number in E.164 form, such as +61400000549")
        return f"whatsapp:{number}"

    @field_validator("sender_rate")
    @classmethod
    def _rate(cls, value: float) -> float:
        if 0 < value < 0.01:
            raise ValueError("must be 0 (no pacing) or at least 0.01 segments a second")
        return value

    @field_validator("admin_email", "email_from")
    @classmethod
    def _email(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
            raise ValueError("must be an e-mail address")
        return value

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend(cls, data: Any) -> Any:
        if isinstance(data, dict):
            if not data.get("sms_provider"):
                data["sms_provider"] = "twilio" if data.get("twilio_account_sid") else "sandbox"
            if not data.get("phone_strictness"):
                data["phone_strictness"] = "valid" if data["sms_provider"] == "twilio" else "e164"
            if data.get("sender_rate") in (None, ""):
                # What a US long code may send (twilio.com, "Understanding Twilio Rate Limits and Message Queues").
                data["sender_rate"] = 1 if data["sms_provider"] == "twilio" else 0
            if not data.get("database_url"):
                data["database_url"] = f"sqlite:///{Path(data.get('var_dir') or 'var').absolute()}/bellhop.db"
            if not data.get("web_concurrency"):
                # SQLite has one writer: a second process only adds waiting.
                data["web_concurrency"] = 1 if str(data["database_url"]).startswith("sqlite") else 2
        return data

    @model_validator(mode="after")
    def _checked_together(self) -> "Settings":
        problems = []
        if self.sms_provider == "twilio":
            if not self.twilio_account_sid:
                problems.append("TWILIO_ACCOUNT_SID is missing, and SMS_PROVIDER is twilio")
            if not self.twilio_auth_token:
                problems.append("TWILIO_AUTH_TOKEN is missing, and SMS_PROVIDER is twilio")
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
        """Whether the provider can post reports to us; if not, the sweep pulls them."""
        if url_is_loopback(self.twilio_api_base_url):
            return True
        return self.public_base_url is not None and not url_is_loopback(self.public_base_url)

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


class _NamedFileSource(PydanticBaseSettingsSource):
    """Reads ``NAME`` from the file that ``NAME_FILE`` points at, be that set in the environment or in ``.env``."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._dotenv = dotenv

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The stripped content of the file, or None where ``NAME_FILE`` is not set."""
        path = os.environ.get(f"{field_name.upper()}_FILE") or self._dotenv.get(f"{field_name}_file")
        return (Path(path).read_text(encoding="utf-8").strip() or None) if path else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values that were found."""
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            try:
                value = self.get_field_value(field, name)[0]
            except OSError as error:
                raise SettingsError([f"{name.upper()}_FILE: {error.strerror}: {error.filename}"]) from error
            if value is not None:
                found[name] = value
        return found


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
