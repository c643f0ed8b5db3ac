"""Asking the provider: what became of an unknown message, and how an accepted one is doing.

An unknown message is looked up in the provider's own log at least twice, ten seconds apart and not before half a minute
has passed, before anybody sends it again (``decisions.after_lookup``). Each look is claimed by a conditional
UPDATE, so that two workers cannot look at the same time and resend twice.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from app import clock, metrics, queue
from app.channels.base import Hindsight, Provider, ProviderRecord, ProviderUnavailable
from app.channels.registry import providers
from app.database import reading, writing
from app.extensions import settings
from app.logs import get_logger
from app.messages import decisions, status
from app.messages.models import Attempt, Message
from app.messages.settling import standing
from app.messages.states import Status
from app.workspaces.models import Workspace

TRIAL_PREFIX = "Sent from your Twilio trial account -"
"""What Twilio puts before each text of a trial account."""
CLOCK_SLACK = timedelta(seconds=2)
"""The provider's ``date_created`` has whole seconds, and its clock is not ours."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    message: Message
    attempt: Attempt
    """The latest."""
    in_doubt_since: datetime
    hold: bool


def reconcile(message_id: str) -> None:
    """Look an unknown message up, and settle it if the log tells enough."""
    look = _begin_look(message_id)
    if look is None:
        return
    message, provider = look.message, _who_tried(look)
    if provider is None or not provider.hindsight.searchable:
        _conclude(look, _decide_without_log(look, provider), looks=0)
        return
    since = look.in_doubt_since - CLOCK_SLACK
    try:
        records = provider.find(to=message.to_address, sender=message.from_address, since=since)
    except ProviderUnavailable as error:
        log.warning("provider's log cannot be read", message_id=message.id, error=str(error))
        _conclude(look, decisions.after_failed_lookup(tried_at=look.attempt.started_at, now=clock.now()), looks=0)
        return
    record = _match(message, records)
    now = clock.now()
    if record is not None:
        try:
            with writing() as session:
                status.bind_acceptance(session, look.attempt.id, record.provider_message_id, record.status, now)
        except IntegrityError:
            # A twin's look took the same record a moment before; the next look finds our own, or none.
            _conclude(look, decisions.LookUp(now + decisions.LOOK_INTERVAL), looks=0)
            return
        log.info("unknown message found at the provider", message_id=message.id)
        return
    looks = message.checks + 1
    decision = decisions.after_lookup(
        standing(message), looks=looks, tried_at=look.attempt.started_at, hold=look.hold, now=now
    )
    _conclude(look, decision, looks=looks)


def _who_tried(look: _Look) -> Provider | None:
    """The provider of the latest try; None where another carries the channel by now, or nobody."""
    provider = providers().get(look.message.channel)
    return provider if provider is not None and provider.name == look.attempt.provider else None


def _decide_without_log(look: _Look, provider: Provider | None) -> decisions.Decision:
    return decisions.without_log(
        standing(look.message),
        provider.hindsight if provider else Hindsight(searchable=False, fetchable=False),
        tried_at=look.attempt.started_at,
        in_doubt_since=look.in_doubt_since,
        repeat_refused=look.attempt.http_status == HTTPStatus.CONFLICT,
        hold=look.hold,
        now=clock.now(),
    )


def _begin_look(message_id: str) -> _Look | None:
    now = clock.now()
    with writing() as session:
        message = session.scalar(
            update(Message)
            .where(Message.id == message_id, Message.status == Status.UNKNOWN, Message.next_check_at <= now)
            # Should this worker die, somebody else looks after its time-out.
            .values(next_check_at=now + timedelta(seconds=providers().timeout_s + 20))
            .returning(Message)
        )
        if message is None:
            return None
        if _twin_is_sending(session, message):
            message.next_check_at = now + timedelta(seconds=5)
            return None
        tries = session.scalars(select(Attempt).where(Attempt.message_id == message.id).order_by(Attempt.number)).all()
        doubtful = [attempt for attempt in tries if attempt.outcome not in decisions.SETTLED_REFUSALS]
        workspace = session.get_one(Workspace, message.workspace_id)
        since = min(attempt.started_at for attempt in doubtful or tries)
        return _Look(message, tries[-1], since, workspace.on_unknown == "hold")


def _twin_is_sending(session: Session, message: Message) -> bool:
    """An equal text to the same person is on its way: a record in the log could be either's, so wait for its answer.

    Of an approved template the log has the provider's text and not ours: there any other message could be the twin.
    """
    twin = aliased(Message)
    same = () if message.content_sid else (twin.content_hash == message.content_hash,)
    query = select(twin.id).where(
        twin.to_address == message.to_address,
        *same,
        twin.status == Status.SENDING,
        twin.id != message.id,
    )
    return session.scalar(query.limit(1)) is not None


