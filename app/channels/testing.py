"""A provider whose answers are written down beforehand; for tests of everything above the channels."""

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime

from app import clock
from app.channels.base import (
    Accepted,
    Failure,
    FailureKind,
    Hindsight,
    OutgoingMessage,
    ProviderRecord,
    ProviderUnavailable,
    SendResult,
)
from app.ids import new_id

Answer = Failure | Callable[[OutgoingMessage], SendResult]


class ScriptedProvider:
    """Accepts everything, except what the script says.

    ``script`` holds the answers to the next sends; an empty script accepts. ``posted`` has every request that arrived,
    ``log`` what the provider has accepted: a test of "exactly once" counts the log, not the requests.
    """

    name = "twilio"
    account = "twilio:ACtest"
    hindsight = Hindsight()

    def __init__(self, timeout_s: float = 10.0) -> None:
        self.timeout_s = timeout_s
        self.script: deque[Answer] = deque()
        self.posted: list[OutgoingMessage] = []
        self.log: list[ProviderRecord] = []
        self.log_failure: Failure | None = None
        """Set to make ``find`` and ``fetch`` fail."""
        self.probe_failure: Failure | None = None
        self._lock = threading.Lock()

    def accept(self, message: OutgoingMessage) -> Accepted:
        """Take a message into the log."""
        sid = f"SM{new_id()}"
        record = ProviderRecord(sid, "queued", message.to, message.sender, message.body, clock.now())
        self.log.append(record)
        return Accepted(sid, "queued")

    def accept_then_lose(self, message: OutgoingMessage) -> Failure:
        """Take a message and let the answer get lost: a read time-out after acceptance."""
        self.accept(message)
        return Failure(FailureKind.AMBIGUOUS, "no answer in time")

    def send(self, message: OutgoingMessage) -> SendResult:
        """Answer as scripted."""
        with self._lock:
            self.posted.append(message)
            answer = self.script.popleft() if self.script else self.accept
        return answer if isinstance(answer, Failure) else answer(message)

    def fetch(self, provider_message_id: str) -> ProviderRecord | None:
        """From the log."""
        self._need_log()
        return next((record for record in self.log if record.provider_message_id == provider_message_id), None)

    def find(self, *, to: str, sender: str, since: datetime) -> list[ProviderRecord]:
        """From the log, newest first."""
        self._need_log()
        found = [r for r in self.log if r.to == to and r.sender == sender and r.created_at >= since]
        return sorted(found, key=lambda record: record.created_at, reverse=True)

    def probe(self) -> Failure | None:
        """As set."""
        return self.probe_failure

    def _need_log(self) -> None:
        if self.log_failure is not None:
            raise ProviderUnavailable(self.log_failure)
