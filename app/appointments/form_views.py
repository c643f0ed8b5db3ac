"""/book: the public booking form, as a page without script and as JSON. Off unless the workspace switches it on."""

from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, Response, g, jsonify, make_response, redirect, render_template, request, url_for
from flask_limiter import Limiter
from flask_limiter.constants import HeaderNames
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.api import dry_run, idempotency
from app.api.body import read_form, read_json, validate
from app.api.endpoint import dump
from app.api.idempotency import Outcome
from app.api.rate_limit import attach_always, client_network
from app.appointments import form as forms
from app.appointments import form_tokens as tokens
from app.appointments import pages, service
from app.appointments.form_schemas import Received, Request
from app.database import reading
from app.errors import ApiError, Forbidden, Invalid, NotFound, TooManyRequests, invalid_field
from app.extensions import settings
from app.logs import get_logger
from app.messages.schemas import plain
from app.workspaces.booking_form import BookingForm
from app.workspaces.models import Workspace

blueprint = Blueprint("booking_form", __name__, url_prefix="/book")
LIMIT = 16 * 1024
"""Bytes of a body."""
TRIES = "30 per minute"
"""Posts from one network address, good or bad."""
MADE = (201, 303)
TRAP = "website"
"""A field that people do not see, and that programs fill in."""
LABELS = {
    "name": "Name",
    "phone": "Mobile number",
    "email": "Email",
    "service": "Service",
    "staff": "With",
    "date": "Date",
    "time": "Time",
    "notes": "Notes",
    "consent": "Consent",
    TRAP: "Hidden field",
}
TOO_OLD = "This page was open for too long. Please look at it once more, and send it again."
NOT_OURS = "This form was not made by this page. Please send it again."
SENT_BEFORE = "This form was sent before, with other details, and that booking stands. Send it again to book another."

log = get_logger(__name__)


@blueprint.before_request
def _open() -> None:
    workspace_id = (request.view_args or {}).get("workspace_id") or forms.only_workspace()
    g.workspace, g.form = forms.load(workspace_id)
    if request.method == "POST" and _is_foreign(g.form):
        log.warning("booking form posted from elsewhere", workspace_id=workspace_id)
        raise Forbidden("Forms of other sites are not taken.")


def _is_foreign(form: BookingForm) -> bool:
    """Whether a browser says that a page of another site sends this. Programs say nothing."""
    origin = request.headers.get("Origin")
    if origin is not None:
        ours = {_origin(request.host_url), _origin(settings().base_url)}
        return origin not in ours and origin not in form.origins
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@blueprint.after_request
def _finish(response: Response) -> Response:
    form: BookingForm = g.get("form") or BookingForm()
    origin = request.headers.get("Origin", "")
    response.vary.add("Origin")
    if origin in form.origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "POST"
        response.headers["Access-Control-Allow-Headers"] = f"Content-Type, {idempotency.HEADER}"
        response.headers["Access-Control-Max-Age"] = "600"
    # Not no-referrer: with it, browsers post the page's own form with the Origin "null".
    return pages.guard(pages.page_of_error(response), referrer="same-origin", frames=form.origins)


@blueprint.get("")
@blueprint.get("/<workspace_id>")
def page(workspace_id: str = "") -> Response:
    """The empty form. Without an id it is that of the only workspace whose form is on."""
    return _page({}, None)


@blueprint.post("")
@blueprint.post("/<workspace_id>")
def book(workspace_id: str = "") -> AnyResponse:
    """Book by the page's form or by JSON; nobody has to log in."""
    return _from_program() if request.is_json else _from_page()


@blueprint.get("/<workspace_id>/thanks/<token>")
def thanks(workspace_id: str, token: str) -> Response:
    """What was booked."""
    workspace: Workspace = g.workspace
    appointment_id = tokens.read_thanks_token(workspace.id, token)
    if appointment_id is None:
        raise NotFound("This page is no longer there. Your booking is.")
    with reading() as session:
        appointment, _ = service.find(session, workspace.id, appointment_id)
    when = pages.when_of(appointment, workspace)
    text = render_template("public/thanks.html", business=workspace.name, appointment=appointment, when=when)
    return make_response(text)


