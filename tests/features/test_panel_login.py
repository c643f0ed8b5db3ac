"""Logging in and out of the panel."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import update

from admin import users
from admin.login import local_target
from app.database import writing
from app.workspaces.models import User
from tests.features.panel import PASSWORD, Panel, csrf_token

ROSA = "rosa@salon.test"


@pytest.fixture
def rosa(panel: Panel) -> Panel:
    """The panel with one user."""
    panel.user(ROSA, "owner", panel.world.salon.workspace_id)
    return panel


def test_the_right_password_opens_home(rosa: Panel) -> None:
    browser = rosa.browser()

    answer = browser.log_in(" Rosa@Salon.test ")

    assert (answer.status_code, answer.location) == (303, "/admin/")
    assert ROSA in browser.get("/admin/").text


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(rosa: Panel) -> None:
    wrong = rosa.browser().log_in(ROSA, "wrong")
    unknown = rosa.browser().log_in("nobody@salon.test", "wrong")

    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert "do not match" in wrong.text
    assert _without_token(wrong.text).replace(ROSA, "") == _without_token(unknown.text).replace("nobody@salon.test", "")


def test_an_unknown_email_costs_as_much_work_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch, rosa: Panel) -> None:
    checked: list[str] = []
    monkeypatch.setattr(users, "_verify", lambda stored, _password: bool(checked.append(stored)))

    rosa.browser().log_in(ROSA, "wrong")
    rosa.browser().log_in("nobody@salon.test", "wrong")

    assert len(checked) == 2


def test_that_work_is_what_a_real_password_costs() -> None:
    assert not PasswordHasher().check_needs_rehash(users.nobody())


def _without_token(page: str) -> str:
    return "\n".join(line for line in page.splitlines() if "csrf_token" not in line)


@pytest.mark.parametrize("password", ["", "x" * 2000, PASSWORD + "\0"])
def test_odd_passwords_are_refused(rosa: Panel, password: str) -> None:
    assert rosa.browser().log_in(ROSA, password).status_code in (400, 401)


def test_a_form_without_its_token_is_refused(rosa: Panel) -> None:
    browser = rosa.browser()

    answer = browser.post_without_token("/admin/login", {"email": ROSA, "password": PASSWORD})

    assert answer.status_code == 400
    assert answer.mimetype == "text/html"
    assert browser.get("/admin/").status_code == 302


def test_the_token_of_another_session_is_refused(rosa: Panel) -> None:
    foreign = rosa.browser().token()
    browser = rosa.browser()
    browser.get("/admin/login")

    answer = browser.post_without_token("/admin/login", {"email": ROSA, "password": PASSWORD, "csrf_token": foreign})

    assert answer.status_code == 400


def test_the_login_leads_to_the_page_that_was_asked_for(rosa: Panel) -> None:
    browser = rosa.browser()
    sent_away = browser.get("/admin/messages/?show=failed")
    assert sent_away.location == "/admin/login?next=/admin/messages/?show%3Dfailed"

    answer = browser.log_in(ROSA, next="/admin/messages/?show=failed")

    assert answer.location == "/admin/messages/?show=failed"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.test/admin/",
        "//evil.test/admin/",
        "/admin//evil.test",
        "/\\evil.test/admin/",
        "/admin/\\evil.test",
        "/admin/../../evil",
        "/admin/\nx",
        "/api/trigger/cancel-job",
        "javascript:alert(1)",
        "/admin/login?next=/admin/",
        "admin/",
        "",
        None,
    ],
)
def test_only_pages_of_the_panel_are_gone_to(wanted: str | None) -> None:
    assert local_target(wanted) == "/admin/"


def test_a_foreign_next_is_ignored(rosa: Panel) -> None:
    assert rosa.browser().log_in(ROSA, next="https://evil.test/").location == "/admin/"


def test_the_cookie_is_for_the_panel_only(rosa: Panel) -> None:
    cookie = rosa.browser().log_in(ROSA).headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/admin" in cookie
    assert "Secure" not in cookie  # it is http on this machine


def test_behind_https_the_cookie_is_secure(make_panel) -> None:
    panel = make_panel(public_base_url="https://bellhop.example")

    assert "Secure" in panel.browser().get("/admin/login").headers["Set-Cookie"]


@pytest.mark.parametrize(
    "referer, code", [("https://bellhop.example/admin/login", 303), ("https://evil.test/", 400), (None, 400)]
)
def test_behind_https_the_form_must_come_from_our_own_page(make_panel, referer: str | None, code: int) -> None:
    panel = make_panel(public_base_url="https://bellhop.example")
    panel.user(ROSA)
    browser = panel.browser()
    there = {"base_url": "https://bellhop.example"}
    token = csrf_token(browser.get("/admin/login", **there).text)

    answer = browser.post_without_token(
        "/admin/login",
        {"email": ROSA, "password": PASSWORD, "csrf_token": token},
        headers={"Referer": referer} if referer else {},
        **there,
    )

    assert answer.status_code == code


def test_a_session_from_before_the_login_is_worth_nothing_after_it(rosa: Panel) -> None:
    browser = rosa.browser()
    token = browser.token()
    planted = browser.session_cookie()
    browser.log_in(ROSA)

    assert browser.session_cookie() != planted
    assert browser.post_without_token("/admin/logout", {"csrf_token": token}).status_code == 400


def test_a_session_ends_after_twelve_hours(rosa: Panel) -> None:
    browser = rosa.logged_in(ROSA)

    rosa.world.clock.advance(hours=11, minutes=59)
    assert browser.get("/admin/").status_code == 200

    rosa.world.clock.advance(minutes=1)
    assert browser.get("/admin/").status_code == 302


def test_the_cookie_itself_ends_with_the_session(rosa: Panel) -> None:
    assert rosa.world.app.permanent_session_lifetime == timedelta(hours=12)
    assert "Expires=" in rosa.browser().log_in(ROSA).headers["Set-Cookie"]


def test_a_new_password_ends_the_sessions_of_the_old_one(rosa: Panel) -> None:
    browser = rosa.logged_in(ROSA)

    with writing() as session:
        session.execute(update(User).values(password_hash="$argon2id$another"))

    assert browser.get("/admin/").status_code == 302
    assert rosa.browser().log_in(ROSA).status_code == 401  # and a broken hash opens nothing


def test_logging_out_ends_it(rosa: Panel) -> None:
    browser = rosa.logged_in(ROSA)

    assert browser.get("/admin/logout").status_code == 405
    assert browser.post_without_token("/admin/logout").status_code == 400
    assert browser.get("/admin/").status_code == 200

    assert browser.post("/admin/logout").location == "/admin/login"
    assert browser.get("/admin/").status_code == 302


def test_ten_failures_with_one_email_are_enough_from_wherever_they_come(rosa: Panel) -> None:
    for number in range(10):
        answer = _try_from(rosa, f"192.0.2.{number}", ROSA)
        assert answer.status_code == 401

    answer = _try_from(rosa, "192.0.2.99", ROSA.upper())

    assert answer.status_code == 429
    assert answer.mimetype == "text/html"
    assert int(answer.headers["Retry-After"]) > 0
    assert _try_from(rosa, "192.0.2.99", "ben@salon.test").status_code == 401


def test_ten_failures_from_one_address_are_enough_with_whatever_email(rosa: Panel) -> None:
    for number in range(10):
        assert _try_from(rosa, "192.0.2.7", f"{number}@salon.test").status_code == 401

    assert _try_from(rosa, "192.0.2.7", ROSA, PASSWORD).status_code == 429
    assert _try_from(rosa, "192.0.2.8", ROSA, PASSWORD).status_code == 303


def test_successes_do_not_count(rosa: Panel) -> None:
    for _ in range(12):
        assert _try_from(rosa, "192.0.2.7", ROSA, PASSWORD).status_code == 303


def test_failures_are_counted_while_redis_is_away(make_panel) -> None:
    panel = make_panel(redis_url="redis://127.0.0.1:1/0")

    codes = [_try_from(panel, "192.0.2.7", ROSA).status_code for _ in range(11)]

    assert codes == [401] * 10 + [429]


def _try_from(panel: Panel, address: str, email: str, password: str = "wrong"):
    browser = panel.browser()
    data = {"email": email, "password": password, "csrf_token": browser.token()}
    return browser.post_without_token("/admin/login", data, environ_base={"REMOTE_ADDR": address})
