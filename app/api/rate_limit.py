"""Requests per minute and API key (``RATE_LIMIT``), with the standard ``RateLimit-*`` headers.

Counted in Redis by Flask-Limiter; while Redis is away each process counts on its own, so the limit is looser, never
gone.
"""

import hashlib
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from flask import Blueprint, Flask, request
from flask.wrappers import Response
from flask_limiter import Limiter
from flask_limiter.constants import HeaderNames
from flask_limiter.util import get_remote_address
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import Settings

RESET = "RateLimit-Reset"


def _caller() -> str:
    header = request.headers.get("Authorization")
    if header:
        return "key:" + hashlib.sha256(header.encode()).hexdigest()[:32]
    return "address:" + get_remote_address()


def init_rate_limit(app: Flask, settings: Settings, blueprints: Sequence[Blueprint]) -> None:
    """Limit the API's blueprints; all their routes count together."""
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis_url or "memory://"
    app.config["RATELIMIT_STORAGE_OPTIONS"] = (
        {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}
        if settings.redis_url
        else {}
    )
    app.config["RATELIMIT_ENABLED"] = settings.rate_limit > 0
    if not settings.rate_limit:
        return  # a limiter that is switched off still looks at each request
    app.after_request(_seconds_from_now)  # before the limiter's own, because the last one registered runs first
    limiter = Limiter(
        key_func=_caller,
        strategy="sliding-window-counter",
        headers_enabled=True,
        header_name_mapping={
            HeaderNames.LIMIT: "RateLimit-Limit",
            HeaderNames.REMAINING: "RateLimit-Remaining",
            HeaderNames.RESET: RESET,
            HeaderNames.RETRY_AFTER: "Retry-After",
        },
        in_memory_fallback_enabled=True,
        key_prefix="bellhop",
    )
    attach(limiter, app, blueprints)
    for blueprint in blueprints:
        limiter.shared_limit(f"{settings.rate_limit} per minute", scope="api")(blueprint)


def attach(limiter: Limiter, app: Flask, blueprints: Sequence[Blueprint]) -> None:
    """Let a limiter look at the requests of some blueprints only. Left to itself it looks at each request of the app,
    which costs more than most of what we do for one.
    """
    limiter.init_app(app)
    kinds: list[Any] = [app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs]
    for hooks in kinds:
        hook = hooks[None].pop()
        for blueprint in blueprints:
            hooks.setdefault(blueprint.name, []).append(hook)


def attach_always(limiter: Limiter, app: Flask, blueprints: Sequence[Blueprint]) -> None:
    """`attach` a limiter that ``RATE_LIMIT=0``, which switches the API's limit off, leaves on: both read the same name
    in the configuration.
    """
    chosen = app.config["RATELIMIT_ENABLED"]
    app.config["RATELIMIT_ENABLED"] = True
    attach(limiter, app, blueprints)
    app.config["RATELIMIT_ENABLED"] = chosen


def client_network() -> str:
    """The client's address; of IPv6 the /64 in it, all of whose addresses one subscriber has."""
    address = get_remote_address()
    try:
        parsed = ip_address(address)
    except ValueError:  # a socket that is no network's
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def _seconds_from_now(response: Response) -> Response:
    """Flask-Limiter writes an instant; the headers' standard (draft-ietf-httpapi-ratelimit-headers) says seconds."""
    if RESET in response.headers:
        seconds = str(max(int(int(response.headers[RESET]) - time.time()), 1))
        response.headers[RESET] = seconds
        if response.status_code == 429:
            response.headers["Retry-After"] = seconds
    return response
