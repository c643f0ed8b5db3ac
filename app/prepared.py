"""One statement that is a transaction of its own, by the shortest way to the database.

It takes one parameter, the JSON of some rows, and returns a text for each row that it wrote. On PostgreSQL it is
prepared once on each connection and then costs one round trip, which commits; it goes through libpq as psycopg offers
it (``psycopg.pq``), because the layers above take five times as long for it.
"""

from itertools import count
from typing import Any

from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from sqlalchemy import Dialect, Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.dml import ReturningInsert

from app import metrics
from app.database import write
from app.logs import get_logger

log = get_logger(__name__)

NUMBERED = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
"""PostgreSQL's own way to name parameters."""
FORGOTTEN = b"26000"
"""invalid_sql_statement_name: psycopg lets the server forget all prepared statements after some rollbacks."""
_numbers = count(1)


class Prepared:
    """A statement about `app.database.given_rows`."""

    def __init__(self, statement: ReturningInsert[Any], dialect: Dialect) -> None:
        compiled = statement.compile(
            dialect=dialect if dialect.name == "sqlite" else NUMBERED, compile_kwargs={"render_postcompile": True}
        )
        self._name = b"bellhop_%d" % next(_numbers)
        self._text = str(compiled)
        self._order: list[str] = compiled.positiontup or []
        self._fixed = compiled.params

    def run(self, engine: Engine, records: str) -> set[str]:
        """Run and commit it; returns what it returned. Where the server refused it, that is nothing.

        Raises:
            OperationalError: the connection was lost meanwhile, so it is not known.
        """
        values = [records if name == "given" else self._fixed[name] for name in self._order]
        if engine.dialect.name == "sqlite":
            return write(lambda session: set(session.connection().exec_driver_sql(self._text, tuple(values)).scalars()))
        return self._on_postgresql(engine, [str(value).encode() for value in values])

    def _on_postgresql(self, engine: Engine, parameters: list[bytes]) -> set[str]:
        connection = engine.raw_connection()
        try:
            driver: Any = connection.driver_connection
            result = self._execute(driver.pgconn, connection.info.setdefault("prepared", set()), parameters)
            if result.status == ExecStatus.TUPLES_OK:
                return {result.get_value(row, 0).decode() for row in range(result.ntuples)}
            state = result.error_field(DiagnosticField.SQLSTATE)
            lost = state is None or driver.pgconn.status != ConnStatus.OK
            connection.invalidate()  # the next one begins afresh, whatever is wrong with this
            if lost:
                raise OperationalError(self._text, None, error_from_result(result), connection_invalidated=True)
            metrics.errors.inc("prepared")
            log.warning("a prepared statement was refused, the usual way decides", sqlstate=str(state))
            return set()
        finally:
            connection.close()

    def _execute(self, server: Any, prepared: set[bytes], parameters: list[bytes]) -> Any:
        if self._name in prepared:
            result = server.exec_prepared(self._name, parameters)
            if result.error_field(DiagnosticField.SQLSTATE) != FORGOTTEN:
                return result
        server.prepare(self._name, self._text.encode())
        prepared.add(self._name)
        return server.exec_prepared(self._name, parameters)
