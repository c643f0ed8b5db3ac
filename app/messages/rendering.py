"""Writing the texts of messages that are made from templates, at the last moment: just before they are claimed.

So a person who has been renamed is greeted by the new name, and "tomorrow" is right on the day on which it is read. A
text stays once a try may have been accepted: the provider's log is matched by it. A batch costs one small
query where nothing in it has a template, and three statements more where something has, however many it holds.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    bindparam,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app import clock, metrics, queue
from app.appointments.models import Appointment
from app.channels.segments import segments_of
from app.contacts.models import Contact
from app.database import NullableJson, UtcDateTime, batch, connection_to_read, given_rows, reading, writing
from app.extensions import settings
from app.logs import get_logger
from app.message_templates import service as templates
from app.message_templates.context import Facts, Person, Visit
from app.message_templates.defaults import Text
from app.message_templates.render import TemplateError
from app.message_templates.service import Book
from app.messages.decisions import SETTLED_REFUSALS
from app.messages.models import Attempt, InboundMessage, Message
from app.messages.service import content_hash
from app.messages.states import Reason, Status
from app.messages.unsent import as_it_was, end_unsent
from app.quiet_hours import USUAL, QuietHours
from app.reminders.models import ReminderSettings
from app.workspaces.models import Workspace

WHATSAPP_WINDOW = timedelta(hours=24)
"""After a person's last message WhatsApp takes free texts for so long (twilio.com/docs/whatsapp/key-concepts)."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What is written into a message's row. ``content_variables`` is JSON."""

    body: str
    subject: str | None
    content_hash: str
    segments: int
    content_sid: str | None
    content_variables: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """A message with a template, and all that its text may be made from."""

    message: Message
    workspace: Workspace
    contact: Contact | None
    appointment: Appointment | None
    window_open: bool


def render_due(message_ids: Sequence[str]) -> list[str]:
    """Write the texts of those that have a template; returns the messages to go on with, in the same order.

    Left out are those that come to nothing (they are ended with their reason) and those that somebody moved meanwhile,
    who has a nudge of their own. Messages whose text was given are passed on, as are those of an older plan and those
    that are not waiting: the claim deals with them.

    Raises:
        SQLAlchemyError: as the claim itself.
    """
    with_template = _with_template(message_ids)
    if not with_template:
        return list(message_ids)
    now = clock.now()
    values = {
        "given": json.dumps([{"id": message_id} for message_id in with_template]),
        "now": now,
        "window_start": now - WHATSAPP_WINDOW,
        "no_window": settings().provider_of("whatsapp") != "twilio",
    }
    with reading() as session:
        due = [Due(*row) for row in session.execute(_find(session.get_bind().dialect.name), values)]
        due = [one for one in due if _is_of_current_plan(one)]
        if not due:
            return list(message_ids)
        book = _book(session, due)
        quiet = _quiet(session, due, now)
    texts: dict[str, Written] = {}
    ends: list[tuple[Due, Reason]] = [(one, Reason.QUIET_HOURS) for one, at in quiet if at is None]
    held = {one.message.id for one, _ in quiet}
    _wait([(one, at) for one, at in quiet if at is not None])
    due = [one for one in due if one.message.id not in held]
    for one in due:
        try:
            result = write(one, text_of(one, book), now)
        except Exception as error:  # noqa: BLE001 - a defect in one must not hold up the others; the feeder brings it again
            metrics.errors.inc("rendering")
            log.error("text not written", message_id=one.message.id, error=type(error).__name__)
            held.add(one.message.id)
            continue
        if isinstance(result, Written):
            texts[one.message.id] = result
        else:
            held.add(one.message.id)
            if one.message.scheduled_at <= now:
                ends.append((one, result))
    held |= _store(due, texts)
    if ends:
        with writing() as session:
            for one, reason in sorted(ends, key=lambda end: end[0].message.id):  # the order of all locks
                end_unsent(session, one.message, reason, now)
    return [message_id for message_id in message_ids if message_id not in held]


def _quiet(session: Session, due: Sequence[Due], now: datetime) -> list[tuple[Due, datetime | None]]:
    """Those that would go out in the quiet hours although they were planned for another time: an outage, a retry, the
    sender's turn or the next channel has made them late. With the end of the quiet hours, None where that is too late.
    """
    subject = [one for one in due if (one.message.plan or {}).get("quiet") and one.message.scheduled_at <= now]
    if not subject:
        return []
    wanted = {one.workspace.id for one in subject}
    rows = session.scalars(select(ReminderSettings).where(ReminderSettings.workspace_id.in_(wanted)))
    hours = {row.workspace_id: QuietHours.of_texts(row.quiet_start, row.quiet_end, row.quiet_mode) for row in rows}
    held: list[tuple[Due, datetime | None]] = []
    for one in subject:
        quiet = hours.get(one.workspace.id, USUAL)
        zone = ZoneInfo((one.contact and one.contact.timezone) or one.workspace.timezone)
        if quiet is not None and quiet.contain(now, zone):
            end = quiet.hold(now, zone)
            held.append((one, end if end is not None and end < one.message.valid_until else None))
    return held


def _wait(held: Sequence[tuple[Due, datetime]]) -> None:
    """Put messages off to the end of the quiet hours."""
    nudges: list[queue.Nudge] = []
    if held:
        with writing() as session:
            for one, at in sorted(held, key=lambda pair: pair[0].message.id):  # the order of all locks
                moved = session.execute(
                    update(Message)
                    .where(*as_it_was(one.message))
                    .values(scheduled_at=at, slot_at=None, revision=Message.revision + 1)
                    .returning(Message.revision)
                    .execution_options(synchronize_session=False)
                ).first()
                if moved:
                    nudges.append(queue.send_nudge(one.message.id, moved.revision, at))
                    log.info("held back by quiet hours", message_id=one.message.id, until=at.isoformat())
    queue.try_add(nudges)


def facts_of(
    workspace: Workspace, contact: Contact | None, appointment: Appointment | None, channel: str, now: datetime
) -> Facts:
    """Rows as the facts that a text is made from. A workspace that bears its id for a name has none."""
    person = visit = None
    if contact is not None:
        person = Person(
            id=contact.id,
            first_name=contact.first_name,
            last_name=contact.last_name,
            phone=contact.phone,
            email=contact.email,
            fields=contact.fields,
        )
    if appointment is not None:
        visit = Visit(
            starts_at=appointment.starts_at,
            id=appointment.id,
            public_id=appointment.public_id,
            event_name=appointment.event_name,
            service=appointment.service,
            staff=appointment.staff,
            location=appointment.location,
        )
    return Facts(
        now=now,
        zone=ZoneInfo((appointment.timezone if appointment else None) or workspace.timezone),
        business_name=workspace.name if workspace.name != workspace.id else None,
        channel=channel,
        person=person,
        visit=visit,
    )


def text_of(due: Due, book: Book) -> Text | None:
    """Its certain template, else its workspace's of its kind; None where the certain one is gone: no other will do."""
    message, event_type = due.message, due.appointment.event_type if due.appointment else None
    if message.template_id is not None:
        return book.certain(message.workspace_id, message.template_id)
    return book.choose(message.workspace_id, message.kind or "", message.channel, event_type)


