"""Lua scripts: what Redis must do in one step, each with its keys, arguments and answer at its head."""

from pathlib import Path


def read(name: str) -> str:
    """The text of a script."""
    return (Path(__file__).parent / f"{name}.lua").read_text(encoding="utf-8")
