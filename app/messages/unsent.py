"""Ending a message that will not be sent, if it is still what it was when that was decided."""

from datetime import datetime
from typing import Protocol

from sqlalchemy import update
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from app import metrics
from app.logs import get_logger
from app.messages.models import Message
from app.messages.states import Reason, Status

log = get_logger(__name__)


class Seen(Protocol):
    """A message as somebody has read it."""

    @property
    def id(self) -> str: ...
    @property
    def workspace_id(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def attempt(self) -> int: ...


def as_it_was(message: Seen) -> tuple[ColumnElement[bool], ...]:
    """That nobody has moved the message since it was read: a new time is a new revision."""
    return Message.id == message.id, Message.status == Status.SCHEDULED, Message.revision == message.revision


def end_unsent(session: Session, message: Seen, reason: Reason, now: datetime) -> None:
    """Skipped where it was never tried, failed where it was waiting for another try."""
    ended = Status.FAILED if message.attempt else Status.SKIPPED
    changed = session.execute(
        update(Message)
        .where(*as_it_was(message))
        .values(status=ended, reason=reason, finished_at=now)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    ).first()
    if changed:
        metrics.failed.inc(reason, "")
        log.info("message not sent", message_id=message.id, workspace_id=message.workspace_id, reason=reason.value)
