"""What the routes of the reminder settings take and give."""

from collections.abc import Callable
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.api.body import ApiModel, about, example
from app.messages.schemas import WorkspaceId
from app.reminders import examples
from app.reminders.models import ReminderSettings
from app.reminders.policy import PRESETS, parse_policy

MAX_EVENT_POLICIES = 100

_OFFSET = {"type": "string", "pattern": "^[0-9]{1,5}[mhdw]$", "examples": ["24h"]}
_CHANNELS = {
    "type": "array",
    "items": {"enum": ["sms", "whatsapp", "email"]},
    "minItems": 1,
    "maxItems": 3,
    "uniqueItems": True,
}
_RULE = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["at_booking", "before", "every"]},
        "offset": _OFFSET | {"description": "Of `before`: how long before the appointment begins."},
        "interval": _OFFSET | {"description": "Of `every`: from the booking on; at least 15m."},
        "clock": {
            "enum": ["elapsed", "wall"],
            "description": "Time that passes, or the clock on the wall. Default: wall for d and w.",
        },
        "template": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,62}$"},
        "channels": _CHANNELS,
        "quietHours": {"type": "boolean", "description": "Whether quiet hours hold it back."},
    },
}
POLICY_SCHEMA = {
    "anyOf": [
        {"enum": list(PRESETS)},
        {
            "type": "object",
            "additionalProperties": False,
            "description": "A preset, or rules of your own; `fallback` are channels to try after a definite failure.",
            "properties": {
                "preset": {"enum": list(PRESETS)},
                "rules": {"type": "array", "items": _RULE, "minItems": 1, "maxItems": 20},
                "channels": _CHANNELS,
                "fallback": _CHANNELS,
            },
        },
    ]
}


class _Documented:
    """A schema in place of the field's own."""

    def __init__(self, schema: JsonSchemaValue) -> None:
        self._schema = schema

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: Callable[[CoreSchema], JsonSchemaValue]
    ) -> JsonSchemaValue:
        return self._schema


def _minute(text: str) -> str:
    time.fromisoformat(text)
    return text


Switch = Annotated[bool, Field(strict=True)]
Minute = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), AfterValidator(_minute)]
GivenPolicy = Annotated[Any, _Documented({"anyOf": [*POLICY_SCHEMA["anyOf"], {"type": "null"}]})]
GivenEventPolicies = Annotated[
    dict[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)], Any],
    Field(max_length=MAX_EVENT_POLICIES),
    _Documented(
        {"type": "object", "maxProperties": MAX_EVENT_POLICIES, "additionalProperties": POLICY_SCHEMA, "default": {}}
    ),
]


class Quiet(ApiModel):
    """From ``start`` up to ``end``, on the clock where the recipient is; the night may lie in between."""

    start: Minute
    end: Minute
    mode: Literal["shift", "skip"] = Field(
        "shift", description="What falls in between goes out at their end (`shift`), or not at all (`skip`)."
    )

    @model_validator(mode="after")
    def _not_all_day(self) -> "Quiet":
        if self.start == self.end:
            raise about(("quietHours.end",), "must be another time than start")
        return self


class NewSettings(ApiModel):
    """All settings; what is left out takes its default."""

    model_config = ConfigDict(json_schema_extra=example(examples.NEW_SETTINGS))

    workspace_id: WorkspaceId | None = None
    send_confirmation: Switch = True
    send_24hr_reminder: Switch = Field(True, alias="send24hrReminder")
    send_1hr_reminder: Switch = Field(True, alias="send1hrReminder")
    sms_enabled: Switch = True
    email_enabled: Switch = True
    whatsapp_enabled: Switch = True
    policy: GivenPolicy = Field(None, description="Of all appointments that name no other. Default: the route's own.")
    event_policies: GivenEventPolicies = Field(default_factory=dict, description="The same by `eventType`.")
    quiet_hours: Quiet | None = Field(Quiet(start="21:00", end="08:00"), description="Null: there are none.")
    late_booking: Literal["skip", "send_now"] = Field(
        "skip", description="What becomes of a reminder whose time has passed at the booking."
    )
    send_cancellation: Switch = True

    def checked(self, names: set[str] | None = None) -> dict[str, Any]:
        """The values by column, of all fields or of those named.

        Raises:
            Invalid: a policy is not one; with its path.
        """
        columns: dict[str, Any] = {}
        for name in names if names is not None else set(type(self).model_fields):
            value = getattr(self, name)
            if name == "policy":
                columns[name] = _stored(value, name) if value is not None else None
            elif name == "event_policies":
                columns[name] = {kind: _stored(one, f"eventPolicies.{kind}") for kind, one in value.items()}
            elif name == "quiet_hours":
                columns |= {
                    "quiet_start": value.start if value else None,
                    "quiet_end": value.end if value else None,
                    "quiet_mode": value.mode if value else "shift",
                }
            elif name != "workspace_id":
                columns[name] = value
        return columns


def _stored(value: Any, field: str) -> dict[str, Any]:
    """A policy as it is kept: as it was given, once it is known that it can be read."""
    parse_policy(value, field)
    return {"preset": value} if isinstance(value, str) else value


class SomeSettings(NewSettings):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=example(examples.SOME_SETTINGS))

    @model_validator(mode="after")
    def _something(self) -> "SomeSettings":
        if not self.model_fields_set - {"workspace_id"}:
            raise about(("body",), "names nothing to change")
        return self


class SettingsView(ApiModel):
    """A workspace's reminder settings. ``updatedAt`` is null as long as nobody has changed any."""

    model_config = ConfigDict(json_schema_extra=example(examples.SETTINGS))

    workspace_id: str
    send_confirmation: bool
    send_24hr_reminder: bool = Field(alias="send24hrReminder")
    send_1hr_reminder: bool = Field(alias="send1hrReminder")
    sms_enabled: bool
    email_enabled: bool
    whatsapp_enabled: bool
    policy: dict[str, Any] | None
    event_policies: dict[str, Any]
    quiet_hours: Quiet | None
    late_booking: Literal["skip", "send_now"]
    send_cancellation: bool
    updated_at: str | None

    @classmethod
    def of(cls, row: ReminderSettings) -> "SettingsView":
        """As a row has them."""
        names = [name for name in cls.model_fields if name not in ("quiet_hours", "updated_at")]
        quiet = {"start": row.quiet_start, "end": row.quiet_end, "mode": row.quiet_mode} if row.quiet_start else None
        changed = row.updated_at.isoformat(timespec="milliseconds") if row.updated_at else None
        values = {name: getattr(row, name) for name in names}
        return cls.model_validate(values | {"quiet_hours": quiet, "updated_at": changed})
