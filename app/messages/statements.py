"""The two statements that every message passes through, each for a whole batch: the claim and the acceptance.

On PostgreSQL each is one statement and a transaction of its own: one round trip and one commit, however many messages.
SQLite has no data-modifying WITH; there each is two or three statements in one transaction. They are built once: taking
a statement of this size together costs more than running it.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    String,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.dml import Update

from app.appointments.models import Appointment
from app.channels.models import ProviderAccount
from app.contacts import service as contacts
from app.database import UtcDateTime, given_rows
from app.messages.models import Attempt, Batch, DeliveryEvent, Message
from app.messages.states import Status

# Parameters have no column's name: SQLAlchemy would take them for values of an UPDATE.
_NOW: ColumnElement[datetime] = bindparam("at", type_=UtcDateTime())
_PROVIDER: ColumnElement[str] = bindparam("by_provider", type_=String())

CLAIMED = (
    Message.id,
    Message.workspace_id,
    Message.attempt,
    Message.revision,
    Message.channel,
    Message.to_address,
    Message.from_address,
    Message.subject,
    Message.body,
    Message.content_sid,
    Message.content_variables,
    Message.media_urls,
    Message.due_at,
    Message.valid_until,
    Message.retry_policy,
    Message.attempts_used,
    Message.attempts_uncounted,
)
"""What the sender needs of a row."""

PLAIN_WORDS = ("accepted", "queued", "sending", "sent")
"""Words of the provider that say no more than "we have it"."""


@dataclass(frozen=True, slots=True)
class Route:
    """A channel, and whose account with which provider it goes through."""

    channel: str
    account: str
    provider: str


def claim(
    connection: Connection,
    attempt_ids: dict[str, str],
    routes: Sequence[Route],
    *,
    now: datetime,
    lease_until: datetime,
) -> Sequence[Row[Any]]:
    """Claim those of some messages that may go out now, and enter their attempts; returns `CLAIMED` of each.

    ``attempt_ids`` maps each message to the id that its attempt gets if it is claimed. A message whose channel has no
    route is not claimed.
    """
    values = {
        "given": json.dumps([{"id": message, "attempt_id": attempt} for message, attempt in attempt_ids.items()]),
        "routes": json.dumps({route.channel: asdict(route) for route in routes}),
        "at": now,
        "leased_until": lease_until,
    }
    if connection.dialect.name == "postgresql":
        return connection.execute(_claim_and_note(), values).all()
    rows = connection.execute(_claim_only(), values).all()
    if rows:
        providers = {route.channel: route.provider for route in routes}
        connection.execute(
            insert(Attempt),
            [
                {
                    "id": attempt_ids[row.id],
                    "message_id": row.id,
                    "number": row.attempt,
                    "provider": providers[row.channel],
                    "started_at": now,
                }
                for row in rows
            ],
        )
    return rows


def is_of_current_plan() -> ColumnElement[bool]:
    """That a message belongs to no plan, or to its appointment's present one: nothing of an older one goes out."""
    current = exists(
        select(Appointment.id).where(
            Appointment.id == Message.appointment_id, Appointment.revision == Message.plan_revision
        )
    )
    return or_(Message.appointment_id.is_(None), current)


def is_of_cancelled_batch() -> ColumnElement[bool]:
    """That a message belongs to a batch that was called off: one that was on its way then is not tried again."""
    return exists(select(Batch.id).where(Batch.id == Message.batch_id, Batch.status == "cancelled"))


def _route(dialect: str, channel: Any, field: str) -> ColumnElement[str]:
    """A field of the `Route` of a channel; NULL where it has none. Cheaper than a join for the database to plan."""
    routes = bindparam("routes", type_=String())
    if dialect == "postgresql":
        return func.jsonb_extract_path_text(cast(routes, JSONB), channel, field)
    return func.json_extract(routes, literal("$.") + channel + f".{field}")


def _claim(dialect: str) -> tuple[Any, Update]:
    given = given_rows(dialect, {"id": String, "attempt_id": String})
    account = _route(dialect, Message.channel, "account")
    paused = select(ProviderAccount.id).where(ProviderAccount.paused_at.is_not(None))
    twin = Message.__table__.alias("twin")
    # An equal text to the same person whose fate is unknown: the provider's log could not tell the two apart.
    twin_in_doubt = exists(
        select(twin.c.id).where(
            twin.c.to_address == Message.to_address,
            twin.c.content_hash == Message.content_hash,
            twin.c.status == Status.UNKNOWN,
            twin.c.id != Message.id,
        )
    )
    statement = (
        update(Message)
        .where(
            Message.id == given.c.id,
            Message.status == Status.SCHEDULED,
            Message.scheduled_at <= _NOW,
            Message.valid_until > _NOW,
            ~contacts.is_suppressed(Message.workspace_id, Message.channel, Message.to_address),
            account.is_not(None),
            account.not_in(paused),
            ~twin_in_doubt,
            is_of_current_plan(),
            ~is_of_cancelled_batch(),
        )
        .values(
            status=Status.SENDING,
            attempt=Message.attempt + 1,
            lease_until=bindparam("leased_until", type_=UtcDateTime()),
            next_check_at=None,
            slot_at=None,
        )
    )
    return given, statement


