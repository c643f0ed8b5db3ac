"""Hiding phone numbers in what others may read: logs, and error texts of providers."""

import re

# A plus sign, also as it stands in a URL (%2B) or in a URL inside a URL (%252B), and the digits that follow
# it. More than 15 digits are no phone number, but a phone number with more digits behind it still has to be
# hidden.
_PLUS_DIGITS = re.compile(r"(\+|%(?:25)*2[Bb])([0-9]{7,})")
# The same without the plus sign, but not inside a word: the ids of Twilio are hexadecimal.
_BARE_DIGITS = re.compile(r"(?<![0-9A-Za-z*+.])([0-9]{8,15})(?![0-9A-Za-z])")

_EMAIL = re.compile(r"([^\s@<>\"'(),:;*])[^\s@<>\"'(),:;]*@([^\s@<>\"'(),:;]+)")


def mask(text: str) -> str:
    """A text with every phone number in it hidden but for its first and last digits: ``+61*****549``.

    Linear in the length of the text, and cheap where there is nothing to hide: it runs on every log line.
    """
    if "+" not in text and "%" not in text:
        return text
    return _PLUS_DIGITS.sub(_hidden, text)


def mask_bare(text: str) -> str:
    """`mask`, and digits without a plus sign as well: for sentences that others wrote."""
    return _BARE_DIGITS.sub(lambda match: _shortened(match[1]), mask(text))


def mask_addresses(text: str) -> str:
    """A text with every email address in it hidden but for its first letter and its domain: ``j***@example.com``."""
    return _EMAIL.sub(lambda match: f"{match[1]}***@{match[2]}", text) if "@" in text else text


def _hidden(match: re.Match[str]) -> str:
    return match[1] + _shortened(match[2])


def _shortened(digits: str) -> str:
    # Of a short number the last digits would be most of it.
    return f"{digits[:2]}*****{digits[-3:] if len(digits) > 9 else digits[-1:]}"
