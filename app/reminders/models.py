"""Tables of the reminders: a workspace's settings, and the ledger."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base, NullableJson
from app.ids import new_id


class ReminderSettings(Base):
    """One row for each workspace that has settings of its own. The seed's columns are the editor of ``classic``."""

    __tablename__ = "appointment_reminder_settings"

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    send_confirmation: Mapped[bool] = mapped_column(Boolean, default=True)
    send_24hr_reminder: Mapped[bool] = mapped_column(Boolean, default=True)
    send_1hr_reminder: Mapped[bool] = mapped_column(Boolean, default=True)
    sms_enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    email_enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    whatsapp_enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    policy: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    """A preset (``{"preset": "clinic"}``) or rules of its own; None is what the route asks for, usually ``classic``."""
    event_policies: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The same by event type."""
    quiet_start: Mapped[str | None] = mapped_column(String(5))
    """Local wall time; None where there are no quiet hours, which is why no default may take its place."""
    quiet_end: Mapped[str | None] = mapped_column(String(5))
    quiet_mode: Mapped[str] = mapped_column(String(8), default="shift")
    """``shift`` to the end of the quiet hours, or ``skip``."""
    late_booking: Mapped[str] = mapped_column(String(8), default="skip")
    """What becomes of a reminder whose time had passed at the booking: ``skip`` or ``send_now``."""
    send_cancellation: Mapped[bool] = mapped_column(Boolean, default=True)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class ReminderSent(Base):
    """Seed 003's ledger: whoever inserts the row may send, and the unique key lets one do it.

    ``channel`` and ``occurrence`` are empty where the caller does not name them, and then a call means what the seed
    says (resolution D9).
    """

    __tablename__ = "reminders_sent"
    __table_args__ = (
        UniqueConstraint(
            "workspace_id",
            "entity_type",
            "entity_id",
            "reminder_type",
            "user_id",
            "channel",
            "occurrence",
            name="uq_reminders_sent_key",
        ),
        Index("ix_reminders_sent_user", "workspace_id", "user_id"),
        Index("ix_reminders_sent_sent_at", "sent_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    entity_type: Mapped[str] = mapped_column(String(64))
    entity_id: Mapped[str] = mapped_column(String(128))
    reminder_type: Mapped[str] = mapped_column(String(64))
    """In its canonical form: ``24h``, not ``24hr``."""
    user_id: Mapped[str] = mapped_column(String(128))
    channel: Mapped[str] = mapped_column(String(16), default="")
    occurrence: Mapped[str] = mapped_column(String(64), default="")
    sent_at: Mapped[datetime] = mapped_column(default=clock.now)