def _match(message: Message, records: list[ProviderRecord]) -> ProviderRecord | None:
    """The oldest record with our text whose id no other message has."""
    # Surrounding space does not survive everywhere. A text that only ends like ours is another message's.
    text = message.body.strip()
    candidates = [
        record
        for record in records
        if message.content_sid or record.body.strip().removeprefix(TRIAL_PREFIX).strip() == text
    ]
    if not candidates:
        return None
    found = [record.provider_message_id for record in candidates]
    with reading() as session:
        bound = set(session.scalars(select(Attempt.provider_message_id).where(Attempt.provider_message_id.in_(found))))
    free = [record for record in candidates if record.provider_message_id not in bound]
    return min(free, key=lambda record: record.created_at, default=None)


def _conclude(look: _Look, decision: decisions.Decision, *, looks: int) -> None:
    """``looks``: how often the log has not had it; 0 where it told nothing."""
    now = clock.now()
    nudges: list[queue.Nudge] = []
    with writing() as session:
        match decision:
            case decisions.LookUp(at):
                if _settle(session, look, next_check_at=at, checks=looks or look.message.checks):
                    nudges = [queue.check_nudge(queue.RECONCILE, look.message.id, at)]
            case decisions.Fail(reason):
                if _settle(session, look, status=Status.FAILED, reason=reason, finished_at=now, next_check_at=None):
                    metrics.failed.inc(reason, "")
                    log.error("unknown message given up", message_id=look.message.id, reason=reason.value)
            case decisions.Retry(at, _, uncounted):
                row = _settle(
                    session,
                    look,
                    status=Status.SCHEDULED,
                    scheduled_at=at,
                    revision=Message.revision + 1,
                    attempts_uncounted=Message.attempts_uncounted + int(uncounted),
                    next_check_at=None,
                    checks=0,
                )
                if row is not None and looks:
                    session.execute(
                        update(Attempt)
                        .where(Attempt.id == look.attempt.id, Attempt.provider_message_id.is_(None))
                        .values(outcome="not_accepted")
                    )
                if row is not None:
                    nudges = [queue.send_nudge(row.id, row.revision, at)]
                    log.info("unknown message is sent again", message_id=row.id, looked_up=bool(looks))
            case decisions.PauseAccount():
                raise AssertionError("a look-up pauses nothing")
    queue.try_add(nudges)


def _settle(session: Session, look: _Look, **values: object) -> Message | None:
    return session.scalar(
        update(Message)
        .where(
            Message.id == look.message.id,
            Message.status == Status.UNKNOWN,
            Message.attempt == look.message.attempt,
        )
        .values(**values)
        .returning(Message)
        .execution_options(populate_existing=True)
    )


def refresh(message_id: str) -> None:
    """Pull the status of an accepted message whose reports may have been lost."""
    now = clock.now()
    with writing() as session:
        message = session.scalar(
            update(Message)
            .where(Message.id == message_id, Message.status == Status.SENT, Message.next_check_at <= now)
            .values(next_check_at=now + timedelta(seconds=providers().timeout_s + 20), checks=Message.checks + 1)
            .returning(Message)
        )
    if message is None or message.provider_message_id is None or message.sent_at is None:
        return
    again = None
    provider = providers().get(message.channel)
    # Where another carries the channel by now, or one that does not tell, there is nobody to ask.
    if provider is not None and provider.name == message.provider and provider.hindsight.fetchable:
        _pull(provider, message.id, message.provider_message_id)
        reported = settings().reports_reach_us(provider.name)
        again = decisions.next_pull(message.checks, message.sent_at, clock.now(), callbacks=reported)
    with writing() as session:
        session.execute(
            update(Message)
            .where(Message.id == message_id, Message.status == Status.SENT, Message.next_check_at.is_not(None))
            .values(next_check_at=again)
        )


def _pull(provider: Provider, message_id: str, provider_message_id: str) -> None:
    try:
        record = provider.fetch(provider_message_id)
    except ProviderUnavailable as error:
        log.warning("status cannot be pulled", message_id=message_id, error=str(error))
        return
    if record is not None:
        raw = {"source": "pull", "status": record.status, "error_message": record.error_message}
        status.apply_report(
            status.Report(provider.name, record.provider_message_id, record.status, None, record.error_code, raw)
        )
