"""One statement that is a transaction of its own, by the shortest way to the database.

On PostgreSQL it is prepared once on each connection and then costs one round trip, which commits; it goes through
libpq as psycopg offers it (``psycopg.pq``), because the layers above take five times as long for it. On SQLite it joins
the group that commits next.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus
from sqlalchemy import Dialect, Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import Insert

from app.database import write
from app.rows import encoder

_NUMBERED = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_numbers = count(1)


class Prepared:
    """A statement with named and typed parameters."""

    def __init__(self, statement: Insert, dialect: Dialect) -> None:
        numbered = dialect if dialect.name == "sqlite" else _NUMBERED
        compiled = statement.compile(dialect=numbered)
        self._name = b"bellhop_%d" % next(_numbers)
        self._text = str(compiled)
        self._order: list[str] = compiled.positiontup or []
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._encoders = [encoder(compiled.binds[name].type, dialect) or _as_it_is for name in self._order]

    def inserts(self, engine: Engine, values: Mapping[str, Any]) -> bool:
        """Run it; says whether it inserted a row. A statement that the server refused has inserted none.

        Raises:
            OperationalError: the connection was lost meanwhile, so it is not known.
        """
        named = {**self._fixed, **values}
        ordered = [
            None if named[name] is None else encode(named[name])
            for name, encode in zip(self._order, self._encoders, strict=True)
        ]
        if engine.dialect.name == "sqlite":
            parameters = tuple(ordered)
            return write(lambda session: session.connection().exec_driver_sql(self._text, parameters).rowcount == 1)
        return self._on_postgresql(engine, [None if value is None else str(value).encode() for value in ordered])

    def _on_postgresql(self, engine: Engine, parameters: list[bytes | None]) -> bool:
        connection = engine.raw_connection()
        try:
            driver: Any = connection.driver_connection
            prepared = connection.info.setdefault("prepared", set())
            if self._name not in prepared:
                driver.pgconn.prepare(self._name, self._text.encode())
                prepared.add(self._name)
            result = driver.pgconn.exec_prepared(self._name, parameters)
            if result.status == ExecStatus.COMMAND_OK:
                return bool(result.command_tuples)
            if result.error_field(DiagnosticField.SQLSTATE) is None:
                connection.invalidate()
                raise OperationalError(self._text, None, error_from_result(result), connection_invalidated=True)
            prepared.discard(self._name)
            return False
        finally:
            connection.close()


def _as_it_is(value: Any) -> Any:
    return value
