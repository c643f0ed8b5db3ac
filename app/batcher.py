"""A thread that does what it is given, as much at a time as has come together."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Batcher(Generic[Item]):
    """Calls ``work`` with a list of all that waits, about ``most`` items at the most, and never with none.

    What comes alone is done at once; after that the thread rests for ``rest_s`` seconds, so that what comes in a crowd
    is done in batches. It spends its life inside ``around()``, and starts with the first item, so a batcher may be made
    before a fork.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[Item]], None],
        *,
        most: int = 500,
        rest_s: float = 0,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._work = work
        self._most = most
        self._rest_s = rest_s
        self._around = around
        self._waiting: SimpleQueue[Sequence[Item] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, unless it has been started. Call it after any fork."""
        with self._lock:
            if self.thread.ident is None:
                self.thread.start()

    def put(self, items: Sequence[Item]) -> None:
        """Have these done soon, in the order in which they come."""
        self._waiting.put(items)
        if self.thread.ident is None:
            self.start()

    @property
    def backlog(self) -> int:
        """How many times something was put that has not been begun."""
        return self._waiting.qsize()

    def stop(self, seconds: float) -> None:
        """Do what has been put, and end; waits at most so long."""
        if self.thread.ident is not None:
            self._waiting.put(None)
            self.thread.join(seconds)

    def _run(self) -> None:
        with self._around():
            more = True
            while more:
                batch: list[Item] = []
                given = self._waiting.get()
                while given is not None:
                    batch += given
                    if len(batch) >= self._most:
                        break
                    try:
                        given = self._waiting.get_nowait()
                    except Empty:
                        break
                more = given is not None
                if batch:
                    self._work(batch)
                    if more and self._rest_s:
                        time.sleep(self._rest_s)
