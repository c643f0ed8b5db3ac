"""/api/reminder-settings: which reminders a workspace sends, over which channels, and when it is quiet.

Beside the appointments, because a change gives those that are still to come new plans.
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint
from pydantic import ConfigDict
from sqlalchemy.orm import Session

from app.api import dry_run
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import dump, endpoint
from app.appointments import replanning
from app.database import reading
from app.messages.schemas import WorkspaceId
from app.reminders import examples, settings
from app.reminders.schemas import NewSettings, SettingsView, SomeSettings
from app.workspaces import audit
from app.workspaces.service import ensure_workspace

blueprint = Blueprint("reminder_settings", __name__, url_prefix="/api")
TAG = "Reminder settings"


class AffectedView(ApiModel):
    """What a change did to the appointments that are still to come: how many have a new plan, and what became of their
    reminders. Where it is still ``inProgress``, the figures are those so far; the nearest appointments come first.
    """

    appointments: int
    moved: int
    added: int
    cancelled: int
    already_sent: int
    in_progress: bool


class ChangedSettings(SettingsView):
    """Reminder settings after a change, and what that did."""

    model_config = ConfigDict(json_schema_extra=example(examples.CHANGED_SETTINGS))

    affected: AffectedView


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
    answer=ChangedSettings,
    summary="Set all reminder settings",
    tag=TAG,
    errors=(404,),
)
def replace_reminder_settings(caller: Caller, payload: NewSettings) -> ChangedSettings:
    """What is left out takes its default. Appointments that are still to come are planned anew; ``affected`` tells."""
    return _change(caller, payload, payload.checked())


@endpoint(
    blueprint,
    "PATCH",
    "/reminder-settings",
    body=SomeSettings,
    answer=ChangedSettings,
    summary="Change some reminder settings",
    tag=TAG,
    errors=(404,),
)
def change_reminder_settings(caller: Caller, payload: SomeSettings) -> ChangedSettings:
    """What is left out stays as it is. Appointments that are still to come are planned anew; ``affected`` tells."""
    return _change(caller, payload, payload.checked(payload.model_fields_set))


def _change(caller: Caller, payload: NewSettings, values: dict[str, Any]) -> ChangedSettings:
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def transaction(session: Session) -> dict[str, Any]:
        ensure_workspace(session, workspace_id)
        change = settings.change(session, workspace_id, values)
        before, after = (dump(SettingsView.of(one)) for one in (change.before, change.after))
        unnoted = {"updatedAt": after["updatedAt"]}  # it says nothing that the entry's own time does not
        audit.record(
            session, workspace_id, caller.actor, "reminder_settings.changed", workspace_id, before | unnoted, after
        )
        return after

    shown, affected = replanning.apply(workspace_id, transaction, keep=not dry_run.requested())
    return ChangedSettings.model_validate(shown | {"affected": AffectedView(**asdict(affected))})
