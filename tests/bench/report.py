"""The table: what was measured, beside what, and whether it is what we mean to show."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One line of the table; all values as text, medians unless they say otherwise."""

    what: str
    ours: str
    other: str = ""
    ratio: str = ""
    bar: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        return self.what, self.ours, self.other, self.ratio, self.bar, verdict


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios turn by turn: both sides of each were measured right after one another."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def beside(what: str, ours: Sequence[float], theirs: Sequence[float], unit: str, least: float | None = None) -> Figure:
    """Ours and another's rate, and how many times more ours is."""
    times = ratio(ours, theirs)
    return Figure(
        what,
        f"{median(ours):,.0f} {unit}",
        f"{median(theirs):,.0f} {unit}",
        f"{times:.1f}x",
        "" if least is None else f"≥ {least:g}x",
        None if least is None else times >= least,
    )


def at_most(what: str, values: Sequence[float], limit: float, unit: str, other: str = "") -> Figure:
    """A value that must not be larger."""
    value = median(values)
    return Figure(what, f"{value:,.3g} {unit}", other, "", f"≤ {limit:g} {unit}", value <= limit)


def table(figures: Sequence[Figure]) -> str:
    """Markdown, aligned so that a terminal shows it as well."""
    rows = [("what", "Bellhop", "stock", "ratio", "bar", "met"), *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine(load_before: float) -> str:
    """Where and when it was measured, and how busy the machine was already."""
    today = datetime.now(UTC).date().isoformat()
    return (
        f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        f"load of the machine before: {load_before:.2f}"
    )
