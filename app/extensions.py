"""Objects that live as long as the app, and how to reach them."""

from pathlib import Path
from typing import Any, cast

import redis
from flask import Flask, current_app
from flask_migrate import Migrate
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import Settings

migrate = Migrate(directory=str(Path(__file__).parent / "migrations"), compare_type=True, render_as_batch=True)


def settings() -> Settings:
    """The settings of the current app."""
    return cast(Settings, current_app.extensions["bellhop.settings"])


def redis_client() -> redis.Redis:
    """The Redis client of the current app; connections are made on first use, so it is safe to build before a fork."""
    return cast(redis.Redis, current_app.extensions["bellhop.redis"])


def make_redis(url: str, *, socket_timeout: float | None = 1.0) -> redis.Redis:
    """A client that gives up quickly: Redis is never allowed to hold up the acceptance of a message.

    ``socket_timeout`` in seconds; a worker that blocks in a command passes one longer than its longest block.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": 0.5,
        "socket_timeout": socket_timeout,
        "health_check_interval": 15,
        # One quick second try covers a connection that the server closed while it lay in the pool.
        "retry": Retry(NoBackoff(), 1),
    }
    return redis.Redis.from_url(url, **options)


def init_extensions(app: Flask, settings: Settings) -> None:
    """Attach settings and Redis to the app."""
    app.extensions["bellhop.settings"] = settings
    app.extensions["bellhop.redis"] = make_redis(settings.redis_address)
