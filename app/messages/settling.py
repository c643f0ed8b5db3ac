"""Settling: writing down how tries ended, many at once, and planning what follows each.

Acceptances, which are nearly all there is, are settled together (``statements``). A message that the batch did not
change was proved, reaped or called off meanwhile, and takes the careful path on its own.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import clock, metrics, queue
from app.channels import accounts
from app.channels.base import Accepted, Failure, FailureKind, SendResult
from app.channels.registry import providers
from app.contacts import service as contacts
from app.contacts.models import PROVIDER
from app.database import batch, writing
from app.logs import get_logger
from app.messages import decisions, statements, status
from app.messages.claims import Claim
from app.messages.models import Attempt, Message
from app.messages.states import PROVIDER_RANK, Status
from app.workspaces import preferences

log = get_logger(__name__)

GIVEN_BACK = "given_back"
"""The outcome of a claim that ended before anything was posted."""


def settle(results: Sequence[tuple[Claim, SendResult]]) -> None:
    """Write down how tries ended, and plan what follows; one statement for the acceptances of each provider."""
    by_provider: dict[str, list[tuple[Claim, SendResult]]] = {}
    for one in results:
        by_provider.setdefault(providers().of(one[0].channel).name, []).append(one)
    for group in by_provider.values():
        _settle_or_split(group)


def _settle_or_split(results: Sequence[tuple[Claim, SendResult]]) -> None:
    try:
        _settle(results)
    except IntegrityError:
        # While one of these answers was late, a look gave a twin (an equal text to the same person) the record that it
        # names. That message stays in doubt, and its own look finds the twin's record or none; the others are settled.
        if len(results) == 1:
            metrics.errors.inc("settle")
            log.warning("the answer's record is another message's", message_id=results[0][0].id)
            return
        for one in results:
            _settle_or_split([one])


def _settle(results: Sequence[tuple[Claim, SendResult]]) -> None:
    """Of one provider, which may have several accounts."""
    now = clock.now()
    accepted = [(claim, result) for claim, result in results if isinstance(result, Accepted)]
    failed = [(claim, result) for claim, result in results if isinstance(result, Failure)]
    if accepted:
        _settle_accepted(accepted, now)
    if failed:
        nudges: list[queue.Nudge] = []
        with writing() as session:
            for claim, failure in failed:
                nudges += _settle_failure(session, claim, failure, now)
                _close(session, claim, failure, now)
        queue.try_add(nudges)
    for claim, result in results:
        _note(claim, result, providers().of(claim.channel).name, now)


def give_back(claims: Sequence[Claim]) -> None:
    """Return messages that were claimed and not posted; they are due as before."""
    now = clock.now()
    nudges: list[queue.Nudge] = []
    with writing() as session:
        for claim in claims:
            row = _settle_row(session, claim, status=Status.SCHEDULED, revision=Message.revision + 1)
            session.execute(
                update(Attempt).where(Attempt.id == claim.attempt_id).values(outcome=GIVEN_BACK, finished_at=now)
            )
            if row:
                nudges.append(queue.send_nudge(row.id, row.revision, row.scheduled_at))
    log.warning("claims given back", message_ids=[claim.id for claim in claims[:10]], count=len(claims))
    queue.try_add(nudges)


def _settle_accepted(accepted: Sequence[tuple[Claim, Accepted]], now: datetime) -> None:
    provider = providers().of(accepted[0][0].channel)
    given = [
        statements.Acceptance(
            attempt_id=claim.attempt_id,
            message_id=claim.id,
            attempt=claim.attempt,
            sid=result.provider_message_id,
            word=result.status if result.status in PROVIDER_RANK else "queued",
            http_status=result.http_status,
        )
        for claim, result in accepted
    ]
    with batch() as connection:
        settled = statements.settle(
            connection, given, now=now, provider=provider.name, next_check_at=status.first_pull(provider.name, now)
        )
    others = [(claim, result) for claim, result in accepted if claim.id not in settled.messages]
    for claim, _ in accepted:
        if claim.id in settled.messages:
            metrics.sent.inc(claim.channel, provider.name)
    if others or settled.reported_early:
        with writing() as session:
            for claim, result in others:
                status.bind_acceptance(session, claim.attempt_id, result.provider_message_id, result.status, now)
                attempt = update(Attempt).where(Attempt.id == claim.attempt_id)
                session.execute(attempt.values(http_status=result.http_status))
            status.apply_early_reports(session, provider.name, sorted(settled.reported_early), now)


def _settle_failure(session: Session, claim: Claim, failure: Failure, now: datetime) -> list[queue.Nudge]:
    problem = {"error_code": failure.code, "error_message": failure.message}
    if failure.kind is FailureKind.OPTED_OUT:
        contacts.suppress(session, [claim.workspace_id], claim.channel, claim.to_address, PROVIDER)
    match decisions.after_failure(failure, standing(claim, session), now):
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
            row = _settle_row(session, claim, status=Status.UNKNOWN, next_check_at=at, checks=0, **problem)
            return [queue.check_nudge(queue.RECONCILE, row.id, at)] if row else []
        case decisions.PauseAccount():
            accounts.pause(session, providers().of(claim.channel).account, failure, now)
            _settle_row(session, claim, status=Status.SCHEDULED, revision=Message.revision + 1, **problem)
    return []


def standing(message: Message | Claim, session: Session | None = None) -> decisions.Standing:
    """What the decisions need to know of a message. Whoever has a transaction open passes its ``session``."""
    return decisions.Standing(
        attempts_used=message.attempts_used,
        attempts_uncounted=message.attempts_uncounted,
        policy=preferences.retry_policy(message.workspace_id, message.retry_policy, session),
        due_at=message.due_at,
        valid_until=message.valid_until,
    )


def _settle_row(session: Session, claim: Claim, **values: object) -> Message | None:
    """Change the row if the claim still holds; None if it was taken away or proved by somebody else."""
    return session.scalar(
        update(Message)
        .where(Message.id == claim.id, Message.attempt == claim.attempt, Message.status == Status.SENDING)
        .values(lease_until=None, **values)
        .returning(Message)
        .execution_options(populate_existing=True)
    )


def _close(session: Session, claim: Claim, failure: Failure, now: datetime) -> None:
    """The attempt's own row; one that a callback has proved accepted stays so."""
    session.execute(
        update(Attempt)
        .where(Attempt.id == claim.attempt_id, Attempt.provider_message_id.is_(None))
        .values(
            outcome=failure.kind.value,
            finished_at=now,
            http_status=failure.http_status,
            error_code=failure.code,
            error_message=failure.message,
        )
    )


def _note(claim: Claim, result: SendResult, provider: str, now: datetime) -> None:
    if isinstance(result, Accepted):
        metrics.attempts.inc(provider, "accepted")
        if claim.attempt == 1:
            metrics.lateness.observe((now - claim.due_at).total_seconds())
        return
    metrics.attempts.inc(provider, result.kind.value)
    log.warning(
        "try failed",
        message_id=claim.id,
        workspace_id=claim.workspace_id,
        attempt=claim.attempt,
        kind=result.kind.value,
        code=result.code,
        error=result.message,
    )
