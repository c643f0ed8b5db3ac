"""The built-in test carrier: behaves like Twilio without a network, and keeps what it took where one can look.

A message is accepted at once, ``sent`` after one second and ``delivered`` after two; Twilio's magic test numbers fail
as they do there. Reports arrive later as jobs, through the same code as Twilio's callbacks.
"""

from datetime import datetime, timedelta

from sqlalchemy import select

from app import clock, queue
from app.channels.base import Accepted, Failure, Hindsight, OutgoingMessage, ProviderRecord, SendResult
from app.channels.models import SandboxMessage
from app.channels.sandbox_numbers import failure_for
from app.database import reading, writing
from app.ids import new_id

SENT_AFTER = timedelta(seconds=1)
DELIVERED_AFTER = timedelta(seconds=2)


class SandboxProvider:
    """A provider whose other side is a table."""

    name = "sandbox"
    account = "sandbox"
    timeout_s = 5.0
    hindsight = Hindsight()

    def send(self, message: OutgoingMessage) -> SendResult:
        """Accept the message, or fail as the magic numbers say."""
        failure = failure_for(message.to, message.sender)
        if failure is not None:
            return failure
        now = clock.now()
        sid = f"SM{new_id()}"
        with writing() as session:
            session.add(
                SandboxMessage(
                    id=sid,
                    attempt_id=message.attempt_id,
                    from_address=message.sender,
                    to_address=message.to,
                    body=message.body,
                    media_urls=list(message.media_urls),
                    created_at=now,
                )
            )
        reports = (("sent", SENT_AFTER), ("delivered", DELIVERED_AFTER))
        queue.try_add(
            [
                queue.Nudge(queue.SANDBOX_REPORT, sid, f"sandbox-{sid}-{word}", now + delay, queue.UPKEEP_QUEUE)
                for word, delay in reports
            ]
        )
        return Accepted(sid, "queued")

    def fetch(self, provider_message_id: str) -> ProviderRecord | None:
        """One message from the carrier's log, with the status that its age gives it."""
        with reading() as session:
            row = session.get(SandboxMessage, provider_message_id)
        return _record(row) if row else None

    def find(self, *, to: str, sender: str, since: datetime) -> list[ProviderRecord]:
        """Messages to one recipient from one sender, newest first."""
        with reading() as session:
            rows = session.scalars(
                select(SandboxMessage)
                .where(SandboxMessage.to_address == to, SandboxMessage.from_address == sender)
                .where(SandboxMessage.created_at >= since)
                .order_by(SandboxMessage.created_at.desc())
                .limit(1000)
            )
            return [_record(row) for row in rows]

    def probe(self) -> Failure | None:
        """The sandbox always works."""
        return None


def _record(row: SandboxMessage) -> ProviderRecord:
    age = clock.now() - row.created_at
    status = "delivered" if age >= DELIVERED_AFTER else "sent" if age >= SENT_AFTER else "queued"
    return ProviderRecord(row.id, status, row.to_address, row.from_address, row.body, row.created_at)
