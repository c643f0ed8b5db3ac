"""How many jobs a worker holds, and how many more it can take: sends and everything else apart.

A look-up may wait ten seconds for a provider that does not answer. If those took the places of sends, a provider's bad
hour would stop the sending too, which is why each has places of its own.

A place belongs to the queue that a job came from: what a job is shows only when it has been taken, so a flood of other
jobs in the queue of sends must be bounded by the room for sends.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app import queue
from jobs.redis_jobs import Taken

PREFETCH = 0.25
"""Jobs held beyond the threads, as a share: a thread that ends finds the next one there."""


@dataclass(frozen=True, slots=True)
class Room:
    """Places for jobs of some queues, in order of priority."""

    queues: tuple[str, ...]
    free: int


class Rooms:
    """The jobs in hand. Safe for threads; ``ring`` is called when a place becomes free that somebody may wait for."""

    def __init__(self, queues: Sequence[str], send_threads: int, other_threads: int, ring: Callable[[], None]) -> None:
        sends = tuple(name for name in queues if name == queue.SEND_QUEUE)
        others = tuple(name for name in queues if name != queue.SEND_QUEUE)
        self._sizes = {sends: _places(send_threads), others: _places(other_threads)}
        self._sends, self._others = sends, others
        self._batch = max(self._sizes[sends] // 4, 1) if sends else 1
        self._ring = ring
        self._held: dict[str, Taken] = {}
        self._held_sends = 0
        self._change = threading.Condition()
        self._is_full = False

    def enter(self, jobs: Iterable[Taken]) -> None:
        """These are in hand now."""
        with self._change:
            for job in jobs:
                self._held[job.execution_id] = job
                self._held_sends += job.queue == queue.SEND_QUEUE

    def leave(self, jobs: Iterable[Taken]) -> None:
        """These are done, or somebody else's."""
        with self._change:
            for job in jobs:
                if self._held.pop(job.execution_id, None):
                    self._held_sends -= job.queue == queue.SEND_QUEUE
            self._change.notify()
            if self._is_full:
                self._is_full = False
                self._ring()

    def held(self) -> list[Taken]:
        """Everything in hand."""
        with self._change:
            return list(self._held.values())

    def await_room(self, seconds: float) -> list[Room]:
        """The rooms that have places, sends first. Up to ``seconds`` are waited for a batch of sends that is worth a
        statement.
        """
        patience = time.monotonic() + seconds
        with self._change:
            while self._held_sends > 0 and self._free()[self._sends] < self._batch:
                left = patience - time.monotonic()
                if left <= 0:
                    break
                self._change.wait(left)
            return [Room(queues, free) for queues, free in self._free().items() if queues and free > 0]

    def queues_with_room(self) -> list[str]:
        """The queues to wait for; from now on a place that becomes free elsewhere rings."""
        with self._change:
            free = self._free()
            self._is_full = any(places <= 0 for places in free.values())
            return [name for queues, places in free.items() if places > 0 for name in queues]

    def _free(self) -> dict[tuple[str, ...], int]:
        return {
            self._sends: self._sizes[self._sends] - self._held_sends,
            self._others: self._sizes[self._others] - (len(self._held) - self._held_sends),
        }


def _places(threads: int) -> int:
    return round(threads * (1 + PREFETCH))
