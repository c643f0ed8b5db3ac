"""Tables of the people: who they are, what they allow, and who must not be written to."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base
from app.ids import new_id


def _where(condition: str) -> dict[str, Any]:
    """A partial index on either database."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class Contact(Base):
    """A person of a workspace, known by a phone number, an email address or both."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("workspace_id", "public_id"),
        # Of several bookings at once by one new person exactly one makes the contact. Partial, because PostgreSQL would
        # otherwise take a new number for a new key, and everybody who refers to the person would have to wait.
        Index("ix_contacts_phone", "workspace_id", "phone", unique=True, **_where("phone IS NOT NULL")),
        Index("ix_contacts_email", "workspace_id", "email", unique=True, **_where("email IS NOT NULL")),
        Index("ix_contacts_name", "workspace_id", "last_name", "first_name", "id"),
        Index("ix_contacts_workspace", "workspace_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    public_id: Mapped[str] = mapped_column(String(128))
    """What the API calls it: the caller's own id ("uuid-456"), else ``contact_`` and ours."""
    first_name: Mapped[str] = mapped_column(String(200), default="")
    last_name: Mapped[str] = mapped_column(String(200), default="")
    phone: Mapped[str | None] = mapped_column(String(64))
    """E.164."""
    email: Mapped[str | None] = mapped_column(String(254))
    """Lower case."""
    timezone: Mapped[str | None] = mapped_column(String(64))
    """IANA name, for quiet hours; None takes the workspace's."""
    tags: Mapped[list[str]] = mapped_column(default=list)
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The workspace's own merge fields, texts by name."""
    notes: Mapped[str] = mapped_column(Text, default="")
    erased_at: Mapped[datetime | None]
    """When the person's data was erased; the row stays for its appointments, and nobody finds it any more."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class Consent(Base):
    """What a person has allowed: which kind of message, how we know, and until when."""

    __tablename__ = "consents"
    __table_args__ = (
        Index("ix_consents_contact", "contact_id", "kind"),
        Index(
            "ix_consents_expiry",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL AND revoked_at IS NULL"),
            sqlite_where=text("expires_at IS NOT NULL AND revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    contact_id: Mapped[str] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    """``informational`` (reminders) or ``marketing``."""
    channel: Mapped[str | None] = mapped_column(String(16))
    """None is every channel."""
    source: Mapped[str] = mapped_column(String(100))
    """How it was given: ``booking_form``, ``import``, ``api``, ``panel`` or the workspace's own words."""
    given_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


STOP = "stop"
"""The person said so, from this address."""
PROVIDER = "provider"
"""The provider lets nothing through: 21610, a bounce, a complaint."""
MANUAL = "manual"
"""Entered by the business."""


class Suppression(Base):
    """An opt-out in force: no message of this workspace and channel goes to this address."""

    __tablename__ = "suppressions"
    __table_args__ = (
        UniqueConstraint("workspace_id", "channel", "address"),
        Index("ix_suppressions_address", "address"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(320))
    source: Mapped[str] = mapped_column(String(32))
    """`STOP`, `PROVIDER` or `MANUAL`."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
