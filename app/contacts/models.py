"""People who must not be written to."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base
from app.ids import new_id


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
    address: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(32))
    """``stop`` (the person said so), ``provider`` (21610) or ``manual``."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
