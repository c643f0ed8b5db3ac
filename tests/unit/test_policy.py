"""Policies as data: what they may say, and the one form of a reminder's type."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.reminders.policy import CLASSIC, PRESETS, canonical_type, outside_name, parse_offset, parse_policy


@pytest.mark.parametrize(
    ("given_form", "one_form"),
    [
        *(("24hr", "24h"), ("24h", "24h"), ("24hrs", "24h"), ("24 hours", "24h"), ("24HR", "24h"), ("024h", "24h")),
        *(("1hr", "1h"), ("60m", "1h"), ("60min", "1h"), ("120m", "2h"), ("1440m", "24h"), ("90m", "90m")),
        *(("1d", "1d"), ("1 day", "1d"), ("7d", "1w"), ("14days", "2w"), ("1week", "1w"), ("10d", "10d")),
        *(("weekly", "weekly"), ("Weekly", "Weekly"), ("confirmation", "confirmation"), ("every-1", "every-1")),
        *(
            (" 24h ", "24h"),
            ("0m", "0m"),
            ("1.5h", "1.5h"),
            ("-1h", "-1h"),
            ("\u0662h", "\u0662h"),
            ("h", "h"),
            ("", ""),
        ),
    ],
)
def test_what_means_the_same_length_of_time_is_one_type(given_form: str, one_form: str) -> None:
    assert canonical_type(given_form) == one_form


def test_a_day_is_not_24_hours() -> None:
    """In a night when the clocks change they are different instants (resolution D2)."""
    assert canonical_type("1d") != canonical_type("24h")


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,6} ?(m|min|hr|H|days|w)", fullmatch=True)))
def test_the_one_form_is_its_own_form(text: str) -> None:
    assert canonical_type(canonical_type(text)) == canonical_type(text)


@given(st.integers(1, 500), st.sampled_from("mhdw"))
def test_the_outside_name_leads_back(number: int, unit: str) -> None:
    kind = canonical_type(f"{number}{unit}")
    assert canonical_type(outside_name(kind)) == kind


@given(st.integers(1, 366), st.sampled_from("mhd"))
def test_two_spellings_are_one_type_only_where_they_are_one_length(number: int, unit: str) -> None:
    text = f"{number}{unit}"
    one, same = parse_offset(text), parse_offset(canonical_type(text))
    assert (one.length, one.clock) == (same.length, same.clock)


words = st.one_of(
    st.sampled_from(
        ["at_booking", "before", "every", "24h", "1d", "classic", "sms", "wall", "rules", "type", "offset"]
    ),
    st.text(max_size=5),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["preset", "rules", "channels", "fallback", "type", "offset", "clock"]), inner),
        st.dictionaries(words, inner, max_size=3),
    ),
    max_leaves=12,
)


@given(values)
def test_any_value_is_a_policy_or_refused_by_the_name_of_its_field(value: object) -> None:
    try:
        parse_policy(value, "policy")
    except Invalid as refused:
        [name] = refused.fields
        assert name == "policy" or name.startswith("policy.")


def test_the_presets_are_those_of_the_seeds() -> None:
    assert {name: [rule.reminder_type for rule in one.rules] for name, one in PRESETS.items()} == {
        "classic": ["confirmation", "24h", "1h"],
        "clinic": ["24h", "2h"],
        "every-2h": ["every"],
    }
    assert PRESETS["every-2h"].channels == ("whatsapp",)
    assert not PRESETS["every-2h"].rules[0].quiet_hours


def test_a_preset_may_have_other_channels() -> None:
    for value in ("classic", {"preset": "classic"}):
        assert parse_policy(value) == CLASSIC
    changed = parse_policy({"preset": "classic", "channels": ["email", "sms"], "fallback": ["whatsapp"]})
    assert changed == replace(CLASSIC, channels=("email", "sms"), fallback=("whatsapp",))


def test_the_classic_rules_written_out_are_the_classic_policy() -> None:
    rules = [{"type": "at_booking"}, {"type": "before", "offset": "24h"}, {"type": "before", "offset": "1h"}]
    assert parse_policy({"rules": rules}).rules == CLASSIC.rules


def test_days_are_of_the_wall_and_hours_have_passed_unless_the_rule_says_otherwise() -> None:
    assert [parse_offset(text).clock for text in ("90m", "24h", "1d", "1w")] == ["elapsed", "elapsed", "wall", "wall"]
    [rule] = parse_policy({"rules": [{"type": "before", "offset": "1d", "clock": "elapsed"}]}).rules
    assert rule.offset == parse_offset("1d", "elapsed")
    assert parse_offset("1d", "elapsed") != parse_offset("1d")
