"""Recurring messages: what goes out again and again, and when next."""

from datetime import datetime
from typing import Any

from cronsim import CronSim, CronSimError

from admin import times
from admin.views.base import Rows
from app import clock
from app.messages import recurring
from app.messages.models import Recurrence

STATUS = {
    "active": ("Active", "↻", "good"),
    "paused": ("Paused", "‖", "busy"),
    "cancelled": ("Cancelled", "⊘", "quiet"),
    "completed": ("Finished", "✓", "quiet"),
}
MAX_CRONS_SHOWN = 3


class RecurringView(Rows):
    """``/admin/recurring/``."""

    list_template = "panel/recurring.html"

    def __init__(self) -> None:
        super().__init__(Recurrence, name="Recurring", endpoint="panel_recurring", url="recurring")

    def choose(self, query: Any, search: str) -> Any:
        """Newest first."""
        self._template_args.update(status=STATUS, rule=rule_words, next_run=next_run, now=clock.now())
        return query.order_by(Recurrence.created_at.desc(), Recurrence.id.desc())


def rule_words(row: Recurrence) -> str:
    """The crons as sentences."""
    shown = [_explained(cron) for cron in row.crons[:MAX_CRONS_SHOWN]]
    if len(row.crons) > MAX_CRONS_SHOWN:
        shown.append(f"and {len(row.crons) - MAX_CRONS_SHOWN} more rules")
    return "; ".join(shown)


def _explained(cron: str) -> str:
    try:
        return str(CronSim(cron, clock.now()).explain())
    except CronSimError:
        return cron


def next_run(row: Recurrence) -> Any:
    """When it goes out next; nothing where it does not, or its zone is not known any more."""
    try:
        runs = recurring.upcoming(row, 1)
    except (ValueError, KeyError):
        return None
    return times.moment(datetime.fromisoformat(runs[0]), row.timezone) if runs else None
