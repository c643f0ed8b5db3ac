"""/r/{token}: the pages behind the links in messages, where a person confirms, cancels or unsubscribes.

A link may be opened by a scanner of mails or a preview: only a POST changes anything. The token is what allows it, so
nobody logs in, and no other site can post here without having the link.
"""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.api.body import read_form
from app.appointments import pages, planning, service
from app.appointments.models import Appointment
from app.channels.phone import WHATSAPP
from app.contacts.models import STOP, Contact
from app.database import reading, write
from app.errors import ApiError, Conflict, NotFound, invalid_field
from app.logs import get_logger
from app.message_templates.links import Link, Purpose, read_link
from app.messages.opting_out import OptOut, opt_out
from app.workspaces.models import Workspace

blueprint = Blueprint("links", __name__, url_prefix="/r")
LIMIT = 16 * 1024
ALLOWS: dict[Purpose, tuple[str, ...]] = {
    Purpose.CONFIRM: ("confirm",),
    Purpose.CANCEL: ("cancel",),
    Purpose.MANAGE: ("confirm", "cancel"),
}
"""What each kind of link may do to its appointment."""
CHANNELS = {"sms": "text messages", "whatsapp": "WhatsApp messages", "email": "emails"}

log = get_logger(__name__)


class Gone(ApiError):
    """The link was good once."""

    status, code = 410, "gone"


@blueprint.after_request
def _finish(response: Response) -> Response:
    # The address is the permission: it goes to nobody else.
    return pages.guard(pages.page_of_error(response), referrer="no-referrer")


@blueprint.get("/<token>")
def page(token: str) -> Response:
    """What the link is about, with buttons."""
    link = _link(token)
    with reading() as session:
        return _unsubscribe_page(session, link) if link.purpose is Purpose.UNSUBSCRIBE else _page(session, link)


@blueprint.post("/<token>")
def act(token: str) -> Response:
    """Press a button. For ``unsubscribe`` any body will do, that of RFC 8058 (one-click) among them."""
    link = _link(token)
    if link.purpose is Purpose.UNSUBSCRIBE:
        return _unsubscribed(link)
    action = read_form(LIMIT).get("action", "")
    if action not in ALLOWS[link.purpose]:
        raise invalid_field("action", "is not what this link is for")
    announce: Callable[[], None] = write(lambda session: _change(session, link, action))
    announce()
    with reading() as session:
        return _page(session, link)


def _link(token: str) -> Link:
    link = read_link(token)
    if link is None:
        raise NotFound("This link is not complete, or not one of ours.")
    return link


def _appointment(session: Session, link: Link) -> tuple[Appointment, Workspace]:
    appointment = session.get(Appointment, link.subject_id)
    if appointment is None:
        raise NotFound("This appointment is no longer there.")
    if appointment.starts_at <= clock.now():
        raise Gone("This appointment is over, and the link with it.")
    return appointment, session.get_one(Workspace, appointment.workspace_id)


def _change(session: Session, link: Link, action: str) -> Callable[[], None]:
    found, workspace = _appointment(session, link)
    appointment = planning.lock(session, workspace.id, found.public_id) or found
    if action == "cancel":
        booked = service.cancel(session, workspace.id, appointment.public_id)
    elif appointment.status in service.OPEN:
        booked = service.change(session, workspace.id, appointment.public_id, {"status": "CONFIRMED"})
    else:
        raise Conflict("This appointment was cancelled; please book a new one.")
    log.info("appointment link used", action=action, appointment_id=appointment.id, workspace_id=workspace.id)
    return booked.diff.announce


def _page(session: Session, link: Link) -> Response:
    appointment, workspace = _appointment(session, link)
    actions = [
        action
        for action in ALLOWS[link.purpose]
        if appointment.status in service.OPEN and (action, appointment.status) != ("confirm", "CONFIRMED")
    ]
    return _rendered(
        "public/appointment.html",
        business=workspace.name,
        appointment=appointment,
        when=pages.when_of(appointment, workspace),
        actions=actions,
    )


def _person(session: Session, link: Link) -> tuple[Contact, Workspace]:
    contact = session.get(Contact, link.subject_id)
    if contact is None:
        raise NotFound("There is nobody to unsubscribe.")
    return contact, session.get_one(Workspace, contact.workspace_id)


def _unsubscribe_page(session: Session, link: Link, done: bool = False) -> Response:
    _, workspace = _person(session, link)
    what = CHANNELS.get(link.channel or "", "messages")
    return _rendered("public/unsubscribe.html", business=workspace.name, what=what, done=done)


def _unsubscribed(link: Link) -> Response:
    opted_out: list[OptOut] = write(lambda session: _opt_out(session, link))
    for one in opted_out:
        one.announce()
    with reading() as session:
        return _unsubscribe_page(session, link, done=True)


def _opt_out(session: Session, link: Link) -> list[OptOut]:
    """As by STOP: the person's addresses, and those that their coming appointments were booked with."""
    contact, workspace = _person(session, link)
    coming = session.execute(
        select(Appointment.phone, Appointment.email).where(
            Appointment.contact_id == contact.id, Appointment.starts_at > clock.now()
        )
    )
    known = [(contact.phone, contact.email), *((row.phone, row.email) for row in coming)]
    phones = sorted({phone for phone, _ in known if phone})
    by_channel = {
        "sms": phones,
        "whatsapp": [f"{WHATSAPP}{phone}" for phone in phones],
        "email": sorted({email for _, email in known if email}),
    }
    log.info("unsubscribed by link", channel=link.channel, contact_id=contact.id, workspace_id=workspace.id)
    return [
        opt_out(session, [workspace.id], channel, address, STOP)
        for channel in ((link.channel,) if link.channel else tuple(by_channel))
        for address in by_channel[channel]
    ]


def _rendered(template: str, **values: Any) -> Response:
    return make_response(render_template(template, action=request.path, **values))
