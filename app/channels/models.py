"""Tables of the providers: whether our account works, and the sandbox's own log."""

from datetime import datetime

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base


class ProviderAccount(Base):
    """An account whose credentials were refused. While it is paused its messages wait and burn nothing."""

    __tablename__ = "provider_accounts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """``twilio:AC…`` or ``sandbox``."""
    paused_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[int | None] = mapped_column(Integer)
    probe_at: Mapped[datetime | None]
    """When to ask the provider again."""


class SandboxMessage(Base):
    """What the built-in test carrier has accepted: the sandbox's counterpart of Twilio's message log, and its inbox."""

    __tablename__ = "sandbox_messages"
    __table_args__ = (Index("ix_sandbox_messages_to_address_created_at", "to_address", "created_at"),)

    id: Mapped[str] = mapped_column(String(34), primary_key=True)
    """SM followed by 32 hex digits, as Twilio writes it."""
    attempt_id: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(16), default="sms")
    from_address: Mapped[str] = mapped_column(String(320))
    to_address: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    media_urls: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
