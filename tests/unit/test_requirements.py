"""docs/requirements.md is complete, and the tests that it names exist."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "requirements.md"
MISSION = ROOT.parent / "shared" / "mission.md"

HOW_MANY = {"000": 19, "001": 59, "002": 35, "003": 35, "004": 26}
LINES = [f"{seed}.{number:02}" for seed, last in HOW_MANY.items() for number in range(1, last + 1)]
DECISIONS = [f"D{number}" for number in range(1, 27)]
STATES = {"done", "partly", "planned", "documented"}

LINE = re.compile(r"\b00[0-4]\.\d\d\b")
TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
DOCUMENT = re.compile(r"\]\(([\w/.-]+\.md)(?:#[\w-]+)?\)")


@dataclass(frozen=True)
class Row:
    """One requirement."""

    number: str
    words: str
    state: str
    shown_by: str

    @property
    def tests(self) -> list[tuple[str, str]]:
        """Each test's file and name."""
        return TEST.findall(self.shown_by)

    @property
    def documents(self) -> list[str]:
        """The documents that are linked."""
        return DOCUMENT.findall(self.shown_by)


def rows() -> list[Row]:
    """All rows of both tables."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| (00\d\.\d\d|D\d+) \|", line):
            number, words, state, shown_by = (cell.strip() for cell in line.strip("| ").split(" | "))
            found.append(Row(number, words, state, shown_by))
    return found


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests of a file, those of classes as ``Class::test``."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    alone = {node.name for node in tree.body if isinstance(node, functions)}
    grouped = {
        f"{group.name}::{node.name}"
        for group in tree.body
        if isinstance(group, ast.ClassDef)
        for node in group.body
        if isinstance(node, functions)
    }
    return frozenset(name for name in alone | grouped if name.rpartition("::")[2].startswith("test_"))


def test_every_line_is_there_once_and_in_order() -> None:
    assert [row.number for row in rows()] == LINES + DECISIONS


@pytest.mark.skipif(not MISSION.is_file(), reason="the list of requirements is not beside this checkout")
def test_it_has_the_lines_of_the_list_that_it_answers() -> None:
    text = MISSION.read_text(encoding="utf-8")
    assert sorted(set(LINE.findall(text))) == sorted(LINES)
    assert re.findall(r"^\| (D\d+) \|", text, re.MULTILINE) == DECISIONS


def test_every_line_says_what_it_is_about() -> None:
    wordless = [row.number for row in rows() if len(row.words.split()) < 2]
    assert wordless == []
    assert [words for words, count in Counter(row.words for row in rows()).items() if count > 1] == []


def test_every_state_is_a_known_word() -> None:
    assert {row.state for row in rows()} <= STATES


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.number)
def test_what_shows_it_fits_its_state(row: Row) -> None:
    if row.state == "done":
        assert row.tests
    if row.state == "documented":
        assert row.documents
    if row.state == "planned":
        assert row.shown_by == "-"


def test_the_promises_name_tests_that_exist() -> None:
    promised = TEST.findall((ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"))
    assert len(promised) >= 20
    assert [f"{path}::{name}" for path, name in promised if name not in names_in(path)] == []


@pytest.mark.parametrize("row", [row for row in rows() if row.shown_by != "-"], ids=lambda row: row.number)
def test_what_shows_it_exists(row: Row) -> None:
    assert row.tests or row.documents
    # Nothing else is written there: a test that is misspelt would otherwise be overlooked.
    assert len(row.tests) + len(row.documents) == len(row.shown_by.split("<br>"))
    for path, name in row.tests:
        assert (ROOT / path).is_file(), path
        assert name in names_in(path), f"{path}::{name}"
    for document in row.documents:
        assert (TABLE.parent / document).is_file(), document
