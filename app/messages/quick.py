"""The quick way in: one message, one statement, one round trip to the database.

What this process remembers of a key and its workspace is a guess, and the statement that inserts the message checks
all of it: that the key is valid and its use noted, the workspace still in that zone and with that default sender, the
sender one of its own. Where any of that no longer holds it inserts nothing, and the usual way finds out why. So
nothing here is ever out of date, and every refusal is worded in one place.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Boolean, Dialect, bindparam, exists, insert, or_, select
from sqlalchemy import inspect as mapping_of
from sqlalchemy.sql import Insert

from app import clock
from app.database import db, write_one
from app.messages.models import Message
from app.rows import Writer, encoder
from app.workspaces.models import ApiKey, Sender, Workspace
from app.workspaces.service import LAST_USED_STEP, Key


def insert_if(key: Key, row: dict[str, Any], *, sender_was_named: bool, sender_is_shared: bool) -> bool:
    """Insert and commit a message if what we think of its workspace is true; says whether it was.

    ``sender_was_named``: by the request, so it need not be the workspace's default. ``sender_is_shared``: it is the
    installation's own number, which every workspace may use.
    """
    statement = _statement(tuple(row), db.engine.dialect)
    return write_one(
        statement.text,
        statement.parameters(
            row,
            key_digest=key.digest,
            timezone=key.timezone,
            used_since=statement.instant(clock.now() - LAST_USED_STEP),
            sender_was_named=sender_was_named,
            sender_is_shared=sender_is_shared,
        ),
    )


class _Statement:
    """The INSERT for rows with certain keys, as one kind of database takes it."""

    def __init__(self, keys: tuple[str, ...], dialect: Dialect) -> None:
        self._writer = Writer(Message, keys, dialect)
        self._names = [column.name for column in self._writer.columns]
        compiled = _insert_if(self._writer).compile(dialect=dialect)
        self.text = str(compiled)
        self._order: list[str] | None = compiled.positiontup
        self.instant = encoder(mapping_of(ApiKey).columns.last_used_at, dialect) or str

    def parameters(self, row: dict[str, Any], **guess: Any) -> Any:
        """The statement's parameters, by name or in order as the driver wants them."""
        [values] = self._writer.tuples([row])
        named = dict(zip(self._names, values, strict=True), **guess)
        return named if self._order is None else tuple(named[name] for name in self._order)


def _insert_if(writer: Writer) -> Insert:
    named = {column.name: bindparam(column.name, type_=column.type) for column in writer.columns}
    is_own = exists().where(Sender.workspace_id == Workspace.id, Sender.address == named["from_address"])
    is_default = Workspace.default_sender == named["from_address"]
    guess = (
        select(*named.values())
        .select_from(ApiKey)
        .join(Workspace, Workspace.id == ApiKey.workspace_id)
        .where(
            ApiKey.digest == bindparam("key_digest"),
            ApiKey.revoked_at.is_(None),
            ApiKey.last_used_at >= bindparam("used_since", type_=ApiKey.last_used_at.type),
            Workspace.id == named["workspace_id"],
            Workspace.timezone == bindparam("timezone"),
            or_(bindparam("sender_was_named", type_=Boolean), is_default),
            or_(bindparam("sender_is_shared", type_=Boolean), is_own),
        )
    )
    return insert(Message).from_select(list(named), guess, include_defaults=False)


@lru_cache(maxsize=16)
def _statement(keys: tuple[str, ...], dialect: Dialect) -> _Statement:
    return _Statement(keys, dialect)
