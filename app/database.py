"""The SQL database: base class, column types, and the two kinds of unit of work.

`reading` and `writing` are the only ways in which the core touches the database. Each is one short transaction on its
own connection; nothing is held while a provider is called. On SQLite a writing transaction begins IMMEDIATE: a
deferred one that reads first and writes later is refused with SQLITE_BUSY whenever somebody else wrote in between.
"""

import select as polling
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, TypeVar

import psycopg
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    DateTime,
    Engine,
    MetaData,
    String,
    TypeDecorator,
    bindparam,
    cast,
    column,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, Connection, Dialect, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, registry

from app.group import Call, Group

Result = TypeVar("Result")

# Constraints need names so that SQLite's batch migrations can find them.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

JsonColumn = JSON().with_variant(JSONB(), "postgresql")
NullableJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""None is NULL in it, and not the JSON value ``null``."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in Python, ``timestamptz`` on PostgreSQL, naive UTC text with microseconds on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they are a defect, whatever the zone of the machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware, always UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every model."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={datetime: UtcDateTime, dict[str, Any]: JsonColumn, list[str]: JsonColumn},
    )


db = SQLAlchemy(model_class=Base)


def engine_options(url: str | URL) -> dict[str, Any]:
    """Pool and time-outs for a database URL: no call to the database may wait for ever."""
    # An error's text must not carry the parameters: they are texts and phone numbers.
    common = {"hide_parameters": True}
    if make_url(url).get_backend_name() == "sqlite":
        return common | {"connect_args": {"timeout": 15}}
    return common | {
        "pool_size": 10,
        "max_overflow": 10,
        "pool_timeout": 5,
        "connect_args": {
            "connect_timeout": 5,
            "options": "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000",
        },
    }


def _look_at(connection: Any, _record: Any, _proxy: Any) -> None:
    """Refuse a pooled connection that the server has closed; the pool then opens another.

    SQLAlchemy's own ``pool_pre_ping`` asks the server each time, which costs as much as a small statement. But a server
    that went away has said so: on a connection that lies idle there is nothing to read, unless it is the end (or a
    word of TLS, and then we ask).
    """
    poll = polling.poll()
    poll.register(connection.pgconn.socket, polling.POLLIN)
    if not poll.poll(0):
        return
    try:
        connection.rollback()
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error


def prepare_engine(engine: Engine) -> None:
    """Set SQLite up for several processes: WAL, full durability, explicit BEGIN. On PostgreSQL, look at each connection
    before it is used.
    """
    if engine.dialect.name != "sqlite":
        event.listen(engine, "checkout", _look_at)
        return

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling is switched off; _on_begin says BEGIN.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def is_outage(error: SQLAlchemyError) -> bool:
    """Whether the database was away, or too busy: then trying again is of use. Anything else it will refuse again."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, OperationalError | InterfaceError | PoolTimeout)


@contextmanager
def reading() -> Iterator[Session]:
    """A short transaction that reads; rolled back at the end."""
    with Session(db.engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def writing(*, keep: bool = True) -> Iterator[Session]:
    """A short transaction that writes: committed at the end, rolled back on an exception or where ``keep`` is False."""
    with Session(db.engine, expire_on_commit=False) as session:
        session.connection(execution_options={"writes": True})
        yield session
        if keep:
            session.commit()
        else:
            session.flush()  # whatever the database would refuse, it refuses now
            session.expunge_all()
            session.rollback()


Work = Callable[[Session], Any]
"""What happens in a transaction; its result is the caller's."""


def write(work: Callable[[Session], Result], *, keep: bool = True) -> Result:
    """Run ``work`` in a transaction that writes, as `writing` does. On SQLite, where only one can write at a time, it
    shares the transaction and its commit with those of other threads that wait: each in a savepoint, so that one which
    raises spoils only its own. It must not open another transaction, and is done when this returns.

    Raises:
        Unavailable: too many wait on SQLite, or it waited too long.
    """
    if keep and db.engine.dialect.name == "sqlite":
        result: Result = _writers(db.engine).do((copy_context(), work))
        return result
    with writing(keep=keep) as session:
        return work(session)


@lru_cache(maxsize=8)
def _writers(engine: Engine) -> Group[tuple[Context, Work], Any]:
    return Group(partial(_write_together, engine))


def _write_together(engine: Engine, calls: Sequence[Call[tuple[Context, Work], Any]]) -> None:
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        for call in calls:
            context, work = call.item
            try:
                with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session:
                    call.result = context.run(work, session)
                    session.commit()
            except Exception as error:  # whatever it is, its own caller raises it, and the others go on
                call.error = error
                if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
                    raise  # a full disk ends the whole transaction: nobody's work is kept


@contextmanager
def batch() -> Iterator[Connection]:
    """A connection for the statements of one batch. On PostgreSQL each is a transaction of its own, which saves the
    round trips of BEGIN and COMMIT; on SQLite all of them are one transaction that writes.
    """
    engine = db.engine
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection
    else:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection


@contextmanager
def connection_to_read() -> Iterator[Connection]:
    """A connection for one statement that reads: on PostgreSQL a transaction of its own, without BEGIN and ROLLBACK."""
    engine = db.engine
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


def given_rows(dialect: str, columns: dict[str, Any], name: str = "given") -> Any:
    """Values as a table inside a statement, to change many rows, each in its own way, at once.

    They travel as one JSON parameter of the table's name, so the statement's text does not depend on how many there
    are, and it can be built once. ``columns`` maps names to SQL types.
    """
    values = bindparam(name, type_=String())
    if dialect == "postgresql":
        records = func.jsonb_to_recordset(cast(values, JSONB))
        typed = [column(key, kind) for key, kind in columns.items()]
        return records.table_valued(*typed, name=name).render_derived(name=name, with_types=True)
    each = func.json_each(values).table_valued("value")
    fields = [cast(func.json_extract(each.c.value, f"$.{key}"), kind).label(key) for key, kind in columns.items()]
    return select(*fields).select_from(each).subquery(name)


def insert_ignore(session: Session, table: Any, rows: list[dict[str, Any]], *, returning: Any) -> list[Any]:
    """INSERT … ON CONFLICT DO NOTHING; returns one column of the rows that went in.

    The unique index decides, not a look beforehand: of several who try at once exactly one wins (seed 003's rule).
    """
    if session.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        statement: Any = sqlite_insert(table)
    else:
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        statement = postgresql_insert(table)
    statement = statement.on_conflict_do_nothing().returning(returning)
    return list(session.scalars(statement, rows))
