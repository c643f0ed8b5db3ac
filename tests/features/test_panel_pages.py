"""What all pages of the panel have in common: headers, no scripts, the sandbox's phone, errors as pages."""

import re

import pytest

from admin.guard import CSP
from tests.features.panel import Panel

PAGES = ("/admin/", "/admin/messages/", "/admin/recurring/", "/admin/inbox/", "/admin/nothing", "/admin/login")


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_strict_headers_and_nothing_inline(panel: Panel, path: str) -> None:
    panel.world.salon.delay(10)
    browser = panel.browser() if path == "/admin/login" else panel.salon

    answer = browser.get(path)

    assert answer.headers["Content-Security-Policy"] == CSP
    assert "unsafe" not in CSP
    assert "script-src" not in CSP  # default-src 'none' holds for it
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in answer.text
    assert "<style" not in answer.text
    assert not re.search(r"\s(style|on[a-z]+)=", answer.text)
    assert "http://" not in answer.text.replace("http://localhost", "")
    assert "https://" not in answer.text


def test_style_sheet_and_icon_come_from_here_and_are_kept(panel: Panel) -> None:
    browser = panel.browser()
    page = browser.get("/admin/login").text
    links = re.findall(r'(?:href|src)="(/admin/static/[^"]+)"', page)
    assert len(links) == 3

    for link in links:
        answer = browser.get(link)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert browser.get("/admin/static/../login.py").status_code == 404
    assert "immutable" not in browser.get("/admin/static/panel.css").headers["Cache-Control"]


def test_bootstrap_is_not_served(panel: Panel) -> None:
    assert panel.browser().get("/admin/static/vendor/jquery.min.js").status_code == 404


def test_errors_are_pages_that_name_what_was_logged(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = panel.salon
    monkeypatch.setattr("admin.views.home._numbers", lambda *_: 1 / 0)

    answer = browser.get("/admin/")

    assert answer.status_code == 500
    assert answer.mimetype == "text/html"
    assert answer.headers["X-Error-Id"] in answer.text
    assert "ZeroDivision" not in answer.text


def test_a_huge_form_is_not_read(panel: Panel) -> None:
    assert panel.salon.post("/admin/messages/cancel", {"id": "x" * 100_000}).status_code == 413


def test_the_test_phone_shows_what_the_sandbox_delivered(make_panel) -> None:
    panel = make_panel(scripted=False)
    panel.world.salon.send(body="Ding dong")
    panel.world.outsider.send(body="Not for you")
    panel.world.work()

    page = panel.salon.get("/admin/inbox/").text

    assert "Ding dong" in page
    assert "Not for you" not in page


def test_there_is_no_test_phone_with_a_real_carrier(make_panel) -> None:
    panel = make_panel(
        sms_provider="twilio", twilio_account_sid="AC" + "0" * 32, twilio_auth_token="x" * 32, phone_strictness="e164"
    )
    browser = panel.salon

    assert browser.get("/admin/inbox/").status_code == 404
    assert "Test phone" not in browser.get("/admin/").text


def test_recurring_messages_are_listed_with_their_rule_and_next_run(panel: Panel) -> None:
    salon = panel.world.salon
    rule = salon.text(body="Every Monday", crons=["0 9 * * MON"], timezone="Europe/Berlin", count=4)
    assert salon.post("/api/trigger/schedule-recurring", rule).status_code == 202

    page = panel.salon.get("/admin/recurring/").text

    assert "At 09:00 on Monday (Europe/Berlin)" in page
    assert '<time datetime="2026-05-18T09:00:00+02:00"' in page
    assert "0 so far of 4" in page
    assert "Active" in page
