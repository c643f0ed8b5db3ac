"""Leaving a store alone that does not answer: who can do without it must not wait for it again and again."""

import threading
from time import monotonic

REST_S = 1.0
"""After a failure nobody tries for this long; then one does, for all."""
TRY_WITHIN_S = 10.0
"""Longer than any try takes. One that has said nothing by then was cut short, and another may try."""


class Circuit:
    """Says whether to try. While all goes well everybody may; after a failure only one at a time, after a rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_try: float | None = None

    def may_try(self) -> bool:
        """Whether to try now; who does must say how it went."""
        if self._next_try is None:
            return True
        with self._lock:
            now = monotonic()
            if self._next_try is not None and now < self._next_try:
                return False
            if self._next_try is not None:
                self._next_try = now + TRY_WITHIN_S
            return True

    def worked(self) -> None:
        """It answered."""
        if self._next_try is not None:
            with self._lock:
                self._next_try = None

    def failed(self) -> None:
        """It did not."""
        with self._lock:
            self._next_try = monotonic() + REST_S
