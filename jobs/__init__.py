"""The job functions, by the names that the application enqueues (``app.queue``).

Each takes one id, does its work in an app context of its own, and returns nothing: the outcome is in SQL. They run
under our worker and under a stock ``rq worker --serializer rq.serializers.JSONSerializer send upkeep`` alike.
"""

from jobs.functions import probe, reconcile, refresh, sandbox_report, send

__all__ = ["probe", "reconcile", "refresh", "sandbox_report", "send"]
