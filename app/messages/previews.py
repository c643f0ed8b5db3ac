"""What a template's text looks like before anybody gets it: with real or made-up data, counted and judged."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.appointments.models import Appointment
from app.channels.gsm import Foreign, foreign_characters
from app.channels.segments import Segments, count_segments, utf16_length
from app.contacts.models import Contact
from app.errors import NotFound
from app.message_templates import service as templates
from app.message_templates import wording
from app.message_templates.context import Facts, Person, Visit
from app.message_templates.defaults import Text
from app.message_templates.service import Composed
from app.messages.rendering import facts_of
from app.setting_types import url_is_loopback
from app.workspaces.models import Workspace
from app.workspaces.prices import Price, price_of

SHOWN_CHARACTERS = 20
MANY_SEGMENTS = 3
SHORTENERS = (
    *("bit.ly", "tinyurl.com", "goo.gl", "t.co", "ow.ly", "is.gd", "buff.ly", "cutt.ly", "rebrand.ly", "shorturl.at"),
    *("rb.gy", "tiny.cc", "t.ly", "bl.ink", "lnkd.in"),
)
"""Shared shorteners, whose links carriers filter (twilio.com/docs/api/errors/30007)."""
WarningCode = Literal["link_shortener", "local_link", "no_business_name", "many_segments", "unicode", "already_begun"]
_SHORTENED = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, SHORTENERS))})/\w", re.IGNORECASE)
_AHEAD = {"1h": timedelta(hours=1), "2h": timedelta(hours=2), "24h": timedelta(hours=24)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show: a kind's text, or the ``body`` and ``subject`` that are given in its place."""

    kind: str
    channel: str
    body: str | None = None
    subject: str | None = None
    appointment_id: str | None = None
    contact_id: str | None = None
    event_type: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A finished text and what there is to say about it. ``counted`` is None where a channel has no segments."""

    composed: Composed
    text: Text
    sample: bool
    counted: Segments | None
    characters: int
    foreign: list[Foreign]
    price: Price | None
    warnings: list[tuple[WarningCode, str]]

    @property
    def would_be_skipped(self) -> bool:
        """Whether a message with these data would not be sent."""
        return bool(self.composed.missing) and self.text.missing_field == "skip"


def preview(session: Session, workspace_id: str, wanted: Wanted, now: datetime, base_url: str) -> Preview:
    """Write a text as if it were sent at ``wanted.at``, else now.

    Raises:
        NotFound: no such workspace, appointment or contact. Invalid: ``body`` or ``subject`` is no template.
    """
    workspace = session.get(Workspace, workspace_id)
    if workspace is None:
        raise NotFound("There is no such workspace.")
    if wanted.body is not None:
        templates.check(wanted.channel, wanted.body, wanted.subject)
    appointment, contact = _named(session, workspace_id, wanted)
    sample = appointment is None and contact is None
    at = wanted.at or now
    facts = _sample(workspace, wanted, at) if sample else facts_of(workspace, contact, appointment, wanted.channel, at)
    text = _text(session, workspace_id, wanted, wanted.event_type or (appointment.event_type if appointment else None))
    composed = templates.compose(text, facts)
    counted = count_segments(composed.body) if wanted.channel == "sms" else None
    segments = counted.segments if counted else 1
    return Preview(
        composed=composed,
        text=text,
        sample=sample,
        counted=counted,
        characters=counted.characters if counted else utf16_length(composed.body),
        foreign=foreign_characters(composed.body, SHOWN_CHARACTERS) if counted and counted.encoding == "UCS-2" else [],
        price=price_of(workspace.settings, wanted.channel, segments),
        warnings=list(_warnings(composed.body, counted, facts, base_url)),
    )


def _named(session: Session, workspace_id: str, wanted: Wanted) -> tuple[Appointment | None, Contact | None]:
    appointment = contact = None
    if wanted.appointment_id is not None:
        named = (Appointment.workspace_id == workspace_id, Appointment.public_id == wanted.appointment_id)
        appointment = session.scalar(select(Appointment).where(*named))
        if appointment is None:
            raise NotFound("There is no such appointment in this workspace.")
        contact = session.get(Contact, appointment.contact_id)
    if wanted.contact_id is not None:
        person = (Contact.workspace_id == workspace_id, Contact.public_id == wanted.contact_id)
        contact = session.scalar(select(Contact).where(*person))
        if contact is None:
            raise NotFound("There is no such contact in this workspace.")
    return appointment, contact


def _text(session: Session, workspace_id: str, wanted: Wanted, event_type: str | None) -> Text:
    book = templates.book(session, [workspace_id], [wanted.kind])
    text = book.choose(workspace_id, wanted.kind, wanted.channel, event_type)
    if wanted.body is None:
        return text
    return Text(wanted.body, wanted.subject or text.subject, missing_field=text.missing_field, id=text.id)


def _sample(workspace: Workspace, wanted: Wanted, at: datetime) -> Facts:
    """Alex, who comes at the time before which a message of this kind is sent; else tomorrow at ten."""
    zone = ZoneInfo(workspace.timezone)
    ten = (at.astimezone(zone) + timedelta(days=1)).replace(hour=10, minute=0, second=0, microsecond=0)
    ahead = _AHEAD.get(wanted.kind)
    return Facts(
        now=at,
        zone=zone,
        business_name=workspace.name if workspace.name != workspace.id else "Example Salon",
        channel=wanted.channel,
        person=Person(_NOBODY, "Alex", "Smith", "+15005550006", "alex@example.com", {}),
        visit=Visit(
            starts_at=at + ahead if ahead else ten,
            id=_NOBODY,
            public_id="booking_123",
            event_name="Haircut",
            service="Haircut",
            staff="Sam",
            location="12 High Street",
        ),
    )


_NOBODY = "0" * 32
"""An id that no row has: a sample's links lead nowhere."""


def _warnings(body: str, counted: Segments | None, facts: Facts, base_url: str) -> Iterator[tuple[WarningCode, str]]:
    if _SHORTENED.search(body):
        yield "link_shortener", "Carriers filter messages with links of a shared shortener; write the full address."
    if base_url in body and url_is_loopback(base_url):
        yield "local_link", "The link leads to this machine only: set PUBLIC_BASE_URL."
    if facts.business_name and facts.business_name.casefold() not in body.casefold():
        yield "no_business_name", "The text does not say whom it comes from."
    if counted and counted.segments > MANY_SEGMENTS:
        yield "many_segments", f"The text is sent and paid for as {counted.segments} messages."
    if counted and counted.encoding == "UCS-2":
        yield "unicode", "A character outside of the GSM alphabet makes each segment hold 70 characters and not 160."
    visit = facts.visit
    if visit is not None and visit.starts_at <= facts.now:
        day = wording.day_word(visit.starts_at.astimezone(facts.zone).date(), facts.now.astimezone(facts.zone).date())
        yield "already_begun", f"At this time the appointment ({day}) has begun."
