"""How many segments a text has: the limits of GSM 03.38, to the character."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.segments import GSM_BASIC, GSM_EXTENSION, Segments, count_segments, utf16_length


def test_the_tables_are_those_of_the_standard() -> None:
    # 128 positions, one of which is the escape.
    assert len(GSM_BASIC) == 127
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION
    # Small c with cedilla is the usual mistake: the table has the capital only.
    assert "ç" not in GSM_BASIC
    assert "Ç" in GSM_BASIC


@pytest.mark.parametrize(
    "body, encoding, characters, segments",
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("a" * 1600, "GSM-7", 1600, 11),
        ("Grüße, Ærø; £5 à Ñandú\r\n", "UCS-2", 24, 1),  # ú is not in the table
        ("Grüße, Ærø; £5 à Ñando\r\n", "GSM-7", 24, 1),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 159 + "€", "GSM-7", 161, 2),
        ("\u2019" * 70, "UCS-2", 70, 1),
        ("\u2019" * 71, "UCS-2", 71, 2),
        ("\u2019" * 134, "UCS-2", 134, 2),
        ("\u2019" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("a" * 69 + "ł", "UCS-2", 70, 1),
        ("`", "UCS-2", 1, 1),
        ("\ud83d", "UCS-2", 1, 1),
    ],
)
def test_the_limits_are_160_153_septets_and_70_67_code_units(
    body: str, encoding: str, characters: int, segments: int
) -> None:
    assert count_segments(body) == Segments(encoding, characters, segments)


def test_an_escape_is_never_parted_from_its_character() -> None:
    # The 153rd septet of the first part would be the escape; both move on, and the second part overflows.
    assert count_segments("a" * 152 + "€" + "a" * 151).segments == 2
    assert count_segments("a" * 152 + "€" + "a" * 152).segments == 3
    assert count_segments("a" * 151 + "€" + "a" * 153).segments == 2


def test_a_surrogate_pair_is_never_parted() -> None:
    assert count_segments("ł" * 66 + "😀" + "ł" * 65).segments == 2
    assert count_segments("ł" * 66 + "😀" + "ł" * 66).segments == 3
    assert count_segments("ł" * 65 + "😀" + "ł" * 67).segments == 2


@given(st.text(max_size=400))
def test_length_in_code_units_is_that_of_utf16(body: str) -> None:
    assert utf16_length(body) == len(body.encode("utf-16-le", "surrogatepass")) // 2


@given(st.text(max_size=400), st.text(max_size=3))
def test_a_longer_text_never_has_fewer_segments_than_its_length_allows(body: str, more: str) -> None:
    counted = count_segments(body)
    alone, each = (160, 153) if counted.encoding == "GSM-7" else (70, 67)
    least = 1 if counted.characters <= alone else math.ceil(counted.characters / each)
    # A part loses at most one unit to a pair that did not fit.
    most = 1 if counted.characters <= alone else math.ceil(counted.characters / (each - 1))
    assert least <= counted.segments <= most
    assert count_segments(body + more).segments >= counted.segments or more == ""
