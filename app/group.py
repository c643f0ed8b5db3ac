"""Several threads that want the same kind of thing at the same moment: one of them does it for all.

Whoever comes first leads: it takes what waits, at that moment, and does it in one go; who comes meanwhile waits, and
one of those leads next. So nobody waits for company that may not come, there is no thread that could die, and nothing
to start after a fork. It is how SQLite's one writer commits (`app.database.write`).
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Call(Generic[Item, Result]):
    """One caller's item; whoever leads leaves its ``result`` or its ``error`` here."""

    __slots__ = ("_turn", "error", "finished", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result
        self.error: BaseException | None = None
        self.finished = False
        self._turn: threading.Event | None = None

    def queue_up(self) -> None:
        """Somebody else leads: it will have to be woken."""
        self._turn = threading.Event()

    def wait(self, timeout: float) -> bool:
        """Wait, in seconds, for its end or for its turn to lead; says whether it came."""
        return self._turn is None or self._turn.wait(timeout)

    def wake(self) -> None:
        """Its end, or its turn, has come."""
        if self._turn is not None:
            self._turn.set()


class Group(Generic[Item, Result]):
    """Callers who share their work. ``work`` is given the calls and leaves in each what became of it; if it raises, all
    of them failed.

    At most ``most`` calls are done in one go, at most ``room`` wait, none of them longer than ``patience`` seconds.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Call[Item, Result]]], None],
        *,
        most: int = 64,
        room: int = 1000,
        patience: float = 20.0,
    ) -> None:
        self._work = work
        self._most = most
        self._room = room
        self._patience = patience
        self._lock = threading.Lock()
        self._waiting: list[Call[Item, Result]] = []
        self._round: list[Call[Item, Result]] = []
        """What the leader has in hand."""
        self._leader: Call[Item, Result] | None = None

    def do(self, item: Item) -> Result:
        """Have an item done, alone or with others; raises what its own doing raised.

        Raises:
            Unavailable: too many wait, or it waited too long; nothing was done, unless it says that this is not known.
        """
        call: Call[Item, Result] = Call(item)
        try:
            self._come(call)
            if not call.wait(self._patience):
                self._give_up(call)
            if not call.finished:
                self._lead()
        except BaseException:  # a thread that is told to end must not take the lead with it, wherever that meets it
            self._leave(call)
            raise
        if call.error is not None:
            raise call.error
        return call.result

    def _come(self, call: Call[Item, Result]) -> None:
        with self._lock:
            if len(self._waiting) >= self._room:
                raise Unavailable("Too many requests wait; try again in a moment.")
            if self._leader is not None:
                call.queue_up()
            self._waiting.append(call)
            if self._leader is None:
                self._leader = call

    def _give_up(self, call: Call[Item, Result]) -> None:
        with self._lock:
            if call in self._waiting and self._leader is not call:
                self._waiting.remove(call)
                raise Unavailable("We are busy; try again in a moment.")
        # Somebody is doing it at this moment: what becomes of it is known soon, and only then can we say.
        call.wait(self._patience)
        if not call.finished and self._leader is not call:
            raise Unavailable("A store does not answer; whether the request took effect is not known.")

    def _lead(self) -> None:
        with self._lock:
            self._round = self._waiting[: self._most]
            self._waiting = self._waiting[self._most :]
        try:
            self._work(self._round)
        except Exception as error:  # noqa: BLE001 - each caller raises it in its own thread, this one too
            for call in self._round:
                call.error = error
        with self._lock:
            self._hand_on()

    def _leave(self, call: Call[Item, Result]) -> None:
        """This caller is gone: nobody does its item any more, and if it led, its round is over and the next one leads.
        Changes nothing for one that has left already.
        """
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
            if self._leader is call:
                for other in self._round:
                    if not other.finished:
                        other.error = Unavailable(
                            "The process is stopping; whether the request took effect is not known."
                        )
                self._hand_on()
            elif self._leader is not None:
                self._leader.wake()  # it may have left between naming the next one and waking it

    def _hand_on(self) -> None:
        """The round is over, and who has waited longest leads. The lock is held; begun twice, it does the same."""
        for call in self._round:
            call.finished = True
            call.wake()
        self._waiting = [call for call in self._waiting if not call.finished]
        self._round = []
        self._leader = self._waiting[0] if self._waiting else None
        if self._leader is not None:
            self._leader.wake()
