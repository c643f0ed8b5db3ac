"""What a workspace chooses: merge patches, retry overrides, prices."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.retry import POLICIES
from app.workspaces.preferences import Caps, Preferences, Prices, RetryOverride, merged, millionths, parse


@pytest.mark.parametrize(
    ("stored", "patch", "result"),
    [
        ({}, {"caps": {"dailySegments": 1}}, {"caps": {"dailySegments": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {}),
        ({"a": {"b": 1}, "z": 1}, {"a": None}, {"z": 1}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({}, {"a": {}}, {}),
    ],
)
def test_a_patch_changes_what_it_names(stored: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    before = repr(stored)

    assert merged(stored, patch) == result
    assert repr(stored) == before


def test_what_others_keep_beside_it_is_no_concern() -> None:
    assert parse({"somebodyElses": 1}) == Preferences()


def test_a_section_that_is_wrong_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(ValidationError):
        parse({"caps": {"dailySegments": "many"}})


def test_an_override_changes_what_it_names_of_its_policy() -> None:
    policy = RetryOverride(max_attempts=7, factor=1.0).of(POLICIES["reminder"])

    assert (policy.name, policy.max_attempts, policy.first_delay_s, policy.factor) == ("reminder", 7, 5, 1)


@pytest.mark.parametrize(
    ("amount", "exact"), [(None, 0), ("0", 0), ("1", 1_000_000), ("0.0079", 7900), ("0.000001", 1), ("0.1", 100_000)]
)
def test_money_is_exact(amount: str | None, exact: int) -> None:
    assert millionths(amount) == exact


def test_an_sms_costs_by_the_segment_and_the_others_each() -> None:
    prices = Prices(sms="0.01", whatsapp="0.02")

    assert [prices.cost(channel, 3) for channel in ("sms", "whatsapp", "email")] == [30_000, 20_000, 0]


def test_a_cap_of_nothing_is_a_cap() -> None:
    assert (Caps().any, Caps(daily_segments=0).any) == (False, True)
