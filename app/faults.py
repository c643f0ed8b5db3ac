"""Crash points for tests: a worker can be made to die, as if by kill -9, at named steps.

``BELLHOP_FAULT=claimed:/tmp/once`` kills the process at the step ``claimed`` unless the file exists, and makes the file
first: one crash, then normal life. Several are separated by commas. Without the variable a point costs one look-up.
"""

import os
import signal
from pathlib import Path

_markers = dict(fault.split(":", 1) for fault in os.environ.get("BELLHOP_FAULT", "").split(",") if fault)


def point(step: str) -> None:
    """A step at which a test may kill the process."""
    marker = _markers.get(step)
    if marker is None:
        return
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
