"""CSV lists of people: what spreadsheets write is read, what we write harms no spreadsheet and can be read again."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contacts.csv_format import guard, read, unguard, write
from app.contacts.models import Contact
from app.errors import Invalid

FORMULAS = ["=1+1", "+61400000549", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''+1", "\uff1d1", "\uff0b1"]


def rows(text: str | bytes) -> list[tuple[int, dict[str, str]]]:
    raw = text if isinstance(text, bytes) else text.encode()
    return [(record.line, record.cells) for record in read(raw)]


def refusal(raw: str | bytes) -> str:
    with pytest.raises(Invalid) as caught:
        read(raw if isinstance(raw, bytes) else raw.encode())
    assert set(caught.value.fields) == {"file"}
    return caught.value.fields["file"][0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_byte_order_marks(delimiter: str, end: str, start: bytes) -> None:
    table = [["phone", "First Name", "notes"], ["+61400000549", "Zoë, the 1st; or\t2nd", ""], ["", "Bo", "b"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(table)

    assert rows(start + out.getvalue().encode()) == [
        (2, {"phone": "+61400000549", "firstName": "Zoë, the 1st; or\t2nd"}),
        (3, {"firstName": "Bo", "notes": "b"}),
    ]


@pytest.mark.parametrize(
    "title, column",
    [
        ("phone", "phone"),
        (" Mobile ", "phone"),
        ("Phone Number", "phone"),
        ("phone_number", "phone"),
        ("PHONE-NUMBER", "phone"),
        ("E-Mail", "email"),
        ("email address", "email"),
        ("First name", "firstName"),
        ("Surname", "lastName"),
        ("Full Name", "name"),
        ("Time zone", "timezone"),
        ("Groups", "tags"),
        ("Comment", "notes"),
        ("ID", "contactId"),
        ("field:Tea_1", "field:Tea_1"),
        ("Field: tea", "field:tea"),
    ],
)
def test_titles_have_other_names(title: str, column: str) -> None:
    other = "email" if column == "phone" else "phone"
    assert rows(f"{other},{title}\n,x\n") == [(2, {column: "x"})]


def test_lines_are_those_of_the_file() -> None:
    text = 'phone,notes\n"+1","two\nlines\r\nthree"\n\n , \n+2,x\n'

    assert rows(text) == [(2, {"phone": "+1", "notes": "two\nlines\r\nthree"}), (7, {"phone": "+2", "notes": "x"})]


def test_how_people_write_numbers() -> None:
    for written in (
        "+61 400 000 549",
        "+61-400-000-549",
        "+61 (400) 000.549",
        "'+61400000549",
        "+61\u00a0400\u2011000549",
    ):
        assert rows(f"phone\n{written}\n") == [(2, {"phone": "+61400000549"})]


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "is empty"),
        (b"  \n\n ", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"phone,email\n", "has no row"),
        (b"phone\n\n,\n".replace(b",", b" "), "has no row"),
        ("phone\nZo\xeb".encode("cp1252"), "is not UTF-8 (line 2)"),
        (b"phone\n\xed\xa0\x80", "is not UTF-8 (line 2)"),
        ("phone\n+1".encode("utf-16"), "is UTF-16"),
        (b"phone\n+1\n\0", "NUL character (line 3)"),
        (b'phone\n+1\n"+2\n+3', "from line 3 on: a quotation mark is not closed"),
        (b'phone\n"+1"2\n', "from line 2 on"),
        (b"phone,colour\n+1,red\n", "2, \xe2\x80\x9ccolour\xe2\x80\x9d".decode() if False else "colour"),
        (b"phone,field:1a\n+1,x\n", "field:1a"),
        (b"phone,mobile\n+1,+2\n", "phone twice"),
        (b"name,notes\nAna,x\n", "phone or email among them"),
        (b"+61400000549,Ana\n", "column that is not known: 1"),
        (b"phone\n+1,+2\n", "2 cells on line 2"),
        (b"," * 1_000_000, "more than 200 columns"),
        (b"phone" + b",field:a" * 250, "more than 200 columns"),
        (b"phone,notes\n+1,a\n" + b"+1,a\n" * 20_000, "more than 20000 rows"),
        (b'phone,notes\n+1,"' + b"x" * 200_000 + b'"', "line 2"),
        (b'"' * 1_000_001, "line 1"),
        (b"phone\n" + b'"' * 100_001, "line 2"),
        (b"PK\x03\x04", "not known"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_cannot_be_read_is_said_clearly(raw: bytes, words: str) -> None:
    assert words in refusal(raw)


def test_the_largest_file_is_read() -> None:
    assert len(rows("phone,notes\n" + "+1,a\n" * 20_000)) == 20_000


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_that_is_written_begins_like_a_formula(cell: str) -> None:
    contact = person(first_name=cell, notes=cell, fields={"own": cell})

    for line in csv.reader(io.StringIO(write([contact]), newline="")):
        assert not any(one.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for one in line)
    assert unguard(guard(cell)) == cell


@given(st.text(alphabet=st.one_of(st.sampled_from("'=+-@\t\r\n;,\" a\uff1d"), st.characters()), max_size=20))
def test_the_guard_is_taken_away_exactly(cell: str) -> None:
    assert unguard(guard(cell)) == cell
    assert guard(cell) in (cell, f"'{cell}")


def person(**values: Any) -> Contact:
    empty = {"public_id": "x", "first_name": "", "last_name": "", "tags": [], "fields": {}, "notes": ""}
    return Contact(**empty | {"phone": "+61400000549", "email": None, "timezone": None} | values)


@given(st.binary(max_size=60), st.sampled_from([b"", b"phone\n", b"phone;notes\n", b'"phone"\t"notes"\r']))
def test_any_bytes_are_read_or_refused(rest: bytes, start: bytes) -> None:
    try:
        records = read(start + rest)
    except Invalid:
        return
    assert all(record.cells and record.line > 1 for record in records)


TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from("'=+-@\t\r\n;,\""), st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    ),
    max_size=30,
).filter(lambda text: not text or text.strip())
LINE = TEXT.map(str.strip)


@given(first=LINE, last=LINE, notes=TEXT, own=st.dictionaries(st.sampled_from(["a", "b"]), TEXT.filter(bool)))
def test_what_is_written_is_read_again(first: str, last: str, notes: str, own: dict[str, str]) -> None:
    written = write([person(first_name=first, last_name=last, notes=notes, fields=own, tags=["=x", "b"])])

    [record] = read(b"\xef\xbb\xbf" + written.encode())

    expected = {"contactId": "x", "firstName": first, "lastName": last, "phone": "+61400000549", "notes": notes}
    expected |= {"tags": "=x;b"} | {f"field:{name}": value for name, value in own.items()}
    assert record.cells == {name: value for name, value in expected.items() if value}
    assert record.line == 2
