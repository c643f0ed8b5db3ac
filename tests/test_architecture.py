"""The ranks of the packages, written down once: imports point down, and what must flow up goes through signals."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The longest matching prefix counts.
RANKS = {
    "app.wsgi": 9,
    "app.embedded": 9,
    "app.embedded_processes": 7,
    "app.embedded_redis": 8,
    "app.embedded_welcome": 8,
    "jobs": 8,
    "admin": 7,
    "app.factory": 7,
    "app.cli": 7,
    "app.appointments": 6,
    "app.appointments.models": 3,  # the claim of a message looks at the appointment's revision
    "app.reminders": 5,
    "app.reminders.models": 3,  # a message that is about to go out looks at the quiet hours
    "app.webhooks": 5,
    "app.messages": 4,
    "app.contacts": 3,
    "app.message_templates": 3,
    "app.workflows": 3,
    "app.tasks": 3,
    "app.api": 2,
    "app.workspaces": 1,
    "app.workspaces.api": 5,
    "app.channels": 1,
    "app.migrations": 7,
    "app.gunicorn_config": 7,
    "app.gunicorn_worker": 7,
    "app": 0,
}


def module_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(module: str) -> str:
    return max((name for name in RANKS if module == name or module.startswith(f"{name}.")), key=len)


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = (ROOT / Path(*full.split("."))).with_suffix(".py").exists() or (
                    ROOT / Path(*full.split("."))
                ).is_dir()
                yield full if is_module else str(node.module)


MODULES = sorted(
    path for top in ("app", "jobs", "admin") for path in (ROOT / top).rglob("*.py") if "versions" not in path.parts
)


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_imports_point_down(path: Path) -> None:
    importer = package_of(module_of(path))
    for target in imports_of(path):
        if target.split(".")[0] not in ("app", "jobs", "admin"):
            continue
        imported = package_of(target)
        if imported == importer:
            continue
        assert RANKS[imported] < RANKS[importer] or (RANKS[imported] == RANKS[importer] == 0), (
            f"{module_of(path)} (rank {RANKS[importer]}) imports {target} (rank {RANKS[imported]})"
        )


def test_the_application_never_imports_jobs_or_the_panel() -> None:
    for path in MODULES:
        if module_of(path).startswith("app.") and RANKS[package_of(module_of(path))] < 9:
            assert not any(target.split(".")[0] in ("jobs", "admin") for target in imports_of(path)), path


def test_jobs_and_panel_do_not_know_each_other() -> None:
    for path in MODULES:
        top = module_of(path).split(".")[0]
        foreign = {"jobs": "admin", "admin": "jobs"}.get(top)
        assert foreign is None or not any(target.split(".")[0] == foreign for target in imports_of(path)), path
