"""Erasing a person: what was sent stays countable, but no longer says to whom or what.

Rows of messages and appointments keep their times, states, counts and the provider's ids. Names, numbers, addresses,
texts and the raw reports go. Opt-outs stay: whoever said STOP must not be written to when a list brings them back.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from app import queue
from app.appointments.models import Appointment
from app.channels.phone import WHATSAPP
from app.contacts import service as contacts
from app.contacts.models import Consent, Contact
from app.errors import Conflict
from app.messages.models import ERASED, Attempt, DeliveryEvent, InboundMessage, Message, Recurrence
from app.messages.states import IN_FLIGHT, Reason, Status
from app.workspaces.models import Sender

_OPEN = ("PENDING", "CONFIRMED")


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of a person's things: kept appointments and messages, and the RQ jobs of those called off."""

    appointments: int
    messages: int
    dropped: list[str]


def erase(session: Session, contact: Contact, now: datetime) -> Erased:
    """Erase a person who is locked; what still waits for them is called off.

    Raises:
        Conflict: they have appointments to come, or something is being sent to them right now.
    """
    appointments = session.execute(
        select(Appointment.phone, Appointment.email, Appointment.starts_at, Appointment.status).where(
            Appointment.contact_id == contact.id
        )
    ).all()
    ahead = sum(one.starts_at > now and one.status in _OPEN for one in appointments)
    if ahead:
        raise Conflict(
            f"This contact has {ahead} appointment{'' if ahead == 1 else 's'} to come: cancel them first.",
            code="appointments_ahead",
        )
    addresses = set(contacts.addresses(contact).values())
    _erase_recurrences(session, contact.workspace_id, addresses)
    theirs = or_(
        Message.contact_id == contact.id,
        Message.appointment_id.in_(select(Appointment.id).where(Appointment.contact_id == contact.id)),
        and_(Message.workspace_id == contact.workspace_id, Message.to_address.in_(addresses)),
    )
    dropped = _call_off(session, theirs, now)
    messages = _erase_messages(session, theirs)
    _erase_inbound(session, contact)
    session.execute(
        update(Appointment).where(Appointment.contact_id == contact.id).values(phone=None, email=None, extra={})
    )
    _erase_contact(session, contact, now, keep=bool(appointments))
    return Erased(len(appointments), messages, dropped)


def _erase_recurrences(session: Session, workspace_id: str, addresses: set[str]) -> None:
    theirs = (Recurrence.workspace_id == workspace_id, Recurrence.to_address.in_(addresses))
    session.execute(update(Recurrence).where(*theirs, Recurrence.status != "completed").values(status="cancelled"))
    session.execute(update(Recurrence).where(*theirs).values(to_address=ERASED, body="", media_urls=[]))


def _call_off(session: Session, theirs: ColumnElement[bool], now: datetime) -> list[str]:
    rows = session.execute(
        update(Message)
        .where(theirs, Message.status == Status.SCHEDULED)
        .values(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_CALLER, finished_at=now)
        .returning(Message.id, Message.revision)
    ).all()
    if session.scalar(select(func.count()).select_from(Message).where(theirs, Message.status.in_(IN_FLIGHT))):
        # Its address and text are what the provider's log is searched for.
        raise Conflict("A message to this contact is being sent right now: try again later.", code="already_processing")
    return [queue.send_nudge(row.id, row.revision, None).job_id for row in rows]


def _erase_messages(session: Session, theirs: ColumnElement[bool]) -> int:
    """Returns how many there are. Their attempts and reports come first: afterwards nobody can tell whose they were."""
    ids = select(Message.id).where(theirs).scalar_subquery()
    session.execute(update(Attempt).where(Attempt.message_id.in_(ids)).values(error_message=None))
    session.execute(update(DeliveryEvent).where(DeliveryEvent.message_id.in_(ids)).values(raw={}))
    rows = session.execute(
        update(Message)
        .where(theirs)
        .values(
            to_address=ERASED,
            subject=None,
            body="",
            content_hash="",
            content_variables=None,
            media_urls=[],
            reference=None,
            extra={},
            error_message=None,
            fallback=None,
        )
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return len(rows.all())


def _erase_inbound(session: Session, contact: Contact) -> None:
    """What they wrote to numbers that only this workspace sends from; others' inboxes are not ours to empty."""
    if contact.phone is None:
        return
    ours = select(Sender.address).where(Sender.workspace_id == contact.workspace_id)
    others = select(Sender.address).where(Sender.workspace_id != contact.workspace_id)
    session.execute(
        update(InboundMessage)
        .where(
            InboundMessage.from_address.in_([contact.phone, f"{WHATSAPP}{contact.phone}"]),
            InboundMessage.to_address.in_(ours),
            InboundMessage.to_address.not_in(others),
        )
        .values(from_address=ERASED, body="", raw={})
    )


def _erase_contact(session: Session, contact: Contact, now: datetime, *, keep: bool) -> None:
    """An appointment needs its contact's row; without any, the row goes too."""
    if not keep:
        session.execute(delete(Contact).where(Contact.id == contact.id))
        return
    session.execute(delete(Consent).where(Consent.contact_id == contact.id))
    session.execute(
        update(Contact)
        .where(Contact.id == contact.id)
        .values(
            # The caller's own id may be an address.
            public_id=f"erased_{contact.id}",
            first_name="",
            last_name="",
            phone=None,
            email=None,
            timezone=None,
            tags=[],
            fields={},
            notes="",
            erased_at=now,
            updated_at=now,
        )
    )
