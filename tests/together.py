"""Several things at the same instant, for tests of races."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask


def together(app: Flask, works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each in a thread with an app context of its own, all let go at once; returns what they returned."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        with app.app_context():
            start.wait(timeout=30)
            return work()

    with ThreadPoolExecutor(max_workers=len(works)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, work) for work in works]]
