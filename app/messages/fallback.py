"""The next channel: what could not reach a person on one goes out on another, once.

Only a definite failure leads here. A message of unknown fate may have arrived, one that has expired is of no use on any
channel, and whoever has said STOP is not to be found another way. The old row gives its list of channels away in the
transaction that writes the new row, so that of two who try only one makes it.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.appointments.models import Appointment
from app.channels.phone import WHATSAPP, addresses_by_channel
from app.channels.registry import available_channels
from app.contacts.models import Contact
from app.database import reading, writing
from app.errors import Invalid
from app.logs import get_logger
from app.messages import service, statements
from app.messages.models import MAY_FALL_BACK, Message
from app.messages.senders import SenderBook
from app.messages.service import Draft, Origin, Stored, time_text
from app.messages.states import Reason, Status

BATCH = 200
DEFINITE = frozenset(
    {
        Reason.REJECTED,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.THROTTLED,
        Reason.WHATSAPP_WINDOW,
        Reason.CHANNEL_UNAVAILABLE,
    }
)
"""Reasons that leave no doubt that nothing arrived, and that another channel would not meet."""
_LONGEST_JOB_ID = 128

log = get_logger(__name__)


def take_next_channels(now: datetime) -> int:
    """Write the messages that follow failed ones; returns how many. A chore of the sweep."""
    query = select(Message.id).where(text(MAY_FALL_BACK), Message.due_at <= now)
    with reading() as session:
        failed = list(session.scalars(query.order_by(Message.due_at).limit(BATCH)))
    made = 0
    for message_id in failed:
        with writing() as session:
            stored = _follow(session, message_id, now)
        service.announce(stored)
        made += len(stored)
    return made


def _follow(session: Session, message_id: str, now: datetime) -> list[Stored]:
    failed = session.scalar(
        select(Message).where(Message.id == message_id, text(MAY_FALL_BACK)).with_for_update(key_share=True)
    )
    if failed is None or failed.fallback is None:
        return []
    channels = failed.fallback.split(",")
    session.execute(update(Message).where(Message.id == failed.id).values(fallback=None))
    if not _is_worth_it(session, failed, now):
        return []
    appointment = session.get(Appointment, failed.appointment_id) if failed.appointment_id else None
    contact = session.get(Contact, failed.contact_id) if failed.contact_id else None
    addresses = _addresses(failed, appointment, contact)
    book = SenderBook(session, failed.workspace_id)
    zone = ZoneInfo(appointment.timezone) if appointment and appointment.timezone else book.zone
    for position, channel in enumerate(channels):
        address = addresses.get(channel)
        if address is None or channel == failed.channel or _is_planned(session, failed, channel):
            continue
        try:
            sender = book.choose(address, None)
        except Invalid:
            continue  # nobody to send it from
        rest = ",".join(channels[position + 1 :]) or None
        stored = service.store(session, [_draft(failed, channel, address, sender, rest, time_text(now, zone), now)])
        log.info("next channel", message_id=stored[0].id, follows=failed.id, channel=channel)
        return stored
    log.info("no further channel", message_id=failed.id)
    return []


def _is_worth_it(session: Session, failed: Message, now: datetime) -> bool:
    definite = failed.status == Status.UNDELIVERED or failed.reason in DEFINITE
    current = select(statements.is_of_current_plan()).where(Message.id == failed.id)
    return definite and failed.valid_until > now and bool(session.scalar(current))


def _addresses(failed: Message, appointment: Appointment | None, contact: Contact | None) -> dict[str, str]:
    """Where the person can be reached, by channel that is set up; what was booked comes first."""
    phone = (appointment and appointment.phone) or (contact and contact.phone)
    if not phone and failed.contact_id is None:
        number = failed.to_address.removeprefix(WHATSAPP)
        phone = number if number.startswith("+") else None
    email = (appointment and appointment.email) or (contact and contact.email)
    known = addresses_by_channel(phone or None, email or None)
    return {channel: address for channel, address in known.items() if address and channel in available_channels()}


def _is_planned(session: Session, failed: Message, channel: str) -> bool:
    """Whether the plan has the same reminder on that channel anyway."""
    if failed.appointment_id is None or failed.reminder_type is None:
        return False
    same = select(Message.id).where(
        Message.appointment_id == failed.appointment_id,
        Message.plan_revision == failed.plan_revision,
        Message.reminder_type == failed.reminder_type,
        Message.channel == channel,
    )
    return session.scalar(same.limit(1)) is not None


def _draft(
    failed: Message, channel: str, address: str, sender: str, rest: str | None, due_text: str, now: datetime
) -> Draft:
    """The same message for another channel: text and template are chosen anew when it is sent."""
    job_id = f"{failed.job_id}-via-{channel}"
    origin = Origin(
        kind=failed.kind,
        contact_id=failed.contact_id,
        appointment_id=failed.appointment_id,
        plan_revision=failed.plan_revision,
        reminder_type=failed.reminder_type,
        plan=failed.plan,
        fallback=rest,
        batch_id=failed.batch_id,
    )
    return Draft(
        workspace_id=failed.workspace_id,
        to=address,
        sender=sender,
        body="" if failed.kind else failed.body,
        due_at=now,
        due_text=due_text,
        valid_until=failed.valid_until,
        metadata=failed.extra,
        job_id=job_id if len(job_id) <= _LONGEST_JOB_ID else None,
        retry_policy=failed.retry_policy,
        origin=origin,
    )
