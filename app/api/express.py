"""The express lane: a plain request to a quick route is answered before Flask hears of it.

Half of what a small request costs is the framework around it. What is plain here (a key that we know, JSON of known
length, no idempotency key, no dry run) and goes through in its quick form leaves with the same answer that it would get
the usual way; everything else is handed on as it came, and there every refusal is worded. Where requests are counted
(``RATE_LIMIT``) the lane is closed, because the counting is Flask-Limiter's.
"""

import io
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask

from app.api import dry_run, idempotency
from app.api.body import parse_json
from app.api.endpoint import QUICK, QuickRoute, quickly
from app.ids import new_id
from app.workspaces import service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PROBLEM = "bellhop.problem"
"""In the environment of a request that the lane began and cannot end: the exception, to be answered as any other."""

_JSON = ("application/json", "application/json; charset=utf-8")
_NOT_PLAIN = tuple(
    f"HTTP_{name.upper().replace('-', '_')}"
    for name in (idempotency.HEADER, dry_run.HEADER, "Content-Encoding", "Transfer-Encoding", "Expect")
)
_STATUS = {202: "202 ACCEPTED"}


class Express:
    """WSGI middleware around the application of a Flask app."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._usual_way: WSGIApplication = app.wsgi_app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer at once, or hand the request on."""
        route = QUICK.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        key = _known_key(environ, route.limit) if route is not None else None
        if route is None or key is None:
            return self._usual_way(environ, start_response)
        request_id = given_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            data = self._answer(route, key, environ)
        except Exception as error:  # noqa: BLE001  whatever it is, it is answered and logged where all errors are
            environ[PROBLEM] = error
            data = None
        if data is None:
            return self._usual_way(environ, start_response)
        body = (json.dumps({"success": True, "data": data}, separators=(",", ":")) + "\n").encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("X-Request-Id", request_id),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response(_STATUS[route.status], headers)
        return [body]

    def _answer(self, route: QuickRoute, key: service.Key, environ: "WSGIEnvironment") -> dict[str, Any] | None:
        length = int(environ["CONTENT_LENGTH"])
        raw = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(raw)
        if len(raw) != length:
            return None
        with self._app.app_context():
            outcome = quickly(route, key, lambda: parse_json(raw))
            if outcome is None:
                return None
            outcome.after_commit()
        return outcome.data


def _known_key(environ: "WSGIEnvironment", limit: int) -> service.Key | None:
    """The key of a plain request of at most ``limit`` bytes, if we have met it."""
    length = environ.get("CONTENT_LENGTH") or ""
    if environ.get("CONTENT_TYPE", "").lower() not in _JSON or any(name in environ for name in _NOT_PLAIN):
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= limit):
        return None
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return service.guess_key(token.strip()) if scheme.lower() == "bearer" else None


def given_request_id(given: str) -> str:
    """The id of a request: the caller's own if it is one, else a new one."""
    return given if REQUEST_ID.fullmatch(given) else new_id()
