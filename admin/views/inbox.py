"""The sandbox's phone: what the built-in test carrier has delivered. Only while it is the provider."""

from flask_admin import expose
from flask_login import current_user
from sqlalchemy import select

from admin.views.base import Page, zones_of
from app import clock
from app.channels.models import SandboxMessage
from app.database import reading
from app.messages.models import Attempt, Message

SHOWN = 50


class InboxView(Page):
    """``/admin/inbox/``."""

    def __init__(self) -> None:
        super().__init__(name="Test phone", endpoint="panel_inbox", url="inbox")

    @expose("/")
    def index(self) -> str:
        """The latest texts, newest first."""
        query = (
            select(SandboxMessage, Message.workspace_id, Message.id)
            .join(Attempt, Attempt.id == SandboxMessage.attempt_id)
            .join(Message, Message.id == Attempt.message_id)
            .where(current_user.sees(Message.workspace_id))
            .order_by(SandboxMessage.created_at.desc(), SandboxMessage.id.desc())
            .limit(SHOWN)
        )
        with reading() as session:
            texts = session.execute(query).all()
        rendered: str = self.render(
            "panel/inbox.html", texts=texts, zones=zones_of(row.workspace_id for row in texts), now=clock.now()
        )
        return rendered
