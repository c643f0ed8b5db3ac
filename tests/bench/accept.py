"""How many requests a second the accept path takes, beside others on the same work in the same run.

``python -m tests.bench.accept --seconds 5 --runs 3 [--sqlite]`` prints a table. Needs PostgreSQL (unless ``--sqlite``)
and a Redis binary, as the tests do; huey, the quickest of the Flask peers, is in the dependency group ``bench`` and is
left out where it is not installed. The contenders take turns, and what counts is the ratio inside a turn: absolute
figures say more about the machine. After each run the rows in the database must be as many as the 2xx answers.
"""

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from flask_migrate import upgrade
from sqlalchemy import create_engine, text

from app.database import db, writing
from app.factory import create_app
from app.settings import Settings
from app.workspaces import service as workspaces
from tests import stores
from tests.bench import gunicorn
from tests.bench.load import Load, in_a_process, post

KEY = "bench-key-of-more-than-32-characters"
WORKSPACE = "ws_bench"
SENDER = "+19876543210"
PERSON = "+12345678901"
CONNECTIONS = 16
BULK_CONNECTIONS = 4
BULK = 1000
BODY = "Hello Anna, this reminds you of your appointment tomorrow at 16:00. Reply C to confirm or call us to move it."


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server, and one request for it that it answers again and again."""

    name: str
    server: gunicorn.Server
    request: bytes
    messages: int
    """In one request."""
    connections: int
    count: Callable[[], int] | None
    """Reads how many rows there are; None where nothing is stored in SQL."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one contender."""

    name: str
    load: Load
    messages_per_second: float
    cpu_ms: float
    """CPU time of the web processes per request, in ms."""


def measure(contender: Contender, seconds: float) -> Result:
    """One run.

    Raises:
        AssertionError: a request was refused, or the database does not hold exactly what was accepted.
    """
    before, cpu = contender.count() if contender.count else 0, contender.server.cpu_s()
    load = in_a_process(contender.server.port, contender.connections, seconds, contender.request)
    cpu = contender.server.cpu_s() - cpu
    if load.refused:
        raise AssertionError(f"{contender.name}: {load.refused} requests were refused")
    if contender.count and contender.count() - before != load.accepted * contender.messages:
        raise AssertionError(f"{contender.name}: {load.accepted} answers, but {contender.count() - before} new rows")
    return Result(contender.name, load, load.per_second * contender.messages, cpu * 1000 / load.accepted)


def run(seconds: float = 5, runs: int = 3, *, sqlite: bool = False) -> dict[str, list[Result]]:
    """All contenders, turn by turn; each one's runs in order."""
    results: dict[str, list[Result]] = {}
    with contenders(sqlite=sqlite) as running:
        for _ in range(runs):
            for contender in running:
                results.setdefault(contender.name, []).append(measure(contender, seconds))
    return results


