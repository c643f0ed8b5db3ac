"""Claim before, send, settle after: the life of one try.

The claim is one conditional UPDATE with everything in its WHERE that allows sending; whoever loses it does nothing. The
attempt row is committed before the provider hears of the message, so that a crash at any point leaves a trace
to reconcile from. Settling names the attempt, so a worker whose lease was taken away cannot overwrite anything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, exists, select, update
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql import ColumnElement

from app import clock, faults, metrics, queue
from app.channels import accounts
from app.channels.base import Accepted, Failure, FailureKind, OutgoingMessage, Provider
from app.channels.models import ProviderAccount
from app.channels.registry import provider as current_provider
from app.contacts import service as contacts
from app.database import writing
from app.extensions import settings
from app.ids import new_id
from app.logs import get_logger
from app.messages import decisions, status
from app.messages.models import Attempt, Message
from app.messages.states import Reason, Status

TWIN_WAIT = timedelta(seconds=10)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this worker may send, once, until the lease ends."""

    message: Message
    attempt_id: str
    lease_until: datetime


def lease(timeout_s: float) -> timedelta:
    """How long a claim lasts: twice the provider's time-out and ten seconds for everything around it."""
    return timedelta(seconds=2 * timeout_s + 10)


def deliver(message_id: str) -> None:
    """Send one message if it is its time and nothing speaks against it."""
    provider = current_provider()
    claim = _claim(message_id, provider)
    if claim is None:
        return
    faults.point("claimed")
    if claim.lease_until - clock.now() <= timedelta(seconds=provider.timeout_s):
        # This worker was held up; another may take the message over before our request would end.
        _give_back(claim)
        return
    result = provider.send(_outgoing(claim))
    faults.point("posted")
    settle(claim, result, provider)
    faults.point("settled")


