"""Fixtures of the panel."""

from collections.abc import Callable
from typing import Any

import pytest

from admin import init_admin, users
from app.extensions import settings
from tests.features.panel import CHEAP_HASH, Panel
from tests.world import World


@pytest.fixture
def make_panel(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Panel]:
    """Builds worlds with a panel; an unknown e-mail costs less work than it does in earnest."""
    monkeypatch.setattr(users, "nobody", lambda: CHEAP_HASH)

    def make(**values: Any) -> Panel:
        world = make_world(**values)
        init_admin(world.app, settings())
        return Panel(world)

    return make


@pytest.fixture
def panel(make_panel: Callable[..., Panel]) -> Panel:
    """The usual world, with its panel."""
    return make_panel()