def write(due: Due, text: Text | None, now: datetime) -> Written | Reason:
    """The finished text, or why there is none."""
    message = due.message
    if text is None:
        return Reason.MISSING_FIELD
    facts = facts_of(due.workspace, due.contact, due.appointment, message.channel, now)
    try:
        composed = templates.compose(text, facts)
    except TemplateError as error:
        log.warning("the template is none", message_id=message.id, template_id=text.id, error=str(error))
        return Reason.MISSING_FIELD
    if (composed.missing and text.missing_field == "skip") or not composed.body:
        return Reason.MISSING_FIELD
    if composed.too_long(message.channel):
        return Reason.TOO_LONG
    if message.channel == "whatsapp" and text.content_sid is None and not due.window_open:
        return Reason.WHATSAPP_WINDOW
    variables = composed.content_variables
    return Written(
        body=composed.body,
        subject=composed.subject,
        content_hash=content_hash(composed.body, message.media_urls),
        segments=segments_of(message.channel, composed.body),
        content_sid=text.content_sid,
        content_variables=json.dumps(variables) if variables else None,
    )


def _is_of_current_plan(one: Due) -> bool:
    return one.appointment is None or one.appointment.revision == one.message.plan_revision


def _book(session: Session, due: Sequence[Due]) -> Book:
    return templates.book(
        session,
        [one.message.workspace_id for one in due],
        [one.message.kind for one in due if one.message.kind and one.message.template_id is None],
        [one.message.template_id for one in due if one.message.template_id],
    )


