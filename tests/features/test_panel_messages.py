"""Messages in the panel: finding one, reading its story, calling it off."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from app.channels.base import Failure, FailureKind
from app.database import writing
from app.messages.models import Message
from app.messages.status import Report, apply_report
from app.workspaces.models import Workspace
from tests.features.panel import Panel


def bodies(page: str) -> list[str]:
    """The texts of a list, in order."""
    return re.findall(r'<span class="clamp">([^<]*)</span>', page)


def steps(page: str) -> list[str]:
    """The titles of a timeline, in order."""
    return [html.unescape(title) for title in re.findall(r"<strong>([^<]*)</strong>", page)]


def details(panel: Panel, job_id: str) -> str:
    """The address of a message's page."""
    return f"/admin/messages/details/?id={panel.world.message(job_id).id}"


def test_the_newest_are_first_and_what_is_to_come_with_the_next_first(panel: Panel) -> None:
    salon = panel.world.salon
    for minutes in (20, 10, 30):
        salon.delay(minutes, body=f"In {minutes}")
    browser = panel.salon

    assert bodies(browser.get("/admin/messages/").text) == ["In 30", "In 20", "In 10"]
    assert bodies(browser.get("/admin/messages/?show=upcoming").text) == ["In 10", "In 20", "In 30"]


def test_each_filter_shows_its_statuses_only(panel: Panel) -> None:
    salon, world = panel.world.salon, panel.world
    salon.send(body="Sent")
    world.work()
    world.provider.script.append(Failure(FailureKind.PERMANENT, "no", code=21211))
    salon.send(body="Refused")
    world.work()
    salon.delay(10, body="Planned")
    salon.cancel(salon.delay(10, body="Called off"))
    browser = panel.salon

    shown = {name: bodies(browser.get(f"/admin/messages/?show={name}").text) for name in ("", "upcoming", "underway")}
    shown |= {name: bodies(browser.get(f"/admin/messages/?show={name}").text) for name in ("failed", "cancelled", "x")}

    assert shown["upcoming"] == ["Planned"]
    assert shown["underway"] == ["Sent"]
    assert shown["failed"] == ["Refused"]
    assert shown["cancelled"] == ["Called off"]
    assert len(shown[""]) == len(shown["x"]) == 4


@pytest.mark.parametrize(
    "term",
    ["+12345678901", "%2B12345678901", "12345678901", "%2B1 234-567 8901", "0012345", "%2B1 (234) 5", "1"],
)
def test_a_number_is_found_by_its_beginning_however_it_is_written(panel: Panel, term: str) -> None:
    panel.world.salon.delay(10, body="This one", to="+12345678901")
    panel.world.salon.delay(10, body="Not this one", to="+4915112345678")

    assert bodies(panel.salon.get(f"/admin/messages/?search={term}").text) == ["This one"]


def test_a_job_is_found_by_its_id(panel: Panel) -> None:
    job_id = panel.world.salon.delay(10, body="This one")
    panel.world.salon.delay(10, body="Not this one")

    assert bodies(panel.salon.get(f"/admin/messages/?search= {job_id} ").text) == ["This one"]


@pytest.mark.parametrize("term", ["%25", "_", "%2B", "2345678901", "This", "'; --", "٣", "x" * 5000])
def test_nothing_else_is_found(panel: Panel, term: str) -> None:
    panel.world.salon.delay(10, body="This one")

    answer = panel.salon.get(f"/admin/messages/?search={term}")

    assert answer.status_code == 200
    assert "No message fits" in answer.text


def test_paging_shows_each_message_once_and_ends(panel: Panel) -> None:
    salon = panel.world.salon
    items = [{"to": "+12345678901", "body": f"No {n}", "delayMinutes": n + 1} for n in range(60)]
    sent = salon.post(
        "/api/trigger/schedule-bulk", {"workspaceId": "ws_salon", "fromNumber": "+19876543210", "messages": items}
    )
    assert sent.status_code == 202
    browser = panel.salon

    pages = [browser.get(f"/admin/messages/?show=upcoming&page={page}").text for page in range(3)]

    assert [text for page in pages for text in bodies(page)] == [f"No {n}" for n in range(60)]
    assert ['rel="next"' in page for page in pages] == [True, True, False]
    assert 'href="/admin/messages/?page=2&amp;show=upcoming' in pages[1]


@pytest.mark.parametrize("page", ["9999999999999999", "99999999999999999999999", "-1", "x", "1.5", "", "٣"])
def test_odd_page_numbers_are_no_error(panel: Panel, page: str) -> None:
    assert panel.salon.get(f"/admin/messages/?page={page}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "sort=9999&desc=x&page_size=999999",
        "flt1_0=x&flt0_to=1",
        "endpoint=x&_external=1&_scheme=javascript&_anchor=x&_method=POST",
        "show=%00",
        "search=%00",
        "search[]=1&show[]=2",
        "search=%ff%fe",
    ],
)
def test_odd_queries_are_no_error_and_build_no_links(panel: Panel, query: str) -> None:
    answer = panel.salon.get(f"/admin/messages/?{query}")

    assert answer.status_code in (200, 400)
    assert "javascript:" not in answer.text


