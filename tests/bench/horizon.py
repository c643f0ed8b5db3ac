"""What Redis holds of a million scheduled messages, and how soon it has it again after a FLUSHALL.

``python -m tests.bench.horizon --rows 1000000`` prints its part of the table; PostgreSQL and a Redis of its own.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import redis
from flask import Flask
from rq_scheduler import Scheduler as StockScheduler
from sqlalchemy import func, select, text

from app import metrics, queue
from app.database import db, reading, writing
from app.messages.models import Message
from app.workspaces import service as workspaces
from tests.bench.report import Figure, at_most, table
from tests.bench.stack import Stack, stack, wait_for

WORKSPACE = "ws_bench"
BODY = "Your appointment is tomorrow at ten, number "
DAYS = 30
HORIZON = timedelta(minutes=60)

_INSERT = text(
    """
    INSERT INTO messages (id, workspace_id, job_id, revision, channel, to_address, from_address, body, media_urls,
        content_hash, segments, metadata, status, due_at, due_text, scheduled_at, valid_until, retry_policy, attempt,
        attempts_used, attempts_uncounted, checks, created_at)
    SELECT md5(n::text), :workspace, 'job_' || n, 0, 'sms', '+1555' || lpad(n::text, 7, '0'), '+16660000000',
        :body || n, '[]', md5(n::text), 1, '{}', 'scheduled', at, at::text, at, at + interval '4 hours', 'default', 0,
        0, 0, 0, now()
    FROM (SELECT n, CAST(:begin AS timestamptz) + n * CAST(:gap AS interval) AS at
        FROM generate_series(1, :rows) AS n) AS spread
    """
)


@dataclass
class Measured:
    """Bytes, and seconds from each FLUSHALL on."""

    ours_each: float
    stock_each: float
    held_bytes: int
    held: int
    rows: int
    back: list[float] = field(default_factory=list)
    audited: list[float] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """The lines of the table."""
        held = f"Redis with {self.rows:,} messages over {DAYS} days ({self.held:,} within the horizon)"
        return [
            at_most(
                "Redis memory, one message within the horizon", [self.ours_each], 600, "B", f"{self.stock_each:,.0f} B"
            ),
            at_most(held, [self.held_bytes / 1e6], 20, "MB"),
            at_most(f"FLUSHALL with {self.rows:,} waiting: the next hour is back after", self.back, 2, "s"),
            at_most("… all is audited after", self.audited, 60, "s"),
        ]


def insert_rows(app: Flask, rows: int, first_in: timedelta = timedelta(0)) -> None:
    """So many scheduled messages, evenly over the coming days, the first of them due in ``first_in``."""
    with app.app_context():
        with writing() as session:
            workspaces.ensure_workspace(session, WORKSPACE)
            begin, gap = datetime.now(UTC) + first_in, timedelta(days=DAYS) / rows
            values = {"workspace": WORKSPACE, "body": BODY, "begin": begin, "gap": gap, "rows": rows}
            session.execute(text("SET LOCAL statement_timeout = 0"))
            session.execute(_INSERT, values)
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("VACUUM ANALYZE messages"))


def used_memory(connection: redis.Redis) -> int:
    """Bytes that Redis uses for everything."""
    return int(connection.info("memory")["used_memory"])


def bytes_each(bench: Stack, n: int) -> tuple[float, float]:
    """Bytes for one scheduled message: ours, and as stock rq-scheduler keeps it."""
    connection, at = bench.redis, datetime.now(UTC) + timedelta(minutes=30)
    with bench.app.app_context():
        queue.add([queue.send_nudge(f"{0:032x}", 0, at)])  # the script itself, and the connection
        before = used_memory(connection)
        queue.add(
            [queue.send_nudge(f"{number:032x}", 0, at + timedelta(milliseconds=number)) for number in range(1, n + 1)]
        )
        assert connection.zcard("rq:scheduled:send") == n + 1
        ours = (used_memory(connection) - before) / n
    connection.flushall()
    scheduler = StockScheduler("stock", connection=connection)
    before = used_memory(connection)
    for number in range(n):
        scheduler.enqueue_at(
            (at + timedelta(seconds=number)).replace(tzinfo=None),
            "tests.bench.stock_jobs.send",
            to=f"+1555{number:07d}",
            sender="+16660000000",
            body=f"{BODY}{number}",
        )
    assert connection.zcard("rq:scheduler:scheduled_jobs") == n
    stock = (used_memory(connection) - before) / n
    connection.flushall()
    return ours, stock


def entries(connection: redis.Redis) -> int:
    """Sends that Redis knows: scheduled and queued."""
    return int(connection.zcard("rq:scheduled:send")) + int(connection.llen("rq:queue:send"))  # type: ignore[arg-type]


def expected(bench: Stack) -> int:
    """How many messages Redis should know at this moment."""
    with bench.app.app_context(), reading() as session:
        due = select(func.count()).where(Message.scheduled_at <= datetime.now(UTC) + HORIZON)
        return session.scalar(due) or 0


def audits(connection: redis.Redis) -> float:
    """How many refills have been audited since Redis was empty."""
    fields = {name: json.loads(name) for name in connection.hkeys(metrics.KEY)}  # type: ignore[union-attr]
    counts = [name for name, words in fields.items() if words[:2] == [metrics.refilled.name, "le"]]
    return sum(float(connection.hget(metrics.KEY, name) or 0) for name in counts)  # type: ignore[arg-type]


def measure(runs: int, rows: int = 1_000_000, sample: int = 10_000) -> Measured:
    """All of it; Redis is emptied ``runs`` times, and ``sample`` messages tell the bytes of one.

    Raises:
        TimeoutError: something did not come back within a minute.
    """
    with stack() as bench:
        connection = bench.redis
        ours, stock = bytes_each(bench, sample)
        insert_rows(bench.app, rows)
        empty = used_memory(connection)
        with bench.running("jobs.scheduler"):
            wait_for(lambda: entries(connection) >= expected(bench), 60, "the next hour is there")
            wait_for(lambda: audits(connection), 60, "it is audited")
            measured = Measured(ours, stock, used_memory(connection) - empty, entries(connection), rows)
            for _ in range(runs):
                goal = expected(bench)
                connection.flushall()
                begin = time.monotonic()
                wait_for(lambda: entries(connection) >= goal, 60, "the next hour is back")  # noqa: B023
                measured.back.append(time.monotonic() - begin)
                wait_for(lambda: audits(connection), 60, "it is audited")
                measured.audited.append(time.monotonic() - begin)
                time.sleep(1)
        return measured


def main() -> None:
    """Print the measurements of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    print(table(measure(chosen.runs, chosen.rows).figures()))


if __name__ == "__main__":
    main()
