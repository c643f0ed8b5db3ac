"""The way of messages through a worker, in batches: claim many in one statement, post side by side, settle many in one.

Three kinds of thread: the claimer (one), which takes jobs and claims their rows; the lane (many), which only waits
for the provider; and the settler (one), which writes down what came back. None of them sleeps while there is
something to do, and no thread holds a database connection while it posts.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import faults, logs, metrics
from app.channels.base import Failure, FailureKind, SendResult
from app.channels.registry import providers
from app.database import is_outage
from app.messages import claims, delivery, settling
from app.messages.claims import Claim
from jobs.lanes import Lane
from jobs.redis_jobs import Taken

LINGER_S = 0.01
"""How long the settler waits for company while more answers are due: one commit for many messages."""
BATCH = 200
RETRY_S = 0.5
_ROW_ID = re.compile(r"[0-9a-f]{32}")

log = logs.get_logger(__name__)


class Sending:
    """Everything between taking a send job and finishing it."""

    def __init__(
        self,
        app: Flask,
        concurrency: int,
        finished: Callable[[Sequence[Taken]], None],
        let_go: Callable[[Sequence[Taken]], None],
        stop: threading.Event,
    ) -> None:
        """``finished`` gets jobs that are done, ``let_go`` those that another worker shall have; ``stop`` is the
        worker's.
        """
        self._app = app
        self._finished = finished
        self._let_go = let_go
        self._stop = stop
        self._results: SimpleQueue[tuple[Taken, Claim, SendResult | None] | None] = SimpleQueue()
        self._posting: set[str] = set()
        """The attempts whose answers are due. Adding and discarding are atomic."""
        self.lane: Lane[tuple[Taken, Claim]] = Lane("send", concurrency, self._post, app.app_context)
        self.settler = threading.Thread(target=self._settle_forever, name="settler", daemon=True)

    def start(self) -> None:
        """Start the threads, and open what the first message would otherwise wait for."""
        try:
            claims.claim(["warm-up"], providers())  # there is no such message
        except SQLAlchemyError as error:
            log.warning("the database does not answer yet", error=str(error).splitlines()[0])
        self.lane.start()
        self.settler.start()

    def claim(self, taken: list[Taken]) -> None:
        """Claim the rows behind these jobs and hand them to the lane; jobs without a claim are finished at once.

        A database that is away is waited for until the worker is to stop: the jobs stay ours, and nothing has been
        posted. What the database refuses for another reason is tried one by one, so that one job does not hold up all.
        """
        made: list[Claim] | None = None
        while made is None:
            try:
                made = claims.claim([job.argument for job in taken if _ROW_ID.fullmatch(job.argument)], providers())
            except SQLAlchemyError as error:
                metrics.errors.inc("claim")
                log.error("claiming failed", jobs=[job.job_id for job in taken[:10]], error=str(error).splitlines()[0])
                if not is_outage(error):
                    if len(taken) == 1:
                        made = []
                    else:
                        for job in taken:
                            self.claim([job])
                        return
                elif self._stop.wait(RETRY_S):
                    self._let_go(taken)  # their leases end, and another worker takes them
                    return
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
            result = delivery.post(claim, providers())
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
        limit = claims.lease(providers().timeout_s).total_seconds()
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
        while not self._is_settled(batch):
            time.sleep(RETRY_S)
        faults.point("settled")
        self._finished([job for job, _, _ in batch])

    def _is_settled(self, batch: list[tuple[Taken, Claim, SendResult | None]]) -> bool:
        """Write answers down; False where the database is away.

        The answers exist only here. Should this process end first, or should the database refuse one for another
        reason, its lease runs out and the provider's log is asked instead.
        """
        posted = [(claim, result) for _, claim, result in batch if result is not None]
        kept = [claim for _, claim, result in batch if result is None]
        try:
            if posted:
                settling.settle(posted, providers())
            if kept:
                settling.give_back(kept)
        except SQLAlchemyError as error:
            metrics.errors.inc("settle")
            ids = [claim.id for _, claim, _ in batch[:10]]
            log.error("settling failed", count=len(batch), message_ids=ids, error=str(error).splitlines()[0])
            if is_outage(error):
                return False
            return len(batch) == 1 or all(self._is_settled([one]) for one in batch)
        return True

    def drain(self, seconds: float) -> None:
        """Post what has begun, give back what has not, settle everything; at most about ``seconds``."""
        for job, claim in self.lane.take_back():
            self._results.put((job, claim, None))
        self.lane.stop()
        deadline = time.monotonic() + seconds
        self.lane.join(deadline)
        self._results.put(None)
        self.settler.join(max(deadline - time.monotonic(), 0.1))
