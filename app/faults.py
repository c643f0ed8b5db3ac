"""Crash points for tests: a worker can be made to die, as if by kill -9, at a named step.

``BELLHOP_FAULT=claimed:/tmp/once`` kills the process at the step ``claimed`` unless the file exists, and makes the file
first: one crash, then normal life. Without the variable a point costs one comparison.
"""

import os
import signal
from pathlib import Path

_step, _, _marker = os.environ.get("BELLHOP_FAULT", "").partition(":")


def point(step: str) -> None:
    """A step at which a test may kill the process."""
    if step != _step:
        return
    try:
        Path(_marker).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
