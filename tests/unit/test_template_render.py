"""The renderer: text and fields, nothing else, in linear time."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.segments import utf16_length
from app.message_templates.render import Field, TemplateError, clean, fields_of, longest, parse, render


def values(**known: str) -> object:
    return lambda field: known.get(field.name.replace(".", "_"))


@pytest.mark.parametrize(
    "text, finished",
    [
        ("Hello", "Hello"),
        ("{{first}} {{ last }}", "Ada Lovelace"),
        ("{{\n first\t}}!", "Ada!"),
        ("{ {{first}} } and {first}", "{ Ada } and {first}"),
        ('{{ nobody | default: "there" }}', "there"),
        ('{{ first | default: "there" }}', "Ada"),
        ("{{ nobody | default: \u201cthere\u201d }}", "there"),
        ('a{{ nobody | default: "" }}b', "ab"),
        ('{{ nobody|default:"it\'s"|24h }}', "it's"),
        ("  {{ first }}\n", "Ada"),
        ("{{ blank }}x", "x"),
    ],
)
def test_fields_are_replaced_by_their_values(text: str, finished: str) -> None:
    assert render(text, values(first="Ada", last="Lovelace", blank="  ")).text == finished  # type: ignore[arg-type]


def test_what_is_missing_is_named_once_and_left_blank() -> None:
    done = render('{{ a.b }}{{ a.b }} and {{ c }}{{ d | default: "" }}', lambda _: None)

    assert done.text == "and"
    assert done.missing == ("a.b", "c")


def test_a_value_is_never_read_again() -> None:
    done = render("Hi {{ name }}", lambda _: "{{ name }} {{ links.cancel }} {% x %} ${7*7}")

    assert done.text == "Hi {{ name }} {{ links.cancel }} {% x %} ${7*7}"


def test_a_value_brings_no_line_break_control_character_or_change_of_direction() -> None:
    assert clean("  Ada\r\nBcc: all@example.com\x00\u202e\u2028x ") == "Ada Bcc: all@example.com x"


@pytest.mark.parametrize(
    "text, words",
    [
        ("Hi {{ name", "at character 4 is not closed"),
        ("Hi {{ a }} }}", "}} at character 12 closes no field"),
        ("}}", "at character 1 closes no field"),
        ("{{ }}", "at character 1"),
        ("{{ a {{ b }}", "at character 1"),
        ("x{{ a.b.__class__() }}", "at character 2"),
        ("{{ a[0] }}", "at character 1"),
        ("{{ 7*7 }}", "at character 1"),
        ("{{ a | upper }}", "after |"),
        ("{{ a | default }}", "after |"),
        ("{{ a | default: there }}", "after |"),
        ("{{ a | }}", "at character 1"),
        ("{{ " + "a" * 400 + " }}", "at character 1"),
        ("{{{ a }}}", "at character 1"),
        ("{{ ä }}", "at character 1"),
    ],
)
def test_what_is_no_field_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(TemplateError) as refused:
        parse(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "bomb",
    [
        "{{" * 500_000,
        "}}" * 500_000,
        "{" * 1_000_000,
        '{{ a | default: "' + "x" * 1_000_000,
        "{{ " + "a." * 500_000 + " }}",
        "{{ a " + "| " * 500_000 + "}}",
        "{{ " + " " * 1_000_000 + "}}",
        "{{ a }}" * 140_000,
    ],
    ids=range(8),
)
def test_a_bomb_takes_linear_time(bomb: str) -> None:
    begun = time.perf_counter()
    with suppress(TemplateError):
        render(bomb, lambda _: "x")
    assert time.perf_counter() - begun < 5


def test_fields_know_where_they_are() -> None:
    assert fields_of('Hi {{ a }}, {{ b | 24h | default: "c" }}') == [Field("a", 4), Field("b", 13, "c", "24h")]


@given(st.lists(st.sampled_from(["{", "}", "{{", "}}", " ", "a", ".", "|", "24h", ":", '"x"', "default", "é", "\n"])))
def test_any_text_is_read_or_refused(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        done = render(text, lambda _: "v")
    except TemplateError:
        return
    assert "{{" not in done.text or "{{" in text


@given(
    st.lists(st.one_of(st.text("ab \U0001f600", max_size=9), st.sampled_from(["{{ x }}", '{{ y | default: "zz" }}']))),
    st.text("v\U0001f600", max_size=4),
)
def test_no_text_comes_out_longer_than_its_longest(pieces: list[str], value: str) -> None:
    text = "".join(pieces)
    limit = utf16_length(value)

    assert utf16_length(render(text, lambda _: value).text) <= longest(text, lambda _: limit)
