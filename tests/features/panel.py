"""The panel in tests: users, and browsers in which they are logged in."""

import contextvars
import re
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import clock
from app.database import writing
from app.ids import new_id
from app.workspaces.models import Membership, User
from tests.world import World

PASSWORD = "correct horse battery staple"
CHEAP_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def csrf_token(page: str) -> str:
    """The token in a page's forms."""
    found = _TOKEN.search(page)
    assert found, page
    return found[1]


@dataclass
class Browser:
    """A browser with its own cookies. Each request has an app context of its own, as it has in a real process."""

    client: FlaskClient

    def get(self, path: str, **options: Any) -> TestResponse:
        """Load a page."""
        return self.send("GET", path, **options)

    def post(self, path: str, data: dict[str, str] | None = None, **options: Any) -> TestResponse:
        """Send a form, with the token that the panel's pages have for this session."""
        return self.post_without_token(path, {"csrf_token": self.token()} | (data or {}), **options)

    def post_without_token(self, path: str, data: dict[str, str] | None = None, **options: Any) -> TestResponse:
        """Send a form as a foreign page would."""
        return self.send("POST", path, data=data or {}, **options)

    def send(self, method: str, path: str, **options: Any) -> TestResponse:
        """Send any request."""
        return contextvars.Context().run(lambda: self.client.open(path, method=method, buffered=True, **options))

    def token(self) -> str:
        """The CSRF token of the session: every page has it, for logging out or in."""
        page = self.get("/admin/login")
        if page.status_code != 200:
            page = self.get("/admin/")
        return csrf_token(page.text)

    def log_in(self, email: str, password: str = PASSWORD, **data: str) -> TestResponse:
        """Fill in the login form."""
        return self.post("/admin/login", {"email": email, "password": password} | data)

    def session_cookie(self) -> str | None:
        """The panel's cookie."""
        cookie = self.client.get_cookie("bellhop_panel", path="/admin")
        return cookie.value if cookie else None


@dataclass
class Panel:
    """A world with its panel."""

    world: World

    def user(self, email: str, role: str = "owner", *workspaces: str, operator: bool = False) -> str:
        """Make a user with a role in some workspaces; returns the id."""
        user_id = new_id()
        with writing() as session:
            session.add(
                User(id=user_id, email=email, password_hash=CHEAP_HASH, is_operator=operator, created_at=clock.now())
            )
            session.flush()
            session.add_all(Membership(user_id=user_id, workspace_id=name, role=role) for name in workspaces)
        return user_id

    def browser(self) -> Browser:
        """A browser in which nobody is logged in."""
        return Browser(self.world.app.test_client())

    def logged_in(self, email: str) -> Browser:
        """A browser with a session."""
        browser = self.browser()
        assert browser.log_in(email).status_code == 303
        return browser

    @property
    def salon(self) -> Browser:
        """The owner of the salon, logged in."""
        self.user("rosa@salon.test", "owner", self.world.salon.workspace_id)
        return self.logged_in("rosa@salon.test")

    @property
    def outsider(self) -> Browser:
        """The owner of the other workspace, logged in."""
        self.user("eve@outsider.test", "owner", self.world.outsider.workspace_id)
        return self.logged_in("eve@outsider.test")

    @property
    def operator(self) -> Browser:
        """An operator, logged in."""
        self.user("ops@bellhop.test", operator=True)
        return self.logged_in("ops@bellhop.test")
