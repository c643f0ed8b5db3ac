"""The table of templates."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base
from app.ids import new_id


class MessageTemplate(Base):
    """A text of a workspace. Where it has none of a kind and channel, the default text is used."""

    __tablename__ = "message_templates"
    __table_args__ = (
        UniqueConstraint("workspace_id", "kind", "channel", "event_type", name="uq_message_templates_key"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(64))
    """``confirmation``, ``24h``, ``1h``, ``reminder``, ``cancellation`` …, or the workspace's own name."""
    channel: Mapped[str] = mapped_column(String(16))
    event_type: Mapped[str] = mapped_column(String(100), default="")
    """For appointments of this type only; empty is for all others."""
    subject: Mapped[str | None] = mapped_column(Text)
    """Of an email."""
    body: Mapped[str] = mapped_column(Text)
    content_sid: Mapped[str | None] = mapped_column(String(40))
    """Twilio's id of the approved WhatsApp template (HX…)."""
    content_variables: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """For it: a text with merge fields for each of its numbers."""
    missing_field: Mapped[str] = mapped_column(String(8), default="skip")
    """What happens when a merge field has no value: ``skip`` the message, or leave it ``blank``."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)
