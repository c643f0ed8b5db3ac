"""Logging in and out of the panel. ``AUTH_REQUIRED=0`` is for the API on one's own machine and changes nothing here."""

import hashlib
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, redirect, render_template, request, session, url_for
from flask_limiter import Limiter
from flask_limiter.constants import HeaderNames
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from admin import users
from admin.users import PanelUser
from app import clock
from app.api.rate_limit import attach_always
from app.logs import get_logger

FAILURES_ALLOWED = "10 per 15 minutes"
HOME = "/admin/"
REFUSED = "E-mail and password do not match."

csrf = CSRFProtect()
log = get_logger(__name__)


def init_login(app: Flask, session_lasts: timedelta) -> None:
    """Add ``/admin/login`` and ``/admin/logout``, and who the current user is."""
    csrf.init_app(app)
    manager = LoginManager()
    manager.user_loader(lambda session_id: _still_valid(session_id, session_lasts))
    # Instead of manager.init_app, which also looks into the session after each request of the API, for a
    # "remember me" cookie that the panel does not have.
    app.login_manager = manager  # type: ignore[attr-defined]
    app.context_processor(lambda: {"current_user": current_user})
    users.nobody()  # now, so that the first unknown e-mail does not take longer than the second
    limiter = _limiter()
    blueprint = _blueprint(limiter)
    attach_always(limiter, app, [blueprint])
    app.register_blueprint(blueprint)


def _still_valid(session_id: str, session_lasts: timedelta) -> PanelUser | None:
    since = session.get("since")
    if not isinstance(since, str) or clock.now() - datetime.fromisoformat(since) >= session_lasts:
        return None
    return users.load(session_id)


def _limiter() -> Limiter:
    return Limiter(
        key_func=get_remote_address,
        strategy="sliding-window-counter",
        headers_enabled=True,
        header_name_mapping={HeaderNames.RETRY_AFTER: "Retry-After"},
        in_memory_fallback_enabled=True,
        key_prefix="bellhop-login",
    )


def _email_key() -> str:
    return "email:" + hashlib.sha256(request.form.get("email", "").strip().lower().encode()).hexdigest()[:32]


def _failed(response: Response) -> bool:
    return response.status_code == 401


def _blueprint(limiter: Limiter) -> Blueprint:
    """The routes, limited by address and by e-mail; only failures count, so a busy salon does not lock itself out."""
    blueprint = Blueprint("panel_login", __name__, url_prefix="/admin")

    @blueprint.get("/login")
    def form() -> AnyResponse | str:
        if current_user.is_authenticated:
            return redirect(local_target(request.args.get("next")), 303)
        return _form(local_target(request.args.get("next")))

    @blueprint.post("/login")
    @limiter.limit(FAILURES_ALLOWED, deduct_when=_failed)
    @limiter.limit(FAILURES_ALLOWED, key_func=_email_key, deduct_when=_failed)
    def log_in() -> AnyResponse | tuple[str, int]:
        target = local_target(request.form.get("next"))
        user = users.authenticate(request.form.get("email", ""), request.form.get("password", ""))
        if user is None:
            log.warning("panel login refused", address=get_remote_address())
            return _form(target, email=request.form.get("email", "")[:254], error=REFUSED), 401
        session.clear()  # whatever was planted before the login is worth nothing after it
        session.permanent = True
        session["since"] = clock.now().isoformat()
        login_user(user)
        log.info("panel login", user_id=user.id)
        return redirect(target, 303)

    @blueprint.post("/logout")
    def log_out() -> AnyResponse:
        session.clear()
        return redirect(url_for("panel_login.form"), 303)

    return blueprint


def _form(target: str, email: str = "", error: str = "") -> str:
    return render_template("panel/login.html", next=target, email=email, error=error)


def local_target(wanted: str | None) -> str:
    """Where to go after the login: a page of the panel, and nothing else."""
    if not wanted or not wanted.startswith(HOME) or wanted.startswith("/admin/login"):
        return HOME
    parts = urlsplit(wanted)
    hidden = any(sign in wanted for sign in ("\\", "//", "..")) or any(ord(sign) < 33 for sign in wanted)
    return HOME if hidden or parts.scheme or parts.netloc or parts.fragment else wanted
