"""The planner: from an appointment, a policy and a moment to the reminders, each with its time or the reason why not.

Pure: nothing is read and nobody's clock is asked. What it decides, it explains in ``steps``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from app.messages.states import Reason
from app.reminders.policy import Offset, Policy, Rule, outside_name
from app.reminders.quiet_hours import QuietHours

GRACE_SHARE = 0.1
MAX_GRACE = timedelta(minutes=30)
"""A reminder whose time has just passed is still sent: within a tenth of its offset, at most half an hour (D10)."""
CONFIRMATION_VALID = timedelta(hours=24)
MAX_NUMBERED = 100
"""Reminders of one ``every`` rule: the last ones before the appointment count."""

Step = dict[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan follows from. Times are aware.

    ``appointment_id`` is the public id, which becomes part of the job ids. ``event_zone`` is where wall-clock offsets
    are read, ``recipient_zone`` where quiet hours are. ``addresses``: one for each channel that can be used at all,
    None where this person has none.
    """

    appointment_id: str
    starts_at: datetime
    booked_at: datetime
    event_zone: ZoneInfo
    recipient_zone: ZoneInfo
    addresses: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Preferences:
    """A workspace's wishes. ``channels`` are those that it has switched on, in the order of their use."""

    channels: tuple[str, ...] = ("sms", "email")
    quiet: QuietHours | None = None
    late_booking: Literal["skip", "send_now"] = "skip"


@dataclass(frozen=True, slots=True)
class Planned:
    """A reminder. With a ``reason`` it is not sent, and ``due_at`` is when it would have been.

    ``planned_for`` is the rule's own time, whatever quiet hours or a late booking have made of it: it tells whether
    this is the same reminder as that of an earlier plan.
    """

    reminder_type: str
    kind: str
    channel: str
    job_id: str
    planned_for: datetime
    due_at: datetime
    valid_until: datetime
    reason: Reason | None
    steps: tuple[Step, ...]
    fallback: tuple[str, ...]

    def skipped(self, reason: Reason) -> "Planned":
        """The same, not to be sent."""
        return replace(self, reason=reason)


@dataclass(frozen=True, slots=True)
class _Moment:
    """When one reminder is due, whatever the channel."""

    reminder_type: str
    job_id: str
    planned_for: datetime
    due_at: datetime
    valid_until: datetime
    reason: Reason | None
    steps: tuple[Step, ...]


def channels_of(
    policy: Policy, rule: Rule | None, preferences: Preferences, available: Mapping[str, object]
) -> list[str]:
    """The channels of a rule (or of the policy) that can be used, the first of which has the plain job id.

    WhatsApp, where it is named alone and cannot be used, is replaced by SMS: a reminder on the other way is better than
    none.
    """
    named = (rule.channels if rule else None) or policy.channels
    if named is None:
        return [channel for channel in preferences.channels if channel in available and channel != "whatsapp"]
    usable = [channel for channel in named if channel in available]
    return usable or [channel for channel in ("sms",) if channel in available]


def plan(facts: Facts, policy: Policy, preferences: Preferences, now: datetime) -> list[Planned]:
    """All reminders of an appointment, in the order of the policy; at most one for each type and channel.

    A plan that is made again at a later ``now`` has the same reminders: those whose time has passed say ``booked_late``
    then, and whoever compares it with the rows that exist knows which of them were sent.
    """
    planned: list[Planned] = []
    for rule in policy.rules:
        channels = channels_of(policy, rule, preferences, facts.addresses)
        for moment in _moments(facts, rule, preferences, now):
            planned += [_on(channel, index, moment, rule, policy, facts) for index, channel in enumerate(channels)]
    return planned


def _on(channel: str, index: int, moment: _Moment, rule: Rule, policy: Policy, facts: Facts) -> Planned:
    reason = moment.reason
    steps = moment.steps
    if reason is None and facts.addresses[channel] is None:
        reason = Reason.NO_ADDRESS
        steps = (*steps, _step("address", f"There is no address of this person for {channel}."))
    return Planned(
        reminder_type=moment.reminder_type,
        kind=rule.kind,
        channel=channel,
        job_id=moment.job_id if index == 0 else f"{moment.job_id}-{channel}",
        planned_for=moment.planned_for,
        due_at=moment.due_at,
        valid_until=moment.valid_until,
        reason=reason,
        steps=steps,
        fallback=tuple(one for one in policy.fallback if one != channel),
    )


def _moments(facts: Facts, rule: Rule, preferences: Preferences, now: datetime) -> Iterator[_Moment]:
    if rule.type == "at_booking":
        yield _confirmation(facts, rule, now)
    elif rule.offset is not None and rule.type == "before":
        yield _before(facts, rule, rule.offset, preferences, now)
    elif rule.offset is not None:
        yield from _numbered(facts, rule, rule.offset, preferences, now)


def _confirmation(facts: Facts, rule: Rule, now: datetime) -> _Moment:
    """At the booking, at any hour; not once the appointment has begun."""
    due_at = facts.booked_at
    over = facts.starts_at <= max(now, due_at)
    text = "At once: it confirms the booking." if not over else "The appointment had begun already."
    return _Moment(
        reminder_type=rule.reminder_type,
        job_id=f"reminder-{rule.reminder_type}-{facts.appointment_id}",
        planned_for=due_at,
        due_at=due_at,
        valid_until=_until(facts, due_at, due_at + CONFIRMATION_VALID),
        reason=Reason.BOOKED_LATE if over else None,
        steps=(_step("rule", text, due_at),),
    )


