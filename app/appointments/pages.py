"""What the pages for the public have in common: no script, nothing kept by caches or search engines, and errors that a
person can read.
"""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from flask import Response, render_template, request

from app.api.body import FORM
from app.appointments.models import Appointment
from app.workspaces.models import Workspace

_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "


def speaks_json() -> bool:
    """Whether the client that asks is a program."""
    return request.is_json or not (request.mimetype == FORM or request.accept_mimetypes.accept_html)


def when(starts_at: datetime, zone: ZoneInfo) -> str:
    """A time as a person reads it, in its zone: ``Friday 15 May 2026, 10:00 (Europe/Berlin)``."""
    local = starts_at.astimezone(zone)
    return f"{local:%A} {local.day} {local:%B %Y, %H:%M} ({zone.key})"


def when_of(appointment: Appointment, workspace: Workspace) -> str:
    """`when` an appointment begins, where it takes place."""
    return when(appointment.starts_at, ZoneInfo(appointment.timezone or workspace.timezone))


def guard(response: Response, *, referrer: str, frames: Sequence[str] = ()) -> Response:
    """The headers of a page for the public. ``frames``: origins that may show it in a frame."""
    response.headers["Content-Security-Policy"] = _POLICY + (" ".join(frames) or "'none'")
    response.headers["Referrer-Policy"] = referrer
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    if not frames:
        response.headers["X-Frame-Options"] = "DENY"
    return response


def page_of_error(response: Response) -> Response:
    """For a person, an error in the API's envelope becomes a page with its sentence."""
    if response.status_code < 400 or not response.is_json or speaks_json():
        return response
    answer = response.get_json()
    title = HTTPStatus(response.status_code).phrase
    response.set_data(render_template("public/message.html", title=title, text=answer["error"]["message"]))
    response.content_type = "text/html; charset=utf-8"
    return response
