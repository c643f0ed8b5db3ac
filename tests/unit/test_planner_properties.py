"""What holds for every plan, whatever the policy, the zone and the night."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Invalid
from app.quiet_hours import QuietHours
from app.reminders.planner import Facts, Planned, Preferences, plan
from app.reminders.policy import CHANNELS, PRESETS, Policy, parse_policy

ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Africa/Casablanca",
        "America/Havana",
        "Pacific/Kiritimati",
    )
]
NIGHTS = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin forward
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # Berlin back
    datetime(2026, 3, 8, 7, tzinfo=UTC),  # New York forward
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York back, Havana back at midnight
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe back, by half an hour
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe forward
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia leaves a day out
    datetime(2026, 2, 15, 2, tzinfo=UTC),  # Casablanca back for Ramadan
    datetime(2026, 3, 22, 2, tzinfo=UTC),  # and forward
]
minutes = st.integers(0, 14 * 24 * 60).map(lambda count: timedelta(minutes=count))
seconds = st.integers(0, 59).map(lambda count: timedelta(seconds=count))
zones = st.sampled_from(ZONES)
channels = st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True)
offsets = st.one_of(
    st.integers(1, 20_000).map(lambda count: f"{count}m"),
    st.integers(1, 400).map(lambda count: f"{count}h"),
    st.integers(1, 30).map(lambda count: f"{count}d"),
    st.integers(1, 3).map(lambda count: f"{count}w"),
)
intervals = offsets.filter(lambda text: not text.endswith("m") or int(text[:-1]) >= 15)
extras = st.fixed_dictionaries(
    {}, optional={"clock": st.sampled_from(["wall", "elapsed"]), "channels": channels, "quietHours": st.booleans()}
)
before = st.builds(lambda text, more: {"type": "before", "offset": text} | more, offsets, extras)
every = st.builds(lambda text, more: {"type": "every", "interval": text} | more, intervals, extras)


def _unlike(rules: list[dict[str, object]]) -> Policy:
    """The policy of those rules that have a type of their own."""
    kept: list[dict[str, object]] = []
    for rule in rules:
        with suppress(Invalid):
            parse_policy({"rules": [*kept, rule]})
            kept.append(rule)
    return parse_policy({"rules": kept})


own = st.builds(
    lambda befores, row, confirms: _unlike([*([{"type": "at_booking"}] if confirms else []), *befores, *row]),
    st.lists(before, min_size=1, max_size=5),
    st.lists(every, max_size=1),
    st.booleans(),
)
policies = st.one_of(st.sampled_from(list(PRESETS.values())), own)
walls = st.builds(time, st.integers(0, 23), st.integers(0, 59))
nights = st.builds(QuietHours, walls, walls, st.sampled_from(["shift", "skip"])).filter(lambda q: q.start != q.end)
wishes = st.builds(
    Preferences, channels.map(tuple), st.one_of(st.none(), nights), st.sampled_from(["skip", "send_now"])
)


@st.composite
def stories(draw: Callable[..., object]) -> Facts:
    """A booking up to two weeks ahead, around a night in which clocks change."""
    night: datetime = draw(st.sampled_from(NIGHTS))  # type: ignore[assignment]
    booked = night + draw(minutes) - timedelta(days=9) + draw(seconds)  # type: ignore[operator]
    addresses = {channel: draw(st.sampled_from(["someone", None])) for channel in draw(channels)}  # type: ignore[attr-defined]
    starts = booked + draw(minutes) + draw(seconds)  # type: ignore[operator]
    return Facts("a", starts, booked, draw(zones), draw(zones), addresses)  # type: ignore[arg-type]


def sent(planned: list[Planned]) -> dict[tuple[str, str], Planned]:
    return {(one.reminder_type, one.channel): one for one in planned if one.reason is None}


def confirmations(policy: Policy) -> set[str]:
    return {rule.reminder_type for rule in policy.rules if rule.type == "at_booking"}


def exempt(policy: Policy, one: Planned) -> bool:
    return any(not rule.quiet_hours for rule in policy.rules if one.reminder_type.split("-")[0] == rule.reminder_type)


@given(stories(), policies, wishes, minutes)
@settings(max_examples=400)
def test_every_reminder_is_in_its_place(
    story: Facts, policy: Policy, preferences: Preferences, later: timedelta
) -> None:
    now = story.booked_at + later
    planned = plan(story, policy, preferences, now)

    keys = [(one.reminder_type, one.channel) for one in planned]
    assert len(set(keys)) == len(keys)
    assert len({one.job_id for one in planned}) == len(planned)
    for one in planned:
        assert one.steps
        assert {one.due_at.tzinfo, one.valid_until.tzinfo} <= {UTC}
        if one.reason is not None:
            continue
        assert story.booked_at <= one.due_at < one.valid_until <= story.starts_at
        assert one.due_at >= now, "what goes out at once is due now"
        assert story.addresses[one.channel] is not None
        assert one.channel in preferences.channels
        assert one.channel not in one.fallback
        if one.reminder_type not in confirmations(policy) and preferences.quiet and not exempt(policy, one):
            assert not preferences.quiet.contain(one.due_at, story.recipient_zone)
    apart = [
        (one.channel, one.due_at) for one in sent(planned).values() if one.reminder_type not in confirmations(policy)
    ]
    assert len(set(apart)) == len(apart), "no two at one instant on one channel"


@given(stories(), policies, wishes)
def test_it_follows_from_its_facts_alone(story: Facts, policy: Policy, preferences: Preferences) -> None:
    elsewhere = replace(
        story, starts_at=story.starts_at.astimezone(ZONES[2]), booked_at=story.booked_at.astimezone(ZONES[3])
    )
    assert plan(story, policy, preferences, story.booked_at) == plan(elsewhere, policy, preferences, story.booked_at)


@given(stories(), policies, wishes, minutes, minutes)
@settings(max_examples=400)
def test_planned_again_what_is_still_to_come_stays_as_it_was(
    story: Facts, policy: Policy, preferences: Preferences, first: timedelta, second: timedelta
) -> None:
    early, late = sorted((story.booked_at + first, story.booked_at + second))
    old, new = (plan(story, policy, preferences, now) for now in (early, late))

    assert [(one.reminder_type, one.channel, one.planned_for) for one in old] == [
        (one.reminder_type, one.channel, one.planned_for) for one in new
    ]
    for key, one in sent(old).items():
        if one.due_at > late:
            assert sent(new)[key].due_at == one.due_at, key


@given(stories(), st.lists(before, min_size=1, max_size=1), minutes)
def test_the_later_the_appointment_the_later_its_reminder(
    story: Facts, rules: list[dict[str, object]], later: timedelta
) -> None:
    policy, moved = parse_policy({"rules": rules}), replace(story, starts_at=story.starts_at + later)
    first, second = (plan(one, policy, Preferences(), one.booked_at) for one in (story, moved))
    for one, other in zip(first, second, strict=True):
        assert one.planned_for <= other.planned_for


@given(zones, nights, st.sampled_from(NIGHTS), minutes)
@settings(max_examples=400)
def test_quiet_hours_end_within_a_day_or_two_of_any_clock(
    zone: ZoneInfo, quiet: QuietHours, night: datetime, offset: timedelta
) -> None:
    at = night - timedelta(days=7) + offset
    end = quiet.end_after(at, zone)
    assert at < end <= at + timedelta(hours=50)
    assert not quiet.contain(end, zone)
