"""Lanes of threads: each item once, back what has not begun, and a stuck call costs one thread for a moment."""

import threading
import time

import pytest

from jobs.lanes import Lane, TimeIsUp


def test_every_item_is_worked_on_once_by_some_thread() -> None:
    done: list[int] = []
    lane: Lane[int] = Lane("test", 8, done.append)
    lane.start()
    for n in range(500):
        lane.put(n)
    lane.stop()
    lane.join(time.monotonic() + 10)

    assert sorted(done) == list(range(500))


def test_what_no_thread_has_begun_comes_back() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(_item: str) -> None:
        begun.set()
        go_on.wait(10)

    lane: Lane[str] = Lane("test", 1, work)
    lane.start()
    for item in ("one", "two", "three"):
        lane.put(item)
    assert begun.wait(10)

    assert lane.take_back() == ["two", "three"]
    go_on.set()
    lane.stop()
    lane.join(time.monotonic() + 10)


def test_a_call_that_does_not_come_back_is_given_up_and_its_thread_replaced() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work(item: str) -> None:
        if item == "stuck":
            begun.set()
            go_on.wait(10)
        else:
            done.set()

    lane: Lane[str] = Lane("test", 1, work)
    lane.start()
    lane.put("stuck")
    assert begun.wait(10)

    assert lane.give_up(lambda _: 0) == ["stuck"]
    lane.put("next")
    assert done.wait(10)
    go_on.set()
    lane.stop()
    lane.join(time.monotonic() + 10)


def test_a_thread_that_is_given_up_is_stopped_in_the_middle_of_its_python_code() -> None:
    begun, stopped = threading.Event(), threading.Event()

    def work(_item: str) -> None:
        begun.set()
        try:
            while True:  # bounded by what this test is about
                threading.Event().wait(0.01)
        finally:
            stopped.set()

    lane: Lane[str] = Lane("test", 1, work, interrupt=True)
    lane.start()
    lane.put("endless")
    assert begun.wait(10)
    assert lane.give_up(lambda _: 1000) == []
    assert lane.give_up(lambda _: 0) == ["endless"]
    assert stopped.wait(10)
    lane.stop()
    lane.join(time.monotonic() + 10)


@pytest.mark.parametrize("defect", [LookupError("no such thing"), SystemExit(1), TimeIsUp()])
def test_a_defect_costs_no_seat(defect: BaseException) -> None:
    together, done = threading.Barrier(3), threading.Event()

    def work(item: str) -> None:
        if item == "defect":
            raise defect
        together.wait(10)  # both seats, and this test
        done.set()

    lane: Lane[str] = Lane("test", 2, work)
    lane.start()
    for item in ("defect", "defect", "defect", "good", "good"):
        lane.put(item)
    together.wait(10)
    assert done.wait(10)

    assert lane.give_up(lambda item: 0 if item == "defect" else 1000) == ["defect"] * 3
    lane.stop()
    lane.join(time.monotonic() + 10)
    assert len(lane._seats) == 2
    assert not any(seat.thread.is_alive() for seat in lane._seats)
