"""The pages, on Flask-Admin's machinery: its views, paging and menu; not its look, its scripts or its forms."""

import hashlib
from pathlib import Path

from flask import Blueprint, Flask
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme

from admin import times, words
from admin.views.home import HomeView
from admin.views.inbox import InboxView
from admin.views.messages import MessageView
from admin.views.recurring import RecurringView
from app.settings import Settings

STATIC = Path(__file__).parent / "static"


def init_panel(app: Flask, settings: Settings) -> None:
    """Add the pages."""
    app.register_blueprint(
        Blueprint("panel", __name__, url_prefix="/admin", template_folder="templates", static_folder="static")
    )
    app.jinja_env.globals.update(
        moment=times.moment,
        phone=words.phone,
        status_label=words.label,
        panel_version=hashlib.sha256((STATIC / "panel.css").read_bytes()).hexdigest()[:12],
    )
    pages = Admin(name="Bellhop", index_view=HomeView(), theme=Bootstrap4Theme(base_template="panel/base.html"))
    pages.add_views(MessageView(), RecurringView())
    if settings.has_sandbox:
        pages.add_view(InboxView())
    pages.init_app(app)
