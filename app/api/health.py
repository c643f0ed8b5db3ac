"""Is the process alive, can it do its work, and how is it doing."""

import hmac
from collections.abc import Callable

import redis
from flask import Blueprint, Response, jsonify, request
from rq import Worker
from rq.utils import str_to_date
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import clock, metrics, queue
from app.api.endpoint import plain_route
from app.database import reading
from app.errors import Unauthorized
from app.extensions import redis_client, settings
from app.setting_types import is_loopback

blueprint = Blueprint("health", __name__)
TAG = "Health"
JSON = "application/json"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
MAX_HEARTBEAT_AGE_S = 15
MAX_WORKER_SILENCE_S = 40
"""A worker shows life between two jobs, and the longest job waits for a provider or two."""


@plain_route(blueprint, "GET", "/healthz", summary="Is the process alive", tag=TAG, answers={200: JSON})
def healthz() -> Response:
    """This process answers."""
    return jsonify({"status": "ok"})


@plain_route(blueprint, "GET", "/readyz", summary="Can it do its work", tag=TAG, answers={200: JSON, 503: JSON})
def readyz() -> Response:
    """200 only while the database, Redis, a scheduler and a worker are there. Accepting messages needs the database
    only.
    """
    checks = {
        name: _outcome(check)
        for name, check in (
            ("database", _database),
            ("redis", _redis),
            ("scheduler", _scheduler),
            ("worker", _worker),
        )
    }
    ready = all(outcome == "ok" for outcome in checks.values())
    response = jsonify({"status": "ok" if ready else "not ready", "checks": checks})
    response.status_code = 200 if ready else 503
    return response


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except (SQLAlchemyError, redis.RedisError) as error:
        # The class says enough; the text may hold an address or a password.
        return f"does not answer ({type(error).__name__})"


def _database() -> str:
    with reading() as session:
        session.execute(text("SELECT 1"))
    return "ok"


def _redis() -> str:
    redis_client().ping()
    return "ok"


def _scheduler() -> str:
    beat = redis_client().get(queue.HEARTBEAT_KEY)
    if not isinstance(beat, bytes):
        return "no scheduler is running"
    age = clock.now().timestamp() - float(beat)
    return "ok" if age <= MAX_HEARTBEAT_AGE_S else f"last heartbeat {age:.0f} s ago"


def _worker() -> str:
    # A worker that was killed stays in RQ's list until another one tidies up, so its own heartbeat is asked for.
    connection = redis_client()
    keys = Worker.all_keys(queue=queue.rq_queue(queue.SEND_QUEUE))
    with connection.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(key, "last_heartbeat")
        beats = [str_to_date(beat) for beat in pipe.execute() if beat]
    youngest = min((clock.now() - beat for beat in beats), default=None)
    if youngest is None:
        return "no worker is running"
    seconds = youngest.total_seconds()
    return "ok" if seconds <= MAX_WORKER_SILENCE_S else f"last heartbeat {seconds:.0f} s ago"


@plain_route(blueprint, "GET", "/metrics", summary="How it is doing", tag=TAG, answers={200: PROMETHEUS}, errors=(401,))
def prometheus() -> Response:
    """Prometheus' text format. From elsewhere only with ``METRICS_TOKEN``."""
    config = settings()
    token = config.metrics_token.get_secret_value() if config.metrics_token else None
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    local = config.is_local and is_loopback(request.remote_addr or "")
    if not local and not (token and hmac.compare_digest(given.encode(), token.encode())):
        raise Unauthorized("Use the header Authorization: Bearer METRICS_TOKEN.")
    return Response(metrics.render(redis_client()), content_type=PROMETHEUS)
