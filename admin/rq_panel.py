"""rq-dashboard at ``/admin/rq/``, for operators: made to fit our login, our Redis and our serializer.

Version 0.9 expects to be alone and trusted: a GET requeues every failed job, its scripts are inline and need
``eval``, it reads jobs with pickle, and it opens a pool of connections for each request.
"""

import re
import secrets
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import redis
from flask import Flask, abort, request
from flask.wrappers import Response
from flask_login import current_user
from rq import Worker
from rq.job import Job, requeue_job
from rq.serializers import JSONSerializer
from rq_dashboard import web

from app.extensions import redis_client
from app.settings import Settings

PREFIX = "/admin/rq"
REGISTRIES = frozenset({"queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"})
MAX_PER_PAGE = 200
_HARMLESS = re.compile(r"[\w.:@-]{1,200}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


class _JsonJob(Job):
    """A job whose data is JSON, also where nobody says so: nothing that lies in Redis is ever unpickled."""

    def __init__(self, id: str | None = None, connection: redis.Redis | None = None, serializer: Any = None) -> None:  # noqa: A002
        super().__init__(id, connection, serializer or JSONSerializer)


def init_rq(app: Flask, settings: Settings) -> None:
    """Mount rq-dashboard on our Redis client."""
    web.config.serializer = JSONSerializer
    web.Job = _JsonJob
    web.Worker = SimpleNamespace(all=partial(Worker.all, serializer=JSONSerializer))
    web.requeue_job = partial(requeue_job, serializer=JSONSerializer)
    # It asks for a new connection in each request; it gets the app's own client, with its time-outs.
    web.from_url = lambda *_url, **_options: (None, redis_client())
    app.redis_conn = app.extensions["bellhop.redis"]  # type: ignore[attr-defined]
    app.config["RQ_DASHBOARD_REDIS_URL"] = (where(settings.redis_address),)
    app.register_blueprint(web.blueprint, url_prefix=PREFIX)


def where(url: str) -> str:
    """What is shown of the Redis URL: no user, no password, no options."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path or "Redis"


def is_ours() -> bool:
    """Whether this request is for rq-dashboard."""
    return request.path == PREFIX or request.path.startswith(f"{PREFIX}/")


def check() -> None:
    """Let an operator's own clicks pass, and nothing else."""
    if not current_user.is_operator:
        abort(403)
    if request.endpoint == "rq_dashboard.requeue_all" and request.method != "POST":
        abort(405)  # else an image tag, or a browser that reads ahead, would requeue everything
    if request.method not in ("GET", "HEAD", "OPTIONS") and not _same_origin():
        abort(403)
    given = {} if request.endpoint == "rq_dashboard.static" else request.view_args or {}
    if not all(_sensible(name, value) for name, value in given.items()):
        abort(404)


def _same_origin() -> bool:
    """Whether a page of ours sent this: its scripts carry no CSRF token, but the browser tells where they come from."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin", "").rstrip("/") == request.host_url.rstrip("/")


def _sensible(name: str, value: object) -> bool:
    """Names are written into its scripts unescaped, and numbers out of range are a 500 there."""
    text = str(value)
    if name == "instance_number":
        return text == "0"
    if name in ("page", "per_page"):
        return _NUMBER.fullmatch(text) is not None and (name == "page" or int(text) <= MAX_PER_PAGE)
    if name == "registry_name":
        return text in REGISTRIES
    return value is None or _HARMLESS.fullmatch(text) is not None


def relax(response: Response) -> Response:
    """Allow what its pages need and ours do not: inline scripts (their own), inline styles, and templates by eval."""
    nonce = secrets.token_urlsafe(16)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    if response.mimetype == "text/html" and not response.direct_passthrough:
        page = response.get_data(as_text=True)
        page = page.replace("<script", f'<script nonce="{nonce}"')
        page = page.replace('<a class="navbar-brand">', '<a class="navbar-brand" href="/admin/">Bellhop · ')
        response.set_data(page)
    return response
