"""A thread that does what has come together: everything once, in order, in batches, to the end."""

import threading

from app.batcher import Batcher


def test_everything_is_done_once_and_in_order() -> None:
    done: list[int] = []
    batcher: Batcher[int] = Batcher("test", done.extend)
    for n in range(0, 1000, 2):
        batcher.put([n, n + 1])
    batcher.stop(10)
    assert done == list(range(1000))


def test_what_comes_while_it_is_busy_is_done_together_and_no_more_than_it_may() -> None:
    begun, go_on, sizes = threading.Event(), threading.Event(), list[int]()

    def work(items: list[int]) -> None:
        sizes.append(len(items))
        begun.set()
        assert go_on.wait(10)

    batcher: Batcher[int] = Batcher("test", work, most=4)
    batcher.put([0])
    assert begun.wait(10)
    for n in range(10):
        batcher.put([n])
    assert batcher.backlog == 10
    go_on.set()
    batcher.stop(10)
    assert sizes == [1, 4, 4, 2]


def test_one_that_was_never_given_anything_has_no_thread() -> None:
    batcher: Batcher[int] = Batcher("test", lambda _: None)
    batcher.stop(10)
    assert batcher.thread.ident is None
