"""What every request under ``/admin/`` passes: a login, a CSRF token, and headers that leave a browser little to abuse.

The wall stands in front of the paths and not of the single views: a page that is added later is behind it, too.
"""

from flask import Flask, Request, abort, redirect, request, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.wrappers import Response
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from admin import rq_panel
from admin.login import csrf

OPEN_ENDPOINTS = frozenset({"panel_login.form", "panel_login.log_in", "panel.static"})
MAX_FORM = 64 * 1024
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The panel has no scripts at all."""


class PanelSessions(SecureCookieSessionInterface):
    """Sessions for the panel only; the API has none, and opening one costs each of its requests."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of a panel's request."""
        return super().open_session(app, request) if _is_panel(request.path) else self.make_null_session(app)


def in_panel() -> bool:
    """Whether this request is for the panel."""
    return _is_panel(request.path)


def _is_panel(path: str) -> bool:
    return path == "/admin" or path.startswith("/admin/")


def init_guard(app: Flask) -> None:
    """Stand in front of the panel."""
    app.session_interface = PanelSessions()
    app.before_request(_before)
    app.after_request(_after)


def _before() -> AnyResponse | None:
    if not in_panel():
        return None
    request.max_content_length = MAX_FORM
    if any("\0" in value for value in request.values.values()):  # PostgreSQL has no such text
        abort(400)
    if request.endpoint not in OPEN_ENDPOINTS and not current_user.is_authenticated:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("panel_login.form", next=wanted), 303 if request.method == "POST" else 302)
    if rq_panel.is_ours():
        rq_panel.check()  # rq-dashboard's own scripts send no token; it has rules of its own
    else:
        csrf.protect()
    return None


def _after(response: Response) -> Response:
    if not in_panel():
        return response
    headers = response.headers
    # Flask-WTF compares the Referer on HTTPS, so our own pages must go on sending it.
    headers["Referrer-Policy"] = "same-origin"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint == "panel.static" and response.status_code == 200 and "v" in request.args:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif request.endpoint not in ("panel.static", "rq_dashboard.static"):
        headers["Cache-Control"] = "no-store"
    if rq_panel.is_ours():
        return rq_panel.relax(response)
    headers["Content-Security-Policy"] = CSP
    return response
