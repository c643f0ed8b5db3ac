"""Errors under ``/admin/`` as pages. What an error means, and what is logged of it, stays with the API's handlers."""

from collections.abc import Callable
from typing import Any

import redis
from flask import Flask, Response, make_response, render_template
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from admin.guard import in_panel

_WORDS = {
    400: ("That did not work", "The page was open for too long, or something in its address is not right."),
    403: ("Not with this login", "Your login may not do that. Ask the operator of this installation."),
    404: ("Nothing here", "There is nothing at this address, or it is not yours."),
    405: ("Not like this", "Use the buttons of the panel for that."),
    429: ("Too many tries", "There were too many wrong passwords. Wait a quarter of an hour, then try again."),
    503: ("Just a moment", "A store does not answer at the moment. Messages that were accepted are safe."),
}
_OURS = ("That went wrong", "The fault is on our side, and it has been written down.")


def init_errors(app: Flask) -> None:
    """Dress the answers of the handlers that are there."""
    for handlers in list(app.error_handler_spec[None].values()):
        for kind, handler in list(handlers.items()):
            app.register_error_handler(kind, _dressed(handler))


def _dressed(handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def handle(error: Exception) -> Any:
        if not in_panel():
            return handler(error)
        # rq-dashboard lets these through.
        if isinstance(error, (NoSuchJobError, InvalidJobOperation)):
            return _page(404)
        if isinstance(error, redis.RedisError):
            return _page(503)
        answer: Response = handler(error)
        page = _page(answer.status_code, answer.headers.get("X-Error-Id", ""))
        for name in ("Allow", "Retry-After", "X-Error-Id"):
            if name in answer.headers:
                page.headers[name] = answer.headers[name]
        return page

    return handle


def _page(status: int, error_id: str = "") -> Response:
    """A page that needs no store: it may be shown because one is away."""
    title, text = _WORDS.get(status, _OURS)
    return make_response(render_template("panel/error.html", title=title, text=text, error_id=error_id), status)
