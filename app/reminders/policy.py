"""Policies: which reminders an appointment has, as data.

A policy is a list of rules. The presets are those of the seeds: ``classic`` (000), ``clinic`` (002) and ``every-2h``
(004); a workspace can write rules of its own (resolution D1).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast, get_args

from app.channels.phone import Channel
from app.errors import Invalid, invalid_field

MAX_RULES = 20
MAX_OFFSET = timedelta(days=366)
MIN_INTERVAL = timedelta(minutes=15)
CHANNELS: tuple[str, ...] = get_args(Channel)

Clock = Literal["elapsed", "wall"]
RuleType = Literal["at_booking", "before", "every"]

_OFFSET = re.compile(r"([0-9]{1,5})(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SPELT = re.compile(r"([0-9]{1,6}) ?(m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)", re.ASCII | re.IGNORECASE)
_LARGER = {"m": (60, "h"), "d": (7, "w")}
"""Units of which so many are exactly one of another. Not hours and days: a day has 23 or 25 of them twice a year."""


@dataclass(frozen=True, slots=True)
class Offset:
    """A length of time such as ``24h`` or ``1d``.

    Hours and minutes have passed (``elapsed``); days and weeks are read off the clock on the wall, so that a day before
    10:00 is 10:00, whatever the clocks did in that night (RFC 5545, 3.3.6, tells durations apart the same way).
    """

    text: str
    length: timedelta
    clock: Clock


@dataclass(frozen=True, slots=True)
class Rule:
    """One reminder, or for ``every`` a row of them.

    ``reminder_type`` is canonical and unique in a policy; the reminders of ``every`` add their number to it. ``kind``
    is the template's. ``channels`` of None are the policy's. Without ``quiet_hours`` it is not held back by them.
    """

    type: RuleType
    reminder_type: str
    kind: str
    offset: Offset | None = None
    channels: tuple[str, ...] | None = None
    quiet_hours: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """``channels`` of None are those that the workspace has switched on, SMS first; WhatsApp has to be named.

    ``fallback``: channels to try, in order, after a definite failure.
    """

    name: str
    rules: tuple[Rule, ...]
    channels: tuple[str, ...] | None = None
    fallback: tuple[str, ...] = ()


def parse_offset(text: str, clock: Clock | None = None) -> Offset:
    """``90m``, ``24h``, ``1d``, ``1w``.

    Raises:
        ValueError: it is none of these, nothing, or longer than a year.
    """
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError("must be a number and m, h, d or w, such as 90m, 24h or 1d")
    length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not timedelta(0) < length <= MAX_OFFSET:
        raise ValueError("must be more than nothing and at most a year")
    return Offset(f"{int(match[1])}{match[2]}", length, clock or ("wall" if match[2] in "dw" else "elapsed"))


def canonical_type(text: str) -> str:
    """One form for what the seeds write in several: ``24hr`` is ``24h`` and ``60m`` is ``1h`` (resolution D2).

    ``1d`` stays apart from ``24h``: in a night when the clocks change they are different instants. What is no length of
    time (``weekly``) is its own form.
    """
    text = text.strip()
    match = _SPELT.fullmatch(text)
    if match is None:
        return text
    number, unit = int(match[1]), match[2][0].lower()
    size, larger = _LARGER.get(unit, (0, ""))
    if size and number and number % size == 0:
        number, unit = number // size, larger
    return f"{number}{unit}"


def outside_name(reminder_type: str) -> str:
    """A canonical type as seed 000 writes it: ``24h`` is ``24hr``."""
    return f"{reminder_type}r" if re.fullmatch(r"[0-9]+h", reminder_type) else reminder_type


def _before(text: str) -> Rule:
    return Rule("before", text, text, parse_offset(text))


CONFIRMATION = Rule("at_booking", "confirmation", "confirmation", quiet_hours=False)
"""The answer to what somebody has just done: it always goes, also at night (resolutions D10, D12)."""
CLASSIC = Policy("classic", (CONFIRMATION, _before("24h"), _before("1h")))
PRESETS = {
    policy.name: policy
    for policy in (
        CLASSIC,
        Policy("clinic", (_before("24h"), _before("2h"))),
        Policy(
            "every-2h",
            (Rule("every", "every", "reminder", parse_offset("2h"), quiet_hours=False),),
            channels=("whatsapp",),
        ),
    )
}


def parse_policy(value: Any, field: str = "policy") -> Policy:
    """A preset's name, ``{"preset": name}``, or rules: ``{"rules": [...], "channels": [...], "fallback": [...]}``.

    Raises:
        Invalid: naming the field within ``field``.
    """
    if isinstance(value, str):
        return _preset(value, field)
    if not isinstance(value, Mapping):
        raise invalid_field(field, "must be the name of a preset or an object with rules")
    _only(value, ("preset", "name", "rules", "channels", "fallback"), field)
    channels = _channels(value.get("channels"), f"{field}.channels")
    fallback = _channels(value.get("fallback"), f"{field}.fallback") or ()
    if "preset" in value:
        if "rules" in value:
            raise invalid_field(f"{field}.rules", "give either a preset or rules")
        base = _preset(value["preset"], f"{field}.preset")
        return Policy(base.name, base.rules, channels or base.channels, fallback or base.fallback)
    rules = value.get("rules")
    if not isinstance(rules, Sequence) or isinstance(rules, str) or not 1 <= len(rules) <= MAX_RULES:
        raise invalid_field(f"{field}.rules", f"must be a list of 1 to {MAX_RULES} rules")
    parsed = tuple(_rule(rule, f"{field}.rules.{index}") for index, rule in enumerate(rules))
    for index, rule in enumerate(parsed):
        if rule.reminder_type in {other.reminder_type for other in parsed[:index]}:
            raise invalid_field(f"{field}.rules.{index}", f"there is already a rule for {rule.reminder_type}")
    return Policy("custom", parsed, channels, fallback)


def _rule(value: Any, field: str) -> Rule:
    if not isinstance(value, Mapping):
        raise invalid_field(field, "must be an object")
    _only(value, ("type", "offset", "interval", "clock", "template", "channels", "quietHours"), field)
    kind = value.get("type")
    if kind not in get_args(RuleType):
        raise invalid_field(f"{field}.type", "must be at_booking, before or every")
    quiet = value.get("quietHours", kind != "at_booking")
    if not isinstance(quiet, bool):
        raise invalid_field(f"{field}.quietHours", "must be true or false")
    if quiet and kind == "at_booking":
        raise invalid_field(f"{field}.quietHours", "must be false: a confirmation answers what somebody has just done")
    template = value.get("template")
    if template is not None and not (isinstance(template, str) and _NAME.fullmatch(template)):
        raise invalid_field(f"{field}.template", "must be the name of a template: lower case letters, digits, - and _")
    channels = _channels(value.get("channels"), f"{field}.channels")
    wanted = {"before": "offset", "every": "interval"}.get(str(kind))
    for name in ("offset", "interval", "clock"):
        if name in value and name != wanted and not (name == "clock" and wanted):
            raise invalid_field(f"{field}.{name}", f"does not go with {kind}")
    if wanted is None:
        return Rule("at_booking", "confirmation", template or "confirmation", None, channels, quiet)
    offset = _offset(value.get(wanted), value.get("clock"), f"{field}.{wanted}", f"{field}.clock")
    if kind == "before":
        name = canonical_type(offset.text)
        return Rule("before", name, template or name, offset, channels, quiet)
    if offset.length < MIN_INTERVAL:
        raise invalid_field(f"{field}.interval", "must be at least 15m")
    return Rule("every", "every", template or "reminder", offset, channels, quiet)


def _offset(text: Any, clock: Any, field: str, clock_field: str) -> Offset:
    if clock not in (None, *get_args(Clock)):
        raise invalid_field(clock_field, "must be elapsed or wall")
    if not isinstance(text, str):
        raise invalid_field(field, "must be a number and m, h, d or w, such as 90m, 24h or 1d")
    try:
        return parse_offset(text, cast(Clock | None, clock))
    except ValueError as error:
        raise invalid_field(field, str(error)) from None


def _preset(name: Any, field: str) -> Policy:
    if not isinstance(name, str) or name not in PRESETS:
        raise invalid_field(field, f"must be one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _channels(value: Any, field: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    good = isinstance(value, list) and 1 <= len(value) <= len(CHANNELS) and all(one in CHANNELS for one in value)
    if not good or len(set(value)) != len(value):
        raise invalid_field(field, f"must be a list of {', '.join(CHANNELS)}, each at most once")
    return tuple(value)


def _only(value: Mapping[str, Any], known: tuple[str, ...], field: str) -> None:
    unknown = [str(name)[:50] for name in value if name not in known]
    if unknown:
        raise Invalid(
            f"{field}: {unknown[0]} is not a known field.", fields={f"{field}.{unknown[0]}": ["is not a known field"]}
        )
