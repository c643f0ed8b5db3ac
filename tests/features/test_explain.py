"""GET /api/messages/{id}/explain: every state and every reason has its sentence."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.channels.base import Failure, FailureKind
from app.contacts import service as contacts
from app.database import writing
from app.messages.models import Message
from app.messages.states import Reason, Status
from app.messages.words import REASON
from tests.appointments import appointment, make, plan
from tests.world import PERSON, World


def explained(world: World, job_id: str) -> dict[str, Any]:
    response = world.salon.get(f"/api/messages/{job_id}/explain")
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def steps(story: dict[str, Any]) -> list[str]:
    return [one["step"] for one in story["steps"]]


def test_a_message_for_later_says_when_it_goes_out_on_the_clock_of_its_workspace(world: World) -> None:
    job_id = world.salon.delay(60 * 22)
    story = explained(world, job_id)
    assert story["summary"] == "It goes out on Tuesday 12 May 2026 at 10:00 (UTC)."
    assert steps(story) == ["asked", "due", "valid", "address"]
    assert explained(world, story["messageId"]) == story


def test_a_reminder_tells_its_rule_its_offset_and_its_time(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(timezone="Europe/Berlin"))
    story = explained(world, "reminder-24hr-uuid-123")
    assert story["timezone"] == "Europe/Berlin"
    assert story["summary"] == "It goes out on Thursday 14 May 2026 at 12:00 (Europe/Berlin)."
    assert steps(story)[:4] == ["asked", "rule", "offset", "due"]
    assert story["steps"][1]["text"] == "24h before the appointment begins."
    assert "uuid-123, which begins on Friday 15 May 2026 at 12:00 (Europe/Berlin)" in story["steps"][0]["text"]


def test_a_reminder_that_was_booked_too_late_says_so(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-11T14:00:00Z"))
    story = explained(world, "reminder-24hr-uuid-123")
    assert story["summary"] == (
        "It was not sent, because when the appointment was booked, the time for this one had passed already."
    )
    assert "late" in steps(story)
    assert "due" not in steps(story)


def test_quiet_hours_say_what_they_moved(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-15T22:30:00Z"))
    story = explained(world, "reminder-24hr-uuid-123")
    quiet = next(one for one in story["steps"] if one["step"] == "quiet_hours")
    assert "21:00 to 08:00, UTC" in quiet["text"]
    assert story["summary"] == "It goes out on Friday 15 May 2026 at 08:00 (UTC)."


def test_tries_are_told_in_order_with_what_their_errors_mean_and_when_the_next_is(world: World) -> None:
    world.provider.script.append(Failure(FailureKind.TRANSIENT, "queue full", code=21611, http_status=400))
    job_id = world.salon.send()
    world.work()
    story = explained(world, job_id)
    assert steps(story)[-2:] == ["try", "retry"]
    assert "Too many messages wait at Twilio" in story["steps"][-2]["text"]
    assert story["steps"][-1]["text"] == "It is tried again; 2 of its tries are left."
    assert story["summary"].startswith("It has not gone out yet and is tried again on Monday 11 May 2026 at 12:00")
    world.live(60)
    assert explained(world, job_id)["summary"].startswith("It was handed to the provider on Monday 11 May 2026")


def test_one_that_was_refused_says_why(world: World) -> None:
    world.provider.script.append(Failure(FailureKind.PERMANENT, "not a mobile", code=21614, http_status=400))
    job_id = world.salon.send()
    world.work()
    story = explained(world, job_id)
    assert story["summary"].startswith("It was not sent, because it was refused for good: ")
    assert steps(story)[-2:] == ["try", "end"]


def test_a_paused_account_is_named(world: World) -> None:
    world.provider.script.append(Failure(FailureKind.CONFIGURATION, "wrong token", code=20003, http_status=401))
    job_id = world.salon.send()
    world.work()
    assert explained(world, job_id)["summary"] == (
        "It waits because the account with the provider is paused: wrong token"
    )


def test_a_recurring_and_a_bulk_message_say_what_they_belong_to(world: World) -> None:
    world.salon.post("/api/trigger/schedule-recurring", world.salon.text(cron="5 12 * * *", timezone="UTC"))
    occurrence = next(one for one in world.messages() if one.recurrence_id)
    assert "5 12 * * *, UTC" in explained(world, occurrence.job_id)["steps"][0]["text"]
    bulk = {
        "workspaceId": "ws_salon",
        "messages": [{"to": PERSON, "body": "x", "delayMinutes": 5, "reference": "row-7"}],
    }
    response = world.salon.post("/api/trigger/schedule-bulk", bulk)
    assert response.status_code in (200, 202, 207), response.text
    job_id = next(one for one in world.messages() if one.reference).job_id
    assert explained(world, job_id)["steps"][0]["text"] == "It was asked for as item row-7 of a bulk."


def test_who_has_opted_out_since_and_what_is_of_an_older_plan_will_not_go_out(world: World) -> None:
    job_id = world.salon.delay(60)
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, "manual")
    story = explained(world, job_id)
    assert story["summary"].startswith("It will not go out, because this person has asked for no more messages")
    assert "opt_out" in steps(story)
    make(world.salon, "/api/appointments", appointment())
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == "reminder-24hr-uuid-123").values(plan_revision=0))
    assert "something took its place" in explained(world, "reminder-24hr-uuid-123")["summary"]


@pytest.mark.parametrize("reason", [None, *Reason])
@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_state_and_reason_has_a_sentence(world: World, status: Status, reason: Reason | None) -> None:
    job_id = world.salon.delay(60)
    now = world.clock.now()
    values = {"status": status, "reason": reason, "sent_at": now, "finished_at": now, "next_check_at": now}
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job_id).values(**values))
    story = explained(world, job_id)
    assert story["summary"].endswith((".", ")."))
    assert (story["state"], story["reason"]) == (status.value, reason.value if reason else None)
    assert all(one["text"].endswith(".") for one in story["steps"])
    if status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED):
        assert story["summary"].startswith("It was not sent, because ")
        assert story["steps"][-1]["step"] == "end"
        if reason:
            assert story["steps"][-1]["text"] == REASON[reason]


def test_a_time_that_the_clocks_show_twice_has_its_offset(world: World) -> None:
    world.clock.set(datetime.fromisoformat("2026-10-24T00:00:00+00:00"))
    start = datetime.fromisoformat("2026-10-26T00:30:00+00:00")
    body = appointment(appointmentDateTime=start.isoformat(), timezone="Europe/Berlin")
    make(world.salon, "/api/appointments", body)
    row = plan()["reminder-24hr-uuid-123"]
    with writing() as session:
        values = {"due_at": start - timedelta(hours=24), "scheduled_at": start - timedelta(hours=24)}
        session.execute(update(Message).where(Message.id == row.id).values(**values))
    summary = explained(world, row.job_id)["summary"]
    assert summary == "It goes out on Sunday 25 October 2026 at 02:30 (Europe/Berlin, UTC+02:00)."


def test_the_outsider_hears_nothing(world: World) -> None:
    job_id = world.salon.send()
    assert world.outsider.get(f"/api/messages/{job_id}/explain").status_code == 404
    assert world.outsider.get(f"/api/messages/{job_id}/explain", workspaceId="ws_salon").status_code == 404


@pytest.mark.parametrize("name", ["x", "msg_", "msg_zzz", "%00", "%ED%A0%80", "a" * 5000, "..", "job_%F0%9F%98%80"])
def test_names_that_nothing_has_are_404(world: World, name: str) -> None:
    assert world.salon.get(f"/api/messages/{name}/explain").status_code == 404


@pytest.mark.parametrize("query", [{"x": "1"}, {"workspaceId": "a b"}, {"workspaceId": ""}])
def test_bad_queries_name_their_field(world: World, query: dict[str, str]) -> None:
    response = world.salon.get("/api/messages/x/explain", **query)
    assert response.status_code == 422
    assert list(response.json["error"]["fields"]) == list(query)
