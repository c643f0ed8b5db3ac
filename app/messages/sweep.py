"""The safety net: every few seconds, look after what nobody else finishes.

Runs in the scheduler process. Each chore is bounded, stands on its own, and only repairs: running one twice, or in
two processes at once, does no harm, because everything that it starts is claimed by a conditional UPDATE.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import redis
from flask import current_app
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from app import clock, metrics, queue
from app.api import idempotency
from app.channels import accounts
from app.channels.registry import providers
from app.database import reading, writing
from app.logs import get_logger
from app.messages import caps, fallback, pacing, recurring
from app.messages.models import Attempt, Message
from app.messages.states import Status

INTERVAL_S = 5.0
BATCH = 1000
"""What one chore looks at: a bound on its length; the earliest come first, and the next sweep goes on."""

Chore = Callable[[datetime], object]

_seldom: dict[Chore, timedelta] = {}
_LAST_RUNS = "bellhop.sweep"

log = get_logger(__name__)


def every(interval: timedelta, chore: Chore) -> None:
    """From now on the sweep also runs a chore of a higher package, at its start and once in an interval."""
    _seldom[chore] = interval


def sweep() -> None:
    """All chores, once. A failing one is reported and does not keep the others from running."""
    chores: tuple[Chore, ...] = (
        release_expired_leases,
        recurring.materialise_all,
        pacing.hand_out_turns,
        fallback.take_next_channels,
        start_checks,
        start_probe,
        caps.refund,
        idempotency.prune,
        *_seldom_due(clock.now()),
    )
    for chore in chores:
        try:
            chore(clock.now())
        except (SQLAlchemyError, redis.RedisError) as error:
            metrics.errors.inc("sweep")
            log.error("sweep chore failed", chore=chore.__name__, error=str(error).splitlines()[0])
        except Exception:  # a defect in one chore must neither stop the others nor end the sweep until the next start
            metrics.errors.inc("sweep")
            log.exception("sweep chore failed unexpectedly", chore=chore.__name__)


def _seldom_due(now: datetime) -> list[Chore]:
    """A chore that fails is tried again when its interval is over, as seed 003 has it for its cron."""
    last: dict[Chore, datetime] = current_app.extensions.setdefault(_LAST_RUNS, {})
    due = [chore for chore, interval in _seldom.items() if chore not in last or now - last[chore] >= interval]
    last.update(dict.fromkeys(due, now))
    return due


def release_expired_leases(now: datetime) -> int:
    """A worker died, or lost its database, while sending: nobody knows whether the provider has the message.

    It is looked up only once the request cannot be on its way any more: lease end plus the provider's time-out.
    """
    first_look = timedelta(seconds=providers().timeout_s)
    released: list[tuple[str, int, str]] = []
    nudges: list[queue.Nudge] = []
    with writing() as session:
        expired = session.execute(
            select(Message.id, Message.attempt, Message.lease_until, Message.channel)
            .where(Message.status == Status.SENDING, Message.lease_until <= now)
            .order_by(Message.lease_until)
            .limit(BATCH)
        ).all()
        for row in expired:
            changed = session.execute(
                update(Message)
                .where(Message.id == row.id, Message.attempt == row.attempt, Message.status == Status.SENDING)
                .values(
                    status=Status.UNKNOWN,
                    lease_until=None,
                    next_check_at=(first_look_at := row.lease_until + first_look),
                    checks=0,
                    error_message="the worker died while sending",
                )
                .returning(Message.id)
            ).first()
            if changed:
                released.append((row.id, row.attempt, row.channel))
                nudges.append(queue.check_nudge(queue.RECONCILE, row.id, first_look_at))
                session.execute(
                    update(Attempt)
                    .where(Attempt.message_id == row.id, Attempt.number == row.attempt, Attempt.outcome.is_(None))
                    .values(outcome="abandoned", finished_at=now)
                )
    for message_id, attempt, channel in released:
        provider = providers().get(channel)
        metrics.attempts.inc(provider.name if provider else "", "abandoned")
        log.error("lease expired, outcome unknown", message_id=message_id, attempt=attempt)
    queue.try_add(nudges)
    return len(released)


def start_checks(now: datetime) -> int:
    """Have a worker ask the provider about unknown messages, and about accepted ones without a final report."""
    with reading() as session:
        rows = session.execute(
            select(Message.id, Message.status, Message.next_check_at)
            .where(Message.next_check_at <= now, Message.status.in_((Status.UNKNOWN, Status.SENT)))
            .order_by(Message.next_check_at)
            .limit(BATCH)
        ).all()
    looks = {Status.UNKNOWN: queue.RECONCILE, Status.SENT: queue.REFRESH}
    return queue.heal([queue.check_nudge(looks[Status(row.status)], row.id, row.next_check_at) for row in rows]).added


def start_probe(now: datetime) -> int:
    """Have a worker ask whether paused accounts work again."""
    with reading() as session:
        due = [row.id for row in accounts.paused_accounts(session) if row.probe_at is not None and row.probe_at <= now]
    known = [account for account in due if providers().with_account(account)]
    return queue.add([queue.probe_nudge(account, now) for account in known])
