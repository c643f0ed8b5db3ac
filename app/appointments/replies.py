"""People answer their reminders: C confirms the next appointment, X cancels it. Only where a workspace wants that.

The webhook stores the reply first and acts on it after its commit; what a crash leaves in between, the sweep acts on.
Whoever acts marks the reply as handled in the same transaction, so each acts once. We answer at most one text for each
change of an appointment, and nothing to what changes nothing: two machines that write to each other soon fall silent.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import clock, events, metrics
from app.appointments import planning, service
from app.appointments.models import Appointment
from app.appointments.service import OPEN, Booked
from app.channels.phone import WHATSAPP
from app.database import reading, writing
from app.logs import get_logger
from app.messages import service as messages
from app.messages import sweep
from app.messages.models import InboundMessage, Message
from app.messages.senders import SenderBook
from app.messages.service import Draft, Origin, Stored, time_text
from app.webhooks import inbound
from app.workspaces import audit, preferences

CONFIRMED, CANCELLED = "reply_confirmed", "reply_cancelled"
"""Kinds of templates."""
MOST_ANSWERS = 5
"""To one number in 24 hours; what it asks for is done all the same."""
ANSWER_VALID = timedelta(hours=1)
REPEATED = timedelta(hours=1)
"""A second X so soon is the same X again, said by somebody who waits for an answer: it does not cancel the next one."""
EVERY = timedelta(minutes=1)
GIVE_UP = timedelta(hours=24)
"""Nobody expects an answer of yesterday to do anything."""
BATCH = 200

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What a reply did, and what is to be announced once that is committed."""

    booked: Booked
    answer: list[Stored]

    def announce(self) -> None:
        """After the commit."""
        self.booked.diff.announce()
        messages.announce(self.answer)
        appointment = self.booked.appointment
        cancelled = appointment.status == "CANCELLED"
        signal = events.appointment_cancelled if cancelled else events.appointment_confirmed
        signal.send(workspace_id=appointment.workspace_id, appointment_id=appointment.id, actor=audit.CONTACT)


@events.inbound_received.connect
def on_inbound(_sender: Any, *, inbound_id: str, intent: str | None) -> None:
    """Act at once. What goes wrong is left to the sweep: Twilio must have its answer."""
    if intent in inbound.REPLIES:
        _try(inbound_id)


def handle_waiting(now: datetime) -> int:
    """Act on the replies that nobody has acted on; returns how many. One that fails stops no other."""
    with reading() as session:
        waiting = list(
            session.scalars(
                select(InboundMessage.id)
                .where(InboundMessage.handled_at.is_(None), InboundMessage.intent.in_(inbound.REPLIES))
                .where(InboundMessage.received_at > now - GIVE_UP)
                .order_by(InboundMessage.received_at)
                .limit(BATCH)
            )
        )
    for inbound_id in waiting:
        _try(inbound_id)
    return len(waiting)


sweep.every(EVERY, handle_waiting)


def _try(inbound_id: str) -> None:
    try:
        handle(inbound_id)
    except SQLAlchemyError as error:
        metrics.errors.inc("replies")
        log.error("reply not acted on", inbound_id=inbound_id, error=str(error).splitlines()[0])
    except Exception:  # a defect with one reply must not keep the others from being read
        metrics.errors.inc("replies")
        log.exception("reply not acted on", inbound_id=inbound_id)


def handle(inbound_id: str) -> bool:
    """Act on a reply unless somebody has; says whether it changed an appointment."""
    now = clock.now()
    with writing() as session:
        reply = session.scalar(
            update(InboundMessage)
            .where(InboundMessage.id == inbound_id, InboundMessage.handled_at.is_(None))
            .where(InboundMessage.intent.in_(inbound.REPLIES))
            .values(handled_at=now)
            .returning(InboundMessage)
        )
        done = _act(session, reply, now) if reply is not None else None
    if done is None:
        return False
    log.info("appointment changed by a reply", inbound_id=inbound_id, appointment_id=done.booked.appointment.id)
    done.announce()
    return True


