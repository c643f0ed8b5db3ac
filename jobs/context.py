"""The app that jobs run in: made once per process, on first use, so that no connection crosses a fork."""

import functools
import os
from collections.abc import Callable

from flask import Flask, current_app

from app.factory import create_app

_apps: dict[int, Flask] = {}


def app() -> Flask:
    """The app of this process."""
    if os.getpid() not in _apps:
        _apps.clear()
        _apps[os.getpid()] = create_app()
    return _apps[os.getpid()]


def in_app(function: Callable[[str], None]) -> Callable[[str], None]:
    """Run a job function inside an app context: the surrounding one, or else the process's own."""

    @functools.wraps(function)
    def run(argument: str) -> None:
        if current_app:
            function(argument)
        else:
            with app().app_context():
                function(argument)

    return run
