"""Retry policies: how often, and the exact gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retry import POLICIES, UNCOUNTED, RetryPolicy


def gaps(policy: RetryPolicy) -> list[float]:
    """What is waited between all the tries of a policy."""
    return [policy.delay_s(failed) for failed in range(1, policy.max_attempts)]


@pytest.mark.parametrize(
    ("name", "tries", "waits"),
    [
        ("default", 3, [1, 2]),
        ("reminder", 5, [5, 25, 125, 625]),
    ],
)
def test_the_printed_policies_are_exact(name: str, tries: int, waits: list[float]) -> None:
    assert POLICIES[name].max_attempts == tries
    assert gaps(POLICIES[name]) == waits


def test_policies_are_known_by_their_own_names() -> None:
    assert {name: policy.name for name, policy in POLICIES.items()} == {"default": "default", "reminder": "reminder"}


def test_the_default_never_waits_longer_than_half_a_minute() -> None:
    assert [POLICIES["default"].delay_s(failed) for failed in (5, 6, 7, 100)] == [16, 30, 30, 30]


def test_tries_without_an_answer_have_a_budget_of_their_own() -> None:
    assert UNCOUNTED.max_attempts == 10
    assert gaps(UNCOUNTED) == [1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_jitter_is_off_unless_it_is_asked_for() -> None:
    assert not any(policy.jitter for policy in (*POLICIES.values(), UNCOUNTED))


@given(failed=st.integers(1, 10_000), first=st.floats(0.1, 100), factor=st.floats(1, 10), most=st.floats(0.1, 10_000))
def test_any_policy_grows_up_to_its_limit(failed: int, first: float, factor: float, most: float) -> None:
    exact = RetryPolicy("exact", 5, first, factor, most)
    assert 0 < exact.delay_s(failed) <= exact.delay_s(failed + 1) <= most

    jittered = RetryPolicy("jittered", 5, first, factor, most, jitter=True)
    assert 0 < jittered.delay_s(failed) <= exact.delay_s(failed)


@pytest.mark.parametrize("failed", [0, -3])
def test_a_count_below_one_waits_like_the_first(failed: int) -> None:
    assert POLICIES["default"].delay_s(failed) == 1