def _with_template(message_ids: Sequence[str]) -> Sequence[str]:
    """Those that have a template at all. It is asked of every batch, so it asks for nothing else, and in one trip."""
    with connection_to_read() as connection:
        given = json.dumps([{"id": message_id} for message_id in message_ids])
        return connection.execute(_have_template(connection.dialect.name), {"given": given}).scalars().all()


@functools.cache
def _have_template(dialect: str) -> Any:
    given = given_rows(dialect, {"id": String})
    return select(Message.id).where(Message.id.in_(select(given.c.id)), Message.kind.is_not(None))


@functools.cache
def _find(dialect: str) -> Any:
    given = given_rows(dialect, {"id": String})
    now = bindparam("now", type_=UtcDateTime)
    doubtful = exists(
        select(Attempt.id).where(
            Attempt.message_id == Message.id,
            or_(Attempt.outcome.is_(None), Attempt.outcome.not_in(SETTLED_REFUSALS)),
        )
    )
    return (
        select(Message, Workspace, Contact, Appointment, _window_open(now))
        .select_from(Message)
        .join(Workspace, Workspace.id == Message.workspace_id)
        .outerjoin(Appointment, Appointment.id == Message.appointment_id)
        .outerjoin(Contact, Contact.id == func.coalesce(Message.contact_id, Appointment.contact_id))
        .where(
            Message.id.in_(select(given.c.id)),
            Message.kind.is_not(None),
            Message.status == Status.SCHEDULED,
            Message.valid_until > now,
            or_(Message.attempt == 0, ~doubtful),
        )
    )


def _window_open(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether WhatsApp takes a free text. The sandbox's WhatsApp always does."""
    heard = exists(
        select(InboundMessage.id).where(
            InboundMessage.from_address == Message.to_address,
            InboundMessage.to_address == Message.from_address,
            InboundMessage.received_at > bindparam("window_start", type_=UtcDateTime),
        )
    )
    return or_(bindparam("no_window", type_=Boolean), Message.channel != "whatsapp", heard)


def _store(due: Sequence[Due], texts: dict[str, Written]) -> set[str]:
    """Write texts into rows that are still what they were; returns the messages that are not."""
    changed = [one.message for one in due if one.message.id in texts and not _has(one.message, texts[one.message.id])]
    if not changed:
        return set()
    given = [
        {
            "id": message.id,
            "revision": message.revision,
            **{name: getattr(texts[message.id], name) for name in _WRITTEN},
        }
        for message in changed
    ]
    with batch() as connection:
        written = connection.execute(_write(connection.dialect.name), {"given": json.dumps(given)}).scalars()
        return {message.id for message in changed} - set(written)


def _has(message: Message, text: Written) -> bool:
    """A message that has waited for its turn has its text already, as a rule."""
    variables = json.dumps(message.content_variables) if message.content_variables else None
    return text == Written(
        message.body, message.subject, message.content_hash, message.segments, message.content_sid, variables
    )


_WRITTEN: dict[str, Any] = {
    "body": String,
    "subject": String,
    "content_hash": String,
    "segments": Integer,
    "content_sid": String,
    "content_variables": String,
}


@functools.cache
def _write(dialect: str) -> Any:
    text = given_rows(dialect, {"id": String, "revision": Integer, **_WRITTEN})
    # Locked in the order of their ids, as in a claim: two workers wait for each other, and never in a circle.
    rows = select(Message.id).where(Message.id.in_(select(text.c.id))).order_by(Message.id).with_for_update()
    as_json: ColumnElement[Any] = (
        type_coerce(text.c.content_variables, NullableJson)
        if dialect == "sqlite"
        else sql_cast(text.c.content_variables, JSONB)
    )
    return (
        update(Message)
        .where(
            Message.id.in_(rows),
            Message.id == text.c.id,
            Message.revision == text.c.revision,
            Message.status == Status.SCHEDULED,
        )
        .values({name: text.c[name] for name in _WRITTEN} | {"content_variables": as_json})
        .returning(Message.id)
    )
