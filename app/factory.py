"""Building the app from its parts."""

import structlog
from flask import Flask, g, request
from flask.wrappers import Response
from werkzeug.middleware.proxy_fix import ProxyFix

from app import database
from app.api import docs, errors, health
from app.api.endpoint import LARGE
from app.api.express import PROBLEM, Express, given_request_id
from app.api.rate_limit import init_rate_limit
from app.api.routing import IdConverter
from app.appointments import booking_views, form_views, link_views, settings_views, simulate_views, trigger_views
from app.appointments import replies as _replies  # noqa: F401  they listen, and have a chore in the sweep
from app.appointments import views as appointment_views
from app.contacts import csv_views as _csv_views  # noqa: F401  adds its routes to the others
from app.contacts import views as contact_views
from app.extensions import init_extensions, migrate
from app.message_templates import views as template_views
from app.messages import batch_views, channel_views, reading_views, recurring_views, upcoming_views, views
from app.messages import bulk_views as _bulk_views  # noqa: F401  adds its route to the others
from app.messages import contact_views as _contact_views  # noqa: F401  adds its routes to the others
from app.messages import explain_views as _explain_views  # noqa: F401  adds its route to the others
from app.messages import gauges as _gauges  # noqa: F401  registers them
from app.messages import preview_views as _preview_views  # noqa: F401  adds its routes to those of the templates
from app.messages import pruning as _pruning  # noqa: F401  has a chore in the sweep
from app.reminders import tracker_views
from app.settings import Settings, load
from app.webhooks import email_views, sandbox_views
from app.webhooks import views as webhook_views
from app.workspaces.api import views as workspace_views


def create_app(settings: Settings | None = None) -> Flask:
    """The JSON API, the webhooks and the health routes on one database and one Redis."""
    settings = settings or load()
    app = Flask("app")
    app.url_map.merge_slashes = False  # a doubled slash is an unknown address, not a redirect with a page
    app.url_map.converters["id"] = IdConverter
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(
        SECRET_KEY=settings.load_secret_key(),
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(settings.database_url),
        MAX_CONTENT_LENGTH=LARGE,
        MAX_FORM_MEMORY_SIZE=LARGE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.base_url.startswith("https://"),
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    init_extensions(app, settings)
    database.db.init_app(app)
    migrate.init_app(app, database.db)
    with app.app_context():
        database.prepare_engine(database.db.engine)
    _name_requests(app)  # first, so that its after_request sees the finished answer
    errors.init_errors(app)
    api = (
        views.trigger,
        recurring_views.blueprint,
        reading_views.blueprint,
        upcoming_views.blueprint,
        appointment_views.blueprint,
        booking_views.blueprint,
        simulate_views.blueprint,
        trigger_views.tasks,
        trigger_views.crons,
        settings_views.blueprint,
        tracker_views.blueprint,
        contact_views.blueprint,
        batch_views.blueprint,
        template_views.blueprint,
        workspace_views.blueprint,
        sandbox_views.blueprint,
        channel_views.blueprint,
    )
    init_rate_limit(app, settings, api)
    webhooks = (webhook_views.blueprint, email_views.blueprint)
    for blueprint in (*api, *webhooks, health.blueprint, docs.blueprint, link_views.blueprint):
        app.register_blueprint(blueprint)
    form_views.init_booking_form(app)
    if not settings.rate_limit:
        app.wsgi_app = Express(app)  # type: ignore[method-assign]
    return app


def _name_requests(app: Flask) -> None:
    """Give each request an id that is in its answer and in every log line about it."""

    @app.before_request
    def _begin() -> None:
        g.request_id = given_request_id(request.headers.get("X-Request-Id", ""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        if PROBLEM in request.environ:
            raise request.environ[PROBLEM]

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if response.status_code not in (429, 503):
            response.headers.pop("Retry-After", None)  # Flask-Limiter adds it to successes too
        return response
