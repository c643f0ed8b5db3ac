"""Retry policies: named data, and the arithmetic of waiting.

Seeds 001 and 002 print 3 attempts, 1 s, factor 2, at most 30 s; seed 004 prints 5 attempts and gaps of 5, 25, 125 and
625 s. Both live here by name (resolutions D3, D4 and D5). ``max_attempts`` counts all tries, the first one included.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart. All times in seconds."""

    name: str
    max_attempts: int
    first_delay_s: float
    factor: float
    max_delay_s: float
    jitter: bool = False

    def delay_s(self, failed_attempts: int) -> float:
        """Seconds to wait after the n-th failed attempt (n ≥ 1); exact unless ``jitter``, which draws from (0,
        delay].
        """
        # The exponent is bounded so that a large count cannot overflow a float.
        delay = min(self.first_delay_s * self.factor ** min(max(failed_attempts, 1) - 1, 64), self.max_delay_s)
        return delay * (1 - random.random()) if self.jitter else delay


POLICIES = {
    policy.name: policy
    for policy in (
        RetryPolicy("default", max_attempts=3, first_delay_s=1, factor=2, max_delay_s=30),
        RetryPolicy("reminder", max_attempts=5, first_delay_s=5, factor=5, max_delay_s=3125),
    )
}

UNCOUNTED = RetryPolicy("uncounted", max_attempts=10, first_delay_s=1, factor=2, max_delay_s=30)
"""For tries that the provider never answered: they use up no attempt, but do not go on for ever either."""
