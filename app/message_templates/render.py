"""Texts with merge fields: ``{{ contact.first_name }}``, ``{{ contact.first_name | default: "there" }}``.

There is nothing in a template but text and fields: no loops, no conditions, no attributes, no expressions. A text is
read once from left to right, and a value is put in as it is and never read again, so a value may contain ``{{`` and
a template may come from anybody.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.channels.segments import utf16_length

MAX_TAG = 300
"""Characters between ``{{`` and ``}}``."""

_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*")
_FILTER = re.compile(r'\|\s*([A-Za-z0-9_]+)\s*(?::\s*["\u201c\u201d]([^"\u201c\u201d]*)["\u201c\u201d]\s*)?')
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Control characters, line breaks and marks that turn the direction of what follows: none of them belongs in a value,
and a line break would begin a new header in a subject.
"""


class TemplateError(ValueError):
    """A text that is no template; the words say what is wrong and at which character, counted from 1."""


@dataclass(frozen=True, slots=True)
class Field:
    """A merge field: ``at`` is the character at which it begins, ``default`` what stands for a value that is missing,
    ``form`` another way to write the value.
    """

    name: str
    at: int
    default: str | None = None
    form: str | None = None


Part = str | Field
Values = Callable[[Field], str | None]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished text, and the fields that had neither value nor default and were left out of it."""

    text: str
    missing: tuple[str, ...]


@lru_cache(maxsize=256)
def parse(text: str) -> tuple[Part, ...]:
    """A text as its parts.

    Raises:
        TemplateError: a field is not closed, or is not written as one.
    """
    return tuple(_parts(text))


def _parts(text: str) -> Iterator[Part]:
    position = 0
    while (start := text.find("{{", position)) >= 0:
        if start > position:
            yield _plain(text[position:start], position)
        end = text.find("}}", start)
        if end < 0:
            raise TemplateError(f"the field that begins at character {start + 1} is not closed with }}}}")
        yield _field(text[start + 2 : end], start + 1)
        position = end + 2
    if position < len(text):
        yield _plain(text[position:], position)


def _plain(text: str, position: int) -> str:
    stray = text.find("}}")
    if stray >= 0:
        raise TemplateError(f"the }}}} at character {position + stray + 1} closes no field")
    return text


def _field(tag: str, at: int) -> Field:
    problem = f'at character {at} there must be a field such as {{{{ contact.first_name | default: "there" }}}}'
    name = _NAME.match(tag) if len(tag) <= MAX_TAG else None
    if name is None:
        raise TemplateError(problem)
    default = form = None
    position = name.end()
    while position < len(tag):
        found = _FILTER.match(tag, position)
        if found is None:
            raise TemplateError(problem)
        word, argument = found.groups()
        if word == "default" and argument is not None:
            default = argument
        elif word == "24h" and argument is None:
            form = word
        else:
            raise TemplateError(f'at character {at}, after |, there may be 24h or default: "a text"')
        position = found.end()
    return Field(name[1], at, default, form)


def render(text: str, values: Values) -> Rendered:
    """Put values into a text; None and blank ones are missing. White space at both ends goes.

    Raises:
        TemplateError: as `parse`.
    """
    pieces: list[str] = []
    missing: dict[str, None] = {}
    for part in parse(text):
        if isinstance(part, str):
            pieces.append(part)
            continue
        value = clean(values(part) or "") or part.default
        if value is None:
            missing[part.name] = None
        pieces.append(value or "")
    return Rendered("".join(pieces).strip(), tuple(missing))


def clean(value: str) -> str:
    """A value without line breaks and control characters, and without white space around it."""
    return _UNSAFE.sub(" ", value).strip()


def fields_of(text: str) -> list[Field]:
    """The fields of a text, in order.

    Raises:
        TemplateError: as `parse`.
    """
    return [part for part in parse(text) if isinstance(part, Field)]


def longest(text: str, limit_of: Callable[[Field], int]) -> int:
    """The length in UTF-16 units that a text can come to, where each value has a limit of its own.

    Raises:
        TemplateError: as `parse`.
    """
    total = 0
    for part in parse(text):
        if isinstance(part, str):
            total += utf16_length(part)
        else:
            total += max(limit_of(part), utf16_length(part.default or ""))
    return total


def unknown_field(field: Field, known: Collection[str]) -> TemplateError:
    """What to say about a field that there is not, with the known name that is most like it."""
    near = difflib.get_close_matches(field.name, known, n=1, cutoff=0.5)
    hint = f"; do you mean {near[0]}?" if near else ""
    return TemplateError(f"{field.name[:100]} (at character {field.at}) is not a field that we know{hint}")
