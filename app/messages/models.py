"""Tables of the messages. The row is the truth; everything in Redis can be made again from here."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.database import Base, NullableJson
from app.ids import new_id

ID = String(32)
ADDRESS = String(320)
"""A phone number, or an email address of the longest kind (RFC 5321)."""
ERASED = "erased"
"""In place of the address of somebody whose data was erased."""

MAY_FALL_BACK = (
    "fallback IS NOT NULL AND (status IN ('failed', 'undelivered')"
    " OR (status = 'skipped' AND reason IN ('channel_unavailable', 'whatsapp_window')))"
)
"""Ended, with channels left to try. In this form, so that the partial index fits wherever it is asked."""


class Message(Base):
    """One message to one person.

    ``due_at`` is what was asked for and moves only when somebody reschedules; ``scheduled_at`` is when the next try may
    begin and moves with each retry and each wait for the sender's turn. ``attempt`` counts claims and fences them:
    whoever settles names the attempt that it claimed. Of those, ``attempts_used`` were answered by the provider and
    count against the policy; ``attempts_uncounted`` were not (crashes, 429, proved not accepted) and have a limit of
    their own.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("workspace_id", "job_id"),
        UniqueConstraint("recurrence_id", "occurrence_key"),
        UniqueConstraint("provider", "provider_message_id"),
        # What is due next; what holds a lease or needs a look; what to list. All partial or led by the workspace,
        # so that a million waiting or finished rows do not slow the others down.
        Index(
            "ix_messages_due",
            "scheduled_at",
            "id",
            postgresql_where=text("status = 'scheduled'"),
            sqlite_where=text("status = 'scheduled'"),
        ),
        Index(
            "ix_messages_lease",
            "lease_until",
            postgresql_where=text("status = 'sending'"),
            sqlite_where=text("status = 'sending'"),
        ),
        Index(
            "ix_messages_check",
            "next_check_at",
            postgresql_where=text("next_check_at IS NOT NULL"),
            sqlite_where=text("next_check_at IS NOT NULL"),
        ),
        Index(
            "ix_messages_in_flight",
            "to_address",
            "content_hash",
            postgresql_where=text("status IN ('sending', 'unknown')"),
            sqlite_where=text("status IN ('sending', 'unknown')"),
        ),
        Index(
            "ix_messages_pending_to",
            "to_address",
            postgresql_where=text("status = 'scheduled'"),
            sqlite_where=text("status = 'scheduled'"),
        ),
        Index(
            "ix_messages_turn",
            "from_address",
            "slot_at",
            postgresql_where=text("status = 'scheduled' AND slot_at IS NOT NULL"),
            sqlite_where=text("status = 'scheduled' AND slot_at IS NOT NULL"),
        ),
        Index(
            "ix_messages_appointment",
            "appointment_id",
            postgresql_where=text("appointment_id IS NOT NULL"),
            sqlite_where=text("appointment_id IS NOT NULL"),
        ),
        Index(
            "ix_messages_batch",
            "batch_id",
            postgresql_where=text("batch_id IS NOT NULL"),
            sqlite_where=text("batch_id IS NOT NULL"),
        ),
        Index(
            "ix_messages_contact",
            "contact_id",
            "due_at",
            postgresql_where=text("contact_id IS NOT NULL"),
            sqlite_where=text("contact_id IS NOT NULL"),
        ),
        Index(
            "ix_messages_fallback",
            "due_at",
            postgresql_where=text(MAY_FALL_BACK),
            sqlite_where=text(MAY_FALL_BACK),
        ),
        Index(
            "ix_messages_refund",
            "id",
            postgresql_where=text("counted_on IS NOT NULL AND status IN ('failed', 'skipped', 'cancelled')"),
            sqlite_where=text("counted_on IS NOT NULL AND status IN ('failed', 'skipped', 'cancelled')"),
        ),
        Index("ix_messages_workspace_due", "workspace_id", "due_at", "id"),
        Index("ix_messages_workspace_status", "workspace_id", "status", "due_at", "id"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    job_id: Mapped[str] = mapped_column(String(128))
    """What the caller knows; stable over retries and reschedules, unique in the workspace."""
    revision: Mapped[int] = mapped_column(Integer, default=0)
    """Counts changes of the due time; part of the RQ job's id."""

    channel: Mapped[str] = mapped_column(String(16))
    to_address: Mapped[str] = mapped_column(ADDRESS)
    from_address: Mapped[str] = mapped_column(ADDRESS)
    subject: Mapped[str | None] = mapped_column(Text)
    """Of an email."""
    body: Mapped[str] = mapped_column(Text)
    """What is sent. Of a message with a ``kind`` it is written when it is about to be sent, from fresh data."""
    content_sid: Mapped[str | None] = mapped_column(String(40))
    """The approved WhatsApp template that is sent in place of the body."""
    content_variables: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    media_urls: Mapped[list[str]] = mapped_column(default=list)
    content_hash: Mapped[str] = mapped_column(String(32))
    """Of body and media: equal texts to one person are not sent while the fate of one is unknown."""
    segments: Mapped[int] = mapped_column(Integer, default=1)
    reference: Mapped[str | None] = mapped_column(String(128))
    """The caller's own id of a bulk item."""
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)

    status: Mapped[str] = mapped_column(String(16), default="scheduled")
    reason: Mapped[str | None] = mapped_column(String(32))
    due_at: Mapped[datetime]
    due_text: Mapped[str] = mapped_column(String(40))
    """The due time as the caller wrote it, with the caller's offset: what is echoed."""
    scheduled_at: Mapped[datetime]
    slot_at: Mapped[datetime | None]
    """The sender's turn that it waits for, else None: promised where it equals ``scheduled_at``, expected where it is
    later (see ``app.messages.pacing``).
    """
    valid_until: Mapped[datetime]
    """After this instant it is worse than nothing, and is not sent."""

    retry_policy: Mapped[str] = mapped_column(String(16), default="default")
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    attempts_used: Mapped[int] = mapped_column(Integer, default=0)
    attempts_uncounted: Mapped[int] = mapped_column(Integer, default=0)
    lease_until: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    """When to ask the provider about it: for ``unknown``, and for ``sent`` without a final report."""
    checks: Mapped[int] = mapped_column(Integer, default=0)
    """How often the provider's log was read for the present state."""

    provider: Mapped[str | None] = mapped_column(String(16))
    provider_message_id: Mapped[str | None] = mapped_column(String(64))
    provider_status: Mapped[str | None] = mapped_column(String(32))
    error_code: Mapped[int | None] = mapped_column(Integer)
    error_message: Mapped[str | None] = mapped_column(Text)

    recurrence_id: Mapped[str | None] = mapped_column(ForeignKey("recurrences.id"))
    occurrence_key: Mapped[str | None] = mapped_column(String(40))

    kind: Mapped[str | None] = mapped_column(String(64))
    """Which template it is written from; None where the caller gave the text itself."""
    template_id: Mapped[str | None] = mapped_column(ID)
    """A certain template; None takes the workspace's of this kind and channel when it is sent."""
    contact_id: Mapped[str | None] = mapped_column(ForeignKey("contacts.id", ondelete="SET NULL"))
    appointment_id: Mapped[str | None] = mapped_column(ForeignKey("appointments.id", ondelete="CASCADE"))
    plan_revision: Mapped[int | None] = mapped_column(Integer)
    """The appointment's revision that it was planned for. The claim refuses it once there is another."""
    reminder_type: Mapped[str | None] = mapped_column(String(64))
    """In its canonical form (``confirmation``, ``24h``, ``every-1``): unique with the channel in a plan."""
    plan: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    """How its due time came about, step by step, for whoever asks."""
    fallback: Mapped[str | None] = mapped_column(String(48))
    """The channels to try after a definite failure, in order, with commas between."""
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    counted_on: Mapped[str | None] = mapped_column(String(10))
    """The day on which it was counted against the workspace's caps, if it was."""
    counted_segments: Mapped[int | None] = mapped_column(Integer)
    counted_spend: Mapped[int | None] = mapped_column(BigInteger)
    """With how much, so that exactly that can be given back; money in millionths."""

    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    sent_at: Mapped[datetime | None]
    """When the provider accepted it."""
    finished_at: Mapped[datetime | None]
    """When the job was over, whatever its end."""


