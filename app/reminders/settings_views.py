"""/api/reminder-settings: which reminders a workspace sends, over which channels, and when it is quiet."""

from typing import Any

from flask import Blueprint
from sqlalchemy.orm import Session

from app.api import dry_run
from app.api.auth import Caller
from app.api.body import ApiModel
from app.api.endpoint import endpoint
from app.database import reading, write
from app.messages.schemas import WorkspaceId
from app.reminders import settings
from app.reminders.schemas import NewSettings, SettingsView, SomeSettings
from app.workspaces.service import ensure_workspace

blueprint = Blueprint("reminder_settings", __name__, url_prefix="/api")
TAG = "Reminder settings"


class Whose(ApiModel):
    """Which workspace; not needed with an API key."""

    workspace_id: WorkspaceId | None = None


@endpoint(
    blueprint,
    "GET",
    "/reminder-settings",
    query=Whose,
    answer=SettingsView,
    summary="A workspace's reminder settings",
    tag=TAG,
    errors=(404,),
)
def read_reminder_settings(caller: Caller, payload: Whose) -> SettingsView:
    """The defaults, where nobody has changed any: all of `classic`, all channels, quiet from 21:00 to 08:00."""
    with reading() as session:
        return SettingsView.of(settings.stored(session, caller.existing_workspace(payload.workspace_id)))


@endpoint(
    blueprint,
    "PUT",
    "/reminder-settings",
    body=NewSettings,
    answer=SettingsView,
    summary="Set all reminder settings",
    tag=TAG,
    errors=(404,),
)
def replace_reminder_settings(caller: Caller, payload: NewSettings) -> SettingsView:
    """What is left out takes its default."""
    return _change(caller, payload, payload.checked())


@endpoint(
    blueprint,
    "PATCH",
    "/reminder-settings",
    body=SomeSettings,
    answer=SettingsView,
    summary="Change some reminder settings",
    tag=TAG,
    errors=(404,),
)
def change_reminder_settings(caller: Caller, payload: SomeSettings) -> SettingsView:
    """What is left out stays as it is."""
    return _change(caller, payload, payload.checked(payload.model_fields_set))


def _change(caller: Caller, payload: NewSettings, values: dict[str, Any]) -> SettingsView:
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def transaction(session: Session) -> SettingsView:
        ensure_workspace(session, workspace_id)
        # Whoever writes changes down, or plans anew by them, does so here: the change tells before and after.
        change = settings.change(session, workspace_id, values)
        return SettingsView.of(change.after)

    return write(transaction, keep=not dry_run.requested())
