"""Phone numbers: which are taken, and that none is ever seen in a log."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.phone import Strictness, channel_of, check_address
from app.masking import mask, mask_bare


@pytest.mark.parametrize(
    "value",
    ["+61400000549", "+1234567890", "+12", "+123456789012345", "whatsapp:+61400000549"],
)
def test_e164_takes_every_number_of_the_form(value: str) -> None:
    assert check_address(value, "e164") is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "+",
        "+1",
        "61400000549",
        "0400000549",
        "+0400000549",
        "+1234567890123456",
        "+61 400 000 549",
        "+61-400-000-549",
        "+61400000549\n",
        " +61400000549",
        "++61400000549",
        "+६१४००००००५४९",
        "+\uff16\uff11\uff14\uff10\uff10\uff10\uff10\uff10\uff15\uff14\uff19",
        "+6140000054a",
        "+61400000549\0",
        "whatsapp:61400000549",
        "whatsapp:whatsapp:+61400000549",
        "WhatsApp:+61400000549",
        "sms:+61400000549",
        "MG" + "0" * 32,
    ],
)
def test_e164_refuses_everything_else_and_says_what_it_wants(value: str) -> None:
    wrong = check_address(value, "e164")
    assert wrong is not None
    assert "E.164" in wrong
    assert wrong == check_address(value, "valid")


@pytest.mark.parametrize(
    "value, strictness, wrong",
    [
        ("+61400000549", "possible", None),
        ("+61400000549", "valid", None),
        ("whatsapp:+61400000549", "valid", None),
        ("+14155552671", "valid", None),
        ("+1234567890", "possible", "is too short for its country"),
        ("+6140000054999", "possible", "has a length that its country does not use"),
        ("+141555526711", "possible", "is too long for its country"),
        ("+999123456789", "possible", "starts with a country code that does not exist"),
        ("+12", "possible", "is too short for its country"),
        ("+12025550", "possible", "lacks its area code"),
        ("+11111111111", "possible", None),
        ("+11111111111", "valid", "is not a number that its country has given out"),
        ("whatsapp:+11111111111", "valid", "is not a number that its country has given out"),
    ],
)
def test_stricter_levels_add_the_judgement_of_phonenumbers(
    value: str, strictness: Strictness, wrong: str | None
) -> None:
    assert check_address(value, strictness) == wrong


@given(st.integers(1, 9), st.text("0123456789", min_size=1, max_size=14))
def test_no_number_of_the_form_makes_the_strict_levels_fail(first: int, rest: str) -> None:
    value = f"+{first}{rest}"
    assert check_address(value, "e164") is None
    assert check_address(value, "possible") is None or check_address(value, "valid") is not None


def test_the_prefix_names_the_channel() -> None:
    assert channel_of("+61400000549") == "sms"
    assert channel_of("whatsapp:+61400000549") == "whatsapp"


@pytest.mark.parametrize(
    "text, masked",
    [
        ("to +61400000549 now", "to +61*****549 now"),
        ("whatsapp:+61400000549", "whatsapp:+61*****549"),
        ("To=%2B61400000549&x=1", "To=%2B61*****549&x=1"),
        ("To=%2b61400000549", "To=%2b61*****549"),
        ("back=%3FTo%3D%252B61400000549", "back=%3FTo%3D%252B61*****549"),
        ("+61400000549+14155552671", "+61*****549+14*****671"),
        ("+1234567", "+12*****7"),
        ("+12345678901234567890", "+12*****890"),
        ("2026-03-01T10:00:00+00:00", "2026-03-01T10:00:00+00:00"),
        ("1+1=2 and +123456", "1+1=2 and +123456"),
        ("100%", "100%"),
        ("", ""),
    ],
)
def test_mask_hides_the_middle_of_each_number_and_nothing_else(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@given(st.text(), st.text("0123456789", min_size=7, max_size=15), st.sampled_from(["+", "%2B", "%252b"]))
def test_mask_leaves_no_number_whatever_stands_around_it(around: str, digits: str, plus: str) -> None:
    assert not re.search(r"(\+|%(25)*2[bB])[0-9]{7,}", mask(f"{around}{plus}{digits}{around}"))


def test_mask_takes_time_in_proportion_to_the_text() -> None:
    for text in ("+1" * 200_000, "%25" * 200_000, "+" * 400_000, "%252525" * 60_000, "+1234567" * 50_000):
        started = time.perf_counter()
        mask(text)
        assert time.perf_counter() - started < 1


def test_mask_bare_also_hides_numbers_without_a_plus_but_keeps_ids() -> None:
    sid = "SM0123456789abcdef0123456789012345"
    assert mask_bare(f"The number 61400000549 or +61400000549, {sid}, code 21211") == (
        f"The number 61*****549 or +61*****549, {sid}, code 21211"
    )
