"""What it costs to mark a reminder in an empty ledger and beside a million others.

Both ledgers are there at once and take turns, so that the ratio compares neighbours in time. One caller, one mark after
the other, each in a transaction of its own.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median

from flask import Flask
from sqlalchemy import text

from app.database import db, writing
from app.reminders.tracker import mark_reminder_as_sent, was_reminder_sent
from app.workspaces.service import ensure_workspace
from tests.bench.stack import Stack, stack

WORKSPACE = "ws_bench"
MARKS = 300
WARM_UP = 100

_LOAD = text(
    """
    INSERT INTO reminders_sent (id, workspace_id, entity_type, entity_id, reminder_type, user_id, channel, occurrence,
        sent_at)
    SELECT md5(n::text), :workspace, 'CHECKIN', md5((-n)::text), '24h', 'user-' || n % 10000, '', '',
        now() - n * interval '5 seconds'
    FROM generate_series(1, :rows) AS n
    """
)
_INSERT = """
    INSERT INTO reminders_sent (id, workspace_id, entity_type, entity_id, reminder_type, user_id, channel, occurrence,
        sent_at)
    VALUES (?, ?, 'CHECKIN', ?, '24h', ?, '', '', ?)
"""


@dataclass(frozen=True, slots=True)
class Round:
    """Medians of some hundred calls each, in milliseconds."""

    empty: float
    full: float
    doublet: float
    """A mark that somebody else has made, in the full ledger."""
    look: float
    """``was_reminder_sent``, likewise."""


def measure(database: str, runs: int, rows: int) -> list[Round]:
    """So many rounds on one kind of database, beside so many rows."""
    with ExitStack() as stacks:
        small, large = (stacks.enter_context(stack(database)) for _ in range(2))
        for made in (small, large):
            with made.app.app_context(), writing() as session:
                ensure_workspace(session, WORKSPACE)
        load(large, rows)
        numbers = count()
        for made in (small, large):
            _marked(made.app, numbers, WARM_UP)
        return [_round(small.app, large.app, numbers) for _ in range(runs)]


def _round(small: Flask, large: Flask, numbers: Iterator[int]) -> Round:
    empty, (full, names) = _marked(small, numbers)[0], _marked(large, numbers)
    with large.app_context():
        doublets = [_timed(mark_reminder_as_sent, name, expected=False) for name in names]
        looks = [_timed(was_reminder_sent, name, expected=True) for name in names]
    return Round(empty, full, median(doublets), median(looks))


def _marked(app: Flask, numbers: Iterator[int], marks: int = MARKS) -> tuple[float, list[str]]:
    """Mark new reminders; the median of the milliseconds, and their names."""
    names = [hashlib.md5(f"new-{next(numbers)}".encode(), usedforsecurity=False).hexdigest() for _ in range(marks)]
    with app.app_context():
        return median([_timed(mark_reminder_as_sent, name, expected=True) for name in names]), names


def _timed(call: object, name: str, *, expected: bool) -> float:
    begun = time.perf_counter()
    answer = call(  # type: ignore[operator]
        workspace_id=WORKSPACE, entity_type="CHECKIN", entity_id=name, reminder_type="24h", user_id="user-1"
    )
    spent = time.perf_counter() - begun
    if answer is not expected:
        raise AssertionError("the ledger is wrong about what was marked")
    return 1000 * spent


def load(made: Stack, rows: int) -> None:
    """Fill the ledger with marks of the last weeks, spread over the unique index as ids of any kind are."""
    if made.database_url.startswith("postgresql"):
        with made.app.app_context(), db.engine.connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(_LOAD, {"workspace": WORKSPACE, "rows": rows})
            connection.commit()
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE reminders_sent"))
        return
    now = datetime.now(UTC).replace(tzinfo=None)
    with closing(sqlite3.connect(made.database_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("PRAGMA cache_size = -400000")
        connection.executemany(
            _INSERT,
            (
                (
                    f"{number:032x}",
                    WORKSPACE,
                    hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
                    f"user-{number % 10_000}",
                    f"{now - timedelta(seconds=5 * number):%Y-%m-%d %H:%M:%S.%f}",
                )
                for number in range(rows)
            ),
        )
