"""Doing together what several threads want at the same moment."""

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from app import group
from app.errors import Unavailable
from app.group import Call, Group

WITHIN_S = 20


def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads do."""
    turns = threading.Event()
    for _ in range(WITHIN_S * 1000):
        if condition():
            return
        turns.wait(0.001)
    raise AssertionError("it did not come to that")


class Shop:
    """A group whose work can be held up, and whose rounds are remembered."""

    def __init__(self, **limits: Any) -> None:
        self.group: Group[int, int] = Group(self._work, **limits)
        self.rounds: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.held = True
        self.before: Callable[[list[int]], None] = lambda _items: None

    def _work(self, calls: Sequence[Call[int, int]]) -> None:
        items = [call.item for call in calls]
        self.rounds.append(items)
        self.begun.release()
        if self.held:
            assert self.go_on.acquire(timeout=WITHIN_S)
        self.before(items)
        for call in calls:
            if call.item < 0:
                call.error = ValueError(f"{call.item} is negative")
            else:
                call.result = call.item * 10

    def open(self) -> None:
        self.held = False
        self.go_on.release()

    def await_waiting(self, number: int) -> None:
        """Until so many wait for the next round."""
        until(lambda: len(self.group._waiting) == number)


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(max_workers=16) as executor:
        yield executor


def test_whoever_comes_alone_is_served_alone_and_at_once() -> None:
    shop = Shop()
    shop.held = False

    assert [shop.group.do(n) for n in (1, 2, 3)] == [10, 20, 30]
    assert shop.rounds == [[1], [2], [3]]


def crowd(shop: Shop, pool: ThreadPoolExecutor, items: Sequence[int]) -> list[Future[int]]:
    """One that is being served, and others that came meanwhile, in this order."""
    futures = [pool.submit(shop.group.do, items[0])]
    assert shop.begun.acquire(timeout=WITHIN_S)
    for number, item in enumerate(items[1:], start=1):
        futures.append(pool.submit(shop.group.do, item))
        shop.await_waiting(number)
    return futures


def test_who_comes_meanwhile_is_served_together_each_with_its_own_end(pool: ThreadPoolExecutor) -> None:
    shop = Shop()
    futures = crowd(shop, pool, [1, 2, -3, 4])
    shop.open()

    assert [futures[n].result(WITHIN_S) for n in (0, 1, 3)] == [10, 20, 40]
    with pytest.raises(ValueError, match="-3 is negative"):
        futures[2].result(WITHIN_S)
    assert shop.rounds == [[1], [2, -3, 4]]


def test_a_round_has_its_limit_and_nobody_is_forgotten(pool: ThreadPoolExecutor) -> None:
    shop = Shop(most=2)
    futures = crowd(shop, pool, [1, 2, 3, 4, 5, 6])
    shop.open()

    assert [future.result(WITHIN_S) for future in futures] == [10, 20, 30, 40, 50, 60]
    assert shop.rounds == [[1], [2, 3], [4, 5], [6]]


@pytest.mark.parametrize(("failure", "others"), [(OSError("the disk is full"), OSError), (SystemExit(), Unavailable)])
def test_a_round_that_fails_fails_for_all_in_it_and_the_next_goes_on(
    pool: ThreadPoolExecutor, failure: BaseException, others: type[Exception]
) -> None:
    shop = Shop()

    def fail(items: list[int]) -> None:
        if 2 in items:
            raise failure

    shop.before = fail
    futures = crowd(shop, pool, [1, 2, 3])
    shop.open()

    assert futures[0].result(WITHIN_S) == 10
    with pytest.raises(type(failure)):
        futures[1].result(WITHIN_S)
    with pytest.raises(others):
        futures[2].result(WITHIN_S)
    assert shop.group.do(4) == 40


def test_beyond_the_room_one_is_turned_away_at_once(pool: ThreadPoolExecutor) -> None:
    shop = Shop(room=2)
    futures = crowd(shop, pool, [1, 2, 3])

    with pytest.raises(Unavailable):
        shop.group.do(4)
    shop.open()
    assert [future.result(WITHIN_S) for future in futures] == [10, 20, 30]


def test_who_loses_patience_is_turned_away_undone(pool: ThreadPoolExecutor) -> None:
    shop = Shop(patience=0.01)
    first = pool.submit(shop.group.do, 1)
    assert shop.begun.acquire(timeout=WITHIN_S)

    with pytest.raises(Unavailable):
        shop.group.do(2)
    shop.open()
    assert first.result(WITHIN_S) == 10
    assert shop.group.do(3) == 30
    assert shop.rounds == [[1], [3]]


class Told(BaseException):
    """What a thread that has to end is told, wherever it is."""


def test_who_is_told_to_end_while_it_waits_does_not_take_the_lead_with_it(pool: ThreadPoolExecutor) -> None:
    shop = Shop(patience=2)
    threads: list[int] = []

    def told() -> int:
        threads.append(threading.get_ident())
        return shop.group.do(2)

    first = pool.submit(shop.group.do, 1)
    assert shop.begun.acquire(timeout=WITHIN_S)
    second = pool.submit(told)
    shop.await_waiting(1)
    third = pool.submit(shop.group.do, 3)
    shop.await_waiting(2)
    # It reaches the thread when that runs Python again, which is when it is woken as the next one to lead.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threads[0]), ctypes.py_object(Told))
    shop.open()

    with pytest.raises(Told):
        second.result(WITHIN_S)
    assert (first.result(WITHIN_S), third.result(WITHIN_S), shop.group.do(4)) == (10, 30, 40)
    assert shop.rounds == [[1], [3], [4]]


SOURCE = Path(group.__file__).read_text(encoding="utf-8").splitlines()


def told_at(step: int, do: Callable[[int], int], item: int) -> int:
    """``do(item)``, told to end before the line of the group's code that it reaches as the ``step``-th."""
    left = step

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != group.__file__:
            return None
        # Python itself does not interrupt between the end of a ``with`` and the release of its lock.
        if event == "line" and not SOURCE[frame.f_lineno - 1].lstrip().startswith("with "):
            left -= 1
            if left == 0:
                raise Told
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return do(item)
    finally:
        sys.settrace(before)


def in_line(shop: Shop, item: int) -> bool:
    return any(call.item == item for call in shop.group._waiting)


def tell(pool: ThreadPoolExecutor, place: int, step: int) -> bool:
    """Tell the first or the second of three at one step; says whether it came so far, when the others were served."""
    shop = Shop(patience=2)
    others: list[Future[int]] = []
    if place == 1:
        others.append(pool.submit(shop.group.do, 1))
        assert shop.begun.acquire(timeout=WITHIN_S)
    told = pool.submit(told_at, step, shop.group.do, 2)
    until(lambda: told.done() or shop.begun.acquire(blocking=False) or (place == 1 and in_line(shop, 2)))
    others.append(pool.submit(shop.group.do, 3))
    until(lambda: shop.begun.acquire(blocking=False) or in_line(shop, 3))
    shop.open()
    for other in others:
        problem = other.exception(WITHIN_S)
        assert problem is None or "not known" in str(problem)
    assert shop.group.do(4) == 40
    assert isinstance(told.exception(WITHIN_S), Told | None)
    assert shop.group._leader is None
    return told.exception() is not None


@pytest.mark.parametrize("place", [0, 1])
def test_wherever_one_is_told_to_end_the_others_are_served(pool: ThreadPoolExecutor, place: int) -> None:
    """Place 0 leads at once, place 1 waits and leads then; each step of the two is one at which it is told."""
    steps = 1
    while tell(pool, place, steps):
        steps += 1
        assert steps < 1000
    assert steps > 20
