"""Claiming: one conditional UPDATE, with everything in its WHERE that allows sending, for one message or a batch.

Whoever loses it does nothing. The attempt rows are committed with the claim, before the provider hears of anything,
so that a crash at any point leaves a trace to reconcile from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from app import clock, metrics, queue
from app.channels import accounts
from app.channels.registry import Providers
from app.contacts import service as contacts
from app.database import batch, writing
from app.ids import new_id
from app.logs import get_logger
from app.messages import pacing, statements
from app.messages.models import Message
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
    subject: str | None
    body: str
    content_sid: str | None
    content_variables: dict[str, str] | None
    media_urls: list[str]
    due_at: datetime
    valid_until: datetime
    retry_policy: str
    attempts_used: int
    attempts_uncounted: int


def lease(timeout_s: float) -> timedelta:
    """How long a claim lasts: twice the provider's time-out and ten seconds for everything around it."""
    return timedelta(seconds=2 * timeout_s + 10)


def claim(message_ids: Sequence[str], providers: Providers) -> list[Claim]:
    """Claim those of the messages that may go out now, all at once.

    The senders' turns are taken first: what has none yet is not claimed. What cannot go out is dealt with on the way:
    too early ones are nudged again at their time, expired and opted-out ones are closed with their reason, and those of
    a paused account wait.
    """
    message_ids = pacing.admit(message_ids)
    if not message_ids:
        return []
    now = clock.now()
    lease_until = now + lease(providers.timeout_s)
    attempt_ids = {message_id: new_id() for message_id in message_ids}
    with batch() as connection:
        rows = statements.claim(
            connection,
            attempt_ids,
            now=now,
            lease_until=lease_until,
            providers=providers,
        )
    claims = [Claim(attempt_id=attempt_ids[row.id], lease_until=lease_until, **row._mapping) for row in rows]
    refused = attempt_ids.keys() - {one.id for one in claims}
    if refused:
        try:
            _deal_with(sorted(refused), providers, now)
        except SQLAlchemyError as error:
            # What was claimed is committed and must be sent now; what was not is found again by the feeder.
            metrics.errors.inc("refused")
            log.error("refused claims not dealt with", count=len(refused), error=str(error).splitlines()[0])
    return claims


def _deal_with(refused: Sequence[str], providers: Providers, now: datetime) -> None:
    nudges: list[queue.Nudge] = []
    early: list[Message] = []
    with writing() as session:
        for message_id in refused:
            nudges += _refuse(session, message_id, providers, now, early)
    if early:
        nudges += queue.too_early([(one.id, one.revision, one.scheduled_at - now) for one in early])
    queue.try_add(nudges)


def _refuse(
    session: Session, message_id: str, providers: Providers, now: datetime, early: list[Message]
) -> list[queue.Nudge]:
    """The claim was lost: find out why, record what the owner must know, and return the nudges to add.

    Whoever comes too early is added to ``early``.
    """
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
    if not session.scalar(select(statements.is_of_current_plan()).where(Message.id == message.id)):
        _end_unsent(session, message, Reason.SUPERSEDED, now)
        return []
    if message.scheduled_at > now:
        early.append(message)
        return []
    provider = providers.get(message.channel)
    if provider is None:
        _end_unsent(session, message, Reason.CHANNEL_UNAVAILABLE, now)
        return []
    if accounts.paused_account(session, provider.account):
        return []  # the feeder adds it again when the account is back
    at = now + TWIN_WAIT
    moved = session.scalar(
        update(Message)
        .where(*_as_it_was(message))
        .values(scheduled_at=at, revision=Message.revision + 1)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return [queue.send_nudge(message.id, message.revision + 1, at)] if moved else []


def _as_it_was(message: Message) -> tuple[ColumnElement[bool], ...]:
    """That nobody has moved the message since it was read: a new time is a new revision."""
    return Message.id == message.id, Message.status == Status.SCHEDULED, Message.revision == message.revision


def _end_unsent(session: Session, message: Message, reason: Reason, now: datetime) -> None:
    """Skipped where it was never tried, failed where it was waiting for another try."""
    ended = Status.FAILED if message.attempt else Status.SKIPPED
    changed = session.execute(
        update(Message)
        .where(*_as_it_was(message))
        .values(status=ended, reason=reason, finished_at=now)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    ).first()
    if changed:
        metrics.failed.inc(reason, "")
        log.info("message not sent", message_id=message.id, workspace_id=message.workspace_id, reason=reason.value)
