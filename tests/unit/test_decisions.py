"""What follows a try: tables of (what happened, where the message stands, now) and the decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.channels.base import Failure, FailureKind, Hindsight
from app.messages.decisions import (
    GIVE_UP_LOOKING,
    PULL_FOR,
    REPEATABLE_FOR,
    Decision,
    Fail,
    LookUp,
    PauseAccount,
    Retry,
    Standing,
    after_failed_lookup,
    after_failure,
    after_lookup,
    next_pull,
    without_log,
)
from app.messages.states import Reason
from app.retry import POLICIES

NOW = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def standing(
    used: int = 0, uncounted: int = 0, policy: str = "default", late_s: float = 0, valid_s: float = 14_400
) -> Standing:
    """A message that became due ``late_s`` ago and is of use for ``valid_s`` more."""
    return Standing(used, uncounted, POLICIES[policy], NOW - seconds(late_s), NOW + seconds(valid_s))


def decide(kind: FailureKind, where: Standing, retry_after_s: float | None = None, min_delay_s: float = 0) -> Decision:
    failure = Failure(kind, "as scripted", retry_after_s=retry_after_s, min_delay_s=min_delay_s)
    return after_failure(failure, where, NOW)


@pytest.mark.parametrize(
    ("kind", "decision"),
    [
        (FailureKind.PERMANENT, Fail(Reason.REJECTED, counted=True)),
        (FailureKind.OPTED_OUT, Fail(Reason.OPTED_OUT, counted=True)),
        (FailureKind.TRANSIENT, Retry(NOW + seconds(1), counted=True)),
        (FailureKind.THROTTLED, Retry(NOW + seconds(1), counted=False, uncounted=True)),
        (FailureKind.UNREACHABLE, Retry(NOW + seconds(1), counted=False)),
        (FailureKind.CONFIGURATION, PauseAccount()),
        (FailureKind.AMBIGUOUS, LookUp(NOW + seconds(10))),
    ],
)
def test_each_kind_of_failure_has_its_consequence(kind: FailureKind, decision: Decision) -> None:
    assert decide(kind, standing()) == decision


def test_every_kind_is_decided() -> None:
    assert all(decide(kind, standing()) is not None for kind in FailureKind)


@pytest.mark.parametrize(
    ("policy", "used", "gap"),
    [
        ("default", 0, 1),
        ("default", 1, 2),
        ("default", 2, None),
        ("default", 7, None),
        ("reminder", 0, 5),
        ("reminder", 1, 25),
        ("reminder", 2, 125),
        ("reminder", 3, 625),
        ("reminder", 4, None),
    ],
)
def test_a_refusal_for_now_uses_up_an_attempt_and_waits_exactly(policy: str, used: int, gap: float | None) -> None:
    exhausted = Fail(Reason.ATTEMPTS_EXHAUSTED, counted=True)
    expected = exhausted if gap is None else Retry(NOW + seconds(gap), counted=True)
    # What was not counted before changes nothing.
    assert decide(FailureKind.TRANSIENT, standing(used, uncounted=9, policy=policy)) == expected


@pytest.mark.parametrize(("least", "gap"), [(0, 1), (0.5, 1), (60, 60)])
def test_the_provider_s_own_rule_can_only_lengthen_the_wait(least: float, gap: float) -> None:
    assert decide(FailureKind.TRANSIENT, standing(), min_delay_s=least) == Retry(NOW + seconds(gap), counted=True)


@pytest.mark.parametrize(
    ("tries", "retry_after_s", "least", "gap"),
    [
        (0, None, 0, 1),
        (3, None, 0, 8),
        (9, None, 0, 30),
        (0, 7.5, 0, 7.5),
        (9, 7.5, 0, 7.5),
        (0, 0, 0, 0),
        # 429 with a code that has a rule of its own (21611: the sender's queue is full).
        (0, None, 60, 60),
        (0, 5, 60, 60),
        (0, 90, 60, 90),
    ],
)
def test_throttling_waits_as_told_and_uses_no_attempt(
    tries: int, retry_after_s: float | None, least: float, gap: float
) -> None:
    decision = decide(FailureKind.THROTTLED, standing(used=2, uncounted=tries), retry_after_s, least)
    assert decision == Retry(NOW + seconds(gap), counted=False, uncounted=True)


def test_throttling_ends_after_ten_times() -> None:
    assert decide(FailureKind.THROTTLED, standing(uncounted=10), 1) == Fail(Reason.THROTTLED)


@pytest.mark.parametrize(("late_s", "gap"), [(0, 1), (1, 1), (10, 5), (60, 30), (3600, 30)])
def test_what_never_left_is_tried_as_long_as_it_is_of_use(late_s: float, gap: float) -> None:
    # Neither budget counts: an outage of hours must not cost a message that is still wanted.
    decision = decide(FailureKind.UNREACHABLE, standing(used=2, uncounted=10, late_s=late_s))
    assert decision == Retry(NOW + seconds(gap), counted=False)


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.THROTTLED, FailureKind.UNREACHABLE])
@pytest.mark.parametrize(("valid_s", "goes_on"), [(1.001, True), (1, False), (0.5, False)])
def test_a_try_that_would_come_too_late_is_not_planned(kind: FailureKind, valid_s: float, goes_on: bool) -> None:
    decision = decide(kind, standing(valid_s=valid_s))
    # Too late is no reason to count what is not counted otherwise.
    counted = kind is FailureKind.TRANSIENT
    assert isinstance(decision, Retry) if goes_on else decision == Fail(Reason.EXPIRED, counted)


def test_a_doubt_is_settled_even_when_the_message_is_of_no_use_any_more() -> None:
    assert decide(FailureKind.AMBIGUOUS, standing(valid_s=1)) == LookUp(NOW + seconds(10))


@pytest.mark.parametrize(
    ("looks", "age_s", "decision"),
    [
        # Twice, ten seconds apart, and not before half a minute has passed.
        (1, 10, LookUp(NOW + seconds(10))),
        (1, 29, LookUp(NOW + seconds(10))),
        (1, 300, LookUp(NOW + seconds(10))),
        (2, 20, LookUp(NOW + seconds(10))),
        (2, 15, LookUp(NOW + seconds(15))),
        (5, 29.9, LookUp(NOW + seconds(10))),
        (2, 30, Retry(NOW, counted=False, uncounted=True)),
        (7, 3600, Retry(NOW, counted=False, uncounted=True)),
    ],
)
def test_not_in_the_log_means_nothing_at_first(looks: int, age_s: float, decision: Decision) -> None:
    tried_at = NOW - seconds(age_s)
    assert after_lookup(standing(), looks=looks, tried_at=tried_at, hold=False, now=NOW) == decision


@pytest.mark.parametrize(
    ("where", "hold", "decision"),
    [
        (standing(), True, Fail(Reason.HELD_UNKNOWN)),
        (standing(uncounted=9), False, Retry(NOW, counted=False, uncounted=True)),
        (standing(uncounted=10), False, Fail(Reason.ATTEMPTS_EXHAUSTED)),
        (standing(used=2), False, Retry(NOW, counted=False, uncounted=True)),
        (standing(valid_s=0), False, Fail(Reason.EXPIRED)),
    ],
)
def test_what_is_not_accepted_is_sent_again_or_held(where: Standing, hold: bool, decision: Decision) -> None:
    assert after_lookup(where, looks=2, tried_at=NOW - seconds(60), hold=hold, now=NOW) == decision


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_held_message_is_looked_up_as_thoroughly(looks: int) -> None:
    decision = after_lookup(standing(), looks=looks, tried_at=NOW - seconds(20), hold=True, now=NOW)
    assert isinstance(decision, LookUp)


def test_a_log_that_cannot_be_read_is_asked_again_soon_and_never_answered_by_a_resend() -> None:
    for age in (seconds(10), timedelta(hours=5), GIVE_UP_LOOKING - seconds(1)):
        assert after_failed_lookup(tried_at=NOW - age, now=NOW) == LookUp(NOW + seconds(10))
    assert after_failed_lookup(tried_at=NOW - GIVE_UP_LOOKING, now=NOW) == Fail(Reason.HELD_UNKNOWN)


@pytest.mark.parametrize(
    ("callbacks", "waits"),
    [
        (False, [10, 20, 30, 60, 120, 300, 900, 3600, 21_600, 21_600]),
        (True, [300, 900, 3600, 21_600, 21_600]),
    ],
)
def test_pulls_get_rarer_and_begin_later_where_reports_are_posted(callbacks: bool, waits: list[float]) -> None:
    planned = [next_pull(checks, NOW, NOW, callbacks=callbacks) for checks in range(len(waits))]
    assert planned == [NOW + seconds(wait) for wait in waits]


def test_pulling_ends_after_two_days() -> None:
    assert next_pull(20, NOW - PULL_FOR + seconds(1), NOW, callbacks=True) is not None
    assert next_pull(20, NOW - PULL_FOR, NOW, callbacks=True) is None


def undecided(where: Standing, hindsight: Hindsight, tried_s: float = 100, **facts: Any) -> Decision:
    """A doubtful try of ``tried_s`` ago at a provider without a log."""
    tried_at = NOW - seconds(tried_s)
    known = {"tried_at": tried_at, "in_doubt_since": tried_at, "repeat_refused": False, "hold": False, "now": NOW}
    return without_log(where, hindsight, **known | facts)


REPEATABLE = Hindsight(searchable=False, repeatable=True)
SILENT = Hindsight(searchable=False, fetchable=False)
REPORTING = Hindsight(searchable=False, reports_within=seconds(600))


@pytest.mark.parametrize(
    ("where", "hindsight", "facts", "decision"),
    [
        (standing(), REPEATABLE, {}, Retry(NOW + seconds(1), counted=False)),
        (standing(late_s=20), REPEATABLE, {}, Retry(NOW + seconds(10), counted=False)),
        (standing(late_s=9000), REPEATABLE, {"hold": True}, Retry(NOW + seconds(30), counted=False)),
        (standing(valid_s=1), REPEATABLE, {}, Fail(Reason.HELD_UNKNOWN)),
        (standing(), REPEATABLE, {"repeat_refused": True}, Fail(Reason.HELD_UNKNOWN)),
        (
            standing(),
            REPEATABLE,
            {"in_doubt_since": NOW - REPEATABLE_FOR},
            Retry(NOW, counted=False, uncounted=True),
        ),
        (standing(), REPEATABLE, {"in_doubt_since": NOW - REPEATABLE_FOR, "hold": True}, Fail(Reason.HELD_UNKNOWN)),
        (standing(), SILENT, {}, Retry(NOW, counted=False, uncounted=True)),
        (standing(), SILENT, {"tried_s": 30}, Retry(NOW, counted=False, uncounted=True)),
        (standing(), SILENT, {"tried_s": 29}, LookUp(NOW + seconds(1))),
        (standing(), REPORTING, {}, LookUp(NOW + seconds(500))),
        (standing(), REPORTING, {"tried_s": 600}, Retry(NOW, counted=False, uncounted=True)),
        (standing(), SILENT, {"hold": True}, Fail(Reason.HELD_UNKNOWN)),
        (standing(valid_s=0), SILENT, {}, Fail(Reason.HELD_UNKNOWN)),
        (standing(uncounted=9), SILENT, {}, Retry(NOW, counted=False, uncounted=True)),
        (standing(uncounted=10), SILENT, {}, Fail(Reason.HELD_UNKNOWN)),
    ],
)
def test_without_a_log_a_try_is_repeated_where_that_is_safe_or_waits_for_reports(
    where: Standing, hindsight: Hindsight, facts: dict[str, Any], decision: Decision
) -> None:
    assert undecided(where, hindsight, **facts) == decision
