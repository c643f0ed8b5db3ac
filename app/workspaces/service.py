"""Workspaces, their keys and their senders."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.database import insert_ignore, reading, writing
from app.workspaces import audit
from app.workspaces.models import ApiKey, Sender, Workspace

KEY_PREFIX = "bh_"
LAST_USED_STEP = timedelta(minutes=1)
"""How exactly the last use of a key is known; writing it down at every request would cost more than the request."""


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def ensure_workspace(session: Session, workspace_id: str) -> None:
    """Create a workspace of this id unless it exists."""
    insert_ignore(
        session,
        Workspace,
        [{"id": workspace_id, "name": workspace_id, "timezone": "UTC", "on_unknown": "resend"}],
        returning=Workspace.id,
    )


def get_workspace(session: Session, workspace_id: str) -> Workspace | None:
    """A workspace by the caller's id."""
    return session.get(Workspace, workspace_id)


def create_key(workspace_id: str, name: str = "", actor: str = audit.SYSTEM) -> str:
    """Make an API key for an existing or new workspace; the key itself is returned once and not stored."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    store_key(workspace_id, key, name, actor)
    return key


def store_key(workspace_id: str, key: str, name: str = "", actor: str = audit.SYSTEM) -> None:
    """Make sure that a workspace and a given key of it exist; harmless when repeated."""
    with writing() as session:
        ensure_workspace(session, workspace_id)
        row = {"workspace_id": workspace_id, "name": name, "prefix": key[:8], "digest": digest(key)}
        if insert_ignore(session, ApiKey, [row], returning=ApiKey.id):
            audit.record(session, workspace_id, actor, "key.created", key[:8], after={"name": name})


@dataclass(frozen=True, slots=True)
class Key:
    """A valid API key, with what its requests need to know of its workspace."""

    id: str
    digest: bytes
    prefix: str
    workspace_id: str
    timezone: str
    default_sender: str | None
    last_used_at: datetime | None


_guesses: dict[bytes, Key] = {}
_MAX_GUESSES = 4096


def find_key(key: str) -> Key | None:
    """The valid key behind a bearer token; notes its use, at most once a minute."""
    now, hashed = clock.now(), digest(key)
    query = (
        select(ApiKey.id, ApiKey.digest, ApiKey.prefix, ApiKey.workspace_id)
        .add_columns(Workspace.timezone, Workspace.default_sender, ApiKey.last_used_at)
        .join(Workspace, Workspace.id == ApiKey.workspace_id)
        .where(ApiKey.digest == hashed, ApiKey.revoked_at.is_(None))
    )
    with reading() as session:
        row = session.execute(query).one_or_none()
    if row is None:
        _guesses.pop(hashed, None)
        return None
    found = Key(*row)
    if len(_guesses) >= _MAX_GUESSES:
        _guesses.clear()
    _guesses[hashed] = found
    if found.last_used_at is None or now - found.last_used_at > LAST_USED_STEP:
        _note_use(found.id, now)
    return found


def guess_key(key: str) -> Key | None:
    """What `find_key` last found in this process. It may be out of date: only for a statement that checks all of it."""
    return _guesses.get(digest(key))


def _note_use(key_id: str, now: datetime) -> None:
    with writing() as session:
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - LAST_USED_STEP)
        session.execute(update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=now))


def revoke_key(workspace_id: str, prefix: str, actor: str = audit.SYSTEM) -> int:
    """Revoke the keys of a workspace that begin with a prefix; returns how many there were."""
    with writing() as session:
        revoked = list(
            session.scalars(
                update(ApiKey)
                .where(ApiKey.workspace_id == workspace_id, ApiKey.prefix == prefix[:8], ApiKey.revoked_at.is_(None))
                .values(revoked_at=clock.now())
                .returning(ApiKey.id)
            )
        )
        for _ in revoked:
            audit.record(session, workspace_id, actor, "key.revoked", prefix[:8])
        return len(revoked)


def add_sender(session: Session, workspace_id: str, channel: str, address: str, rate: int | None = None) -> None:
    """Allow a workspace to send from an address; harmless when repeated.

    ``rate``: segments a second that it carries; None leaves it as it was, at first the installation's.
    """
    row = {"workspace_id": workspace_id, "channel": channel, "address": address}
    insert_ignore(session, Sender, [row], returning=Sender.id)
    if rate is not None:
        same = (Sender.workspace_id == workspace_id, Sender.address == address)
        session.execute(update(Sender).where(*same).values(rate=rate))


def senders_of(session: Session, workspace_id: str) -> set[str]:
    """The addresses that a workspace may send from."""
    return set(session.scalars(select(Sender.address).where(Sender.workspace_id == workspace_id)))


def workspaces_sending_from(session: Session, address: str) -> list[str]:
    """Every workspace that may send from an address: those that an inbound message to it concerns."""
    return list(session.scalars(select(Sender.workspace_id).where(Sender.address == address)))


def all_workspace_ids(session: Session) -> list[str]:
    """Every workspace."""
    return list(session.scalars(select(Workspace.id)))