def _from_program() -> Response:
    asked = validate(Request, read_json(LIMIT))
    outcome = _booked(asked, idempotency.header_key())
    dry = dry_run.requested()
    data = dry_run.disclaim(outcome.data, frozenset()) if dry else outcome.data
    response = jsonify({"success": True, "data": data})
    response.status_code = 200 if dry else 201
    if outcome.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _from_page() -> AnyResponse:
    values = read_form(LIMIT)
    token, trap = values.pop("token", ""), values.pop(TRAP, "")
    try:
        nonce = tokens.read_form_token(g.workspace.id, token)
        if nonce is None:
            return _page(values, Forbidden(NOT_OURS))
        if trap:
            raise invalid_field(TRAP, "must be left empty")
        outcome = _booked(validate(Request, values), nonce)
    except tokens.Expired:
        return _page(values, Invalid(TOO_OLD))
    except (Invalid, TooManyRequests) as error:
        reused = error.code == "idempotency_key_reused"
        return _page(values, Invalid(SENT_BEFORE) if reused else error)
    done = tokens.thanks_token(g.workspace.id, outcome.data["appointmentId"])
    return redirect(url_for("booking_form.thanks", workspace_id=g.workspace.id, token=done), 303)


def _booked(asked: Request, key: str | None) -> Outcome:
    workspace_id, form = g.workspace.id, g.form

    def work(session: Session) -> Outcome:
        booked = forms.book(session, workspace_id, form, asked)
        row = booked.appointment
        local = row.starts_at.astimezone(ZoneInfo(g.workspace.timezone))
        answer = Received(
            appointment_id=row.public_id,
            appointment_date_time=row.starts_text,
            date=f"{local:%Y-%m-%d}",
            time=f"{local:%H:%M}",
            timezone=g.workspace.timezone,
            service=row.service,
            staff=row.staff,
            status=row.status,
        )
        return Outcome(dump(answer), booked.diff.announce)

    return idempotency.once(workspace_id, "book", key, partial(plain, asked), work)


def _page(values: dict[str, Any], error: ApiError | None) -> Response:
    workspace, form = g.workspace, g.form
    today = clock.now().astimezone(ZoneInfo(workspace.timezone))
    text = render_template(
        "public/book.html",
        business=workspace.name,
        zone=workspace.timezone,
        form=form,
        values=values,
        error=error,
        problems=error.fields if error else {},
        labels=LABELS,
        trap=TRAP,
        token=tokens.form_token(workspace.id),
        action=url_for("booking_form.book", workspace_id=workspace.id),
        first_day=f"{today:%Y-%m-%d}",
        last_day=f"{today + timedelta(days=form.max_days_ahead):%Y-%m-%d}",
    )
    response = make_response(text)
    if error is not None:
        response.status_code = error.status
        response.headers.update(error.headers)
    return response


def init_booking_form(app: Flask) -> None:
    """Add the routes, and their limits by the client's network address, which hold whatever ``RATE_LIMIT`` says."""
    app.register_blueprint(blueprint)
    limiter = Limiter(
        key_func=client_network,
        strategy="sliding-window-counter",
        headers_enabled=True,
        header_name_mapping={HeaderNames.RETRY_AFTER: "Retry-After"},
        in_memory_fallback_enabled=True,
        key_prefix="bellhop-form",
    )
    attach_always(limiter, app, [blueprint])
    limiter.limit(TRIES, methods=["POST"])(blueprint)
    limiter.limit(
        lambda: f"{g.form.per_address} per hour",
        key_func=lambda: f"{g.workspace.id} {client_network()}",
        methods=["POST"],
        deduct_when=lambda response: response.status_code in MADE,
    )(blueprint)