@pytest.mark.parametrize("message_id", ["", "x", "0" * 5000, "%00", "'", "%ff"])
def test_a_message_that_does_not_exist_is_a_404(panel: Panel, message_id: str) -> None:
    assert panel.salon.get(f"/admin/messages/details/?id={message_id}").status_code in (400, 404)


def test_times_are_those_of_the_workspace_with_the_instant_in_the_mark_up(panel: Panel) -> None:
    with writing() as session:
        session.execute(update(Workspace).values(timezone="America/New_York"))
    panel.world.salon.delay(60 * 24)

    page = panel.salon.get("/admin/messages/").text

    assert '<time datetime="2026-05-12T08:00:00-04:00"' in page
    assert ">Tue 12 May, 08:00</time>" in page
    assert "in 24 h" in page


def test_the_timeline_tells_the_whole_story(panel: Panel) -> None:
    world = panel.world
    world.provider.script.append(Failure(FailureKind.TRANSIENT, "busy", code=30008, http_status=400))
    job_id = world.salon.delay(5)
    world.clock.advance(minutes=5)
    world.work()
    browser = panel.salon
    waiting = browser.get(details(panel, job_id)).text
    assert steps(waiting) == ["Asked for", "Due", "Try 1: Twilio could not take it for now", "Next try"]
    assert "Trying again" in waiting
    assert "The carrier did not deliver the message and gave no reason." in waiting

    world.live(400)
    sid = world.message(job_id).provider_message_id
    apply_report(Report("twilio", str(sid), "delivered"))

    page = browser.get(details(panel, job_id)).text
    assert steps(page)[:4] == ["Asked for", "Due", "Try 1: Twilio could not take it for now", "Try 2: Twilio took it"]
    assert steps(page)[-1] == "The phone has it"
    assert "Delivered" in page
    assert str(sid) in page


def test_a_message_in_line_says_when_its_sender_s_turn_is(panel: Panel) -> None:
    world = panel.world
    job_id = world.salon.send()
    turn = world.clock.now() + timedelta(minutes=3)
    with writing() as session:
        session.execute(update(Message).values(slot_at=turn, scheduled_at=turn))

    page = panel.salon.get(details(panel, job_id)).text

    assert steps(page)[-1] == "Its sender's turn"
    assert "In line" in page


def test_why_a_message_failed_is_said_in_words(panel: Panel) -> None:
    panel.world.provider.script.append(Failure(FailureKind.PERMANENT, "no", code=21614, http_status=400))
    job_id = panel.world.salon.send()
    panel.world.work()

    page = panel.salon.get(details(panel, job_id)).text

    assert "The recipient&#39;s number is not a mobile number." in page
    assert steps(page)[-1] == "Failed"


def test_a_text_is_shown_as_text(panel: Panel) -> None:
    job_id = panel.world.salon.send(body="<script>alert(1)</script>")
    browser = panel.salon

    for path in ("/admin/", "/admin/messages/", details(panel, job_id)):
        page = browser.get(path).text
        assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_cancelling_goes_through_the_service_and_says_so(panel: Panel) -> None:
    job_id = panel.world.salon.delay(10)
    browser = panel.salon
    assert "Cancel this message" in browser.get(details(panel, job_id)).text

    answer = browser.post("/admin/messages/cancel", {"id": panel.world.message(job_id).id})

    assert (answer.status_code, answer.location) == (303, details(panel, job_id))
    page = browser.get(details(panel, job_id)).text
    assert "The message is cancelled and will not go out." in page
    assert "Cancel this message" not in page
    assert steps(page) == ["Asked for", "Cancelled", "Would have been due"]
    message = panel.world.message(job_id)
    assert (message.status, message.reason) == ("cancelled", "cancelled_by_caller")
    assert message.finished_at == datetime(2026, 5, 11, 12, 0, tzinfo=UTC)
    assert panel.world.salon.cancel(job_id).status_code == 200  # the same as the API's
    panel.world.live(700)
    assert panel.world.provider.posted == []


def test_what_was_sent_cannot_be_cancelled_and_the_page_says_why(panel: Panel) -> None:
    job_id = panel.world.salon.send()
    panel.world.work()
    browser = panel.salon

    browser.post("/admin/messages/cancel", {"id": panel.world.message(job_id).id})

    page = browser.get(details(panel, job_id)).text
    assert "It could not be cancelled. The message has already been sent." in page
    assert panel.world.message(job_id).status == "sent"


def test_cancelling_needs_the_token_and_the_button(panel: Panel) -> None:
    job_id = panel.world.salon.delay(10)
    message_id = panel.world.message(job_id).id
    browser = panel.salon

    assert browser.post_without_token("/admin/messages/cancel", {"id": message_id}).status_code == 400
    assert browser.get(f"/admin/messages/cancel?id={message_id}").status_code == 405
    assert panel.world.message(job_id).status == "scheduled"


def test_a_viewer_looks_and_does_not_touch(panel: Panel) -> None:
    job_id = panel.world.salon.delay(10)
    panel.user("viewer@salon.test", "viewer", "ws_salon")
    browser = panel.logged_in("viewer@salon.test")

    assert "Cancel this message" not in browser.get(details(panel, job_id)).text
    assert browser.post("/admin/messages/cancel", {"id": panel.world.message(job_id).id}).status_code == 403
    assert panel.world.message(job_id).status == "scheduled"
