"""A workspace's reminder settings: what the planner goes by.

A workspace without a row has the defaults. The seed's boolean columns edit the preset ``classic``; a policy of its own
stands beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.database import insert_ignore
from app.quiet_hours import QuietHours
from app.reminders.models import ReminderSettings
from app.reminders.planner import Preferences
from app.reminders.policy import PRESETS, Policy, parse_policy


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings, ready for the planner."""

    classic_types: frozenset[str]
    """Those of ``classic`` that are switched on."""
    policy: Policy | None
    """The workspace's own; None is the route's default."""
    event_policies: Mapping[str, Policy]
    preferences: Preferences
    send_cancellation: bool


def load(session: Session, workspace_id: str) -> Settings:
    """A workspace's settings."""
    return of_row(stored(session, workspace_id))


def defaults(workspace_id: str) -> ReminderSettings:
    """The settings of a workspace that has not chosen any: everything on, quiet from 21:00 to 08:00 (D12)."""
    return ReminderSettings(workspace_id=workspace_id, **DEFAULTS)


DEFAULTS: dict[str, Any] = {
    "send_confirmation": True,
    "send_24hr_reminder": True,
    "send_1hr_reminder": True,
    "sms_enabled": True,
    "email_enabled": True,
    "whatsapp_enabled": True,
    "policy": None,
    "event_policies": {},
    "quiet_start": "21:00",
    "quiet_end": "08:00",
    "quiet_mode": "shift",
    "late_booking": "skip",
    "send_cancellation": True,
}
"""What a workspace can choose, by the column's name."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of settings has made of them, for whoever writes it down or plans anew by it."""

    workspace_id: str
    before: ReminderSettings
    after: ReminderSettings

    @property
    def fields(self) -> dict[str, tuple[Any, Any]]:
        """What is different, by column: as it was, and as it is."""
        pairs = {name: (getattr(self.before, name), getattr(self.after, name)) for name in DEFAULTS}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def stored(session: Session, workspace_id: str) -> ReminderSettings:
    """A workspace's settings as they are shown: its row, or the defaults, which have never been changed."""
    return session.get(ReminderSettings, workspace_id) or defaults(workspace_id)


def change(session: Session, workspace_id: str, values: Mapping[str, Any]) -> Change:
    """Set some of a workspace's settings (checked, by the names of `DEFAULTS`); the others stay as they are.

    The row is held until the transaction ends, so of two changes at once none is lost.
    """
    insert_ignore(
        session,
        ReminderSettings,
        [{"workspace_id": workspace_id, "updated_at": clock.now(), **DEFAULTS}],
        returning=ReminderSettings.workspace_id,
    )
    row = session.scalars(
        select(ReminderSettings)
        .where(ReminderSettings.workspace_id == workspace_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    before = ReminderSettings(workspace_id=workspace_id, **{name: getattr(row, name) for name in DEFAULTS})
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = clock.now()
    session.flush()
    return Change(workspace_id, before, row)


def of_row(row: ReminderSettings) -> Settings:
    """The settings in a row; they were checked when they were stored."""
    switches = {
        "confirmation": row.send_confirmation,
        "24h": row.send_24hr_reminder,
        "1h": row.send_1hr_reminder,
    }
    enabled = {"sms": row.sms_enabled, "email": row.email_enabled, "whatsapp": row.whatsapp_enabled}
    quiet = QuietHours.of_texts(row.quiet_start, row.quiet_end, row.quiet_mode)
    late: Any = row.late_booking
    return Settings(
        classic_types=frozenset(name for name, is_on in switches.items() if is_on),
        policy=parse_policy(row.policy) if row.policy is not None else None,
        event_policies={name: parse_policy(value) for name, value in row.event_policies.items()},
        preferences=Preferences(
            channels=tuple(channel for channel, is_on in enabled.items() if is_on), quiet=quiet, late_booking=late
        ),
        send_cancellation=row.send_cancellation,
    )


def policy_for(settings: Settings, event_type: str | None, requested: str | None, default: str) -> Policy:
    """The policy of an appointment: the one that it asks for, else its event type's, the workspace's, the route's."""
    chosen = None
    if requested is not None:
        chosen = PRESETS[requested]
    elif event_type is not None:
        chosen = settings.event_policies.get(event_type)
    policy = chosen or settings.policy or PRESETS[default]
    if policy.name != "classic":
        return policy
    return replace(policy, rules=tuple(rule for rule in policy.rules if rule.reminder_type in settings.classic_types))