@functools.cache
def _claim_only() -> Any:
    _, statement = _claim("sqlite")
    return statement.returning(*CLAIMED)


@functools.cache
def _claim_and_note() -> Any:
    given, statement = _claim("postgresql")
    # Locked in the order of their ids: two workers whose batches overlap wait for each other, and never in a circle.
    locked = (
        select(Message.id)
        .where(Message.id.in_(select(given.c.id)))
        .order_by(Message.id)
        .with_for_update()
        .cte("locked")
    )
    claimed = (
        statement.where(Message.id.in_(select(locked.c.id)))
        .returning(*CLAIMED, given.c.attempt_id.label("attempt_id"))
        .cte("claimed")
    )
    noted = (
        insert(Attempt)
        .from_select(
            ["id", "message_id", "number", "provider", "started_at"],
            select(
                claimed.c.attempt_id,
                claimed.c.id,
                claimed.c.attempt,
                _route("postgresql", claimed.c.channel, "provider"),
                _NOW,
            ),
            include_defaults=False,
        )
        .cte("noted")
    )
    return select(*(claimed.c[column.key] for column in CLAIMED)).add_cte(noted)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The provider took the message of a claim: which claim, the provider's id and word, and the HTTP status."""

    attempt_id: str
    message_id: str
    attempt: int
    sid: str
    word: str
    http_status: int


_ACCEPTANCE = {
    "attempt_id": String,
    "message_id": String,
    "attempt": Integer,
    "sid": String,
    "word": String,
    "http_status": Integer,
}


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling a batch did: the messages that it moved, and the provider's ids of which reports came earlier."""

    messages: frozenset[str]
    reported_early: frozenset[str]


def settle(
    connection: Connection,
    accepted: Sequence[Acceptance],
    *,
    now: datetime,
    provider: str,
    next_check_at: datetime | None,
) -> Settled:
    """Write down acceptances, of messages and attempts, where the claim still holds and the word is a plain one.

    Raises:
        IntegrityError: a provider's id is another message's; nothing was written.
    """
    given = json.dumps([asdict(one) for one in accepted])
    values = {"given": given, "at": now, "by_provider": provider, "check_at": next_check_at}
    if connection.dialect.name == "postgresql":
        rows = connection.execute(_settle_and_close(), values).all()
        moved = frozenset(row.message_id for row in rows if row.moved)
        return Settled(moved, frozenset(row.sid for row in rows if row.early))
    settle_only, close, early = _settle_apart()
    moved = frozenset(connection.execute(settle_only, values).scalars())
    plain = [asdict(one) for one in accepted if one.message_id in moved]
    connection.execute(close, {"given": json.dumps(plain), "at": now})
    return Settled(moved, frozenset(connection.execute(early, values).scalars()))


def _settle(given: Any) -> Update:
    return (
        update(Message)
        .where(
            Message.id == given.c.message_id,
            Message.attempt == given.c.attempt,
            Message.status == Status.SENDING,
            given.c.word.in_(PLAIN_WORDS),
        )
        .values(
            provider_message_id=given.c.sid,
            provider_status=given.c.word,
            **sent_values(_PROVIDER, _NOW, bindparam("check_at", type_=UtcDateTime())),
        )
    )


def _close(given: Any) -> Update:
    return (
        update(Attempt)
        .where(Attempt.id == given.c.attempt_id)
        .values(
            outcome="accepted",
            provider_message_id=given.c.sid,
            http_status=given.c.http_status,
            finished_at=_NOW,
        )
    )


def _reported_early(given: Any) -> ColumnElement[bool]:
    return exists(
        select(DeliveryEvent.id).where(
            DeliveryEvent.provider == _PROVIDER,
            DeliveryEvent.provider_message_id == given.c.sid,
            DeliveryEvent.message_id.is_(None),
        )
    )


@functools.cache
def _settle_and_close() -> Any:
    given = given_rows("postgresql", _ACCEPTANCE)
    settled = _settle(given).returning(Message.id).cte("settled")
    closed = _close(given).where(given.c.message_id.in_(select(settled.c.id))).cte("closed")
    return (
        select(
            given.c.message_id,
            given.c.sid,
            settled.c.id.is_not(None).label("moved"),
            _reported_early(given).label("early"),
        )
        .select_from(given)
        .outerjoin(settled, settled.c.id == given.c.message_id)
        .add_cte(closed)
    )


@functools.cache
def _settle_apart() -> tuple[Any, Any, Any]:
    given = given_rows("sqlite", _ACCEPTANCE)
    return _settle(given).returning(Message.id), _close(given), select(given.c.sid).where(_reported_early(given))


def sent_values(
    provider: str | ColumnElement[str],
    now: datetime | ColumnElement[datetime],
    next_check_at: datetime | ColumnElement[datetime] | None,
) -> dict[str, Any]:
    """What an acceptance sets in a message's row, beside the provider's id and word."""
    return {
        "status": Status.SENT,
        "provider": provider,
        "sent_at": now,
        "finished_at": now,
        "reason": None,
        "error_code": None,
        "error_message": None,
        "attempts_used": Message.attempts_used + 1,
        "lease_until": None,
        "checks": 0,
        "next_check_at": next_check_at,
    }
