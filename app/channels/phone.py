"""Phone numbers: whether an address may be used, which channel it belongs to, and how it looks in a log.

The form is E.164 as Twilio asks for it (twilio.com/docs/glossary/what-e164): ``+``, no leading zero, at most
15 digits, ASCII only; ``whatsapp:`` before it names the channel (twilio.com/docs/whatsapp/api). Whether a
number can exist is judged by Google's libphonenumber.
"""

import re
from collections.abc import Sequence
from typing import Literal

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult

Strictness = Literal["e164", "possible", "valid"]
Channel = Literal["sms", "whatsapp", "email"]

WHATSAPP = "whatsapp:"

_ADDRESS = re.compile(r"(?:whatsapp:)?\+[1-9][0-9]{1,14}")

_FORM = "must be a phone number in E.164 form: a plus sign, the country code and the number, such as +61400000549"
_NO_SUCH_COUNTRY = "starts with a country code that does not exist"
_TOO_SHORT = "is too short for its country"
_TOO_LONG = "is too long for its country"
_UNPARSABLE = {
    phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: _NO_SUCH_COUNTRY,
    phonenumbers.NumberParseException.TOO_LONG: _TOO_LONG,
}
_NOT_POSSIBLE = {
    ValidationResult.INVALID_COUNTRY_CODE: _NO_SUCH_COUNTRY,
    ValidationResult.TOO_SHORT: _TOO_SHORT,
    ValidationResult.TOO_LONG: _TOO_LONG,
    ValidationResult.INVALID_LENGTH: "has a length that its country does not use",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
}
_TYPED = re.compile(r"[0-9+()./ -]{1,40}")
_TAKES_TEXTS = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.UNKNOWN})
"""North America's numbers do not tell mobile from fixed. Premium, shared-cost and personal numbers cost whoever writes
to them, and the rest take no texts.
"""


def check_address(value: str, strictness: Strictness) -> str | None:
    """What is wrong with an address, as a sentence that follows the name of its field; None where nothing is.

    ``e164`` looks at the form only, ``possible`` also at the length that the country uses, ``valid`` also at
    the ranges that the country has given out.
    """
    if not _ADDRESS.fullmatch(value):
        return _FORM
    if strictness == "e164":
        return None
    try:
        number = phonenumbers.parse(value.removeprefix(WHATSAPP))
    except phonenumbers.NumberParseException as error:
        return _UNPARSABLE.get(error.error_type, _TOO_SHORT)
    wrong: str | None = _NOT_POSSIBLE.get(phonenumbers.is_possible_number_with_reason(number))
    if wrong is None and strictness == "valid" and not phonenumbers.is_valid_number(number):
        return "is not a number that its country has given out"
    return wrong


def channel_of(address: str) -> Channel:
    """The channel that an address belongs to."""
    if address.startswith(WHATSAPP):
        return "whatsapp"
    return "email" if "@" in address else "sms"


def country_of(address: str) -> str | None:
    """The country (ISO 3166-1 alpha-2) of an E.164 number, with ``whatsapp:`` before it or not: the one that gave it
    out, or else the first with its code. None where there is no such code.
    """
    try:
        number = phonenumbers.parse(address.removeprefix(WHATSAPP))
    except phonenumbers.NumberParseException:
        return None
    code = number.country_code or 0
    region = phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(code)
    return region if region in phonenumbers.SUPPORTED_REGIONS else None


def read_typed(text: str, countries: Sequence[str]) -> str:
    """A mobile number as a person types it, in E.164 form. Without a country code it is read as one of the first
    country; numbers of countries that are not listed are refused.

    Raises:
        ValueError: a sentence that follows the name of the field.
    """
    if not countries:
        raise ValueError("cannot be used here; give an email address instead")
    if not _TYPED.fullmatch(text):
        raise ValueError("must be a phone number: digits, with a plus sign before a country code")
    try:
        number = phonenumbers.parse(text, countries[0])
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number") from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError("is not a phone number that exists")
    if phonenumbers.region_code_for_number(number) not in countries:
        raise ValueError("is of a country that is not served here")
    if phonenumbers.number_type(number) not in _TAKES_TEXTS:
        raise ValueError("is not a mobile number; give one that takes text messages, or an email address")
    typed: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return typed


def addresses_by_channel(phone: str | None, email: str | None) -> dict[Channel, str | None]:
    """Where somebody with this number and this email address is reached, by channel."""
    return {"sms": phone, "whatsapp": f"{WHATSAPP}{phone}" if phone else None, "email": email}
