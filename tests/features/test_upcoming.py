"""GET /api/upcoming: what will go out next, of every kind, in order of time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.contacts import service as contacts
from app.database import writing
from app.messages.models import Message, Recurrence
from tests.appointments import appointment, make
from tests.world import PERSON, World


def upcoming(world: World, **query: str) -> dict[str, Any]:
    response = world.salon.get("/api/upcoming", **query)
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def times(page: dict[str, Any]) -> list[str]:
    return [one["scheduledFor"][11:16] for one in page["upcoming"]]


def recurring(world: World, cron: str, **changes: Any) -> str:
    body = world.salon.text(cron=cron, timezone="UTC", **changes)
    response = world.salon.post("/api/trigger/schedule-recurring", body)
    assert response.status_code == 202, response.text
    return str(response.json["data"]["recurringId"])


def test_messages_reminders_and_recurring_ones_stand_in_order_of_time(world: World) -> None:
    plain = world.salon.delay(90)
    rule = recurring(world, "0 15,20 * * *")
    make(world.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-11T17:00:00Z", email=None))
    world.work()
    items = upcoming(world)["upcoming"]
    assert [(one["jobId"], one["recurringId"], one["scheduledFor"][11:16]) for one in items] == [
        (plain, None, "13:30"),
        (None, rule, "15:00"),
        ("reminder-1hr-uuid-123", None, "16:00"),
        (None, rule, "20:00"),
    ]
    reminder = items[2]
    assert (reminder["reminderType"], reminder["appointmentId"], reminder["to"]) == ("1h", "uuid-123", PERSON)
    assert reminder["contactId"].startswith("contact_")
    assert (reminder["preview"], items[0]["preview"]) == (None, "Hello")
    assert upcoming(world, hours="2")["upcoming"] == items[:1]


def test_an_occurrence_is_listed_once_before_and_after_it_gets_its_job(world: World) -> None:
    recurring(world, "0 13 * * *")
    assert times(upcoming(world)) == ["13:00"]
    world.clock.advance(minutes=50)
    world.repair()
    page = upcoming(world)
    assert times(page) == ["13:00"]
    assert page["upcoming"][0]["jobId"]


def test_pages_leave_no_gap_and_repeat_nothing(world: World) -> None:
    for minutes in (70, 30, 60, 60, 120):
        world.salon.delay(minutes)
    recurring(world, "*/20 * * * *")
    recurring(world, "*/30 * * * *")
    whole = upcoming(world, hours="3", limit="200")
    assert whole["nextCursor"] is None
    seen, query = [], {"hours": "3", "limit": "4"}
    for _ in range(20):
        page = upcoming(world, **query)
        seen += page["upcoming"]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert seen == whole["upcoming"]
    assert times(whole) == sorted(times(whole))
    assert len(seen) == 5 + 8 + 5


def test_a_count_ends_what_is_still_to_come(world: World) -> None:
    recurring(world, "5,35 * * * *", count=3)
    assert times(upcoming(world)) == ["12:05", "12:35", "13:05"]
    world.live(60 * 10, step=60)
    assert times(upcoming(world)) == ["12:35", "13:05"]


def test_what_cannot_go_out_is_not_listed(world: World) -> None:
    kept, cancelled, expired = world.salon.delay(5), world.salon.delay(6), world.salon.delay(7)
    world.salon.cancel(cancelled)
    opted_out = world.salon.delay(8, to="+12025550100")
    make(world.salon, "/api/appointments", appointment(email=None))
    world.work()
    paused = recurring(world, "0 13 * * *")
    world.salon.post(f"/api/trigger/recurring/{paused}/pause", {})
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", "+12025550100", "manual")
        session.execute(update(Message).where(Message.job_id == expired).values(valid_until=world.clock.now()))
        session.execute(update(Message).where(Message.reminder_type == "24h").values(plan_revision=0))
    found = [one["jobId"] for one in upcoming(world, hours="96")["upcoming"]]
    assert found == [kept, "reminder-1hr-uuid-123"]
    assert opted_out not in found


def test_a_turn_that_is_expected_later_is_told(world: World) -> None:
    job_id = world.salon.delay(1)
    later = world.clock.now() + timedelta(minutes=3)
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job_id).values(slot_at=later))
    item = upcoming(world)["upcoming"][0]
    assert (item["scheduledFor"][11:16], item["expectedAt"][11:16]) == ("12:01", "12:03")


def test_a_rule_that_cannot_be_read_hides_no_other(world: World) -> None:
    broken = recurring(world, "0 13 * * *")
    recurring(world, "0 14 * * *")
    with writing() as session:
        session.execute(update(Recurrence).where(Recurrence.id == broken).values(timezone="Gone/Away"))
    assert times(upcoming(world)) == ["14:00"]


def test_a_workspace_with_more_recurring_messages_than_we_work_out_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.messages.upcoming.MOST_RECURRING", 1)
    recurring(world, "0 13 * * *")
    assert upcoming(world)["isComplete"]
    recurring(world, "0 14 * * *")
    page = upcoming(world)
    assert (page["isComplete"], len(page["upcoming"])) == (False, 1)


def test_the_outsider_sees_nothing(world: World) -> None:
    world.salon.delay(5)
    recurring(world, "0 13 * * *")
    assert world.outsider.get("/api/upcoming").json["data"]["upcoming"] == []
    assert world.outsider.get("/api/upcoming", workspaceId="ws_salon").status_code == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("hours", value) for value in ("0", "-1", "745", "1.5", "x", "", "NaN", "9" * 400)),
        *(("limit", value) for value in ("0", "201", "x", "")),
        *(("cursor", value) for value in ("x", "", "1-2", "-1-" + "0" * 32, "9" * 20 + "-" + "0" * 32)),
        *(("workspaceId", value) for value in ("", "a b", "a\0")),
        ("unknown", "1"),
    ],
)
def test_bad_queries_name_their_field(world: World, name: str, value: str) -> None:
    response = world.salon.get("/api/upcoming", **{name: value})
    assert response.status_code == 422
    assert list(response.json["error"]["fields"]) == [name]


@pytest.mark.parametrize(("hours", "cursor"), [("744", "0-" + "0" * 32), ("1", "9" * 16 + "-" + "f" * 32)])
def test_boundaries_are_taken(world: World, hours: str, cursor: str) -> None:
    world.salon.delay(5)
    recurring(world, "* * * * *")
    page = upcoming(world, hours=hours, cursor=cursor, limit="200")
    assert len(page["upcoming"]) == (0 if cursor.startswith("9") else 200)
