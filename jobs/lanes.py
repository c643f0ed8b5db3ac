"""Threads that work through a queue of their own, and can be replaced one by one when a call does not come back."""

import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from app import logs, metrics

log = logs.get_logger(__name__)

T = TypeVar("T")


class TimeIsUp(BaseException):
    """Raised in a thread that has been given up. Not an Exception: what runs there must not take it for its own."""


@dataclass(eq=False)
class _Seat:
    """What one thread is busy with; the watchdog reads it."""

    item: object = None
    since: float = 0.0
    abandoned: bool = False
    """Its item has been given up, and its thread was replaced."""
    broken: bool = False
    """A defect has ended its thread, which was replaced; the item stays here until its time is up."""
    thread: threading.Thread = field(init=False)


class Lane(Generic[T]):
    """``size`` threads that call ``work`` for each item put in. ``work`` should not raise:
    what it raises is a defect, which costs the thread, and another takes its place.

    Each thread spends its life inside ``around()``: an app context, for instance. With ``interrupt`` a thread that is
    given up is stopped where it is, if it can be.
    """

    def __init__(
        self,
        name: str,
        size: int,
        work: Callable[[T], None],
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        interrupt: bool = False,
    ) -> None:
        self.name = name
        self.size = size
        self._work = work
        self._around = around
        self._interrupt = interrupt
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

    def give_up(self, limit_s: Callable[[T], float]) -> list[T]:
        """Give up on items that have run longer than their limit in seconds; each has its thread replaced.

        The old thread is told to stop by an exception, which reaches it when it runs Python code again; one that waits
        in C goes on until its call returns. Whatever it does then is too late.
        """
        now = time.monotonic()
        given_up: list[tuple[_Seat, T]] = []
        with self._lock:
            for seat in list(self._seats):
                item: T | None = seat.item  # type: ignore[assignment]
                if item is not None and now - seat.since > limit_s(item):
                    seat.abandoned = True
                    self._seats.remove(seat)
                    given_up.append((seat, item))
        for seat, _ in given_up:
            if seat.broken:
                continue
            self._open_seat()
            if self._interrupt:
                _raise_in(seat.thread)
        return [item for _, item in given_up]

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
        try:
            with self._around():
                while not seat.abandoned:
                    item = self._items.get()
                    if item is None:
                        return
                    # The time first: the watchdog must not judge a new item by the time of the one before.
                    seat.since = time.monotonic()
                    seat.item = item
                    self._work(item)
                    seat.item = None
        except BaseException as error:  # whatever it is: a lane that loses its threads one by one stops without a word
            if seat.item is None:
                raise
            with self._lock:
                seat.broken = not seat.abandoned
            if seat.broken:
                self._open_seat()
            if seat.broken or not isinstance(error, TimeIsUp):
                metrics.errors.inc("lane")
                log.exception("a defect has ended a thread", lane=self.name, replaced=seat.broken)


def _raise_in(thread: threading.Thread) -> None:
    """Have `TimeIsUp` raised in a thread, as soon as it runs Python code; there is no signal for threads."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeIsUp))
