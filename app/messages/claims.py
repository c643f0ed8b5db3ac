"""Claiming: one conditional UPDATE, with everything in its WHERE that allows sending, for one message or a batch.

Whoever loses it does nothing. The attempt rows are committed with the claim, before the provider hears of anything,
so that a crash at any point leaves a trace to reconcile from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import clock, metrics, queue
from app.channels import accounts
from app.channels.registry import Providers, providers
from app.contacts import service as contacts
from app.database import batch, reading, writing
from app.ids import new_id
from app.logs import get_logger
from app.messages import caps, pacing, rendering, statements
from app.messages.models import Message
from app.messages.states import Reason, Status
from app.messages.unsent import as_it_was, end_unsent
from app.workspaces.models import Workspace

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
    sender_name: str | None = None
    """Of an email: what the workspace is called."""


def lease(timeout_s: float) -> timedelta:
    """How long a claim lasts: twice the provider's time-out and ten seconds for everything around it."""
    return timedelta(seconds=2 * timeout_s + 10)


def claim(message_ids: Sequence[str]) -> list[Claim]:
    """Claim those of the messages that may go out now, all at once.

    Texts of templates are written first, since their length decides how much of the sender's time they take; then the
    senders' turns are taken: what has none yet is not claimed. Then what it costs is counted where its workspace has
    caps. What cannot go out is dealt with on the way: too early ones are nudged again at their time, expired and
    opted-out ones are closed with their reason, and those of a paused account wait.
    """
    message_ids = pacing.admit(rendering.render_due(message_ids))
    if not message_ids:
        return []
    now, by_channel = clock.now(), providers()
    admitted = caps.admit(message_ids, now)
    claims = _claim(admitted.going, by_channel, now)
    refused = {*admitted.going, *admitted.refused} - {one.id for one in claims}
    if refused:
        try:
            _deal_with(sorted(refused), by_channel, now)
        except SQLAlchemyError as error:
            # What was claimed is committed and must be sent now; what was not is found again by the feeder.
            metrics.errors.inc("refused")
            log.error("refused claims not dealt with", count=len(refused), error=str(error).splitlines()[0])
    return _named(claims)


def _claim(message_ids: Sequence[str], by_channel: Providers, now: datetime) -> list[Claim]:
    if not message_ids:
        return []
    lease_until = clock.now() + lease(by_channel.timeout_s)
    routes = [statements.Route(channel, one.account, one.name) for channel, one in by_channel.items()]
    attempt_ids = {message_id: new_id() for message_id in message_ids}
    with batch() as connection:
        rows = statements.claim(connection, attempt_ids, routes, now=now, lease_until=lease_until)
    return [Claim(attempt_id=attempt_ids[row.id], lease_until=lease_until, **row._mapping) for row in rows]


def _named(claims: list[Claim]) -> list[Claim]:
    """With the names of the workspaces that send an email; everything else costs nothing here."""
    wanted = {claim.workspace_id for claim in claims if claim.channel == "email"}
    if not wanted:
        return claims
    query = select(Workspace.id, Workspace.name).where(Workspace.id.in_(wanted), Workspace.name != Workspace.id)
    try:
        with reading() as session:
            names = {row.id: row.name for row in session.execute(query)}
    except SQLAlchemyError as error:
        # They are claimed and must be sent now, by the address alone.
        metrics.errors.inc("sender_name")
        log.error("names of senders not read", count=len(claims), error=str(error).splitlines()[0])
        return claims
    return [
        replace(claim, sender_name=names.get(claim.workspace_id)) if claim.channel == "email" else claim
        for claim in claims
    ]


def _deal_with(refused: Sequence[str], by_channel: Providers, now: datetime) -> None:
    nudges: list[queue.Nudge] = []
    early: list[Message] = []
    with writing() as session:
        for message_id in refused:
            nudges += _refuse(session, message_id, by_channel, now, early)
    if early:
        nudges += queue.too_early([(one.id, one.revision, one.scheduled_at - now) for one in early])
    queue.try_add(nudges)


def _refuse(
    session: Session, message_id: str, by_channel: Providers, now: datetime, early: list[Message]
) -> list[queue.Nudge]:
    """The claim was lost: find out why, record what the owner must know, and return the nudges to add.

    Whoever comes too early is added to ``early``.
    """
    message = session.get(Message, message_id)
    if message is None or message.status != Status.SCHEDULED:
        return []
    if message.valid_until <= now:
        missed = message.recurrence_id is not None and message.attempt == 0
        end_unsent(session, message, Reason.MISSED if missed else Reason.EXPIRED, now)
        return []
    if session.scalar(select(contacts.is_suppressed(message.workspace_id, message.channel, message.to_address))):
        end_unsent(session, message, Reason.OPTED_OUT, now)
        return []
    if not session.scalar(select(statements.is_of_current_plan()).where(Message.id == message.id)):
        end_unsent(session, message, Reason.SUPERSEDED, now)
        return []
    if session.scalar(select(statements.is_of_cancelled_batch()).where(Message.id == message.id)):
        end_unsent(session, message, Reason.BATCH_CANCELLED, now)
        return []
    if message.scheduled_at > now:
        early.append(message)
        return []
    provider = by_channel.get(message.channel)
    if provider is None:
        end_unsent(session, message, Reason.CHANNEL_UNAVAILABLE, now)
        return []
    if accounts.paused_account(session, provider.account):
        return []  # the feeder adds it again when the account is back
    at = now + TWIN_WAIT
    moved = session.scalar(
        update(Message)
        .where(*as_it_was(message))
        .values(scheduled_at=at, revision=Message.revision + 1)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return [queue.send_nudge(message.id, message.revision + 1, at)] if moved else []
