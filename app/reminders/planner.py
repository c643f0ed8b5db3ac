"""The planner: from an appointment, a policy and a moment to the reminders, each with its time or the reason why not.

Pure: nothing is read and nobody's clock is asked. What it decides, it explains in ``steps``.

A plan that is made again at a later moment has the same reminders at the same times, as far as those are still to
come: what was late is judged against the booking first, which does not move, and only then against the present.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from app.errors import invalid_field
from app.messages.states import Reason
from app.quiet_hours import QuietHours
from app.reminders.policy import Offset, Policy, Rule, outside_name

GRACE_SHARE = 0.1
MAX_GRACE = timedelta(minutes=30)
"""A reminder whose time has just passed is still sent: within a tenth of its offset, at most half an hour (D10)."""
CONFIRMATION_VALID = timedelta(hours=24)
MAX_REMINDERS = 10_000
"""Of one appointment. The preset ``every-2h`` makes 8,772 in the two years that can be booked ahead."""
YEARS = range(1970, 9000)
"""What the planner calculates with: far from where the calendar of Python ends."""

Step = dict[str, str]
_Rank = tuple[datetime, bool, int]
"""Of reminders that fall on one instant the highest goes out: the nearest to the appointment, rather counted from it
than from the booking, rather a later rule of the policy.
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan follows from. Times are aware, of a year in `YEARS`.

    ``appointment_id`` is the public id, which becomes part of the job ids. ``event_zone`` is where wall-clock offsets
    are read, ``recipient_zone`` where quiet hours are. ``addresses``: one for each channel that can be used at all,
    None where this person has none.

    Raises:
        ValueError: a time is naive, or in another year.
    """

    appointment_id: str
    starts_at: datetime
    booked_at: datetime
    event_zone: ZoneInfo
    recipient_zone: ZoneInfo
    addresses: Mapping[str, str | None]

    def __post_init__(self) -> None:
        for at in (self.starts_at, self.booked_at):
            if at.tzinfo is None or at.year not in YEARS:
                raise ValueError(f"times must be aware and of the years {YEARS.start} to {YEARS.stop - 1}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """A workspace's wishes. ``channels`` are those that it has switched on, in the order of their use."""

    channels: tuple[str, ...] = ("sms", "email", "whatsapp")
    quiet: QuietHours | None = None
    late_booking: Literal["skip", "send_now"] = "skip"