class Attempt(Base):
    """One try, written before the provider is called. Append only, but for its own outcome."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("message_id", "number"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    """Travels in the status callback's URL: a report can name the try that it belongs to."""
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    provider: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    """``accepted``, a failure kind, ``abandoned`` (the worker died), ``not_accepted`` (proved by the log); None while
    it runs.
    """
    http_status: Mapped[int | None] = mapped_column(Integer)
    error_code: Mapped[int | None] = mapped_column(Integer)
    error_message: Mapped[str | None] = mapped_column(Text)
    provider_message_id: Mapped[str | None] = mapped_column(String(64), index=True)


class DeliveryEvent(Base):
    """A provider's report as it came. The unique event id makes repeated callbacks harmless."""

    __tablename__ = "delivery_events"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    event_id: Mapped[str] = mapped_column(String(128), unique=True)
    provider: Mapped[str] = mapped_column(String(16))
    provider_message_id: Mapped[str] = mapped_column(String(64), index=True)
    attempt_id: Mapped[str | None] = mapped_column(ID)
    message_id: Mapped[str | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    """None until the message is known: a callback may overtake the answer to the POST."""
    status: Mapped[str] = mapped_column(String(32))
    error_code: Mapped[int | None] = mapped_column(Integer)
    raw: Mapped[dict[str, Any]] = mapped_column(default=dict)
    received_at: Mapped[datetime] = mapped_column(default=clock.now)


class Recurrence(Base):
    """A rule that makes messages. Each occurrence becomes a row of its own, once, by its occurrence key."""

    __tablename__ = "recurrences"
    __table_args__ = (
        Index("ix_recurrences_workspace", "workspace_id", "created_at"),
        Index(
            "ix_recurrences_active",
            "id",
            postgresql_where=text("status = 'active'"),
            sqlite_where=text("status = 'active'"),
        ),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    status: Mapped[str] = mapped_column(String(16), default="active")
    """``active``, ``paused``, ``cancelled`` or ``completed``."""
    channel: Mapped[str] = mapped_column(String(16))
    to_address: Mapped[str] = mapped_column(ADDRESS)
    from_address: Mapped[str] = mapped_column(ADDRESS)
    body: Mapped[str] = mapped_column(Text)
    media_urls: Mapped[list[str]] = mapped_column(default=list)
    crons: Mapped[list[str]] = mapped_column()
    timezone: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime | None]
    count: Mapped[int | None] = mapped_column(Integer)
    skip_dates: Mapped[list[str]] = mapped_column(default=list)
    cursor_at: Mapped[datetime]
    """Every occurrence up to this instant has its row."""
    made: Mapped[int] = mapped_column(Integer, default=0)
    """How many occurrences have been made, against ``count``."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class InboundMessage(Base):
    """What somebody wrote to one of our numbers. Unique by the provider's id."""

    __tablename__ = "inbound_messages"
    __table_args__ = (
        Index(
            "ix_inbound_messages_waiting",
            "received_at",
            postgresql_where=text("handled_at IS NULL AND intent IN ('confirm', 'cancel')"),
            sqlite_where=text("handled_at IS NULL AND intent IN ('confirm', 'cancel')"),
        ),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    provider: Mapped[str] = mapped_column(String(16))
    provider_message_id: Mapped[str] = mapped_column(String(64), unique=True)
    channel: Mapped[str] = mapped_column(String(16))
    from_address: Mapped[str] = mapped_column(ADDRESS, index=True)
    to_address: Mapped[str] = mapped_column(ADDRESS)
    body: Mapped[str] = mapped_column(Text)
    intent: Mapped[str | None] = mapped_column(String(16))
    """``stop``, ``start``, ``help``, ``confirm``, ``cancel`` or None."""
    handled_at: Mapped[datetime | None]
    """When a ``confirm`` or ``cancel`` was acted on, or was found to concern nobody."""
    raw: Mapped[dict[str, Any]] = mapped_column(default=dict)
    received_at: Mapped[datetime] = mapped_column(default=clock.now)


class Batch(Base):
    """One text to many contacts, which can be called off together."""

    __tablename__ = "batches"
    __table_args__ = (Index("ix_batches_workspace", "workspace_id", "id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    channel: Mapped[str] = mapped_column(String(16))
    category: Mapped[str] = mapped_column(String(16))
    """``informational``, or ``marketing``, for which everybody's consent was looked up."""
    template_id: Mapped[str | None] = mapped_column(ID)
    segment: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Whom it was for, as it was asked for; of ids the first hundred, and how many."""
    status: Mapped[str] = mapped_column(String(16), default="active")
    """``active`` or ``cancelled``."""
    total: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    cancelled_at: Mapped[datetime | None]