@contextmanager
def contenders(*, sqlite: bool) -> Iterator[list[Contender]]:
    """Everything started: our app, the stock one, Huey's, each with stores of its own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellhop-bench-")))
        redis = stack.enter_context(stores.redis_server(directory)).removesuffix("/0")
        ours, stock = (stack.enter_context(_database(directory, name, sqlite)) for name in ("ours", "stock"))
        _prepare(ours, f"{redis}/0")
        environ = {
            "DATABASE_URL": ours,
            "REDIS_URL": f"{redis}/0",
            "VAR_DIR": str(directory),
            "SECRET_KEY": "bench",
            "RATE_LIMIT": "0",
            "SMS_PROVIDER": "sandbox",
            "PHONE_STRICTNESS": "e164",
            "HOST": "127.0.0.1",
        }
        options = ("-c", "python:app.gunicorn_config")
        bellhop = stack.enter_context(gunicorn.serve("app.wsgi:app", environ, options))
        running = list(_ours(bellhop, _counter(ours, "messages")))
        others = [("stock", "stock_accept", stock)]
        if importlib.util.find_spec("huey"):
            others.append(("huey", "huey_accept", None))
        for number, (name, module, database) in enumerate(others, start=1):
            environ = {"REDIS_URL": f"{redis}/{number}", "DATABASE_URL": database or ""}
            if database:
                _create_stock_tables(environ)
            server = stack.enter_context(gunicorn.serve(f"tests.bench.{module}:app", environ))
            count = _counter(database, "stock_messages") if database else None
            running.append(Contender(name, server, post("/schedule", _message()), 1, CONNECTIONS, count))
        yield running


def _ours(server: gunicorn.Server, count: Callable[[], int]) -> Iterator[Contender]:
    def single(name: str, hours: float) -> Contender:
        request = post("/api/trigger/schedule-until", _message(hours), Authorization=f"Bearer {KEY}")
        return Contender(name, server, request, 1, CONNECTIONS, count)

    def bulk(name: str, hours: float) -> Contender:
        item = {"to": PERSON, "body": BODY, "scheduledTime": _time(hours)}
        body = {"workspaceId": WORKSPACE, "fromNumber": SENDER, "messages": [item] * BULK}
        request = post("/api/trigger/schedule-bulk", body, Authorization=f"Bearer {KEY}")
        return Contender(name, server, request, BULK, BULK_CONNECTIONS, count)

    yield single("ours", 0.9)
    yield single("ours, beyond the horizon", 24)
    yield bulk("ours, bulk", 0.9)
    yield bulk("ours, bulk beyond the horizon", 24)


def _message(hours: float = 0.9) -> dict[str, str]:
    return {
        "to": PERSON,
        "body": BODY,
        "workspaceId": WORKSPACE,
        "fromNumber": SENDER,
        "scheduledTime": _time(hours),
    }


def _time(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")


@contextmanager
def _database(directory: Path, name: str, sqlite: bool) -> Iterator[str]:
    if sqlite:
        yield f"sqlite:///{directory / name}.db"
        return
    with stores.postgres_database(f"bellhop_bench_{name}_{os.getpid()}") as url:
        yield url


def _counter(url: str, table: str) -> Callable[[], int]:
    engine = create_engine(url)

    def count() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table}")))

    return count


def _prepare(database_url: str, redis_url: str) -> None:
    settings = Settings(_env_file=None, database_url=database_url, redis_url=redis_url, secret_key="bench")
    with create_app(settings).app_context():
        upgrade()
        workspaces.store_key(WORKSPACE, KEY)
        with writing() as session:
            workspaces.add_sender(session, WORKSPACE, "sms", SENDER)
        db.engine.dispose()


def _create_stock_tables(environ: Mapping[str, str]) -> None:
    os.environ.update(environ)
    from tests.bench.stock_accept import app, db

    with app.app_context():
        db.create_all()
        db.engine.dispose()


def table(results: Mapping[str, list[Result]]) -> str:
    """Medians, with the ratio to the stock endpoint (the median of the ratios turn by turn) where there is one."""
    lines = [f"{'':32}{'req/s':>8}{'msg/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'x stock':>9}"]
    stock = results.get("stock", [])
    for name, runs in results.items():
        ratio = median(a.messages_per_second / b.messages_per_second for a, b in zip(runs, stock, strict=True))
        lines.append(
            f"{name:32}"
            f"{median(r.load.per_second for r in runs):8.0f}"
            f"{median(r.messages_per_second for r in runs):9.0f}"
            f"{median(r.load.p50_ms for r in runs):8.1f}"
            f"{median(r.load.p99_ms for r in runs):8.1f}"
            f"{median(r.cpu_ms for r in runs):8.2f}"
            f"{ratio:9.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sqlite", action="store_true")
    arguments = parser.parse_args()
    print(table(run(arguments.seconds, arguments.runs, sqlite=arguments.sqlite)))


if __name__ == "__main__":
    main()
