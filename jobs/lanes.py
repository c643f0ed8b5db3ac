"""Threads that work through a queue of their own, and can be replaced one by one when a call does not come back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class _Seat:
    """What one thread is busy with; the watchdog reads it."""

    item: object = None
    since: float = 0.0
    abandoned: bool = False
    thread: threading.Thread = field(init=False)


class Lane(Generic[T]):
    """``size`` threads that call ``work`` for each item put in. ``work`` must not raise."""

    def __init__(self, name: str, size: int, work: Callable[[T], None]) -> None:
        self.name = name
        self.size = size
        self._work = work
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._seats: list[_Seat] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the threads. Call it after any fork."""
        for _ in range(self.size):
            self._open_seat()

    def put(self, item: T) -> None:
        """Add an item; the next free thread takes it."""
        self._items.put(item)

    def take_back(self) -> list[T]:
        """Items that no thread has begun."""
        waiting: list[T] = []
        while True:
            try:
                item = self._items.get_nowait()
            except Empty:
                return waiting
            if item is not None:
                waiting.append(item)

    def abandon_older_than(self, seconds: float) -> list[T]:
        """Give up on items that have run longer than ``seconds``; each has its thread replaced.

        A thread cannot be killed in Python; it ends by itself when its call returns, and what it returns then is too
        late.
        """
        limit = time.monotonic() - seconds
        given_up: list[T] = []
        with self._lock:
            stuck = [seat for seat in self._seats if seat.item is not None and seat.since < limit]
            for seat in stuck:
                seat.abandoned = True
                self._seats.remove(seat)
                given_up.append(seat.item)  # type: ignore[arg-type]
        for _ in given_up:
            self._open_seat()
        return given_up

    def stop(self) -> None:
        """Let every thread end after the item that it has."""
        for _ in self._seats:
            self._items.put(None)

    def join(self, deadline: float) -> None:
        """Wait until every thread has ended, but not beyond ``deadline`` (of ``time.monotonic``)."""
        for seat in list(self._seats):
            seat.thread.join(max(deadline - time.monotonic(), 0))

    def _open_seat(self) -> None:
        seat = _Seat()
        seat.thread = threading.Thread(target=self._sit, args=(seat,), name=f"{self.name}-lane", daemon=True)
        with self._lock:
            self._seats.append(seat)
        seat.thread.start()

    def _sit(self, seat: _Seat) -> None:
        while not seat.abandoned:
            item = self._items.get()
            if item is None:
                return
            with self._lock:
                seat.item, seat.since = item, time.monotonic()
            self._work(item)
            with self._lock:
                seat.item = None
