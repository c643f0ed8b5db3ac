"""Processes that die at a chosen one of all the steps that leave a trace: commits, Redis transactions, requests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from redis.client import Pipeline
from redis.commands.core import Script
from sqlalchemy import Connection, event

from app.channels.base import OutgoingMessage, SendResult
from app.database import db
from tests.jobs.support import Crash
from tests.world import World


class Steps:
    """Counts the steps that are reached, and kills at one of them; each is reached just before and just after."""

    def __init__(self, die_at: int) -> None:
        self._die_at = die_at
        self.reached: list[str] = []

    def at(self, name: str) -> None:
        """One more step."""
        self.reached.append(name)
        if len(self.reached) == self._die_at:
            raise Crash(name)

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The work, with a step before it and one after it."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self.at(f"before {name}")
            result = work(*args, **kwargs)
            self.at(f"after {name}")
            return result

        return run


@contextmanager
def dies_at_step(world: World, number: int) -> Iterator[Steps]:
    """Within the block everything that runs is one process, which dies at its n-th step (if it gets so far)."""
    steps, wrote = Steps(number), [False]
    commit: Callable[[Any], None] = db.engine.dialect.do_commit
    send: Callable[[OutgoingMessage], SendResult] = world.provider.send

    def alone(connection: Connection, statement: str) -> bool:
        """Whether the statement writes and is a transaction of its own."""
        return connection.get_isolation_level() == "AUTOCOMMIT" and statement.lstrip().startswith("WITH")

    def before_statement(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if alone(connection, statement):
            steps.at("before commit")

    def note(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if alone(connection, statement):
            steps.at("after commit")
        elif statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")) and cursor.rowcount != 0:
            wrote[0] = True

    def do_commit(connection: Any) -> None:
        if wrote[0]:
            try:
                steps.at("before commit")
            except Crash:
                connection.rollback()  # as the database does with what a dead client has left
                raise
        commit(connection)
        if wrote[0]:
            wrote[0] = False
            steps.at("after commit")

    def after_rollback(*_: Any) -> None:
        wrote[0] = False

    listeners: list[tuple[Any, str, Callable[..., None]]] = [
        (db.engine, "before_cursor_execute", before_statement),
        (db.engine, "after_cursor_execute", note),
        (db.engine, "rollback", after_rollback),
    ]
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        with (
            patch.object(db.engine.dialect, "do_commit", do_commit),
            patch.object(Pipeline, "execute", _around_method(steps, Pipeline.execute)),
            patch.object(Script, "__call__", _around_method(steps, Script.__call__)),
            patch.object(world.provider, "send", steps.around("request", send)),
        ):
            yield steps
    except Crash:
        return
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)


def _around_method(steps: Steps, method: Callable[..., Any]) -> Callable[..., Any]:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return steps.around("redis transaction", method)(self, *args, **kwargs)

    return run