def _claim(message_id: str, provider: Provider) -> Claim | None:
    now = clock.now()
    lease_until = now + lease(provider.timeout_s)
    with writing() as session:
        message = session.scalar(
            update(Message)
            .where(
                Message.id == message_id,
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
            .returning(Message)
        )
        if message is None:
            after = _refuse(session, message_id, provider, now)
        else:
            attempt_id = new_id()
            session.add(
                Attempt(
                    id=attempt_id,
                    message_id=message.id,
                    number=message.attempt,
                    provider=provider.name,
                    started_at=now,
                )
            )
    if message is None:
        queue.try_add(after)
        return None
    return Claim(message, attempt_id, lease_until)


def _account_paused(account: str) -> ColumnElement[bool]:
    return exists(
        select(ProviderAccount.id).where(ProviderAccount.id == account, ProviderAccount.paused_at.is_not(None))
    )


def _twin_in_doubt() -> ColumnElement[bool]:
    """An equal text to the same person whose fate is unknown: the provider's log could not tell the two apart."""
    twin = aliased(Message)
    return exists(
        select(twin.id).where(
            and_(
                twin.to_address == Message.to_address,
                twin.content_hash == Message.content_hash,
                twin.status == Status.UNKNOWN,
                twin.id != Message.id,
            )
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


def _give_back(claim: Claim) -> None:
    now = clock.now()
    with writing() as session:
        given = _settle_row(
            session,
            claim,
            status=Status.SCHEDULED,
            scheduled_at=now,
            revision=Message.revision + 1,
        )
        _close_attempt(session, claim.attempt_id, "given_back", now)
    log.warning("claim given back, too little of its lease was left", message_id=claim.message.id)
    if given:
        queue.try_add([queue.send_nudge(claim.message.id, given.revision, now)])


def _outgoing(claim: Claim) -> OutgoingMessage:
    message = claim.message
    config = settings()
    callback = None
    if config.status_callbacks_reach_us:
        callback = f"{config.base_url}/webhooks/twilio/status?attempt={claim.attempt_id}"
    return OutgoingMessage(
        attempt_id=claim.attempt_id,
        to=message.to_address,
        sender=message.from_address,
        body=message.body,
        media_urls=tuple(message.media_urls),
        status_callback=callback,
        valid_for_s=max(int((message.valid_until - clock.now()).total_seconds()), 1),
    )


def settle(claim: Claim, result: Accepted | Failure, provider: Provider) -> None:
    """Write down how a try ended, and plan what follows."""
    now = clock.now()
    outcome = "accepted" if isinstance(result, Accepted) else result.kind.value
    metrics.attempts.inc(provider.name, outcome)
    if isinstance(result, Accepted):
        with writing() as session:
            status.bind_acceptance(session, claim.attempt_id, result.provider_message_id, result.status, now)
            _close_attempt(session, claim.attempt_id, outcome, now, http_status=result.http_status)
        if claim.message.attempt == 1:
            metrics.lateness.observe((now - claim.message.due_at).total_seconds())
        return
    with writing() as session:
        nudges = _settle_failure(session, claim, result, provider, now)
        _close_attempt(
            session,
            claim.attempt_id,
            outcome,
            now,
            http_status=result.http_status,
            error_code=result.code,
            error_message=result.message,
        )
    log.warning(
        "try failed",
        message_id=claim.message.id,
        workspace_id=claim.message.workspace_id,
        attempt=claim.message.attempt,
        kind=outcome,
        code=result.code,
        error=result.message,
    )
    queue.try_add(nudges)


def standing(message: Message) -> decisions.Standing:
    """What the decisions need to know of a message."""
    return decisions.Standing(
        attempts_used=message.attempts_used,
        attempts_uncounted=message.attempts_uncounted,
        retry_policy=message.retry_policy,
        due_at=message.due_at,
        valid_until=message.valid_until,
    )


def _settle_failure(
    session: Session, claim: Claim, failure: Failure, provider: Provider, now: datetime
) -> list[queue.Nudge]:
    message = claim.message
    problem = {"error_code": failure.code, "error_message": failure.message}
    if failure.kind is FailureKind.OPTED_OUT:
        contacts.suppress(session, [message.workspace_id], message.channel, message.to_address, "provider")
    match decisions.after_failure(failure, standing(message), now):
        case decisions.Retry(at, counted, uncounted):
            row = _settle_row(
                session,
                claim,
                status=Status.SCHEDULED,
                scheduled_at=at,
                revision=Message.revision + 1,
                attempts_used=Message.attempts_used + int(counted),
                attempts_uncounted=Message.attempts_uncounted + int(uncounted),
                **problem,
            )
            return [queue.send_nudge(row.id, row.revision, at)] if row else []
        case decisions.Fail(reason, counted):
            if _settle_row(
                session,
                claim,
                status=Status.FAILED,
                reason=reason,
                finished_at=now,
                attempts_used=Message.attempts_used + int(counted),
                **problem,
            ):
                metrics.failed.inc(reason, str(failure.code or ""))
        case decisions.LookUp(at):
            _settle_row(session, claim, status=Status.UNKNOWN, next_check_at=at, checks=0, **problem)
        case decisions.PauseAccount():
            accounts.pause(session, provider.account, failure, now)
            _settle_row(session, claim, status=Status.SCHEDULED, revision=Message.revision + 1, **problem)
    return []


def _settle_row(session: Session, claim: Claim, **values: object) -> Message | None:
    """Change the row if the claim still holds; None if it was taken away or proved by somebody else."""
    return session.scalar(
        update(Message)
        .where(
            Message.id == claim.message.id,
            Message.attempt == claim.message.attempt,
            Message.status == Status.SENDING,
        )
        .values(lease_until=None, **values)
        .returning(Message)
        .execution_options(populate_existing=True)
    )


def _close_attempt(session: Session, attempt_id: str, outcome: str, now: datetime, **values: object) -> None:
    attempt = update(Attempt).where(Attempt.id == attempt_id)
    if outcome != "accepted":
        # A callback may have proved the acceptance already, and no failure to hear of it undoes that.
        attempt = attempt.where(Attempt.provider_message_id.is_(None))
    session.execute(attempt.values(outcome=outcome, finished_at=now, **values))
