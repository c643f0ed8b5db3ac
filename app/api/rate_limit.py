"""Requests per minute and API key (``RATE_LIMIT``), with the standard ``RateLimit-*`` headers.

Counted in Redis by Flask-Limiter; while Redis is away each process counts on its own, so the limit is looser, never
gone.
"""

import hashlib

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.constants import HeaderNames
from flask_limiter.util import get_remote_address

from app.settings import Settings


def _caller() -> str:
    header = request.headers.get("Authorization")
    if header:
        return "key:" + hashlib.sha256(header.encode()).hexdigest()[:32]
    return "address:" + get_remote_address()


limiter = Limiter(
    key_func=_caller,
    strategy="sliding-window-counter",
    headers_enabled=True,
    header_name_mapping={
        HeaderNames.LIMIT: "RateLimit-Limit",
        HeaderNames.REMAINING: "RateLimit-Remaining",
        HeaderNames.RESET: "RateLimit-Reset",
        HeaderNames.RETRY_AFTER: "Retry-After",
    },
    in_memory_fallback_enabled=True,
    key_prefix="bellhop",
)


def init_rate_limit(app: Flask, settings: Settings) -> None:
    """Attach the limiter; the API's blueprints are limited where they are registered."""
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis_url or "memory://"
    app.config["RATELIMIT_STORAGE_OPTIONS"] = (
        {"socket_connect_timeout": 1, "socket_timeout": 1} if settings.redis_url else {}
    )
    app.config["RATELIMIT_ENABLED"] = settings.rate_limit > 0
    limiter.init_app(app)
