"""What people have allowed. Reminders of what somebody booked need no consent on record; marketing does."""

from datetime import datetime

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import ColumnElement

from app import clock
from app.contacts.models import Consent, Contact
from app.errors import NotFound, invalid_field


def in_force(
    contact_id: InstrumentedAttribute[str] | str, kind: str, channel: str, now: datetime
) -> ColumnElement[bool]:
    """The condition "has allowed this kind of message on this channel", for use inside other statements."""
    return exists(
        select(Consent.id).where(
            Consent.contact_id == contact_id,
            Consent.kind == kind,
            or_(Consent.channel.is_(None), Consent.channel == channel),
            Consent.given_at <= now,
            Consent.revoked_at.is_(None),
            or_(Consent.expires_at.is_(None), Consent.expires_at > now),
        )
    )


def has_consent(session: Session, contact_id: str, kind: str, channel: str, now: datetime) -> bool:
    """Whether a person (by row id) allows this kind of message on this channel at an instant."""
    return bool(session.scalar(select(in_force(contact_id, kind, channel, now))))


def counts(consent: Consent, now: datetime) -> bool:
    """Whether one consent holds at an instant."""
    return (
        consent.given_at <= now
        and consent.revoked_at is None
        and (consent.expires_at is None or consent.expires_at > now)
    )


def give(
    session: Session,
    contact: Contact,
    *,
    kind: str,
    channel: str | None,
    source: str,
    given_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Consent:
    """Put a consent on record.

    Raises:
        Invalid: it was given in the future, or ends before it begins.
    """
    now = clock.now()
    given_at = given_at or now
    if given_at > now:
        raise invalid_field("givenAt", "is in the future")
    if expires_at is not None and expires_at <= given_at:
        raise invalid_field("expiresAt", "must be after the time at which it was given")
    consent = Consent(
        workspace_id=contact.workspace_id,
        contact_id=contact.id,
        kind=kind,
        channel=channel,
        source=source,
        given_at=given_at,
        expires_at=expires_at,
    )
    session.add(consent)
    session.flush()
    return consent


def of_contact(session: Session, contact: Contact, limit: int = 1000) -> list[Consent]:
    """All that a person has ever allowed, the latest first."""
    query = select(Consent).where(Consent.contact_id == contact.id).order_by(Consent.given_at.desc(), Consent.id.desc())
    return list(session.scalars(query.limit(limit)))


def revoke(session: Session, contact: Contact, consent_id: str) -> Consent:
    """Take a consent back; again changes nothing.

    Raises:
        NotFound: this person has given no such consent.
    """
    same = (Consent.id == consent_id, Consent.contact_id == contact.id)
    session.execute(update(Consent).where(*same, Consent.revoked_at.is_(None)).values(revoked_at=clock.now()))
    consent = session.scalar(select(Consent).where(*same).execution_options(populate_existing=True))
    if consent is None:
        raise NotFound("This contact has given no such consent.")
    return consent
