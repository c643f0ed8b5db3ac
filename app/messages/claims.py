"""Claiming: one conditional UPDATE, with everything in its WHERE that allows sending, for one message or a batch.

Whoever loses it does nothing. The attempt rows are committed with the claim, before the provider hears of anything,
so that a crash at any point leaves a trace to reconcile from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, exists, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.expression import any_

from app import clock, metrics, queue
from app.channels import accounts
from app.channels.base import Provider
from app.channels.models import ProviderAccount
from app.contacts import service as contacts
from app.database import writing
from app.ids import new_id
from app.logs import get_logger
from app.messages.models import Attempt, Message
from app.messages.states import Reason, Status

TWIN_WAIT = timedelta(seconds=10)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this worker may send, once, until the lease ends.

    ``attempt`` is the fence: whoever settles names it. The other values are the row's at the time of the claim.
    """

    id: str
    workspace_id: str
    attempt: int
    attempt_id: str
    lease_until: datetime
    revision: int
    channel: str
    to_address: str
    from_address: str
    body: str
    media_urls: list[str]
    due_at: datetime
    valid_until: datetime
    retry_policy: str
    attempts_used: int
    attempts_uncounted: int


_COLUMNS = (
    Message.id,
    Message.workspace_id,
    Message.attempt,
    Message.revision,
    Message.channel,
    Message.to_address,
    Message.from_address,
    Message.body,
    Message.media_urls,
    Message.due_at,
    Message.valid_until,
    Message.retry_policy,
    Message.attempts_used,
    Message.attempts_uncounted,
)


def lease(timeout_s: float) -> timedelta:
    """How long a claim lasts: twice the provider's time-out and ten seconds for everything around it."""
    return timedelta(seconds=2 * timeout_s + 10)


def claim(message_ids: Sequence[str], provider: Provider) -> list[Claim]:
    """Claim those of the messages that may go out now, in one transaction.

    What cannot go out is dealt with on the way: too early ones are nudged again at their time, expired and opted-out
    ones are closed with their reason, and those of a paused account wait.
    """
    now = clock.now()
    lease_until = now + lease(provider.timeout_s)
    nudges: list[queue.Nudge] = []
    with writing() as session:
        rows = session.execute(
            update(Message)
            .where(
                _among(session, message_ids),
                Message.status == Status.SCHEDULED,
                Message.scheduled_at <= now,
                Message.valid_until > now,
                ~contacts.is_suppressed(Message.workspace_id, Message.channel, Message.to_address),
                ~_account_paused(provider.account),
                ~_twin_in_doubt(),
            )
            .values(
                status=Status.SENDING,
                attempt=Message.attempt + 1,
                lease_until=lease_until,
                next_check_at=None,
            )
            .returning(*_COLUMNS)
            .execution_options(synchronize_session=False)
        ).all()
        claims = [Claim(attempt_id=new_id(), lease_until=lease_until, **row._mapping) for row in rows]
        if claims:
            session.execute(insert(Attempt), [_attempt(one, provider, now) for one in claims])
        claimed = {one.id for one in claims}
        for message_id in message_ids:
            if message_id not in claimed:
                nudges += _refuse(session, message_id, provider, now)
    queue.try_add(nudges)
    return claims


def _among(session: Session, message_ids: Sequence[str]) -> ColumnElement[bool]:
    if session.get_bind().dialect.name == "sqlite":
        return Message.id.in_(message_ids)
    # Locked in the order of their ids: two workers whose batches overlap wait for each other, and never in a circle.
    wanted = (
        select(Message.id)
        .where(Message.id == any_(literal(list(message_ids), ARRAY(String))))
        .order_by(Message.id)
        .with_for_update()
    )
    return Message.id.in_(wanted)


def _attempt(one: Claim, provider: Provider, now: datetime) -> dict[str, Any]:
    return {
        "id": one.attempt_id,
        "message_id": one.id,
        "number": one.attempt,
        "provider": provider.name,
        "started_at": now,
    }


def _account_paused(account: str) -> ColumnElement[bool]:
    return exists(
        select(ProviderAccount.id).where(ProviderAccount.id == account, ProviderAccount.paused_at.is_not(None))
    )


def _twin_in_doubt() -> ColumnElement[bool]:
    """An equal text to the same person whose fate is unknown: the provider's log could not tell the two apart."""
    twin = aliased(Message)
    return exists(
        select(twin.id).where(
            twin.to_address == Message.to_address,
            twin.content_hash == Message.content_hash,
            twin.status == Status.UNKNOWN,
            twin.id != Message.id,
        )
    )


def _refuse(session: Session, message_id: str, provider: Provider, now: datetime) -> list[queue.Nudge]:
    """The claim was lost: find out why, record what the owner must know, and return the nudges to add."""
    message = session.get(Message, message_id)
    if message is None or message.status != Status.SCHEDULED:
        return []
    if message.valid_until <= now:
        missed = message.recurrence_id is not None and message.attempt == 0
        _end_unsent(session, message, Reason.MISSED if missed else Reason.EXPIRED, now)
        return []
    if session.scalar(select(contacts.is_suppressed(message.workspace_id, message.channel, message.to_address))):
        _end_unsent(session, message, Reason.OPTED_OUT, now)
        return []
    if message.scheduled_at > now:
        return [queue.send_nudge(message.id, message.revision, message.scheduled_at, again=True)]
    if accounts.paused_account(session, provider.account):
        return []  # the sweep adds it again when the account is back
    at = now + TWIN_WAIT
    session.execute(
        update(Message)
        .where(Message.id == message.id, Message.status == Status.SCHEDULED)
        .values(scheduled_at=at, revision=Message.revision + 1)
    )
    return [queue.send_nudge(message.id, message.revision + 1, at)]


def _end_unsent(session: Session, message: Message, reason: Reason, now: datetime) -> None:
    """Skipped where it was never tried, failed where it was waiting for another try."""
    ended = Status.FAILED if message.attempt else Status.SKIPPED
    changed = session.execute(
        update(Message)
        .where(Message.id == message.id, Message.status == Status.SCHEDULED)
        .values(status=ended, reason=reason, finished_at=now)
        .returning(Message.id)
    ).first()
    if changed:
        metrics.failed.inc(reason, "")
        log.info("message not sent", message_id=message.id, workspace_id=message.workspace_id, reason=reason.value)
