"""The audit log: who changed what, in the transaction that changes it."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app import clock
from app.masking import mask
from app.workspaces.models import AuditEntry

SYSTEM = "system"
CONTACT = "contact"
"""The person whom an appointment is with."""
LOCAL = "local"
"""A caller without a key, on this machine."""
HIDDEN = "(hidden)"
_SECRET = re.compile("password|secret|token|digest|api_?key", re.IGNORECASE)
_EMAIL = re.compile(r"\b([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*@")


def key_actor(prefix: str) -> str:
    """Who acts with an API key."""
    return f"key:{prefix}"


def record(
    session: Session,
    workspace_id: str,
    actor: str,
    action: str,
    subject: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Note a change; only the fields that differ are kept, by their paths (``caps.dailySegments``), and none at all
    where there were some and nothing differs. Secrets are hidden, phone numbers and addresses masked.

    ``actor``: ``key:<prefix>`` (`key_actor`), a user's email, `CONTACT`, `SYSTEM` or `LOCAL`.
    """
    old, new = _flat(before or {}), _flat(after or {})
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not changed and (old or new):
        return
    session.add(
        AuditEntry(
            workspace_id=workspace_id,
            actor=actor,
            action=action,
            subject=_masked(subject)[:128],
            before=_kept(old, changed),
            after=_kept(new, changed),
            at=clock.now(),
        )
    )


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}{name}.")
        else:
            flat[path + name] = value
    return flat


def _kept(values: Mapping[str, Any], changed: list[str]) -> dict[str, Any] | None:
    return {
        name: HIDDEN if _SECRET.search(name) else _masked(values[name]) for name in changed if name in values
    } or None


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _EMAIL.sub(r"\1***@", mask(value))
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, Mapping):
        return {name: HIDDEN if _SECRET.search(name) else _masked(item) for name, item in value.items()}
    return value