def _before(facts: Facts, rule: Rule, offset: Offset, preferences: Preferences, now: datetime) -> _Moment:
    due_at = shifted(facts.starts_at, offset, facts.event_zone, -1)
    steps = [
        _step("rule", f"{offset.text} before the appointment begins.", facts.starts_at),
        _step("offset", _offset_words(offset), due_at),
    ]
    job_id = f"reminder-{outside_name(rule.reminder_type)}-{facts.appointment_id}"
    last = _until(facts, due_at, due_at + offset.length / 2)
    return _settle(facts, rule, offset, preferences, now, rule.reminder_type, job_id, due_at, last, steps)


def _numbered(facts: Facts, rule: Rule, offset: Offset, preferences: Preferences, now: datetime) -> Iterator[_Moment]:
    """Seed 004: one for each whole interval between the booking and the start; the one at the start is not sent."""
    count = (facts.starts_at - facts.booked_at) // offset.length
    first = max(1, count - MAX_NUMBERED + 1)
    for number in range(first, max(count, 1) + 1):
        due_at = shifted(facts.booked_at, offset, facts.event_zone, number)
        following = shifted(facts.booked_at, offset, facts.event_zone, number + 1)
        steps = [
            _step("rule", f"Every {offset.text} from the booking until the appointment begins.", facts.booked_at),
            _step("offset", f"Number {number}. {_offset_words(offset)}", due_at),
        ]
        name, job_id = f"{rule.reminder_type}-{number}", f"{facts.appointment_id}-reminder-{number}"
        if count < 1:
            steps.append(_step("late", f"The appointment begins less than {offset.text} after the booking."))
            due_at = min(due_at, facts.starts_at)
            yield _Moment(name, job_id, due_at, due_at, _until(facts, due_at, due_at), Reason.BOOKED_LATE, tuple(steps))
            return
        last = _until(facts, due_at, following)
        yield _settle(facts, rule, offset, preferences, now, name, job_id, due_at, last, steps)


def _settle(
    facts: Facts,
    rule: Rule,
    offset: Offset,
    preferences: Preferences,
    now: datetime,
    reminder_type: str,
    job_id: str,
    due_at: datetime,
    last: datetime,
    steps: list[Step],
) -> _Moment:
    """What the rule's own time becomes: too late, held back, or as it is."""
    planned_for = due_at

    def moment(at: datetime, until: datetime, reason: Reason | None = None) -> _Moment:
        return _Moment(reminder_type, job_id, planned_for, at, until, reason, tuple(steps))

    if due_at >= facts.starts_at:
        steps.append(_step("late", "That is when the appointment begins, or later."))
        return moment(due_at, _until(facts, due_at, due_at), Reason.AT_APPOINTMENT_TIME)
    earliest = max(now, facts.booked_at)
    late = earliest - due_at
    if late > timedelta(0):
        grace = min(offset.length * GRACE_SHARE, MAX_GRACE)
        if facts.starts_at <= earliest or (late > grace and preferences.late_booking == "skip"):
            steps.append(_step("late", f"That had passed already, by more than {_words(grace)}."))
            return moment(due_at, last, Reason.BOOKED_LATE)
        steps.append(_step("late", "That has just passed, so it goes out at once.", earliest))
        due_at, last = earliest, _until(facts, earliest, max(last, earliest + MAX_GRACE))
    quiet = preferences.quiet
    if quiet is None or not rule.quiet_hours or not quiet.contain(due_at, facts.recipient_zone):
        return moment(due_at, last)
    hours = f"{quiet.start:%H:%M} to {quiet.end:%H:%M}, {facts.recipient_zone.key}"
    end = quiet.end_after(due_at, facts.recipient_zone)
    if quiet.mode == "skip" or end >= facts.starts_at:
        after = "and such reminders are skipped" if quiet.mode == "skip" else "and after them it would be too late"
        steps.append(_step("quiet_hours", f"That is in the quiet hours ({hours}), {after}."))
        return moment(due_at, last, Reason.QUIET_HOURS)
    steps.append(_step("quiet_hours", f"That is in the quiet hours ({hours}), so it waits for their end.", end))
    return moment(end, _until(facts, end, max(last, end + offset.length / 2)))


def shifted(at: datetime, offset: Offset, zone: ZoneInfo, times: int) -> datetime:
    """An instant so many offsets later (earlier where ``times`` is negative).

    On the wall clock a time that is shown twice is its first pass, and one that is left out is read as if the clocks
    had not yet changed, which is the same distance after the gap.
    """
    if offset.clock == "elapsed":
        return at + offset.length * times
    local = at.astimezone(zone).replace(tzinfo=None) + offset.length * times
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _until(facts: Facts, due_at: datetime, wished: datetime) -> datetime:
    """No reminder is of use once the appointment has begun."""
    return max(min(wished, facts.starts_at), due_at + timedelta(microseconds=1))


def _step(step: str, text: str, at: datetime | None = None) -> Step:
    return {"step": step, "text": text} | ({"at": at.astimezone(UTC).isoformat()} if at else {})


def _offset_words(offset: Offset) -> str:
    return "Counted in time that has passed." if offset.clock == "elapsed" else "Read off the clock on the wall."


def _words(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
