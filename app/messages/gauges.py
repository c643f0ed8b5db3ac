"""What `/metrics` shows of the present state, beside the counters."""

from collections.abc import Iterable

import redis
from sqlalchemy import func, select

from app import clock, metrics, queue
from app.channels import accounts
from app.database import reading
from app.extensions import redis_client
from app.messages.models import Message
from app.messages.states import Status


@metrics.gauges
def read() -> Iterable[metrics.Gauge]:
    """What `/metrics` shows of the present state; each figure comes from an index."""
    now = clock.now()
    with reading() as session:
        oldest = session.scalar(
            select(func.min(Message.scheduled_at)).where(
                Message.status == Status.SCHEDULED, Message.scheduled_at <= now
            )
        )
        due = session.scalar(
            select(func.count()).where(Message.status == Status.SCHEDULED, Message.scheduled_at <= now)
        )
        unknown = session.scalar(
            select(func.count()).where(Message.status == Status.UNKNOWN, Message.next_check_at.is_not(None))
        )
        in_line = session.scalar(
            select(func.count()).where(Message.status == Status.SCHEDULED, Message.slot_at.is_not(None))
        )
        paused = bool(accounts.paused_accounts(session))
    late = (now - oldest).total_seconds() if oldest else 0.0
    yield "bellhop_oldest_due_seconds", "How long the oldest unsent message has been due", late
    yield "bellhop_due_messages", "Messages that are due and not yet claimed", float(due or 0)
    yield "bellhop_waiting_for_sender", "Messages that are due and wait for their sender's turn", float(in_line or 0)
    yield "bellhop_unknown_messages", "Messages whose fate is being looked up", float(unknown or 0)
    yield "bellhop_provider_account_paused", "1 while a provider refuses our account", float(paused)
    try:
        depth = {name: queue.rq_queue(name).count for name in queue.QUEUES}
        beat = redis_client().get(queue.HEARTBEAT_KEY)
    except redis.RedisError:
        return
    yield "bellhop_queue_depth", "Jobs that wait in Redis for a worker", float(sum(depth.values()))
    if isinstance(beat, bytes):
        yield (
            "bellhop_scheduler_heartbeat_age_seconds",
            "Age of the scheduler's heartbeat",
            now.timestamp() - float(beat),
        )
