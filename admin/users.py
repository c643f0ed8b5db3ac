"""Who is logged in, and what they may see."""

import hashlib
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, true, update
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import ColumnElement

from app import clock
from app.database import reading, writing
from app.workspaces.models import Membership, User

MAX_PASSWORD = 1024
_READERS = frozenset({"viewer"})
"""Roles that look and do not touch."""


@dataclass(frozen=True, slots=True)
class PanelUser:
    """The user of one request, with the shape that flask-login asks for."""

    id: str
    email: str
    is_operator: bool
    roles: dict[str, str]
    """Workspace id → role; an operator's may be empty."""
    session_id: str
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        """What the session keeps."""
        return self.session_id

    def sees(self, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        """The condition "belongs to a workspace that this user may see", for every query of the panel."""
        return true() if self.is_operator else column.in_(sorted(self.roles))

    def may_act_in(self, workspace_id: str) -> bool:
        """Whether the user may change something there."""
        role = self.roles.get(workspace_id)
        return self.is_operator or (role is not None and role not in _READERS)


def load(session_id: str) -> PanelUser | None:
    """The user of a session; None when they are gone, or have another password since."""
    user_id = session_id.partition(".")[0]
    with reading() as session:
        user = session.get(User, user_id)
        if user is None or _session_id(user) != session_id:
            return None
        rows = session.execute(select(Membership.workspace_id, Membership.role).where(Membership.user_id == user_id))
        return _panel_user(user, {row.workspace_id: row.role for row in rows})


def authenticate(email: str, password: str) -> PanelUser | None:
    """The user with this e-mail and password. An unknown e-mail costs as much work as a wrong password."""
    email = email.strip().lower()
    with reading() as session:
        user = session.scalar(select(User).where(User.email == email))
    correct = _verify(user.password_hash if user else nobody(), password)
    if user is None or not correct:
        return None
    with writing() as session:
        session.execute(update(User).where(User.id == user.id).values(last_login_at=clock.now()))
    return _panel_user(user, {})


@cache
def nobody() -> str:
    """A hash that no password is checked for: the work that an unknown e-mail costs."""
    return PasswordHasher().hash("nobody")


def _verify(stored: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(stored, password[:MAX_PASSWORD]) and len(password) <= MAX_PASSWORD
    except (VerificationError, InvalidHashError):
        return False


def _panel_user(user: User, roles: dict[str, str]) -> PanelUser:
    return PanelUser(user.id, user.email, user.is_operator, roles, _session_id(user))


def _session_id(user: User) -> str:
    """Names the user and the password: a new password ends every session of the old one."""
    return f"{user.id}.{hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]}"
