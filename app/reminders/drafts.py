"""Reminder settings as a request writes them: what it names is changed, the rest stays."""

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from app.api.body import ApiModel
from app.errors import invalid_field
from app.reminders import settings as reminder_settings
from app.reminders.models import ReminderSettings
from app.reminders.policy import parse_policy

MAX_EVENT_TYPES = 100


def _hour(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time of day") from None
    return text


def _policy(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError("must be the name of a preset or an object with rules")
    return value


PolicyDraft = Annotated[
    Any, BeforeValidator(_policy), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})
]
"""As `parse_policy` takes it, which says what is wrong in it."""
Hour = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}:[0-9]{2}$"), AfterValidator(_hour)]


class QuietHoursDraft(ApiModel):
    """Wall times of the recipient: from ``start`` up to ``end``, over midnight where that is earlier."""

    start: Hour
    end: Hour
    mode: Literal["shift", "skip"] = "shift"

    @field_validator("end")
    @classmethod
    def _not_empty(cls, end: str, info: ValidationInfo) -> str:
        if end == info.data.get("start"):
            raise ValueError("must differ from start")
        return end


class SettingsDraft(ApiModel):
    """Reminder settings, each of them optional. ``quietHours`` of null are none."""

    send_confirmation: bool = Field(True, strict=True)
    send_24hr_reminder: bool = Field(True, strict=True, alias="send24hrReminder")
    send_1hr_reminder: bool = Field(True, strict=True, alias="send1hrReminder")
    sms_enabled: bool = Field(True, strict=True)
    email_enabled: bool = Field(True, strict=True)
    whatsapp_enabled: bool = Field(True, strict=True)
    policy: PolicyDraft | None = None
    event_policies: dict[str, PolicyDraft] = Field({}, max_length=MAX_EVENT_TYPES)
    quiet_hours: QuietHoursDraft | None = None
    late_booking: Literal["skip", "send_now"] = "skip"
    send_cancellation: bool = Field(True, strict=True)


def columns_of(draft: SettingsDraft, field: str = "") -> dict[str, Any]:
    """The columns of `ReminderSettings` that a draft changes, checked. ``field``: where the draft stands in the body.

    Raises:
        Invalid: naming the field of a policy that cannot be.
    """
    named = {name: getattr(draft, name) for name in draft.model_fields_set}
    prefix = f"{field}." if field else ""
    if named.get("policy") is not None:
        parse_policy(named["policy"], f"{prefix}policy")
        named["policy"] = _stored(named["policy"])
    for event_type, policy in named.get("event_policies", {}).items():
        if not 1 <= len(event_type) <= 100:
            raise invalid_field(f"{prefix}eventPolicies", "has an event type of no or more than 100 characters")
        parse_policy(policy, f"{prefix}eventPolicies.{event_type}")
    if "quiet_hours" in named:
        quiet: QuietHoursDraft | None = named.pop("quiet_hours")
        named |= {"quiet_start": quiet.start if quiet else None, "quiet_end": quiet.end if quiet else None}
        named |= {"quiet_mode": quiet.mode} if quiet else {}
    return named


def _stored(policy: str | Mapping[str, Any]) -> Any:
    return {"preset": policy} if isinstance(policy, str) else policy


def tried_out(
    row: ReminderSettings | None, workspace_id: str, changes: Mapping[str, Any]
) -> reminder_settings.Settings:
    """The settings that a workspace would have with some columns changed; its row stays as it is."""
    base = reminder_settings.defaults(workspace_id)
    for column in ReminderSettings.__mapper__.column_attrs:
        if row is not None:
            setattr(base, column.key, getattr(row, column.key))
        if column.key in changes:
            setattr(base, column.key, changes[column.key])
    return reminder_settings.of_row(base)
