"""The booking form's settings, and phone numbers as people type them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.channels.phone import check_address, country_of, read_typed
from app.workspaces.booking_form import BookingForm

BAD: dict[str, list[Any]] = {
    "enabled": ["yes", 1, None],
    "services": [[""], ["a\0b"], ["x" * 201], "Haircut", [1], ["x"] * 101],
    "staff": [[""], [None]],
    "countries": [["XX"], ["Germany"], [""], "DE", [1]],
    "openFrom": ["9:00", "24:00", "09:60", "09:00\n", 9],
    "minNoticeMinutes": [-1, 525_601, "60", 1.5, True],
    "maxDaysAhead": [0, 731],
    "perDay": [0, True],
    "perNumber": [0, "3"],
    "perAddress": [0],
    "origins": [["*"], ["null"], ["https://a.b/"], ["https://a.b/c"], ["ftp://a.b"], ["https://A.b"], ["https://a b"]],
    "consentText": ["", "x" * 1001, "\0"],
    "eventType": ["x" * 101],
    "unknown": [1],
}
BAD["origins"] += [["https://a.b; x"], ["https://a.b:0"], ["https://a.b:99999"], ["javascript:alert(1)"], "https://a.b"]


def test_it_is_off_and_its_limits_are_on() -> None:
    form = BookingForm()
    assert not form.enabled
    assert (form.per_day, form.per_number, form.per_address) == (100, 3, 10)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_is_refused_by_name(name: str) -> None:
    for value in BAD[name]:
        with pytest.raises(ValidationError) as caught:
            BookingForm.model_validate({name: value})
        assert caught.value.errors()[0]["loc"][0] == name, value


def test_the_day_begins_before_it_ends() -> None:
    assert BookingForm.model_validate({"openFrom": "09:00", "openUntil": "17:00"}).open_until == "17:00"
    with pytest.raises(ValidationError):
        BookingForm.model_validate({"openFrom": "17:00", "openUntil": "09:00"})


def test_settings_survive_being_stored() -> None:
    form = BookingForm(enabled=True, countries=["de"], origins=["https://a.b"], per_day=5, services=[" Cut "])
    stored = form.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert stored["countries"] == ["DE"]
    assert BookingForm.model_validate(stored) == form


@pytest.mark.parametrize(
    ("text", "countries", "number"),
    [
        ("0400 000 549", ["AU"], "+61400000549"),
        ("+61 400 000 549", ["DE", "AU"], "+61400000549"),
        ("(0151) 234-56789", ["DE"], "+4915123456789"),
        ("0151/23456789", ["DE"], "+4915123456789"),
        ("(234) 567-8901", ["US"], "+12345678901"),
    ],
)
def test_a_number_is_read_as_at_home(text: str, countries: list[str], number: str) -> None:
    assert read_typed(text, countries) == number


@pytest.mark.parametrize(
    ("text", "countries", "words"),
    [
        ("0400 000 549", [], "cannot be used here"),
        ("0400 000 549", ["DE"], "not a mobile number"),
        ("+61400000549", ["DE"], "not served here"),
        ("030 901820", ["DE"], "not a mobile number"),
        ("0900 1234567", ["DE"], "not a mobile number"),
        ("+1 900 234 5678", ["US"], "not a mobile number"),
        ("+44 70 1234 5678", ["GB"], "not a mobile number"),
        ("110", ["DE"], "is not a phone number"),
        ("0151", ["DE"], "is not a phone number"),
        ("call me", ["DE"], "must be a phone number"),
        ("\uff10151 23456789", ["DE"], "must be a phone number"),
    ],
)
def test_a_number_that_is_not_taken_says_why(text: str, countries: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_typed(text, countries)


@given(st.text(alphabet="0123456789+()./ -", max_size=45), st.sampled_from([["DE"], ["US", "AU"], ["GB"]]))
def test_what_is_taken_is_a_valid_number_of_a_listed_country(text: str, countries: list[str]) -> None:
    try:
        number = read_typed(text, countries)
    except ValueError:
        return
    assert check_address(number, "valid") is None
    assert country_of(number) in countries


def test_the_country_of_a_sender_follows_from_its_number() -> None:
    assert country_of("whatsapp:+4915123456789") == "DE"
    assert country_of("+19876543210") == "US", "nobody has it, and its code is known"
    assert country_of("+99912345") is None
    assert country_of("SALON") is None
