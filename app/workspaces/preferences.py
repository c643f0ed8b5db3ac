"""What a workspace has chosen for itself, typed: the JSON of ``Workspace.settings``.

A section is one field of `Preferences`; a new one is a model and a field here, and no migration.
What other programs keep in the same JSON under other names is left as it is.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from flask import current_app
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from sqlalchemy import String, cast, select
from sqlalchemy.orm import Session

from app import clock, metrics
from app.database import reading
from app.logs import get_logger
from app.retry import POLICIES, RetryPolicy
from app.workspaces.booking_form import BookingForm
from app.workspaces.models import Workspace

KEPT = timedelta(seconds=30)
"""How long a process goes by what it has read: a change takes effect everywhere after at most this long."""
MILLION = 1_000_000
_KEY = "bellhop.preferences"

log = get_logger(__name__)


class Section(BaseModel):
    """Base of the sections: camelCase outside and in the database, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


Money = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,9}([.][0-9]{1,6})?$"),
    Field(description="An amount as a decimal text, exact to a millionth.", examples=["0.0079"]),
]
Segments = Annotated[StrictInt, Field(ge=0, le=1_000_000_000)]


def millionths(amount: str | None) -> int:
    """An amount in millionths of its currency; none is 0."""
    return int(Decimal(amount or 0) * MILLION)


class RetryOverride(Section):
    """What a workspace wants otherwise in a retry policy; what is null is as the policy of this name has it."""

    max_attempts: Annotated[StrictInt, Field(ge=1, le=10)] | None = None
    first_delay_seconds: Annotated[StrictFloat, Field(ge=0.1, le=3600)] | None = None
    factor: Annotated[StrictFloat, Field(ge=1, le=10)] | None = None
    max_delay_seconds: Annotated[StrictFloat, Field(ge=0.1, le=86_400)] | None = None

    def of(self, policy: RetryPolicy) -> RetryPolicy:
        """The policy with what is given here in place of its own."""
        mine = {
            "max_attempts": self.max_attempts,
            "first_delay_s": self.first_delay_seconds,
            "factor": self.factor,
            "max_delay_s": self.max_delay_seconds,
        }
        return replace(policy, **{name: value for name, value in mine.items() if value is not None})  # type: ignore[arg-type]


class RetryPolicies(Section):
    """Overrides by the policy's name: ``default`` for messages, ``reminder`` for what appointments plan."""

    default: RetryOverride | None = None
    reminder: RetryOverride | None = None


class Caps(Section):
    """The most that may go out in a day and in a month of the workspace's zone; null is no limit, 0 is nothing."""

    daily_segments: Segments | None = None
    monthly_segments: Segments | None = None
    daily_spend: Money | None = None
    monthly_spend: Money | None = None

    @property
    def any(self) -> bool:
        """Whether there is any limit."""
        return any(value is not None for value in self.model_dump().values())


class Prices(Section):
    """What a message costs the workspace: an SMS for each segment, the others each. Null is nothing."""

    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = Field(
        None, description="ISO 4217.", examples=["EUR"]
    )
    sms: Money | None = None
    whatsapp: Money | None = None
    email: Money | None = None

    def cost(self, channel: str, segments: int) -> int:
        """What a message costs, in millionths."""
        price = millionths(getattr(self, channel, None))
        return price * segments if channel == "sms" else price


class Replies(Section):
    """Whether people can confirm (C) and cancel (X) their appointments by writing back."""

    enabled: StrictBool | None = None


class Preferences(Section):
    """All sections."""

    retry_policies: RetryPolicies = RetryPolicies()
    caps: Caps = Caps()
    prices: Prices = Prices()
    replies: Replies = Replies()
    booking_form: BookingForm = BookingForm()


NAMES = frozenset(to_camel(name) for name in Preferences.model_fields)


def parse(stored: Mapping[str, Any]) -> Preferences:
    """The preferences in a workspace's JSON, whatever else is in it.

    Raises:
        ValidationError: somebody has put something else there.
    """
    return Preferences.model_validate({name: value for name, value in stored.items() if name in NAMES})


def merged(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Merge Patch (RFC 7396): what is named is changed, null takes it out, the rest stays."""
    result = dict(stored)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            old = result.get(name)
            if inner := merged(old if isinstance(old, Mapping) else {}, value):
                result[name] = inner
            else:
                result.pop(name, None)
        else:
            result[name] = value
    return result


@dataclass(frozen=True, slots=True)
class Chosen:
    """A workspace that has chosen something."""

    zone: ZoneInfo
    preferences: Preferences


def current(session: Session | None = None) -> Mapping[str, Chosen]:
    """The workspaces that have chosen anything, by id; at most `KEPT` old.

    Whoever has a transaction open passes its ``session``.
    """
    now = clock.now()
    kept: tuple[datetime, Mapping[str, Chosen]] | None = current_app.extensions.get(_KEY)
    if kept is None or not timedelta(0) <= now - kept[0] < KEPT:
        with nullcontext(session) if session else reading() as reader:
            kept = now, _read(reader)
        current_app.extensions[_KEY] = kept
    return kept[1]


def forget() -> None:
    """In this process a change takes effect at once."""
    current_app.extensions.pop(_KEY, None)


def retry_policy(workspace_id: str, name: str, session: Session | None = None) -> RetryPolicy:
    """The retry policy of a name as a workspace has it."""
    chosen = current(session).get(workspace_id)
    override: RetryOverride | None = getattr(chosen.preferences.retry_policies, name) if chosen else None
    return override.of(POLICIES[name]) if override else POLICIES[name]


def _read(session: Session) -> dict[str, Chosen]:
    rows = session.execute(
        select(Workspace.id, Workspace.timezone, Workspace.settings).where(cast(Workspace.settings, String) != "{}")
    )
    found: dict[str, Chosen] = {}
    for workspace_id, timezone, stored in rows:
        try:
            found[workspace_id] = Chosen(ZoneInfo(timezone), parse(stored))
        except ValidationError as error:  # one workspace's must not hold up the others'
            metrics.errors.inc("preferences")
            log.error("settings cannot be read", workspace_id=workspace_id, count=error.error_count())
    return found
