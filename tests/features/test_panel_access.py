"""Who gets to see which page of the panel."""

from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tests.features.panel import Browser, Panel
from tests.world import PERSON

OPEN = {"panel_login.form", "panel_login.log_in", "panel.static"}
SECRET = "Only for the eyes of the salon"


def addresses(app: Flask, **values: str) -> Iterator[tuple[str, str, Rule]]:
    """Every method and address under /admin, from the URL map itself."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/admin"):
            known = {name: values.get(name, "x") for name in rule.arguments}
            known.update({name: 0 for name in ("instance_number",) if name in known})
            known.update({name: 1 for name in ("page", "per_page") if name in known})
            with app.test_request_context():
                url = app.url_for(rule.endpoint, **known)
            for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
                yield method, url, rule


def test_without_a_login_every_address_leads_to_the_login(panel: Panel) -> None:
    browser = panel.browser()
    walked = 0
    for method, url, rule in addresses(panel.world.app):
        answer = browser.send(method, url)
        if rule.endpoint in OPEN:
            assert "/admin/login" not in (answer.location or ""), url
            continue
        assert answer.status_code in (302, 303), (method, url, answer.status_code)
        assert answer.location.startswith("/admin/login"), (method, url, answer.location)
        walked += 1
    assert walked > 20


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/nothing", "/admin/rq/nothing", "/admin/messages"])
def test_addresses_that_do_not_exist_lead_there_too(panel: Panel, path: str) -> None:
    assert panel.browser().get(path).location.startswith("/admin/login")


def test_auth_required_0_does_not_open_the_panel(make_panel) -> None:
    assert make_panel(auth_required=False).browser().get("/admin/").status_code == 302


def test_an_api_key_does_not_open_the_panel(panel: Panel) -> None:
    key = {"Authorization": f"Bearer {panel.world.salon.key}"}

    assert panel.browser().get("/admin/", headers=key).status_code == 302


def test_flask_admin_s_own_addresses_for_changing_rows_do_not_exist(panel: Panel) -> None:
    paths = {rule.rule for rule in panel.world.app.url_map.iter_rules() if rule.rule.startswith("/admin/messages/")}

    assert paths == {"/admin/messages/", "/admin/messages/details/", "/admin/messages/cancel"}


def test_the_api_and_the_webhooks_need_no_token_and_get_no_cookie(panel: Panel) -> None:
    answer = panel.world.salon.post("/api/trigger/send-sms", panel.world.salon.text())

    assert answer.status_code == 202
    assert "Set-Cookie" not in answer.headers
    assert "Content-Security-Policy" not in answer.headers
    missing = panel.browser().get("/api/nothing")
    assert missing.json["error"]["code"] == "not_found"
    assert "Cookie" not in missing.headers.get("Vary", "")
    assert panel.browser().post_without_token("/webhooks/twilio/status").status_code == 403


def _salon_s_messages(panel: Panel) -> list[str]:
    salon = panel.world.salon
    jobs = [salon.send(body=SECRET), salon.delay(60, body=SECRET)]
    recurring = salon.text(body=SECRET, cron="0 9 * * *", timezone="UTC")
    assert salon.post("/api/trigger/schedule-recurring", recurring).status_code == 202
    panel.world.work()
    return [panel.world.message(job).id for job in jobs]


def _pages(browser: Browser, panel: Panel, ids: list[str]) -> Iterator[str]:
    for method, url, rule in addresses(panel.world.app):
        if method == "GET" and not rule.endpoint.endswith("static"):
            yield browser.get(url).text
    for path in ("", "?show=upcoming", "?show=delivered", f"?search={PERSON[1:6]}", "?page=1"):
        yield browser.get(f"/admin/messages/{path}").text
    for message_id in ids:
        yield browser.get(f"/admin/messages/details/?id={message_id}").text


def test_an_outsider_sees_nothing_of_the_salon_on_any_page(panel: Panel) -> None:
    ids = _salon_s_messages(panel)
    outsider = panel.outsider

    for page in _pages(outsider, panel, ids):
        assert SECRET not in page
        assert PERSON[2:] not in page.replace("-", "").replace(" ", "")
    home = outsider.get("/admin/").text
    assert home.count('<span class="number">0</span>') == 3  # due, sent, failed; delivered has its own colour


def test_an_outsider_cannot_open_or_cancel_the_salon_s_message(panel: Panel) -> None:
    sent, planned = _salon_s_messages(panel)
    outsider = panel.outsider

    assert outsider.get(f"/admin/messages/details/?id={sent}").status_code == 404
    assert outsider.post("/admin/messages/cancel", {"id": planned}).status_code == 404
    statuses = {message.id: message.status for message in panel.world.messages()}
    assert statuses[planned] == "scheduled"


def test_an_outsider_does_not_find_it_by_its_job_id(panel: Panel) -> None:
    _salon_s_messages(panel)
    job_id = panel.world.messages()[0].job_id

    page = panel.outsider.get(f"/admin/messages/?search={job_id}").text

    assert "No message fits" in page


def test_the_owner_and_the_operator_see_it(panel: Panel) -> None:
    ids = _salon_s_messages(panel)

    for browser in (panel.salon, panel.operator):
        assert SECRET in browser.get("/admin/").text
        assert browser.get("/admin/messages/").text.count(SECRET) == 2
        assert SECRET in browser.get("/admin/recurring/").text
        for message_id in ids:
            assert SECRET in browser.get(f"/admin/messages/details/?id={message_id}").text


def test_somebody_in_two_workspaces_sees_both(panel: Panel) -> None:
    panel.world.salon.send(body="One")
    panel.world.outsider.send(body="Two")
    panel.user("both@bellhop.test", "staff", "ws_salon", "ws_outsider")

    page = panel.logged_in("both@bellhop.test").get("/admin/messages/").text

    assert "One" in page
    assert "Two" in page
    assert "ws_outsider" in page  # whose message it is


def test_somebody_without_a_workspace_sees_empty_pages(panel: Panel) -> None:
    panel.world.salon.send(body=SECRET)
    panel.user("new@bellhop.test")
    browser = panel.logged_in("new@bellhop.test")

    assert "Nothing is planned" in browser.get("/admin/").text
    assert "No messages yet" in browser.get("/admin/messages/").text
