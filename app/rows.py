"""Rows as the drivers take them: the ORM's work for a row costs more than writing the row.

The column types stay the one truth: on SQLite their own bind processors make the values, on PostgreSQL the server
reads the same text that it would be sent. A test compares the rows with those that SQLAlchemy writes.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from typing import Any

from sqlalchemy import JSON, Column, Dialect
from sqlalchemy import inspect as mapping_of
from sqlalchemy.orm import Session

from app.database import Base, UtcDateTime

Encoder = Callable[[Any], Any]


class Writer:
    """Turns rows (by attribute name, all with the same keys) of one table into tuples for one kind of database."""

    def __init__(self, model: type[Base], keys: Sequence[str], dialect: Dialect) -> None:
        columns = dict(mapping_of(model).columns.items())
        self._keys = keys
        self._constants = [
            _constant(column) for key, column in columns.items() if key not in keys and column.default is not None
        ]
        self.columns: list[Column[Any]] = [columns[key] for key in keys] + [
            column for key, column in columns.items() if key not in keys and column.default is not None
        ]
        """What the tuples hold, in this order; columns without a value and a default stay NULL."""
        self._encoders = [encoder(columns[key], dialect) for key in keys]
        names = ", ".join(f'"{column.name}"' for column in self.columns)
        table = model.__tablename__
        self.copy = f'COPY "{table}" ({names}) FROM STDIN'
        self.insert = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(self.columns))})'  # noqa: S608

    def tuples(self, rows: Sequence[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
        """The rows' values in the order of ``columns``."""
        given: list[Iterable[Any]] = []
        for key, encode in zip(self._keys, self._encoders, strict=True):
            values = [row[key] for row in rows]
            given.append(values if encode is None else [None if value is None else encode(value) for value in values])
        return zip(*given, *map(repeat, self._constants), strict=False)  # the constants never end


def _constant(column: Column[Any]) -> Any:
    default = column.default
    if default is None or not default.is_scalar:
        raise ValueError(f"{column} needs a value: its default is made for each row")
    return default.arg  # type: ignore[attr-defined]


def encoder(column: Column[Any], dialect: Dialect) -> Encoder | None:
    """Makes a value what the driver takes; None where it takes it as it is. NULL needs no encoding."""
    if dialect.name == "sqlite":
        return column.type.dialect_impl(dialect).bind_processor(dialect)
    if isinstance(column.type, UtcDateTime):
        return _instant
    return _json if isinstance(column.type, JSON) else None


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in the database")
    return value.isoformat()


def _json(value: Any) -> str:
    return json.dumps(value) if value else "[]" if isinstance(value, list) else "{}"


@lru_cache(maxsize=64)
def writer(model: type[Base], keys: tuple[str, ...], dialect: Dialect) -> Writer:
    """The writer of a table, made once."""
    return Writer(model, keys, dialect)


def insert_rows(session: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Write new rows in the session's transaction; all have the same keys, and none may exist already.

    COPY on PostgreSQL, which also spares the server the planning of each row; one prepared INSERT on SQLite.
    """
    if not rows:
        return
    connection = session.connection()
    plan = writer(model, tuple(rows[0]), connection.dialect)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(plan.insert, list(plan.tuples(rows)))
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(plan.copy) as copy:
        for values in plan.tuples(rows):
            copy.write_row(values)
