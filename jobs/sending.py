"""The way of messages through a worker, in batches: claim many in one statement, post side by side, settle many in one.

Three kinds of thread: the claimer (one), which takes jobs and claims their rows; the lane (many), which only waits
for the provider; and the settler (one), which writes down what came back. None of them sleeps while there is
something to do, and no thread holds a database connection while it posts.
"""

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import faults, logs, metrics
from app.channels.base import Failure, FailureKind, SendResult
from app.channels.registry import provider as current_provider
from app.messages import claims, delivery, settling
from app.messages.claims import Claim
from jobs.lanes import Lane
from jobs.redis_jobs import Taken

LINGER_S = 0.01
"""How long the settler waits for company while more answers are due: one commit for many messages."""
BATCH = 200
RETRY_S = 0.5

log = logs.get_logger(__name__)


class Sending:
    """Everything between taking a send job and finishing it."""

    def __init__(self, app: Flask, concurrency: int, finished: Callable[[Sequence[Taken]], None]) -> None:
        self._app = app
        self._finished = finished
        self._results: SimpleQueue[tuple[Taken, Claim, SendResult | None] | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._posting: set[str] = set()
        """The attempts whose answers are due. Adding and discarding are atomic."""
        self.lane: Lane[tuple[Taken, Claim]] = Lane("send", concurrency, self._post, app.app_context)
        self.settler = threading.Thread(target=self._settle_forever, name="settler", daemon=True)

    def start(self) -> None:
        """Start the threads, and open what the first message would otherwise wait for."""
        try:
            claims.claim(["warm-up"], current_provider())  # there is no such message
        except SQLAlchemyError as error:
            log.warning("the database does not answer yet", error=str(error).splitlines()[0])
        self.lane.start()
        self.settler.start()

    def claim(self, taken: list[Taken]) -> None:
        """Claim the rows behind these jobs and hand them to the lane; jobs without a claim are finished at once.

        A database that is away is waited for: the jobs stay ours, and nothing has been posted.
        """
        provider = current_provider()
        while True:
            try:
                made = claims.claim([job.argument for job in taken], provider)
                break
            except SQLAlchemyError as error:
                metrics.errors.inc("claim")
                log.error("claiming failed, trying again", error=str(error).splitlines()[0])
                if self._stopping.wait(RETRY_S):
                    return  # their leases end, and another worker takes them
        faults.point("claimed")
        by_id = {claim.id: claim for claim in made}
        idle: list[Taken] = []
        for job in taken:
            # Two jobs may name the same message (one that was too early and its successor): one of them has the claim.
            if claim := by_id.pop(job.argument, None):
                self._posting.add(claim.attempt_id)
                self.lane.put((job, claim))
            else:
                idle.append(job)
        if idle:
            self._finished(idle)

    def _post(self, item: tuple[Taken, Claim]) -> None:
        job, claim = item
        try:
            result = delivery.post(claim, current_provider())
        except Exception as error:  # a defect must not end the thread; the request may have left
            metrics.errors.inc("send")
            log.exception("sending failed unexpectedly", message_id=claim.id)
            result = Failure(FailureKind.AMBIGUOUS, f"a defect while sending: {type(error).__name__}")
        faults.point("posted")
        self._posting.discard(claim.attempt_id)
        self._results.put((job, claim, result))

    def give_up(self) -> None:
        """Replace threads whose claim is over: a name server can hold one for longer than any time-out of ours.

        The message is looked up when its lease has been reaped, as after a crash; should an answer come after all, it
        is stored.
        """
        limit = claims.lease(current_provider().timeout_s).total_seconds()
        for job, claim in self.lane.give_up(lambda _: limit):
            metrics.errors.inc("stuck")
            log.error("a send does not come back, its thread is replaced", message_id=claim.id)
            self._posting.discard(claim.attempt_id)
            self._finished([job])

    def _settle_forever(self) -> None:
        with self._app.app_context():
            while (batch := self._collect()) is not None:
                self._settle(batch)

    def _collect(self) -> list[tuple[Taken, Claim, SendResult | None]] | None:
        first = self._results.get()
        if first is None:
            return None
        batch, deadline = [first], time.monotonic() + LINGER_S
        while len(batch) < BATCH and self._posting:
            try:
                item = self._results.get(timeout=max(deadline - time.monotonic(), 0))
            except Empty:
                break
            if item is None:
                self._results.put(None)
                break
            batch.append(item)
        return batch

    def _settle(self, batch: list[tuple[Taken, Claim, SendResult | None]]) -> None:
        provider = current_provider()
        posted = [(claim, result) for _, claim, result in batch if result is not None]
        kept = [claim for _, claim, result in batch if result is None]
        while True:
            try:
                if posted:
                    settling.settle(posted, provider)
                if kept:
                    settling.give_back(kept)
                break
            except SQLAlchemyError as error:
                # The answers exist only here. Should this process end first, the leases run out and the provider's
                # log is asked instead.
                metrics.errors.inc("settle")
                log.error("settling failed, trying again", count=len(batch), error=str(error).splitlines()[0])
                time.sleep(RETRY_S)
        faults.point("settled")
        self._finished([job for job, _, _ in batch])

    def drain(self, seconds: float) -> None:
        """Post what has begun, give back what has not, settle everything; at most about ``seconds``."""
        self._stopping.set()
        for job, claim in self.lane.take_back():
            self._results.put((job, claim, None))
        self.lane.stop()
        deadline = time.monotonic() + seconds
        self.lane.join(deadline)
        self._results.put(None)
        self.settler.join(max(deadline - time.monotonic(), 0.1))