@dataclass(frozen=True, slots=True)
class Planned:
    """A reminder. With a ``reason`` it is not sent, and ``due_at`` is when it would have been.

    ``planned_for`` is the rule's own time, whatever quiet hours or a late booking have made of it: it tells whether
    this is the same reminder as that of an earlier plan. ``fallback``: where to turn after a definite failure.
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
    quiet: bool = False
    """Whether quiet hours hold it back, also when it is about to be sent."""

    def skipped(self, reason: Reason, *steps: Step) -> "Planned":
        """The same, not to be sent."""
        return replace(self, reason=reason, steps=(*self.steps, *steps))


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
    """The channels of a rule (or of the policy) that can be used and are switched on; the first has the plain job id.

    WhatsApp, where it is named alone and cannot be used, is replaced by SMS: a reminder on the other way is better than
    none.
    """
    usable = [channel for channel in preferences.channels if channel in available]
    named = _named(policy, rule)
    if named is None:
        return [channel for channel in usable if channel != "whatsapp"]
    chosen = [channel for channel in named if channel in usable]
    return chosen or [channel for channel in usable if channel == "sms" and "whatsapp" in named]


def _named(policy: Policy, rule: Rule | None) -> tuple[str, ...] | None:
    return (rule.channels if rule else None) or policy.channels


def plan(facts: Facts, policy: Policy, preferences: Preferences, now: datetime) -> list[Planned]:
    """All reminders of an appointment, in the order of the policy; at most one for each type and channel.

    Where several would go out on one channel at one instant, because quiet hours or a late booking have moved them, the
    one nearest to the appointment does, and the others are ``superseded``. The confirmation stands apart from that.

    Those whose time has passed at ``now`` say ``booked_late``, also where the time had not come yet when they were
    planned first: whoever compares a plan with the rows that exist knows which of them were sent.

    Raises:
        Invalid: naming ``policy``, if it makes more than `MAX_REMINDERS`.
    """
    # In a zone, Python's own sums keep the wall time: they would make every length of time one of the clock.
    now = now.astimezone(UTC)
    facts = replace(facts, starts_at=facts.starts_at.astimezone(UTC), booked_at=facts.booked_at.astimezone(UTC))
    planned: list[Planned] = []
    rivals: list[tuple[int, _Rank]] = []
    for place, rule in enumerate(policy.rules):
        usable = channels_of(policy, rule, preferences, facts.addresses)
        others = [
            one
            for one in policy.fallback
            if one not in usable and one in preferences.channels and facts.addresses.get(one) is not None
        ]
        for moment in _moments(facts, rule, preferences, now):
            for index, channel in enumerate(usable or _named(policy, rule) or ()):
                if rule.type != "at_booking":
                    rivals.append((len(planned), (moment.planned_for, rule.type == "before", place)))
                job_id = moment.job_id if index == 0 else f"{moment.job_id}-{channel}"
                planned.append(_on(channel, job_id, channel in usable, moment, rule, others, facts))
            if len(planned) > MAX_REMINDERS:
                raise _too_many()
    return _without_coincidences(planned, rivals)


def _on(
    channel: str, job_id: str, usable: bool, moment: _Moment, rule: Rule, fallback: Sequence[str], facts: Facts
) -> Planned:
    planned = Planned(
        reminder_type=moment.reminder_type,
        kind=rule.kind,
        channel=channel,
        job_id=job_id,
        planned_for=moment.planned_for,
        due_at=moment.due_at,
        valid_until=moment.valid_until,
        reason=moment.reason,
        steps=moment.steps,
        fallback=tuple(fallback),
        quiet=rule.quiet_hours,
    )
    if planned.reason is not None:
        return planned
    if not usable:
        text = f"{channel} is not set up, or switched off."
        return planned.skipped(Reason.CHANNEL_UNAVAILABLE, _step("channel", text))
    if facts.addresses[channel] is None:
        text = f"There is no address of this person for {channel}."
        return planned.skipped(Reason.NO_ADDRESS, _step("address", text))
    return planned


def _without_coincidences(planned: Sequence[Planned], rivals: Sequence[tuple[int, _Rank]]) -> list[Planned]:
    """Of reminders that go out at one instant on one channel, only the one of the highest rank is left."""
    kept: dict[tuple[str, datetime], int] = {}
    result = list(planned)
    for index, _rank in sorted(rivals, key=lambda rival: rival[1], reverse=True):
        one = planned[index]
        if one.reason is not None:
            continue
        winner = planned[kept.setdefault((one.channel, one.due_at), index)]
        if winner is not one:
            text = f"The reminder {winner.reminder_type} goes out at the same moment."
            result[index] = one.skipped(Reason.SUPERSEDED, _step("superseded", text, one.due_at))
    return result


def _moments(facts: Facts, rule: Rule, preferences: Preferences, now: datetime) -> Iterator[_Moment]:
    if rule.type == "at_booking":
        yield _confirmation(facts, rule, now)
    elif rule.offset is not None and rule.type == "before":
        yield _before(facts, rule, rule.offset, preferences, now)
    elif rule.offset is not None:
        yield from _numbered(facts, rule, rule.offset, preferences, now)


def _confirmation(facts: Facts, rule: Rule, now: datetime) -> _Moment:
    """At the booking, at any hour (D10, D12); for a day at most, and not once the appointment has begun."""
    booked_at, reason = facts.booked_at, None
    due_at = max(booked_at, now)
    until = min(booked_at + CONFIRMATION_VALID, facts.starts_at)
    text = "At once: it confirms the booking."
    if due_at >= until:
        due_at = booked_at
        reason = Reason.BOOKED_LATE if facts.starts_at <= booked_at else Reason.EXPIRED
        text = "It would confirm the booking, but the time for that is over."
    return _Moment(
        reminder_type=rule.reminder_type,
        job_id=f"reminder-{rule.reminder_type}-{facts.appointment_id}",
        planned_for=booked_at,
        due_at=due_at,
        valid_until=max(until, due_at),
        reason=reason,
        steps=(_step("rule", text, due_at),),
    )


def _before(facts: Facts, rule: Rule, offset: Offset, preferences: Preferences, now: datetime) -> _Moment:
    at = shifted(facts.starts_at, offset, facts.event_zone, -1)
    steps = [
        _step("rule", f"{offset.text} before the appointment begins.", facts.starts_at),
        _step("offset", _offset_words(offset), at),
    ]
    job_id = f"reminder-{outside_name(rule.reminder_type)}-{facts.appointment_id}"
    return _Timing(facts, rule, offset, preferences, now).of(rule.reminder_type, job_id, at, steps)


def _numbered(facts: Facts, rule: Rule, offset: Offset, preferences: Preferences, now: datetime) -> Iterator[_Moment]:
    """Seed 004: one for each whole interval between the booking and the start; the one at the start is not sent.

    None makes up for one that was missed (D10): the next is never far.
    """
    # Counted in whole seconds: a booking takes some milliseconds, and they would cost it a reminder.
    facts = replace(facts, booked_at=facts.booked_at.replace(microsecond=0))
    count = _whole_intervals(facts, offset)
    if count > MAX_REMINDERS:
        raise _too_many()
    at = shifted(facts.booked_at, offset, facts.event_zone, 1)
    for number in range(1, max(count, 1) + 1):
        following = shifted(facts.booked_at, offset, facts.event_zone, number + 1)
        steps = [
            _step("rule", f"Every {offset.text} from the booking until the appointment begins.", facts.booked_at),
            _step("offset", f"Number {number}. {_offset_words(offset)}", at),
        ]
        name, job_id = f"{rule.reminder_type}-{number}", f"{facts.appointment_id}-reminder-{number}"
        if count < 1:
            steps.append(_step("late", f"The appointment begins less than {offset.text} after the booking."))
            at = max(min(at, facts.starts_at), facts.booked_at)
            yield _Moment(name, job_id, at, at, at, Reason.BOOKED_LATE, tuple(steps))
            return
        yield _Timing(facts, rule, offset, preferences, now, following).of(name, job_id, at, steps)
        at = following


def _whole_intervals(facts: Facts, offset: Offset) -> int:
    if offset.clock == "elapsed":
        return (facts.starts_at - facts.booked_at) // offset.length
    booked, starts = (at.astimezone(facts.event_zone).replace(tzinfo=None) for at in (facts.booked_at, facts.starts_at))
    return (starts - booked) // offset.length


@dataclass(frozen=True, slots=True)
class _Timing:
    """What becomes of a rule's own time: it is too late, or is held back by quiet hours, or stays.

    ``following`` is when the next of a numbered row is due; None for a reminder that stands alone.
    """

    facts: Facts
    rule: Rule
    offset: Offset
    preferences: Preferences
    now: datetime
    following: datetime | None = None

    @property
    def _late_too(self) -> bool:
        return self.following is None and self.preferences.late_booking == "send_now"

    def _end(self, begin: datetime) -> datetime:
        """Until when a reminder that is due at an instant is of use: the next one, or half of what is left."""
        if self.following is not None:
            return min(self.following, self.facts.starts_at)
        return self.facts.starts_at - (self.facts.starts_at - begin) // 2

    def of(self, reminder_type: str, job_id: str, planned_for: datetime, steps: list[Step]) -> _Moment:
        """The reminder that a rule wants at ``planned_for``; ``steps`` so far."""
        at, reason = self._settle(planned_for, steps)
        until = max(self._end(at), at)
        return _Moment(reminder_type, job_id, planned_for, at, until, reason, tuple(steps))

    def _settle(self, planned_for: datetime, steps: list[Step]) -> tuple[datetime, Reason | None]:
        facts = self.facts
        if planned_for >= facts.starts_at:
            steps.append(_step("late", "That is when the appointment begins, or later."))
            return planned_for, Reason.AT_APPOINTMENT_TIME
        grace = min(self.offset.length * GRACE_SHARE, MAX_GRACE)
        begin = planned_for
        if begin < facts.booked_at:
            if not self._late_too and facts.booked_at > begin + grace:
                return self._too_late(planned_for, grace, steps)
            begin = facts.booked_at
        at = self._held(begin)
        if at is not None and at < self.now:
            # Quiet hours that end the grace lengthen it: who may wait in them may also be planned anew in them.
            if not self._late_too and self.now > (self._held(at + grace) or at + grace):
                return self._too_late(planned_for, grace, steps)
            begin = self.now
            at = self._held(begin)
        if begin >= self._end(begin):
            return self._too_late(planned_for, timedelta(0), steps)
        if begin > planned_for:
            steps.append(_step("late", "That has passed already, so it goes out at once.", begin))
        if at is None or at >= self._end(begin):
            after = "and such reminders are skipped" if at is None else "and after them it would be too late"
            steps.append(_step("quiet_hours", f"That is in the quiet hours ({self._hours()}), {after}."))
            return begin, Reason.QUIET_HOURS
        if at > begin:
            steps.append(
                _step("quiet_hours", f"That is in the quiet hours ({self._hours()}), so it waits for their end.", at)
            )
        return at, None

    def _too_late(self, planned_for: datetime, grace: timedelta, steps: list[Step]) -> tuple[datetime, Reason]:
        minutes = round(grace.total_seconds() / 60)
        by = f", by more than {minutes} minute{'' if minutes == 1 else 's'}" if grace else ""
        steps.append(_step("late", f"That had passed already{by}."))
        return planned_for, Reason.BOOKED_LATE

    def _held(self, at: datetime) -> datetime | None:
        quiet = self.preferences.quiet
        return quiet.hold(at, self.facts.recipient_zone) if quiet and self.rule.quiet_hours else at

    def _hours(self) -> str:
        quiet = self.preferences.quiet
        return f"{quiet.start:%H:%M} to {quiet.end:%H:%M}, {self.facts.recipient_zone.key}" if quiet else ""


def shifted(at: datetime, offset: Offset, zone: ZoneInfo, times: int) -> datetime:
    """An instant so many offsets later (earlier where ``times`` is negative).

    On the wall clock a time that is shown twice is its first pass, and one that is left out is read as if the clocks
    had not yet changed, which is the same distance after the gap (RFC 5545, 3.3.5).
    """
    if offset.clock == "elapsed":
        return at.astimezone(UTC) + offset.length * times
    local = at.astimezone(zone).replace(tzinfo=None) + offset.length * times
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _too_many() -> Exception:
    return invalid_field("policy", f"would make more than {MAX_REMINDERS:,} reminders of this appointment")


def _step(step: str, text: str, at: datetime | None = None) -> Step:
    return {"step": step, "text": text} | ({"at": at.astimezone(UTC).isoformat()} if at else {})


def _offset_words(offset: Offset) -> str:
    return "Counted in time that has passed." if offset.clock == "elapsed" else "Read off the clock on the wall."
