"""Messages: the list, the page of one, and calling one off."""

import re
from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from admin import words
from admin.views.base import Rows, zones_of
from admin.views.timeline import timeline
from app import clock
from app.database import db
from app.errors import Conflict, NotFound
from app.messages import service
from app.messages.models import Attempt, DeliveryEvent, Message
from app.messages.states import Status

SHOW: dict[str, tuple[str, tuple[Status, ...]]] = {
    "upcoming": ("Upcoming", (Status.SCHEDULED,)),
    "underway": ("On the way", (Status.SENDING, Status.UNKNOWN, Status.SENT)),
    "delivered": ("Delivered", (Status.DELIVERED, Status.READ)),
    "failed": ("Not arrived", (Status.FAILED, Status.UNDELIVERED, Status.SKIPPED)),
    "cancelled": ("Cancelled", (Status.CANCELLED,)),
}
"""The filters by status: name in the address → words, statuses."""
MAX_STEPS = 200
_BETWEEN_DIGITS = re.compile(r"[\s()./-]")


class MessageView(Rows):
    """``/admin/messages/``."""

    list_template = "panel/messages.html"
    details_template = "panel/message.html"
    doors = frozenset({"index_view", "details_view", "cancel"})
    keeps = frozenset({"show"})

    def __init__(self) -> None:
        super().__init__(Message, name="Messages", endpoint="panel_messages", url="messages")

    def choose(self, query: Any, search: str) -> Any:
        """By status, by number or job id; newest first, and what is to come with the next one first."""
        show = request.args.get("show", "")
        if show in SHOW:
            query = query.filter(Message.status.in_(SHOW[show][1]))
        if search:
            query = query.filter(_matches(search))
        self._template_args.update(show=show, filters=SHOW, now=clock.now(), reason=words.reason)
        return query.order_by(*_order(show))

    @expose("/details/")
    def details_view(self) -> str:
        """One message, and what happened to it."""
        message = self.get_one(request.args.get("id", ""))
        if message is None:
            abort(404)
        attempts, events = _history(db.session(), message)
        now = clock.now()
        rendered: str = self.render(
            self.details_template,
            message=message,
            zone=zones_of([message.workspace_id]).get(message.workspace_id, "UTC"),
            steps=timeline(message, attempts, events, now),
            reason=words.reason(message),
            can_cancel=message.status == Status.SCHEDULED and current_user.may_act_in(message.workspace_id),
            now=now,
        )
        return rendered

    @expose("/cancel", methods=("POST",))
    def cancel(self) -> Response:
        """Call a message off, through the same service as the API."""
        message = self.get_one(request.form.get("id", ""))
        if message is None:
            abort(404)
        if not current_user.may_act_in(message.workspace_id):
            abort(403)
        row_id, workspace_id, job_id = message.id, message.workspace_id, message.job_id
        db.session.remove()  # what was read here is not held open while the service writes
        try:
            service.cancel(workspace_id, job_id)
        except (Conflict, NotFound) as error:
            flash(f"It could not be cancelled. {error.message}", "bad")
        else:
            flash("The message is cancelled and will not go out.", "good")
        return redirect(url_for(".details_view", id=row_id), 303)


def _order(show: str) -> tuple[Any, ...]:
    """By the time they are for; for an operator, who has no workspace to narrow it down, by when they were made.

    Each is an order in which an index has them: nothing is sorted, however many there are.
    """
    if show == "upcoming":
        return Message.scheduled_at, Message.id
    if current_user.is_operator:
        return (Message.id.desc(),)
    return Message.due_at.desc(), Message.id.desc()


def _matches(search: str) -> Any:
    """A job id, or the beginning of a number however it is written; never a search through the texts."""
    found = [Message.job_id == search]
    number = _BETWEEN_DIGITS.sub("", search.removeprefix("whatsapp:"))
    number = f"+{number[2:]}" if number.startswith("00") else f"+{number.lstrip('+')}"
    if number[1:].isdigit() and number.isascii():
        found += [Message.to_address.startswith(beginning) for beginning in (number, f"whatsapp:{number}")]
    return or_(*found)


def _history(session: Session, message: Message) -> tuple[list[Attempt], list[DeliveryEvent]]:
    attempts = select(Attempt).where(Attempt.message_id == message.id).order_by(Attempt.number)
    events = select(DeliveryEvent).where(DeliveryEvent.message_id == message.id).order_by(DeliveryEvent.received_at)
    return list(session.scalars(attempts.limit(MAX_STEPS))), list(session.scalars(events.limit(MAX_STEPS)))
