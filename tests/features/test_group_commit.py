"""On SQLite, who writes at the same moment shares one commit; nobody's failure is another's."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app import database
from app.database import db, reading, write
from app.messages import quick
from tests.answers import data_of
from tests.jobs.support import Crash
from tests.world import World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WITHIN_S = 20


def note(session: Session, name: str) -> str:
    session.execute(
        text(
            "INSERT INTO workspaces (id, name, timezone, on_unknown, settings, created_at) "
            "VALUES (:name, :name, 'UTC', 'resend', '{}', '2026-05-11 12:00:00.000000')"
        ),
        {"name": name},
    )
    return name


def noted() -> set[str]:
    with reading() as session:
        return set(session.scalars(text("SELECT id FROM workspaces WHERE id LIKE 'n%'")))


@contextmanager
def commits() -> Iterator[list[None]]:
    """One entry for each commit."""
    seen: list[None] = []

    def count(_connection: Any) -> None:
        seen.append(None)

    event.listen(db.engine, "commit", count)
    try:
        yield seen
    finally:
        event.remove(db.engine, "commit", count)


@contextmanager
def somebody_writes(url: str) -> Iterator[None]:
    """Another process holds the write lock within the block."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


def start(app: Flask, pool: ThreadPoolExecutor, works: list[Any]) -> list[Future[Any]]:
    """Begin works in this order: the first leads, the others wait for the round after it."""
    group = database._writers(db.engine)
    futures = []
    for number, work in enumerate(works):

        def run(work: Any = work) -> Any:
            with app.app_context():
                return write(work)

        futures.append(pool.submit(run))
        for _ in range(WITHIN_S * 1000):
            if group._leader is not None and len(group._waiting) == max(number, 0):
                break
            threading.Event().wait(0.001)
    return futures


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=16) as executor:
        yield executor


def test_waiting_requests_share_a_commit(world: World, database_url: str, pool: ThreadPoolExecutor) -> None:
    world.salon.send()

    def send(number: int) -> str:
        answer = world.app.test_client().post(
            "/api/trigger/send-sms",
            json=world.salon.text(body=f"Text {number}"),
            headers={"Authorization": f"Bearer {world.salon.key}"},
        )
        return str(data_of(answer, 202)["jobId"])

    with commits() as seen:
        with somebody_writes(database_url):
            futures = [pool.submit(send, number) for number in range(12)]
            group = quick._together(db.engine)
            for _ in range(WITHIN_S * 1000):
                if len(group._waiting) == 11:
                    break
                threading.Event().wait(0.001)
        job_ids = [future.result(WITHIN_S) for future in futures]
    assert len(seen) == 2
    assert [world.message(job_id).body for job_id in job_ids] == [f"Text {number}" for number in range(12)]


def test_one_that_fails_spoils_only_its_own(world: World, database_url: str, pool: ThreadPoolExecutor) -> None:
    def fails(session: Session) -> None:
        note(session, "n2")
        raise ValueError("mine")

    with somebody_writes(database_url):
        works = [
            lambda s: note(s, "n0"),
            lambda s: note(s, "n1"),
            fails,
            lambda s: note(s, "n1"),
            lambda s: note(s, "n4"),
        ]
        futures = start(world.app, pool, works)
    assert [futures[n].result(WITHIN_S) for n in (0, 1, 4)] == ["n0", "n1", "n4"]
    with pytest.raises(ValueError, match="mine"):
        futures[2].result(WITHIN_S)
    with pytest.raises(Exception, match="UNIQUE"):
        futures[3].result(WITHIN_S)
    assert noted() == {"n0", "n1", "n4"}


@pytest.mark.parametrize("how", ["in a work", "at the commit"])
def test_a_crash_before_the_commit_keeps_nothing_and_tells_everybody(
    world: World, database_url: str, pool: ThreadPoolExecutor, how: str
) -> None:
    def crash(*_: Any) -> Any:
        raise Crash(how)

    works = [lambda s: note(s, "n0"), lambda s: note(s, "n1"), crash if how == "in a work" else lambda s: note(s, "n2")]
    with somebody_writes(database_url):
        futures = start(world.app, pool, works)
        if how == "at the commit":
            event.listen(db.engine, "commit", crash)
    try:
        ends = [type(future.exception(WITHIN_S)).__name__ for future in futures]
    finally:
        if how == "at the commit":
            event.remove(db.engine, "commit", crash)
    assert ends == (["NoneType", "Crash", "Unavailable"] if how == "in a work" else ["Crash", "Crash", "Unavailable"])
    assert noted() == ({"n0"} if how == "in a work" else set())
    assert write(lambda session: note(session, "n9")) == "n9"


def test_a_database_that_gives_up_the_transaction_takes_all_with_it(
    world: World, database_url: str, pool: ThreadPoolExecutor
) -> None:
    def loses_it(session: Session) -> None:
        session.connection().exec_driver_sql("ROLLBACK")
        raise OSError("disk full")

    with somebody_writes(database_url):
        works = [lambda s: note(s, "n0"), lambda s: note(s, "n1"), loses_it, lambda s: note(s, "n3")]
        futures = start(world.app, pool, works)
    assert futures[0].result(WITHIN_S) == "n0"
    assert all(future.exception(WITHIN_S) for future in futures[1:])
    assert noted() == {"n0"}
