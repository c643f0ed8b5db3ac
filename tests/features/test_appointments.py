"""/api/appointments: seed 000's appointment with its three reminders on two channels."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.database import reading
from tests.appointments import appointment, make, plan
from tests.world import PERSON, World

PATH = "/api/appointments"


def test_the_printed_timeline_comes_out(world: World) -> None:
    """Booked on 13 December at 15:00 for the 15th at 10:00."""
    world.clock.set(datetime(2025, 12, 13, 15, 0, tzinfo=UTC))
    data = make(world.salon, PATH, appointment(appointmentDateTime="2025-12-15T10:00:00Z"))
    assert data["status"] == "PENDING"
    assert [(one["jobId"], one["reminderType"], one["channel"], one["scheduledFor"]) for one in data["reminders"]] == [
        ("reminder-confirmation-uuid-123", "confirmation", "sms", "2025-12-13T15:00:00Z"),
        ("reminder-confirmation-uuid-123-email", "confirmation", "email", "2025-12-13T15:00:00Z"),
        ("reminder-24hr-uuid-123", "24hr", "sms", "2025-12-14T10:00:00Z"),
        ("reminder-24hr-uuid-123-email", "24hr", "email", "2025-12-14T10:00:00Z"),
        ("reminder-1hr-uuid-123", "1hr", "sms", "2025-12-15T09:00:00Z"),
        ("reminder-1hr-uuid-123-email", "1hr", "email", "2025-12-15T09:00:00Z"),
    ]
    sent = []
    for moment in ("13T15:00:00", "14T09:59:59", "14T10:00:00", "15T08:59:59", "15T09:00:00", "15T10:00:00"):
        world.clock.set(datetime.fromisoformat(f"2025-12-{moment}+00:00"))
        world.repair()
        world.work()
        sent.append(len(world.provider.posted))
    assert sent == [2, 2, 4, 4, 6, 6]


def test_the_printed_texts_come_out(world: World) -> None:
    world.clock.set(datetime(2025, 12, 13, 15, 0, tzinfo=UTC))
    make(world.salon, PATH, appointment(appointmentDateTime="2025-12-15T10:00:00Z"))
    for moment in ("13T15:00:00", "14T10:00:00", "15T09:00:00"):
        world.clock.set(datetime.fromisoformat(f"2025-12-{moment}+00:00"))
        world.repair()
        world.work()
    texts = [(message.channel, message.body) for message in world.provider.posted]
    assert sorted(channel for channel, _ in texts) == ["email"] * 3 + ["sms"] * 3
    assert ["Your appt is tomorrow!" in body for _, body in texts[2:4]] == [True, True]
    assert ["Your appt starts in 1hr!" in body for _, body in texts[4:6]] == [True, True]


def test_it_is_stored_with_its_contact(world: World) -> None:
    data = make(world.salon, PATH, appointment(eventType="haircut", eventName="Cut", service="Cut", staff="Bo"))
    assert data["contact"]["phone"] == PERSON
    assert data["contact"]["name"] == "Anna Muster"
    assert (data["date"], data["time"], data["timezone"]) == ("2026-05-15", "10:00", "UTC")
    assert world.salon.get(f"{PATH}/uuid-123").json["data"]["reminders"] == data["reminders"]
    again = make(world.salon, PATH, appointment(appointmentId="other"))
    assert again["contactId"] == data["contactId"]


def test_the_old_table_can_be_read_under_its_name_and_columns(world: World) -> None:
    world.clock.set(datetime.now(UTC))  # the view goes by the clock of the database
    start = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    make(world.salon, PATH, appointment(appointmentDateTime=start))
    world.work()
    query = text(
        "SELECT appointment_id, reminder_type, channel, status, sent_at IS NOT NULL, twilio_sid, sendgrid_message_id"
        " FROM appointment_reminders ORDER BY scheduled_for, channel DESC"
    )
    with reading() as session:
        rows = [tuple(row) for row in session.execute(query)]
    assert [row[:5] for row in rows] == [
        ("uuid-123", "confirmation", "sms", "sent", 1),
        ("uuid-123", "confirmation", "email", "sent", 1),
        ("uuid-123", "24hr", "sms", "scheduled", 0),
        ("uuid-123", "24hr", "email", "scheduled", 0),
        ("uuid-123", "1hr", "sms", "scheduled", 0),
        ("uuid-123", "1hr", "email", "scheduled", 0),
    ]
    assert rows[0][5] is not None
    assert rows[0][6] is None
    assert rows[1][5] is None
    assert rows[1][6] is not None


def test_moving_it_moves_what_waits_and_says_what_was_sent(world: World) -> None:
    make(world.salon, PATH, appointment())
    world.work()
    response = world.salon.client.patch(
        f"{PATH}/uuid-123",
        json={"appointmentDateTime": "2026-05-16T10:00:00Z"},
        headers={"Authorization": f"Bearer {world.salon.key}"},
    )
    assert response.status_code == 200, response.text
    data = response.json["data"]
    assert data["revision"] == 2
    assert {(one["jobId"], one["wasScheduledFor"], one["scheduledFor"]) for one in data["moved"]} == {
        ("reminder-24hr-uuid-123", "2026-05-14T10:00:00Z", "2026-05-15T10:00:00Z"),
        ("reminder-24hr-uuid-123-email", "2026-05-14T10:00:00Z", "2026-05-15T10:00:00Z"),
        ("reminder-1hr-uuid-123", "2026-05-15T09:00:00Z", "2026-05-16T09:00:00Z"),
        ("reminder-1hr-uuid-123-email", "2026-05-15T09:00:00Z", "2026-05-16T09:00:00Z"),
    }
    assert data["added"] == []
    assert data["cancelled"] == []
    assert {one["jobId"] for one in data["alreadySent"]} == {
        "reminder-confirmation-uuid-123",
        "reminder-confirmation-uuid-123-email",
    }
    world.clock.set(datetime(2026, 5, 14, 12, 0, tzinfo=UTC))
    world.repair()
    world.work()
    assert len(world.provider.posted) == 2, "nothing of the old plan goes out"


def test_who_was_reminded_of_the_old_time_is_reminded_of_the_new_one(world: World) -> None:
    make(world.salon, PATH, appointment(appointmentDateTime="2026-05-13T10:00:00Z"))
    world.clock.set(datetime(2026, 5, 12, 11, 0, tzinfo=UTC))
    world.repair()
    world.work()
    assert len(world.provider.posted) == 4
    data = change(world, appointmentDateTime="2026-05-18T10:00:00Z")
    assert {one["jobId"] for one in data["added"]} == {"reminder-24hr-uuid-123", "reminder-24hr-uuid-123-email"}
    assert len(data["alreadySent"]) == 4
    world.clock.set(datetime(2026, 5, 17, 10, 0, tzinfo=UTC))
    world.repair()
    world.work()
    assert len(world.provider.posted) == 6
    assert plan()["reminder-24hr-uuid-123"].status == "sent"
    assert plan()["reminder-24hr-uuid-123-r1"].due_at == datetime(2026, 5, 12, 10, 0, tzinfo=UTC)


def test_cancelling_stops_all_and_tells_the_person(world: World) -> None:
    make(world.salon, PATH, appointment())
    world.work()
    first = cancel(world)
    assert first["status"] == "CANCELLED"
    assert len(first["cancelled"]) == 4
    assert len(first["alreadySent"]) == 2
    world.work()
    assert len(world.provider.posted) == 4
    world.clock.set(datetime(2026, 5, 15, 12, 0, tzinfo=UTC))
    world.repair()
    world.work()
    assert len(world.provider.posted) == 4
    again = cancel(world)
    assert again["status"] == "CANCELLED"
    assert again["cancelled"] == []


def test_a_change_that_touches_no_time_leaves_the_plan_alone(world: World) -> None:
    make(world.salon, PATH, appointment())
    data = change(world, staff="Bo", status="CONFIRMED")
    assert (data["revision"], data["staff"], data["status"]) == (1, "Bo", "CONFIRMED")
    assert data["moved"] == data["added"] == data["cancelled"] == []


def test_a_dry_run_shows_the_plan_and_stores_nothing(world: World) -> None:
    response = world.salon.post(PATH, appointment(), X_Dry_Run="true")
    assert response.status_code == 200
    assert len(response.json["data"]["reminders"]) == 6
    assert world.salon.get(f"{PATH}/uuid-123").status_code == 404
    assert plan() == {}


def test_an_outsider_sees_and_changes_nothing(world: World) -> None:
    make(world.salon, PATH, appointment())
    headers = {"Authorization": f"Bearer {world.outsider.key}"}
    assert world.outsider.get(f"{PATH}/uuid-123").status_code == 404
    assert world.outsider.client.patch(f"{PATH}/uuid-123", json={"staff": "X"}, headers=headers).status_code == 404
    assert world.outsider.client.delete(f"{PATH}/uuid-123", headers=headers).status_code == 404
    assert world.outsider.get(PATH).json["data"]["appointments"] == []
    make(world.outsider, PATH, appointment())
    assert len(plan("ws_outsider")) == len(plan()) == 6


def change(world: World, **fields: str) -> dict:
    response = world.salon.client.patch(
        f"{PATH}/uuid-123", json=fields, headers={"Authorization": f"Bearer {world.salon.key}"}
    )
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def cancel(world: World) -> dict:
    response = world.salon.client.delete(f"{PATH}/uuid-123", headers={"Authorization": f"Bearer {world.salon.key}"})
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def test_an_id_that_looks_like_another_s_job_takes_nothing_from_it(world: World) -> None:
    make(world.salon, PATH, appointment(appointmentId="x"))
    data = make(world.salon, PATH, appointment(appointmentId="x-email"))
    assert len(data["reminders"]) == 6
    world.work()
    assert len(world.provider.posted) == 4


def test_an_erased_person_is_nobody_any_more(world: World) -> None:
    data = make(world.salon, PATH, appointment(appointmentDateTime="2026-05-12T10:00:00Z"))
    world.salon.ask("DELETE", f"{PATH}/uuid-123")
    world.work()
    assert world.salon.ask("DELETE", f"/api/contacts/{data['contactId']}").status_code == 200
    body = {"contactId": data["contactId"], "appointmentDateTime": "2026-05-15T10:00:00Z"}
    answer = world.salon.post(PATH, body)
    assert (answer.status_code, list(answer.json["error"]["fields"])) == (422, ["contactId"])
    assert make(world.salon, PATH, appointment(appointmentId="new"))["contactId"] != data["contactId"]
