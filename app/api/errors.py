"""Every error leaves in the envelope ``{"success": false, "error": {…}}``; no HTML, no internals."""

from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from gunicorn.http.errors import ParseException
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app import metrics
from app.errors import ApiError, Malformed, TooLarge, Unavailable
from app.ids import new_id
from app.logs import get_logger

log = get_logger(__name__)

_CODES = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    429: "rate_limited",
}
_MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The body is too large.",
    429: "Too many requests; try again later.",
}


def envelope(error: ApiError) -> dict[str, Any]:
    """The body of an error answer."""
    inner: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.fields:
        inner["fields"] = error.fields
    return {"success": False, "error": inner}


def _answer(error: ApiError) -> Response:
    response = jsonify(envelope(error))
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def _http(error: HTTPException) -> Response:
    """Werkzeug's own refusals (unknown route, wrong method, too large) and the rate limit's."""
    status = error.code or 500
    wrapped = ApiError(_MESSAGES.get(status, error.name + "."), code=_CODES.get(status, "bad_request"))
    wrapped.status = status
    wrapped.headers = {
        name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "WWW-Authenticate")
    }
    return _answer(TooLarge(_MESSAGES[413])) if status == 413 else _answer(wrapped)


def _database_away(error: Exception) -> Response:
    log.error("database does not answer", path=request.path, exc_info=error)
    metrics.errors.inc("database")
    answer = Unavailable("The database does not answer; try again in a moment.")
    answer.headers["Retry-After"] = "5"
    return _answer(answer)


def _unreadable(_error: Exception) -> Response:
    """The body breaks HTTP's own rules (a chunk that is none): gunicorn finds that only while we read."""
    return _answer(Malformed("The body is not valid HTTP."))


def _too_slow(_error: Exception) -> Response:
    """The client stopped sending in the middle of its body."""
    answer = ApiError("The body did not arrive in time.", code="request_timeout")
    answer.status = 408
    answer.headers["Connection"] = "close"
    return _answer(answer)


def _defect(error: Exception) -> Response:
    """Anything unforeseen: the caller gets an id, the log gets the rest."""
    error_id = new_id()
    log.error("request failed", error_id=error_id, method=request.method, path=request.path, exc_info=error)
    metrics.errors.inc("request")
    answer = ApiError(f"Something went wrong on our side. If you ask us, name the error {error_id}.")
    answer.headers["X-Error-Id"] = error_id
    return _answer(answer)


def init_errors(target: Flask | Blueprint) -> None:
    """Install the handlers."""
    target.register_error_handler(ApiError, _answer)
    target.register_error_handler(HTTPException, _http)
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        target.register_error_handler(kind, _database_away)
    target.register_error_handler(ParseException, _unreadable)
    for slow in (BlockingIOError, TimeoutError):
        target.register_error_handler(slow, _too_slow)
    target.register_error_handler(Exception, _defect)
