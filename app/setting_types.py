"""What the values of settings may look like: the checks of ``app.settings``, one by one."""

import ipaddress
import re
from base64 import b64decode
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from redis.connection import Connection, parse_url
from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.ids import WORKSPACE_ID

_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")
_NO_PHONE = "must be a phone number in E.164 form, such as +61400000549"


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


def _database(value: str) -> str:
    # Heroku and others still say postgres://, a name that SQLAlchemy dropped in 1.4.
    if value.startswith("postgres://"):
        value = "postgresql://" + value.removeprefix("postgres://")
    if value and not value.startswith(("postgresql://", "postgresql+psycopg://", "sqlite://")):
        raise ValueError("must start with postgresql:// or sqlite:///")
    if value and not _is_database(value):
        raise ValueError("must be a URL such as postgresql://user:password@host:5432/name or sqlite:///path")
    return value


def _is_database(url: str) -> bool:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    if parsed.drivername == "sqlite":
        return parsed.host is None
    return parsed.port is None or 1 <= parsed.port <= 65535


def _redis(value: str) -> str:
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must start with redis://, rediss:// or unix://")
    if value and not _is_redis(value):
        raise ValueError("must be a URL such as redis://user:password@host:6379/0 or unix:///path?db=0")
    return value


def _is_redis(url: str) -> bool:
    try:
        options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        options.pop("connection_class", Connection)(**options)  # connects to nothing yet, but knows its options
    except (ValueError, TypeError, RedisError):
        return False
    # A path that is no number is database 0 for redis-py, without a word.
    return url.startswith("unix://") or re.fullmatch(r"/?|/[0-9]+", urlsplit(url).path) is not None


def _http(value: str) -> str:
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError("must be a full http(s) URL")
    return value.rstrip("/")


def _smtp(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        good = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    # The value has a password in it, and the message shows nothing of it.
    if not good or parts.path.strip("/") or parts.query or bool(parts.username) != bool(parts.password):
        raise ValueError("must be a URL such as smtp://user:password@host:587 or smtps://user:password@host")
    return value


def _bootstrap(value: SecretStr) -> SecretStr:
    workspace, _, key = value.get_secret_value().partition(":")
    if not WORKSPACE_ID.fullmatch(workspace) or len(key) < 32:
        raise ValueError("must be workspaceId:key with a key of at least 32 characters")
    return value


def _sender(value: str) -> str:
    if not _PHONE.fullmatch(value.removeprefix("whatsapp:")):
        raise ValueError(_NO_PHONE)
    return value


def _whatsapp_sender(value: str) -> str:
    """Seed 004 writes it without ``whatsapp:``."""
    number = value.removeprefix("whatsapp:")
    if not _PHONE.fullmatch(number):
        raise ValueError(_NO_PHONE)
    return f"whatsapp:{number}"


def _rate(value: float) -> float:
    if 0 < value < 0.01:
        raise ValueError("must be 0 (no pacing) or at least 0.01 segments a second")
    return value


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValueError("must be an e-mail address")
    return value


def _svix_secret(value: SecretStr) -> SecretStr:
    try:
        good = bool(b64decode(value.get_secret_value().removeprefix("whsec_"), validate=True))
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be the signing secret as Resend shows it, whsec_ and base64")
    return value


def _public_key(value: str) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        good = isinstance(load_der_public_key(b64decode(value, validate=True)), EllipticCurvePublicKey)
    except (ValueError, UnsupportedAlgorithm):
        good = False
    if not good:
        raise ValueError("must be the verification key as SendGrid shows it, one line of base64")
    return value


DatabaseUrl = Annotated[str, AfterValidator(_database)]
RedisUrl = Annotated[str, AfterValidator(_redis)]
HttpUrl = Annotated[str, AfterValidator(_http)]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp)]
BootstrapKey = Annotated[SecretStr, AfterValidator(_bootstrap)]
Sender = Annotated[str, AfterValidator(_sender)]
WhatsappSender = Annotated[str, AfterValidator(_whatsapp_sender)]
Rate = Annotated[float, AfterValidator(_rate)]
EmailAddress = Annotated[str, AfterValidator(_email)]
SvixSecret = Annotated[SecretStr, AfterValidator(_svix_secret)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