def _act(session: Session, reply: InboundMessage, now: datetime) -> Done | None:
    appointment = _whose(session, reply, now)
    if appointment is None:
        return None
    confirms, before = reply.intent == "confirm", appointment.status
    # Locked only now: another reply may have come first.
    if before not in OPEN or appointment.starts_at <= now or (confirms and before == "CONFIRMED"):
        return None
    if not confirms and _is_repeated(session, reply, now):
        return None
    named = (appointment.workspace_id, appointment.public_id)
    confirmed = {"status": "CONFIRMED"}
    booked = service.change(session, *named, confirmed) if confirms else service.cancel(session, *named)
    after = booked.appointment.status
    audit.record(
        session,
        appointment.workspace_id,
        audit.CONTACT,
        f"appointment.{after.lower()}",
        appointment.public_id,
        {"status": before},
        {"status": after},
    )
    # The notice of a cancellation says it already.
    answer = [] if booked.diff.stored else _answer(session, reply, booked, now)
    return Done(booked, answer)


def _whose(session: Session, reply: InboundMessage, now: datetime) -> Appointment | None:
    """The sender's next open appointment with a workspace that wants replies, held until the transaction ends."""
    wanting = [key for key, chosen in preferences.current(session).items() if chosen.preferences.replies.enabled]
    if not wanting:
        return None
    concerned = inbound.workspaces_of(session, reply.to_address, reply.raw.get("MessagingServiceSid"))
    found = session.execute(
        select(Appointment.workspace_id, Appointment.public_id)
        .where(
            Appointment.phone == reply.from_address.removeprefix(WHATSAPP),
            Appointment.starts_at > now,
            Appointment.status.in_(OPEN),
            Appointment.workspace_id.in_(set(wanting).intersection(concerned)),
        )
        .order_by(Appointment.starts_at, Appointment.id)
        .limit(1)
    ).first()
    return planning.lock(session, *found) if found else None


def _is_repeated(session: Session, reply: InboundMessage, now: datetime) -> bool:
    cancelled_since = exists(
        select(Appointment.id).where(
            Appointment.phone == reply.from_address.removeprefix(WHATSAPP),
            Appointment.cancelled_at >= InboundMessage.received_at,
        )
    )
    earlier = (
        select(InboundMessage.id)
        .where(
            InboundMessage.from_address == reply.from_address,
            InboundMessage.to_address == reply.to_address,
            InboundMessage.intent == reply.intent,
            InboundMessage.id != reply.id,
            InboundMessage.handled_at.is_not(None),
            InboundMessage.received_at > now - REPEATED,
            cancelled_since,
        )
        .limit(1)
    )
    return session.scalar(earlier) is not None


def _answer(session: Session, reply: InboundMessage, booked: Booked, now: datetime) -> list[Stored]:
    """One text back, from the number that was written to; no reminder, so that a new plan leaves it alone."""
    appointment, contact = booked.appointment, booked.contact
    answered = session.scalar(
        select(func.count(Message.id)).where(
            Message.contact_id == contact.id,
            Message.due_at > now - timedelta(hours=24),
            Message.kind.in_((CONFIRMED, CANCELLED)),
            Message.to_address == reply.from_address,
        )
    )
    if (answered or 0) >= MOST_ANSWERS:
        log.warning("no more answers to this person today", appointment_id=appointment.id)
        return []
    kind = CANCELLED if appointment.status == "CANCELLED" else CONFIRMED
    draft = Draft(
        workspace_id=appointment.workspace_id,
        to=reply.from_address,
        sender=reply.to_address,
        body="",
        due_at=now,
        due_text=time_text(now, SenderBook(session, appointment.workspace_id).zone),
        valid_until=now + ANSWER_VALID,
        job_id=f"reply-{reply.id}",
        origin=Origin(
            kind=kind,
            contact_id=contact.id,
            appointment_id=appointment.id,
            plan_revision=appointment.revision,
        ),
    )
    return messages.store(session, [draft])
