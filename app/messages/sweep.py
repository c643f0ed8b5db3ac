"""The safety net: every few seconds, make Redis and the provider's log agree with SQL again.

Runs in the scheduler process. Each chore is bounded, stands on its own, and only repairs: running one twice, or in
two processes at once, does no harm, because everything that it starts is claimed by a conditional UPDATE.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import redis
from sqlalchemy import Row, select, update
from sqlalchemy.exc import SQLAlchemyError

from app import clock, metrics, queue
from app.api import idempotency
from app.channels import accounts
from app.channels.registry import provider as current_provider
from app.database import reading, writing
from app.extensions import settings
from app.logs import get_logger
from app.messages import pacing, recurring
from app.messages.models import Attempt, Message
from app.messages.states import Status

INTERVAL_S = 5.0
BATCH = 1000
MAX_ROWS = 50_000
"""What one sweep looks at: a bound on its length; the earliest come first, and the next sweep goes on."""
LOST_AFTER = timedelta(seconds=10)
"""An overdue message whose job Redis believes to exist, but which is neither queued nor running, is nudged again."""

log = get_logger(__name__)


def sweep() -> None:
    """All chores, once. A failing one is reported and does not keep the others from running."""
    chores: tuple[Callable[[datetime], object], ...] = (
        release_expired_leases,
        recurring.materialise_all,
        pacing.hand_out_turns,
        refill_redis,
        start_checks,
        start_probe,
        idempotency.prune,
    )
    for chore in chores:
        try:
            chore(clock.now())
        except (SQLAlchemyError, redis.RedisError) as error:
            metrics.errors.inc("sweep")
            log.error("sweep chore failed", chore=chore.__name__, error=str(error).splitlines()[0])


def release_expired_leases(now: datetime) -> int:
    """A worker died, or lost its database, while sending: nobody knows whether the provider has the message.

    It is looked up only once the request cannot be on its way any more: lease end plus the provider's time-out.
    """
    first_look = timedelta(seconds=current_provider().timeout_s)
    released: list[tuple[str, int]] = []
    with writing() as session:
        expired = session.execute(
            select(Message.id, Message.attempt, Message.lease_until)
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
                    next_check_at=row.lease_until + first_look,
                    checks=0,
                    error_message="the worker died while sending",
                )
                .returning(Message.id)
            ).first()
            if changed:
                released.append((row.id, row.attempt))
                session.execute(
                    update(Attempt)
                    .where(Attempt.message_id == row.id, Attempt.number == row.attempt, Attempt.outcome.is_(None))
                    .values(outcome="abandoned", finished_at=now)
                )
    for message_id, attempt in released:
        metrics.attempts.inc(current_provider().name, "abandoned")
        log.error("lease expired, outcome unknown", message_id=message_id, attempt=attempt)
    return len(released)


def refill_redis(now: datetime) -> int:
    """Add a nudge for every message due within the horizon that Redis does not have; returns how many."""
    queued, waiting = queue.present(queue.SEND_QUEUE), queue.scheduled(queue.SEND_QUEUE)
    horizon = now + timedelta(minutes=settings().horizon_minutes)
    with reading() as session:
        paused = accounts.paused_account(session, current_provider().account) is not None
    added = 0
    for batch in _due_before(horizon, now, paused=paused):
        missing: list[queue.Nudge] = []
        lost: list[queue.Nudge] = []
        for row in batch:
            nudge = queue.send_nudge(row.id, row.revision, row.scheduled_at)
            again = queue.send_nudge(row.id, row.revision, row.scheduled_at, again=True)
            if not queued.isdisjoint((nudge.job_id, again.job_id)) or nudge.job_id in waiting:
                continue
            # Not in a list and not in the schedule: either Redis never had it (then `add` adds it), or a worker died
            # between taking it and starting it and only its hash is left. A moment's patience spares what is in
            # between.
            (lost if row.scheduled_at <= now - LOST_AFTER or row.scheduled_at > now else missing).append(nudge)
        added += queue.add(missing) + queue.add(lost, replace=True)
    if added:
        log.info("nudges added by the sweep", count=added)
    return added


def _due_before(horizon: datetime, now: datetime, *, paused: bool) -> Iterable[list[Row[str, int, datetime]]]:
    """Scheduled messages in the order of their time, in batches, by keyset.

    Of what is due while the account is paused only that which has lost its use: a nudge then says so in its row.
    """
    last_at: datetime | None = None
    last_id = ""
    for _ in range(MAX_ROWS // BATCH):
        query = (
            select(Message.id, Message.revision, Message.scheduled_at)
            .where(Message.status == Status.SCHEDULED, Message.scheduled_at <= horizon)
            .order_by(Message.scheduled_at, Message.id)
            .limit(BATCH)
        )
        if paused:
            query = query.where((Message.scheduled_at > now) | (Message.valid_until <= now))
        if last_at is not None:
            query = query.where(
                (Message.scheduled_at > last_at) | ((Message.scheduled_at == last_at) & (Message.id > last_id))
            )
        with reading() as session:
            batch = list(session.execute(query))
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        last_at, last_id = batch[-1].scheduled_at, batch[-1].id


def start_checks(now: datetime) -> int:
    """Have a worker ask the provider about unknown messages, and about accepted ones without a final report."""
    with reading() as session:
        rows = session.execute(
            select(Message.id, Message.status, Message.attempt, Message.checks, Message.next_check_at)
            .where(Message.next_check_at <= now, Message.status.in_((Status.UNKNOWN, Status.SENT)))
            .order_by(Message.next_check_at)
            .limit(BATCH)
        ).all()
    nudges = []
    for row in rows:
        function = queue.RECONCILE if row.status == Status.UNKNOWN else queue.REFRESH
        # The time in the id makes each look a job of its own, also when an earlier one was lost.
        job_id = f"{function.rpartition('.')[2]}-{row.id}-{int(row.next_check_at.timestamp() * 1000)}"
        nudges.append(queue.Nudge(function, row.id, job_id, queue=queue.UPKEEP_QUEUE))
    present = queue.present(queue.UPKEEP_QUEUE)
    return queue.add([nudge for nudge in nudges if nudge.job_id not in present], replace=True)


def start_probe(now: datetime) -> int:
    """Have a worker ask whether a paused account works again."""
    account = current_provider().account
    if not accounts.probe_is_due(account, now):
        return 0
    nudge = queue.Nudge(queue.PROBE, account, f"probe-{int(now.timestamp())}", queue=queue.UPKEEP_QUEUE)
    return queue.add([nudge])
