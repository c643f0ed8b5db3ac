"""Idempotency-Key: one effect per key, decided by a unique index.

The key's row and what the request creates are one transaction. Of several equal requests at once one inserts the row;
on PostgreSQL the others wait in their INSERT until it has committed, on SQLite for the write lock; then they read its
answer. There is no state "in progress", and a request that fails takes no key.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import request
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import clock
from app.api import dry_run
from app.api.models import IdempotencyKey
from app.database import insert_ignore, write, writing
from app.errors import Invalid, invalid_field
from app.workspaces.service import ensure_workspace

HEADER = "Idempotency-Key"
TTL = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a creating request leads to: the answer, and what is to happen once it is committed."""

    data: dict[str, Any]
    after_commit: Callable[[], None] = lambda: None
    replayed: bool = False
    existing_ids: frozenset[str] = frozenset()
    """Ids in the answer that are not new: a dry run shows them too."""


def header_key() -> str | None:
    """The request's key.

    Raises:
        Invalid: empty, longer than 255 characters, or not printable ASCII.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise invalid_field(HEADER, "must be 1 to 255 printable ASCII characters")
    return key


def once(
    workspace_id: str, route: str, key: str | None, body: Callable[[], Any], work: Callable[[Session], Outcome]
) -> Outcome:
    """Run ``work`` in a transaction, or return the answer that an equal request with this key already got; ``body``
    makes the plain values by which requests are compared.

    The workspace is created where it is new: that a caller without a key may name one has been decided before.

    Raises:
        Invalid: the key was used with another body in the last 24 hours.
    """
    dry = dry_run.requested()

    def transaction(session: Session) -> Outcome:
        ensure_workspace(session, workspace_id)
        if key is None or dry:
            return work(session)
        digest = hashlib.sha256(json.dumps(body(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        return _once(session, workspace_id, route, key, digest, work)

    return carry_out(transaction)


def carry_out(work: Callable[[Session], Outcome]) -> Outcome:
    """Run ``work`` in a transaction and then what is to follow it; in a dry run neither lasts."""
    keep = not dry_run.requested()
    outcome = write(work, keep=keep)
    if keep:
        outcome.after_commit()
    return outcome


def _once(
    session: Session, workspace_id: str, route: str, key: str, digest: str, work: Callable[[Session], Outcome]
) -> Outcome:
    now = clock.now()
    same = (
        IdempotencyKey.workspace_id == workspace_id,
        IdempotencyKey.route == route,
        IdempotencyKey.key == key,
    )
    session.execute(delete(IdempotencyKey).where(*same, IdempotencyKey.expires_at <= now))
    row = {
        "workspace_id": workspace_id,
        "route": route,
        "key": key,
        "body_hash": digest,
        "response": {},
        "created_at": now,
        "expires_at": now + TTL,
    }
    inserted = insert_ignore(session, IdempotencyKey, [row], returning=IdempotencyKey.id)
    if not inserted:
        first = session.scalars(select(IdempotencyKey).where(*same)).one()
        if first.body_hash != digest:
            message = "was used with another body in the last 24 hours"
            raise Invalid(f"{HEADER}: {message}.", fields={HEADER: [message]}, code="idempotency_key_reused")
        return Outcome(first.response, replayed=True)
    outcome = work(session)
    session.execute(
        update(IdempotencyKey).where(IdempotencyKey.id == inserted[0]).values(response=outcome.data, status_code=202)
    )
    return outcome


def prune(now: datetime, limit: int = 1000) -> int:
    """Delete expired keys, at most ``limit`` at a time; returns how many."""
    with writing() as session:
        expired = select(IdempotencyKey.id).where(IdempotencyKey.expires_at <= now).limit(limit)
        deleted = session.scalars(
            delete(IdempotencyKey).where(IdempotencyKey.id.in_(expired)).returning(IdempotencyKey.id)
        )
        return len(list(deleted))
