"""Fixtures: every test that touches a store gets real ones, and (unless it says otherwise) runs on both databases."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import event, text
from werkzeug.routing import Rule

from app import clock, metrics
from app.channels.testing import ScriptedProvider
from app.database import db, writing
from app.factory import create_app
from app.settings import Settings
from app.testing import FrozenClock
from tests import stores
from tests.world import World

NOON = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def _plain_tracebacks() -> None:
    """structlog's own default draws each frame with its local variables, which takes seconds."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(scope="session", autouse=True)
def _addresses_are_compiled_once() -> Iterator[None]:
    """Every test has an app of its own, and half of making one is compiling the same addresses again."""
    compile_builder, made = Rule._compile_builder, dict[Any, Any]()

    def compiled(rule: Rule, append_unknown: bool = True) -> Any:
        key = append_unknown, tuple(rule._trace), repr(sorted((rule.defaults or {}).items()))
        if key not in made:
            made[key] = compile_builder(rule, append_unknown)
        return made[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Rule, "_compile_builder", compiled)
        yield


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server of this test process."""
    with stores.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file to copy."""
    path = tmp_path_factory.mktemp("template") / "bellhop.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres() -> Iterator[str]:
    """A migrated PostgreSQL database of this test process."""
    stores.need_postgres()
    name = f"bellhop_test_{os.getpid()}"
    with stores.postgres_database(name) as url:
        _migrate(url)
        # No test pulls the plug of the machine: whether the disk has it already makes no difference to any of them.
        stores.run_on_postgres(f'ALTER DATABASE "{name}" SET synchronous_commit TO off')
        yield url


def _migrate(url: str) -> None:
    app = create_app(make_settings(database_url=url, redis_url="redis://127.0.0.1:1/0"))
    with app.app_context():
        upgrade()
        db.engine.dispose()


def make_settings(**values: Any) -> Settings:
    """Settings that depend on nothing around the test."""
    return Settings(_env_file=None, **{"secret_key": "test", "rate_limit": 0, "log_format": "json"} | values)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database: one run of the test on each kind."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated_sqlite")
        shutil.copy(template, tmp_path / "bellhop.db")
        return f"sqlite:///{tmp_path / 'bellhop.db'}"
    url: str = request.getfixturevalue("migrated_postgres")
    return url


@pytest.fixture
def make_app(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Flask]]:
    """Builds apps on this test's stores, with settings as the test wants them."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    metrics.discard()
    apps: list[Flask] = []

    def make(**values: Any) -> Flask:
        app = create_app(make_settings(**{"database_url": database_url, "redis_url": redis_url} | values))
        apps.append(app)
        with app.app_context():
            if db.engine.dialect.name == "sqlite":
                event.listen(db.engine, "connect", _without_waiting_for_the_disk)
        return app

    yield make
    for index, app in enumerate(apps):
        with app.app_context():
            if index == 0 and db.engine.dialect.name == "postgresql":
                _empty()
            db.engine.dispose()
            app.extensions["bellhop.redis"].close()


def _without_waiting_for_the_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _empty() -> None:
    # Not TRUNCATE: for a handful of rows it takes twenty times as long.
    deletes = "; ".join(f'DELETE FROM "{table.name}"' for table in reversed(db.metadata.sorted_tables))
    with writing() as session:
        session.execute(text(deletes))


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Time stands still at noon."""
    frozen_clock = FrozenClock(NOON)
    with clock.use(frozen_clock):
        yield frozen_clock


@pytest.fixture
def make_world(make_app: Callable[..., Flask], frozen: FrozenClock) -> Iterator[Callable[..., World]]:
    """Builds worlds with other settings than the usual ones."""
    with ExitStack() as stack:

        def make(**values: Any) -> World:
            app = make_app(**values)
            stack.enter_context(app.app_context())
            provider = ScriptedProvider()
            if values.get("sms_provider", "sandbox") != "sandbox" or values.pop("scripted", True):
                app.extensions["bellhop.provider"] = provider
            return World(app, frozen, provider)

        yield make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """The usual world: keys required, a scripted provider in place of the sandbox."""
    return make_world()
