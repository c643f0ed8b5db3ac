"""The characters that turn a text message into UCS-2, whose segments hold 70 and not 160; and what to write instead."""

import unicodedata
from dataclasses import dataclass

from app.channels.segments import GSM_BASIC, GSM_EXTENSION

_WRITE_INSTEAD = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\t", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufe0f\ufeff\u00ad", ""),
    **dict.fromkeys("\u2022\u00b7\u25cf", "*"),
    "\u2026": "...",
    "\u00d7": "x",
    "\u2122": "TM",
    "\u00ae": "(R)",
    "\u00a9": "(C)",
    "\u00bd": "1/2",
    "\u00bc": "1/4",
    "\u2713": "OK",
    "\u2714": "OK",
    "\u00e7": "\u00c7",
}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A character outside of the GSM alphabet: where it stands (counted from 0), its Unicode name, and what to write
    in its place; None where there is nothing like it.
    """

    character: str
    name: str
    index: int
    suggestion: str | None


def foreign_characters(body: str, limit: int) -> list[Foreign]:
    """The first ones of a text, each as often as it occurs."""
    found: list[Foreign] = []
    for index, character in enumerate(body):
        if character in GSM_BASIC or character in GSM_EXTENSION:
            continue
        name = unicodedata.name(character, f"U+{ord(character):04X}")
        found.append(Foreign(character, name, index, suggestion_for(character)))
        if len(found) == limit:
            break
    return found


def suggestion_for(character: str) -> str | None:
    """What to write in place of a character: a sign that looks like it, or the letter without its accent."""
    if character in _WRITE_INSTEAD:
        return _WRITE_INSTEAD[character]
    bare = "".join(one for one in unicodedata.normalize("NFKD", character) if not unicodedata.combining(one))
    return bare if bare and all(one in GSM_BASIC for one in bare) else None
