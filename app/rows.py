"""Rows as the drivers take them: the ORM's work for a row costs more than writing the row.

The column types stay the one truth: on SQLite their own bind processors make the values, on PostgreSQL the server
reads the same text that it would be sent. A test compares the rows with those that SQLAlchemy writes.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from typing import Any

import psycopg
from sqlalchemy import JSON, Dialect
from sqlalchemy import inspect as mapping_of
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from app.database import Base, UtcDateTime

Encoder = Callable[[Any], Any]


class Writer:
    """Turns rows (by attribute name, all with the same keys) of one table into tuples for one kind of database."""

    def __init__(self, model: type[Base], keys: Sequence[str], dialect: Dialect) -> None:
        columns = mapping_of(model).columns
        fixed = constants(model, keys)
        names = ", ".join(f'"{columns[key].name}"' for key in (*keys, *fixed))
        marks = ", ".join("?" * (len(keys) + len(fixed)))
        self.copy = f'COPY "{model.__tablename__}" ({names}) FROM STDIN'
        self.insert = f'INSERT INTO "{model.__tablename__}" ({names}) VALUES ({marks})'  # noqa: S608 - our own names
        self._encoders = {key: encoder(columns[key].type, dialect) for key in keys}
        self._fixed = [repeat(value) for value in fixed.values()]

    def tuples(self, rows: Sequence[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
        """The values of each row in the order of the statements' columns."""
        given: list[Iterable[Any]] = []
        for key, encode in self._encoders.items():
            values = [row[key] for row in rows]
            given.append(values if encode is None else [None if value is None else encode(value) for value in values])
        return zip(*given, *self._fixed, strict=False)  # the fixed ones never end


def constants(model: type[Base], keys: Sequence[str]) -> dict[str, Any]:
    """What the columns outside of ``keys`` hold in every new row, by attribute; those without a default stay NULL.

    Raises:
        ValueError: the default of one of them is made anew for each row, so the rows must bring it.
    """
    found: dict[str, Any] = {}
    for key, column in mapping_of(model).columns.items():
        if key in keys or column.default is None:
            continue
        if not column.default.is_scalar:
            raise ValueError(f"{column} needs a value")
        found[key] = column.default.arg  # type: ignore[attr-defined]
    return found


def encoder(kind: TypeEngine[Any], dialect: Dialect) -> Encoder | None:
    """Makes a value of a column's type what the driver takes; None where it takes it as it is. NULL stays None."""
    if dialect.name == "sqlite":
        return kind.dialect_impl(dialect).bind_processor(dialect)
    if isinstance(kind, UtcDateTime):
        return _instant
    return _json if isinstance(kind, JSON) else None


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in the database")
    return value.astimezone(UTC).isoformat()  # offsets of 16 hours and more are none for PostgreSQL


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
    try:
        with driver.cursor() as cursor, cursor.copy(plan.copy) as copy:
            for values in plan.tuples(rows):
                copy.write_row(values)
    except psycopg.Error as error:
        # As SQLAlchemy would raise it, but for the context, in which the server quotes what it was sent.
        bare = type(error)(error.diag.message_primary or "the connection was lost")
        raise DBAPIError.instance(plan.copy, None, bare, psycopg.Error, hide_parameters=True) from None
