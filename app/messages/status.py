"""Reports from the provider: from a callback, from a pull, or from the answer itself; one code path for all.

The provider's words are ranked (``states.PROVIDER_RANK``); a report that is not higher than what is known changes
nothing, so late, doubled and swapped callbacks are harmless. A report that names our attempt is also a proof that the
attempt was accepted, even if its answer never reached us.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app import clock, events, metrics
from app.channels.registry import providers
from app.database import insert_ignore, writing
from app.extensions import settings
from app.logs import get_logger
from app.messages.decisions import next_pull
from app.messages.models import ERASED, Attempt, DeliveryEvent, Message
from app.messages.statements import sent_values
from app.messages.states import ACCEPTED, PROVIDER_FINAL, PROVIDER_RANK, Status, from_provider, sources

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says about one message.

    ``attempt_id`` and ``message_id`` are ours, where the provider was told and says them. ``event_id`` is the
    provider's own id of the report; without one a report is known by the message and its word.
    """

    provider: str
    provider_message_id: str
    status: str
    attempt_id: str | None = None
    error_code: int | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    message_id: str | None = None
    event_id: str | None = None


def apply_report(report: Report) -> Message | None:
    """Store a report and let it move its message forward, if it is news; returns the message that it is about."""
    now = clock.now()
    with writing() as session:
        message = _message_of(session, report, now)
        event = {
            "event_id": f"{report.provider}:{report.event_id or f'{report.provider_message_id}:{report.status}'}",
            "provider": report.provider,
            "provider_message_id": report.provider_message_id,
            "attempt_id": report.attempt_id,
            "message_id": message.id if message else None,
            "status": report.status,
            "error_code": report.error_code,
            "raw": {} if message and message.to_address == ERASED else report.raw,
            "received_at": now,
        }
        is_new = bool(insert_ignore(session, DeliveryEvent, [event], returning=DeliveryEvent.id))
        moved = message is not None and _advance(session, message.id, report, now)
    if is_new:
        metrics.reports.inc(report.provider, report.status)
    if moved and message is not None:
        events.delivery_reported.send(message_id=message.id, status=report.status)
    return message


def _message_of(session: Session, report: Report, now: datetime) -> Message | None:
    # Everybody locks the message first, then its attempts and events: in any other order two of us could each wait for
    # what the other holds.
    message = session.scalar(
        select(Message)
        .where(Message.provider == report.provider, Message.provider_message_id == report.provider_message_id)
        .with_for_update()
    )
    if message is not None:
        return message
    attempt_id = report.attempt_id or _open_attempt(session, report)
    if attempt_id is None:
        return None
    return bind_acceptance(session, attempt_id, report.provider_message_id, report.status, now)


def _open_attempt(session: Session, report: Report) -> str | None:
    """The latest try of the message that the report names, if it is not known yet that it was accepted."""
    if report.message_id is None:
        return None
    open_ones = (Attempt.provider == report.provider, Attempt.provider_message_id.is_(None))
    query = select(Attempt.id).where(Attempt.message_id == report.message_id, *open_ones)
    return session.scalar(query.order_by(Attempt.number.desc()).limit(1))


def bind_acceptance(
    session: Session, attempt_id: str, provider_message_id: str, provider_status: str, now: datetime
) -> Message | None:
    """The provider has accepted this attempt: store its id, and make the message ``sent`` whatever we believed.

    Called by the worker with the answer in hand, by a callback that overtook or replaced the answer, and by
    reconciliation. A second acceptance of one message is the extra send that ``docs/guarantees.md`` speaks of; it is
    counted.
    """
    attempt = session.get(Attempt, attempt_id)
    if attempt is None:
        return None
    session.execute(select(Message.id).where(Message.id == attempt.message_id).with_for_update())
    is_news = session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.provider_message_id.is_(None))
        .values(outcome="accepted", provider_message_id=provider_message_id, finished_at=now)
        .returning(Attempt.id)
    ).first()
    if not is_news:
        session.refresh(attempt)
        if attempt.provider_message_id != provider_message_id:
            # A look gave this attempt the record of a twin (an equal text to the same person). The exchange is kept:
            # the record named here stays free, and the twin's own look, which is still to come, will take it.
            log.warning("the attempt is known under another id", attempt_id=attempt_id)
            return None
    bound = session.scalar(
        update(Message)
        .where(Message.id == attempt.message_id, Message.status.in_(sources(Status.SENT)))
        .values(
            provider_message_id=provider_message_id,
            provider_status="accepted",
            **sent_values(attempt.provider, now, first_pull(attempt.provider, now)),
        )
        .returning(Message)
        .execution_options(populate_existing=True)
    )
    if bound is None:
        message = session.get(Message, attempt.message_id)
        if is_news and message and message.status in ACCEPTED and message.provider_message_id != provider_message_id:
            metrics.duplicates.inc()
            log.error("a second try was accepted", message_id=message.id, attempt_id=attempt_id)
        return message
    metrics.sent.inc(bound.channel, attempt.provider)
    _advance(session, bound.id, Report(attempt.provider, provider_message_id, provider_status), now)
    apply_early_reports(session, attempt.provider, [provider_message_id], now)
    return bound


def first_pull(provider: str, now: datetime) -> datetime | None:
    """When to ask for the status of what a provider accepted now; None where it does not tell."""
    if not providers().tells_status(provider):
        return None
    return next_pull(0, now, now, callbacks=settings().reports_reach_us(provider))


def apply_early_reports(session: Session, provider: str, provider_message_ids: Sequence[str], now: datetime) -> None:
    """Callbacks that came before the ids were known."""
    early = session.scalars(
        select(DeliveryEvent).where(
            DeliveryEvent.provider == provider,
            DeliveryEvent.provider_message_id.in_(provider_message_ids),
            DeliveryEvent.message_id.is_(None),
        )
    ).all()
    for event in sorted(early, key=lambda e: PROVIDER_RANK.get(e.status, 0)):
        event.message_id = session.scalar(
            select(Message.id).where(
                Message.provider == provider, Message.provider_message_id == event.provider_message_id
            )
        )
        if event.message_id is not None:
            report = Report(event.provider, event.provider_message_id, event.status, error_code=event.error_code)
            _advance(session, event.message_id, report, now)


def _advance(session: Session, message_id: str, report: Report, now: datetime) -> bool:
    """Move a message to a report's status if that ranks higher than what is known; True if it moved."""
    rank = PROVIDER_RANK.get(report.status)
    if rank is None:
        return False
    lower = [word for word, other in PROVIDER_RANK.items() if other < rank]
    target = from_provider(report.status)
    values: dict[str, Any] = {"provider_status": report.status}
    if target is not Status.SENT:
        values["status"] = target
    if report.status in PROVIDER_FINAL:
        values["next_check_at"] = None
    if report.error_code is not None:
        values["error_code"] = report.error_code
    moved = session.execute(
        update(Message)
        .where(
            Message.id == message_id,
            Message.status.in_(sources(target) if target is not Status.SENT else (Status.SENT,)),
            or_(Message.provider_status.is_(None), Message.provider_status.in_(lower)),
        )
        .values(**values)
        .returning(Message.id)
    ).first()
    if moved and target is Status.UNDELIVERED:
        metrics.failed.inc("undelivered", str(report.error_code or ""))
    return moved is not None
