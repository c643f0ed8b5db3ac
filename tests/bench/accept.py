"""How many requests a second the accept path takes, beside others on the same work in the same run.

``python -m tests.bench.accept --seconds 5 --runs 3 [--sqlite]`` prints a table. Needs PostgreSQL (unless ``--sqlite``)
and a Redis binary, as the tests do; huey, the quickest of the Flask peers, is in the dependency group ``bench`` and is
left out where it is not installed. The contenders take turns, and what counts is the ratio inside a turn: absolute
figures say more about the machine. After each run the rows in the database must be as many as the 2xx answers.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from flask_migrate import upgrade
from redis import Redis
from sqlalchemy import create_engine, text

from app.database import db, writing
from app.factory import create_app
from app.settings import Settings
from app.workspaces import service as workspaces
from tests import stores
from tests.bench import gunicorn
from tests.bench.horizon import insert_rows
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
class Stores:
    """What a contender keeps its messages in."""

    redis: str
    database: str | None = None
    table: str = ""

    def rows(self) -> int | None:
        """How many messages there are; None where none is stored in SQL."""
        return int(str(self._ask(f"SELECT count(*) FROM {self.table}")[0])) if self.database else None

    def cpu_s(self) -> float:
        """CPU time of Redis and of the database's own processes so far, but for those that write it out."""
        with closing(Redis.from_url(self.redis)) as client:
            pids = [int(client.info("server")["process_id"])]
        if self.database and self.database.startswith("postgresql"):
            pids += [
                int(str(pid))
                for pid in self._ask(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            ]
        return sum(map(gunicorn.cpu_s, pids))

    def _ask(self, query: str) -> Sequence[object]:
        engine = create_engine(self.database or "")
        try:
            with engine.connect() as connection:
                return connection.scalars(text(query)).all()
        finally:
            engine.dispose()


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server, and one request for it that it answers again and again."""

    name: str
    server: gunicorn.Server
    request: bytes
    messages: int
    """In one request."""
    connections: int
    stores: "Stores"


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one contender."""

    name: str
    load: Load
    messages_per_second: float
    web_cpu_ms: float
    """CPU time of the web processes per message."""
    stores_cpu_ms: float
    """CPU time of Redis and the database's processes per message."""

    @property
    def cpu_ms(self) -> float:
        """All that a message costs: what the ratios come to where the machine has nothing else to do."""
        return self.web_cpu_ms + self.stores_cpu_ms


def measure(contender: Contender, seconds: float) -> Result:
    """One run.

    Raises:
        AssertionError: a request was refused, or the database does not hold exactly what was accepted.
    """
    stores = contender.stores
    rows, web_cpu, stores_cpu = stores.rows(), contender.server.cpu_s(), stores.cpu_s()
    load = in_a_process(contender.server.port, contender.connections, seconds, contender.request)
    web_cpu, stores_cpu = contender.server.cpu_s() - web_cpu, stores.cpu_s() - stores_cpu
    if load.refused:
        raise AssertionError(f"{contender.name}: {load.refused} requests were refused")
    if rows is not None and stores.rows() != rows + load.accepted * contender.messages:
        raise AssertionError(f"{contender.name}: {load.accepted} were accepted, and {rows} rows became {stores.rows()}")
    each = 1000 / (load.accepted * contender.messages)
    return Result(contender.name, load, load.per_second * contender.messages, web_cpu * each, stores_cpu * each)


def run(seconds: float = 5, runs: int = 3, *, sqlite: bool = False) -> dict[str, list[Result]]:
    """All contenders, turn by turn; each one's runs in order."""
    results: dict[str, list[Result]] = {}
    with contenders(sqlite=sqlite) as running:
        for _ in range(runs):
            for contender in running:
                results.setdefault(contender.name, []).append(measure(contender, seconds))
    return results


def growth(rows: int, seconds: float = 5, runs: int = 3) -> list[tuple[Result, Result]]:
    """Single messages into an empty database and into one where so many others wait, turn by turn."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellhop-bench-")))
        pair = []
        for name, waiting in (("empty", 0), ("full", rows)):
            folder = directory / name
            folder.mkdir()
            redis = stack.enter_context(stores.redis_server(folder)).removesuffix("/0")
            database = stack.enter_context(_database(directory, name, sqlite=False))
            running = _bellhop(stack, directory, database, redis, waiting)
            pair.append(next(one for one in running if one.name == "ours"))
        return [(measure(pair[0], seconds), measure(pair[1], seconds)) for _ in range(runs)]


def _bellhop(stack: ExitStack, directory: Path, database: str, redis: str, rows: int = 0) -> list[Contender]:
    _prepare(database, f"{redis}/0", rows)
    environ = {
        "DATABASE_URL": database,
        "REDIS_URL": f"{redis}/0",
        "VAR_DIR": str(directory),
        "SECRET_KEY": "bench",
        "RATE_LIMIT": "0",
        "SMS_PROVIDER": "sandbox",
        "PHONE_STRICTNESS": "e164",
        "HOST": "127.0.0.1",
    }
    server = stack.enter_context(gunicorn.serve("app.wsgi:app", environ, ("-c", "python:app.gunicorn_config")))
    return list(_ours(server, Stores(f"{redis}/0", database, "messages")))


@contextmanager
def contenders(*, sqlite: bool) -> Iterator[list[Contender]]:
    """Everything started: our app, the stock one, Huey's, each with stores of its own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellhop-bench-")))
        redis = stack.enter_context(stores.redis_server(directory)).removesuffix("/0")
        ours, stock = (stack.enter_context(_database(directory, name, sqlite)) for name in ("ours", "stock"))
        running = _bellhop(stack, directory, ours, redis)
        others = [("stock", "stock_accept", stock)]
        if importlib.util.find_spec("huey"):
            others.append(("huey", "huey_accept", None))
        for number, (name, module, database) in enumerate(others, start=1):
            environ = {"REDIS_URL": f"{redis}/{number}", "DATABASE_URL": database or ""}
            if database:
                _create_stock_tables(environ)
            server = stack.enter_context(gunicorn.serve(f"tests.bench.{module}:app", environ))
            kept = Stores(f"{redis}/{number}", database, "stock_messages")
            running.append(Contender(name, server, post("/schedule", _message()), 1, CONNECTIONS, kept))
        yield running


def _ours(server: gunicorn.Server, kept: Stores) -> Iterator[Contender]:
    def single(name: str, hours: float) -> Contender:
        request = post("/api/trigger/schedule-until", _message(hours), Authorization=f"Bearer {KEY}")
        return Contender(name, server, request, 1, CONNECTIONS, kept)

    def bulk(name: str, hours: float) -> Contender:
        item = {"to": PERSON, "body": BODY, "scheduledTime": _time(hours)}
        body = {"workspaceId": WORKSPACE, "fromNumber": SENDER, "messages": [item] * BULK}
        request = post("/api/trigger/schedule-bulk", body, Authorization=f"Bearer {KEY}")
        return Contender(name, server, request, BULK, BULK_CONNECTIONS, kept)

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


def _prepare(database_url: str, redis_url: str, rows: int = 0) -> None:
    app = create_app(Settings(_env_file=None, database_url=database_url, redis_url=redis_url, secret_key="bench"))
    with app.app_context():
        upgrade()
        if rows:
            insert_rows(app, rows)
        workspaces.store_key(WORKSPACE, KEY)
        with writing() as session:
            workspaces.add_sender(session, WORKSPACE, "sms", SENDER)
        db.engine.dispose()


def _create_stock_tables(environ: Mapping[str, str]) -> None:
    # In a process of its own: the stock app reads its database from the environment when it is imported.
    subprocess.run([sys.executable, "-m", "tests.bench.stock_accept"], env={**os.environ, **environ}, check=True)


def table(results: Mapping[str, list[Result]]) -> str:
    """Medians, with the ratio to the stock endpoint (the median of the ratios turn by turn) where there is one."""
    head = ("req/s", "msg/s", "p50 ms", "p99 ms", "web CPU", "stores", "x stock", "x CPU")
    lines = [f"{'':32}" + "".join(f"{name:>9}" for name in head)]
    stock = results.get("stock", [])
    for name, runs in results.items():
        against = list(zip(runs, stock, strict=True))
        cells = (
            f"{median(run.load.per_second for run in runs):9.0f}",
            f"{median(run.messages_per_second for run in runs):9.0f}",
            f"{median(run.load.p50_ms for run in runs):9.1f}",
            f"{median(run.load.p99_ms for run in runs):9.1f}",
            f"{median(run.web_cpu_ms for run in runs):9.3f}",
            f"{median(run.stores_cpu_ms for run in runs):9.3f}",
            f"{median(ours.messages_per_second / theirs.messages_per_second for ours, theirs in against):9.2f}",
            f"{median(theirs.cpu_ms / ours.cpu_ms for ours, theirs in against):9.2f}",
        )
        lines.append(f"{name:32}" + "".join(cells))
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
