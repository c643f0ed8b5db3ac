"""The quick way in: messages of callers that we know, in one statement and one round trip to the database.

What this process remembers of a key and its workspace is a guess, and the statement that inserts the message checks
all of it: that the key is valid and its use noted, the workspace still in that zone and with that default sender, the
sender one of its own. Where any of that no longer holds it inserts nothing, and the usual way finds out why. So
nothing here is ever out of date, and every refusal is worded in one place.

Requests that come while others are being stored are stored together, by one of their threads.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import JSON, Boolean, Dialect, Engine, String, insert, literal, or_, select
from sqlalchemy import inspect as mapping_of
from sqlalchemy.sql.dml import ReturningInsert

from app import clock
from app.database import UtcDateTime, db, given_rows
from app.group import Call, Group
from app.messages.models import Message
from app.prepared import Prepared
from app.rows import constants, encoder
from app.workspaces.models import ApiKey, Sender, Workspace
from app.workspaces.service import LAST_USED_STEP, Key

Record = dict[str, Any]


def insert_if(key: Key, row: Record, *, sender_was_named: bool, sender_is_shared: bool) -> bool:
    """Insert and commit a message if what we think of its workspace is true; says whether it was.

    ``sender_was_named``: by the request, so it need not be the workspace's default. ``sender_is_shared``: it is the
    installation's own number, which every workspace may use.
    """
    guess = {
        "key_id": key.id,
        "timezone": key.timezone,
        "used_since": clock.now() - LAST_USED_STEP,
        "sender_was_named": sender_was_named,
        "sender_is_shared": sender_is_shared,
    }
    return _together(db.engine).do({**row, **guess})


@lru_cache(maxsize=8)
def _together(engine: Engine) -> Group[Record, bool]:
    return Group(partial(_insert, engine))


def _insert(engine: Engine, calls: Sequence[Call[Record, bool]]) -> None:
    statement = _statement(tuple(calls[0].item), engine.dialect)
    inserted = statement.insert(engine, [call.item for call in calls])
    for call in calls:
        call.result = call.item["id"] in inserted


@lru_cache(maxsize=16)
def _statement(keys: tuple[str, ...], dialect: Dialect) -> "_Statement":
    return _Statement(keys, dialect)


class _Statement:
    """The statement for records with certain keys, and how their values travel in JSON."""

    def __init__(self, keys: tuple[str, ...], dialect: Dialect) -> None:
        columns = mapping_of(Message).columns
        kinds = {key: columns[key].type if key in columns else _GUESS[key] for key in keys}
        self._encoders: dict[str, Callable[[Any], Any]] = {}
        for key, kind in kinds.items():
            # JSON in JSON needs no encoding where the database has a type for it.
            encode = None if isinstance(kind, JSON) and dialect.name != "sqlite" else encoder(kind, dialect)
            if encode is not None:
                self._encoders[key] = encode
        self._prepared = Prepared(_insert_if(kinds, dialect), dialect)

    def insert(self, engine: Engine, records: Sequence[Record]) -> set[str]:
        """Insert those whose guess is right; returns their ids."""
        return self._prepared.run(engine, json.dumps([self._encoded(record) for record in records]))

    def _encoded(self, record: Record) -> Record:
        changed = {key: encode(record[key]) for key, encode in self._encoders.items() if record[key] is not None}
        return {**record, **changed}


_GUESS = {
    "key_id": ApiKey.id.type,
    "timezone": Workspace.timezone.type,
    "used_since": ApiKey.last_used_at.type,
    "sender_was_named": Boolean(),
    "sender_is_shared": Boolean(),
}


def _insert_if(kinds: dict[str, Any], dialect: Dialect) -> ReturningInsert[Any]:
    """The statement; the records' keys are attribute names of the message, and those of the guess."""
    columns = mapping_of(Message).columns
    keys = [key for key in kinds if key not in _GUESS]
    fixed = {key: literal(value, columns[key].type) for key, value in constants(Message, keys).items()}
    if dialect.name == "sqlite":  # it has no type for either, and a cast to one would turn a time into its year
        kinds = {key: String() if isinstance(kind, UtcDateTime | JSON) else kind for key, kind in kinds.items()}
    given = given_rows(dialect.name, kinds).c
    is_own = select(Sender.id).where(Sender.workspace_id == Workspace.id, Sender.address == given.from_address).exists()
    rows = (
        select(*[given[key] for key in keys], *fixed.values())
        .join(ApiKey, ApiKey.id == given.key_id)
        .join(Workspace, Workspace.id == ApiKey.workspace_id)
        .where(
            ApiKey.revoked_at.is_(None),
            ApiKey.last_used_at >= given.used_since,
            Workspace.id == given.workspace_id,
            Workspace.timezone == given.timezone,
            or_(given.sender_was_named, Workspace.default_sender == given.from_address),
            or_(given.sender_is_shared, is_own),
        )
    )
    target = [columns[key] for key in (*keys, *fixed)]
    return insert(Message).from_select(target, rows, include_defaults=False).returning(Message.id)
