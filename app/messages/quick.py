"""The quick way in: one message, one statement, one round trip to the database.

What this process remembers of a key and its workspace is a guess, and the statement that inserts the message checks
all of it: that the key is valid and its use noted, the workspace still in that zone and with that default sender, the
sender one of its own. Where any of that no longer holds it inserts nothing, and the usual way finds out why. So
nothing here is ever out of date, and every refusal is worded in one place.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Boolean, Dialect, bindparam, exists, insert, literal, or_, select
from sqlalchemy import inspect as mapping_of
from sqlalchemy.sql import Insert

from app import clock
from app.database import db
from app.messages.models import Message
from app.prepared import Prepared
from app.rows import constants
from app.workspaces.models import ApiKey, Sender, Workspace
from app.workspaces.service import LAST_USED_STEP, Key


def insert_if(key: Key, row: dict[str, Any], *, sender_was_named: bool, sender_is_shared: bool) -> bool:
    """Insert and commit a message if what we think of its workspace is true; says whether it was.

    ``sender_was_named``: by the request, so it need not be the workspace's default. ``sender_is_shared``: it is the
    installation's own number, which every workspace may use.
    """
    guess = {
        "key_digest": key.digest,
        "timezone": key.timezone,
        "used_since": clock.now() - LAST_USED_STEP,
        "sender_was_named": sender_was_named,
        "sender_is_shared": sender_is_shared,
    }
    return _prepared(tuple(row), db.engine.dialect).inserts(db.engine, {**row, **guess})


@lru_cache(maxsize=16)
def _prepared(keys: tuple[str, ...], dialect: Dialect) -> Prepared:
    return Prepared(_insert_if(keys), dialect)


def _insert_if(keys: tuple[str, ...]) -> Insert:
    """The statement for rows with certain keys (attribute names, which are also the names of the parameters)."""
    columns = mapping_of(Message).columns
    given = {key: bindparam(key, type_=columns[key].type) for key in keys}
    fixed = {key: literal(value, columns[key].type) for key, value in constants(Message, keys).items()}
    is_own = exists().where(Sender.workspace_id == Workspace.id, Sender.address == given["from_address"])
    is_default = Workspace.default_sender == given["from_address"]
    row = (
        select(*given.values(), *fixed.values())
        .select_from(ApiKey)
        .join(Workspace, Workspace.id == ApiKey.workspace_id)
        .where(
            ApiKey.digest == bindparam("key_digest", type_=ApiKey.digest.type),
            ApiKey.revoked_at.is_(None),
            ApiKey.last_used_at >= bindparam("used_since", type_=ApiKey.last_used_at.type),
            Workspace.id == given["workspace_id"],
            Workspace.timezone == bindparam("timezone", type_=Workspace.timezone.type),
            or_(bindparam("sender_was_named", type_=Boolean), is_default),
            or_(bindparam("sender_is_shared", type_=Boolean), is_own),
        )
    )
    return insert(Message).from_select([columns[key] for key in (*given, *fixed)], row, include_defaults=False)
