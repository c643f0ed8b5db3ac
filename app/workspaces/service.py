"""Workspaces, their keys and their senders."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.database import insert_ignore, reading, writing
from app.workspaces.models import ApiKey, Sender, Workspace

KEY_PREFIX = "bh_"
_LAST_USED_STEP = timedelta(minutes=1)


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


def create_key(workspace_id: str, name: str = "") -> str:
    """Make an API key for an existing or new workspace; the key itself is returned once and not stored."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    store_key(workspace_id, key, name)
    return key


def store_key(workspace_id: str, key: str, name: str = "") -> None:
    """Make sure that a workspace and a given key of it exist; harmless when repeated."""
    with writing() as session:
        ensure_workspace(session, workspace_id)
        row = {"workspace_id": workspace_id, "name": name, "prefix": key[:8], "digest": digest(key)}
        insert_ignore(session, ApiKey, [row], returning=ApiKey.id)


def find_key(key: str) -> ApiKey | None:
    """The valid key behind a bearer token; notes its use, at most once a minute."""
    now = clock.now()
    with reading() as session:
        row = session.scalar(select(ApiKey).where(ApiKey.digest == digest(key), ApiKey.revoked_at.is_(None)))
    if row is not None and (row.last_used_at is None or now - row.last_used_at > _LAST_USED_STEP):
        _note_use(row.id, now)
    return row


def _note_use(key_id: str, now: datetime) -> None:
    with writing() as session:
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - _LAST_USED_STEP)
        session.execute(update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=now))


def revoke_key(workspace_id: str, prefix: str) -> int:
    """Revoke the keys of a workspace that begin with a prefix; returns how many there were."""
    with writing() as session:
        revoked = session.scalars(
            update(ApiKey)
            .where(ApiKey.workspace_id == workspace_id, ApiKey.prefix == prefix[:8], ApiKey.revoked_at.is_(None))
            .values(revoked_at=clock.now())
            .returning(ApiKey.id)
        )
        return len(list(revoked))


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
