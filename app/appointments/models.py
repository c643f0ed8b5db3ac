"""The table of appointments. It lies below the messages, whose claim looks at the revision; all else is above them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base
from app.ids import new_id


class Appointment(Base):
    """An appointment, booking or meeting: three names of the seeds for one thing (resolution D21).

    ``revision`` fences its reminders: a message names the revision that it was planned for, and none but the current
    one's can be claimed.
    """

    __tablename__ = "appointments"
    __table_args__ = (
        UniqueConstraint("workspace_id", "public_id"),
        Index("ix_appointments_start", "starts_at", "status"),  # seed 003's index
        Index("ix_appointments_workspace", "workspace_id", "starts_at", "id"),
        Index("ix_appointments_contact", "contact_id", "starts_at"),
        Index(  # what the public form's limits count
            "ix_appointments_form",
            "workspace_id",
            "created_at",
            postgresql_where=text("source = 'form'"),
            sqlite_where=text("source = 'form'"),
        ),
        Index("ix_appointments_phone", "phone", "starts_at"),  # whose reply it is
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    public_id: Mapped[str] = mapped_column(String(80))
    """What the API calls it: the caller's own id ("booking_123"), else ``appointment_`` or ``booking_`` and ours."""
    contact_id: Mapped[str] = mapped_column(ForeignKey("contacts.id"))
    phone: Mapped[str | None] = mapped_column(String(64))
    """As it was booked, E.164: reminders go there, whatever number the contact is known by."""
    email: Mapped[str | None] = mapped_column(String(254))
    starts_at: Mapped[datetime]
    starts_text: Mapped[str] = mapped_column(String(40))
    """As the caller wrote it, with the caller's offset: what is echoed."""
    ends_at: Mapped[datetime | None]
    timezone: Mapped[str | None] = mapped_column(String(64))
    """Where it takes place (IANA); None takes the workspace's. Messages tell the time in it."""
    event_type: Mapped[str | None] = mapped_column(String(100))
    """Chooses the policy and the templates."""
    event_name: Mapped[str | None] = mapped_column(String(200))
    service: Mapped[str | None] = mapped_column(String(200))
    staff: Mapped[str | None] = mapped_column(String(200))
    location: Mapped[str | None] = mapped_column(String(300))
    status: Mapped[str] = mapped_column(String(16), default="PENDING")
    """``PENDING``, ``CONFIRMED``, ``CANCELLED``, ``COMPLETED`` or ``NO_SHOW``: seed 003's words."""
    source: Mapped[str] = mapped_column(String(16), default="api")
    """Which door it came in by: ``api``, ``booking``, ``form`` or ``trigger``."""
    policy: Mapped[str | None] = mapped_column(String(64))
    """The preset that this one follows; None takes the event type's or the workspace's."""
    revision: Mapped[int] = mapped_column(Integer, default=1)
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    booked_at: Mapped[datetime] = mapped_column(default=clock.now)
    cancelled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)
