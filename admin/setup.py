"""Putting the panel together on an app."""

from datetime import timedelta

from flask import Flask

from admin import errors, guard, login, panel, rq_panel
from app.settings import Settings

SESSION_LASTS = timedelta(hours=12)


def init_admin(app: Flask, settings: Settings) -> None:
    """Add the panel to an app that has its stores; before its first request."""
    app.config.update(
        # A name and a path of its own: cookies are shared by all ports of a host, and the API needs none.
        SESSION_COOKIE_NAME="bellhop_panel",
        SESSION_COOKIE_PATH="/admin",
        PERMANENT_SESSION_LIFETIME=SESSION_LASTS,
        SESSION_REFRESH_EACH_REQUEST=False,
        # The panel's guard checks its own forms. The API and the webhooks carry no cookie and need no token.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session
    )
    login.init_login(app, SESSION_LASTS)
    panel.init_panel(app, settings)
    rq_panel.init_rq(app, settings)
    guard.init_guard(app)
    errors.init_errors(app)
