"""Tables of the tenants."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base, NullableJson
from app.ids import new_id


class Workspace(Base):
    """A tenant. Its id is the caller's own string ("ws_123", "67621")."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    """IANA name; times are shown in it."""
    default_sender: Mapped[str | None] = mapped_column(String(320))
    on_unknown: Mapped[str] = mapped_column(String(8), default="resend")
    """What happens to a message whose fate the provider's log does not tell: ``resend`` or ``hold``."""
    region: Mapped[str | None] = mapped_column(String(16))
    """Prepared for several regions; nothing reads it yet."""
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ApiKey(Base):
    """An API key: only its SHA-256 is kept. 256 random bits need no slow hash."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    prefix: Mapped[str] = mapped_column(String(16))
    """The first characters, to tell keys apart in lists and logs."""
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Sender(Base):
    """A number or address that a workspace may send from."""

    __tablename__ = "senders"
    __table_args__ = (UniqueConstraint("workspace_id", "address"), Index("ix_senders_address", "address"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(320))
    rate: Mapped[int | None] = mapped_column(Integer)
    """Segments a second; None takes the installation's default."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class User(Base):
    """Somebody who logs in to the panel."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    """Lower case."""
    password_hash: Mapped[str] = mapped_column(String(200))
    """argon2id."""
    is_operator: Mapped[bool] = mapped_column(Boolean, default=False)
    """Sees every workspace, the queues and rq-dashboard."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    last_login_at: Mapped[datetime | None]


class Membership(Base):
    """Which workspaces a user sees, and as what: ``owner``, ``staff`` or ``viewer``."""

    __tablename__ = "memberships"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), default="owner")


class Usage(Base):
    """What a workspace with caps has used up in a day or a month, counted before it is spent."""

    __tablename__ = "usage"

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str] = mapped_column(String(10), primary_key=True)
    """``2026-05-11`` or ``2026-05``, in the workspace's zone."""
    segments: Mapped[int] = mapped_column(Integer, default=0)
    spend: Mapped[int] = mapped_column(BigInteger, default=0)
    """In millionths of the workspace's currency."""
    warned_at: Mapped[datetime | None]
    """When 80 % of a cap was passed."""
    reached_at: Mapped[datetime | None]
    """When a cap first kept a message back."""


class AuditEntry(Base):
    """Who changed what. Append only."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_workspace", "workspace_id", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    actor: Mapped[str] = mapped_column(String(254))
    """``key:bh_abcde``, a user's email, ``contact`` or ``system``."""
    action: Mapped[str] = mapped_column(String(64))
    """A verb and its object: ``settings.changed``, ``cap.warned``."""
    subject: Mapped[str] = mapped_column(String(128), default="")
    """The id of what was changed."""
    before: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    after: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    at: Mapped[datetime] = mapped_column(default=clock.now)
