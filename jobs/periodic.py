"""When an entry of rq-scheduler's own API runs next: pure, and with zones."""

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim


def next_run(meta: dict[str, Any], due: float, now: datetime) -> float | None:
    """The next due time in seconds since 1970, None for an entry that is over; counts ``repeat`` down in ``meta``.

    An interval keeps its phase: the next time is counted from when this one was due, leaving out what was missed. A
    cron entry is read in ``meta["timezone"]`` (an IANA name; UTC where it has none).

    Raises:
        ValueError, KeyError: the entry makes no sense.
    """
    repeat = meta.get("repeat")
    if repeat is not None:
        meta["repeat"] = int(repeat) - 1
        if meta["repeat"] <= 0:
            return None
    if interval := meta.get("interval"):
        missed = math.floor((now.timestamp() - due) / float(interval))
        return due + float(interval) * (max(missed, 0) + 1)
    if cron := meta.get("cron_string"):
        local = now.astimezone(ZoneInfo(meta.get("timezone") or "UTC"))
        return float(next(CronSim(str(cron), local)).timestamp())
    return None
