"""Home: how today goes, what needs a person, what goes out next."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from flask_admin import AdminIndexView, expose
from flask_login import current_user
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from admin import times, words
from admin.views.base import Page, zones_of
from app import clock
from app.api import health
from app.channels import accounts
from app.database import reading
from app.messages.models import Message
from app.messages.states import ACCEPTED, Status
from app.workspaces.models import Workspace

DAY = timedelta(hours=24)
SHOWN = 6
DELIVERED = (Status.DELIVERED, Status.READ)
FAILED = (Status.FAILED, Status.UNDELIVERED, Status.SKIPPED)

_OUT_OF_ORDER = {
    "redis": "The queue (Redis) does not answer: messages are accepted and wait.",
    "scheduler": "The scheduler is not running: messages that become due wait until it is back.",
    "worker": "No worker is running: nothing goes out until one is back.",
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """The last and the next 24 hours."""

    upcoming: int
    sent: int
    delivered: int
    failed: int
    unknown: int
    oldest: datetime | None
    """Since when the oldest of those that should have gone out waits."""


class HomeView(Page, AdminIndexView):
    """``/admin/``."""

    def __init__(self) -> None:
        super().__init__(name="Home", endpoint="panel_home", template="panel/home.html")
        self.static_folder = None  # Flask-Admin's own 21 MB stay in their package

    @expose()
    def index(self) -> str:
        """The page."""
        now = clock.now()
        with reading() as session:
            where = _reader_zone(session)
            numbers = _numbers(session, now)
            coming = _coming(session)
            trouble = _trouble(session, now)
            alerts = _alerts(session, where, now)
        rendered: str = self.render(
            self._template,
            numbers=numbers,
            alerts=alerts,
            coming=coming,
            trouble=trouble,
            now=now,
            zone=where.key,
            zones=zones_of(message.workspace_id for message in (*coming, *trouble)),
            reason=words.reason,
        )
        return rendered


def _mine() -> ColumnElement[bool]:
    """The user's messages. For an operator, too, as a list of workspaces: each is then one walk in an index."""
    if current_user.is_operator:
        return Message.workspace_id.in_(select(Workspace.id))
    return cast("ColumnElement[bool]", current_user.sees(Message.workspace_id))


def _reader_zone(session: Session) -> ZoneInfo:
    """The zone for what is about no single message: the workspaces', where they have one in common."""
    names = session.scalars(select(Workspace.timezone).where(current_user.sees(Workspace.id)).distinct().limit(2)).all()
    return times.zone(names[0] if len(names) == 1 else "UTC")


def _numbers(session: Session, now: datetime) -> Numbers:
    """Counted by the time for which the messages were meant, which the index knows."""
    recent = session.execute(
        select(Message.status, func.count())
        .where(_mine(), Message.status.in_((*ACCEPTED, *FAILED)), Message.due_at.between(now - DAY, now))
        .group_by(Message.status)
    )
    by_status = {row[0]: row[1] for row in recent}
    upcoming = select(func.count()).where(_mine(), Message.status == Status.SCHEDULED, Message.due_at <= now + DAY)
    unknown = select(func.count()).where(_mine(), Message.status == Status.UNKNOWN)
    oldest = select(func.min(Message.scheduled_at)).where(_mine(), _waiting(now))
    return Numbers(
        upcoming=session.scalar(upcoming) or 0,
        sent=sum(by_status.get(status, 0) for status in ACCEPTED),
        delivered=sum(by_status.get(status, 0) for status in DELIVERED),
        failed=sum(by_status.get(status, 0) for status in FAILED),
        unknown=session.scalar(unknown) or 0,
        oldest=session.scalar(oldest),
    )


def _waiting(now: datetime) -> ColumnElement[bool]:
    return and_(Message.status == Status.SCHEDULED, Message.scheduled_at <= now)


def _coming(session: Session) -> list[Message]:
    """What goes out next."""
    query = select(Message).where(current_user.sees(Message.workspace_id), Message.status == Status.SCHEDULED)
    return list(session.scalars(query.order_by(Message.scheduled_at, Message.id).limit(SHOWN)))


def _trouble(session: Session, now: datetime) -> list[Message]:
    """What did not arrive in the last day, newest first."""
    query = (
        select(Message)
        .where(_mine(), Message.status.in_(FAILED), Message.due_at.between(now - DAY, now))
        .order_by(Message.due_at.desc(), Message.id.desc())
    )
    return list(session.scalars(query.limit(SHOWN)))


def _alerts(session: Session, where: ZoneInfo, now: datetime) -> list[str]:
    """What keeps messages from going out, in plain words."""
    alerts = []
    for account_id in sorted(accounts.paused_accounts(session)):
        account = accounts.paused_account(session, account_id)
        if account is None or account.paused_at is None:
            continue
        waiting = session.scalar(select(func.count()).where(_mine(), _waiting(now))) or 0
        since = times.since_text(account.paused_at, where, now) + (" UTC" if where.key == "UTC" else "")
        alerts.append(words.paused(account, since, waiting))
    checks = (health.readyz().get_json(silent=True) or {}).get("checks", {})
    alerts += [text for name, text in _OUT_OF_ORDER.items() if checks.get(name, "ok") != "ok"]
    return alerts
