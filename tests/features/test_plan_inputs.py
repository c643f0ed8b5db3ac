"""What plans follow from is changed elsewhere: a person's number, the workspace's zone, the reminder settings."""

from datetime import UTC, datetime

from tests.appointments import appointment, make, plan
from tests.world import World

PATH = "/api/appointments"


def test_a_new_number_of_a_person_is_where_the_reminders_go(world: World) -> None:
    data = make(world.salon, PATH, appointment(email=None))
    world.work()
    answer = world.salon.ask("PATCH", f"/api/contacts/{data['contactId']}", {"phone": "+12345670009"})
    assert answer.status_code == 200, answer.text
    world.live(10)
    assert plan()["reminder-24hr-uuid-123"].to_address == "+12345670009"
    assert plan()["reminder-confirmation-uuid-123"].status == "sent"
    world.clock.set(datetime(2026, 5, 14, 10, 0, tzinfo=UTC))
    world.live(10)
    assert [message.to for message in world.provider.posted][1:] == ["+12345670009"]


def test_an_appointment_with_a_number_of_its_own_keeps_it(world: World) -> None:
    data = make(world.salon, PATH, appointment(email=None))
    own = {"contactId": data["contactId"], "phone": "+12345670001", "appointmentId": "own"}
    make(world.salon, PATH, own | {"appointmentDateTime": "2026-05-15T10:00:00Z"})
    world.salon.ask("PATCH", f"/api/contacts/{data['contactId']}", {"phone": "+12345670009"})
    world.live(10)
    assert plan()["reminder-24hr-own"].to_address == "+12345670001"


def test_another_zone_of_the_workspace_moves_what_the_quiet_hours_hold(world: World) -> None:
    make(world.salon, PATH, appointment(appointmentDateTime="2026-05-15T05:00:00Z"))
    assert plan()["reminder-24hr-uuid-123"].due_at == datetime(2026, 5, 14, 8, 0, tzinfo=UTC), "held by UTC's night"
    answer = world.salon.ask("PATCH", "/api/settings", {"timezone": "Australia/Sydney"})
    assert answer.status_code == 200, answer.text
    world.live(10)
    assert plan()["reminder-24hr-uuid-123"].due_at == datetime(2026, 5, 14, 5, 0, tzinfo=UTC), "afternoon in Sydney"


def test_a_change_of_the_reminder_settings_is_in_the_audit_log(world: World) -> None:
    assert world.salon.ask("PATCH", "/api/reminder-settings", {"send1hrReminder": False}).status_code == 200
    entries = world.salon.get("/api/audit").json["data"]["entries"]
    [entry] = [one for one in entries if one["action"] == "reminder_settings.changed"]
    assert (entry["before"], entry["after"]) == ({"send1hrReminder": True}, {"send1hrReminder": False})
    assert entry["actor"].startswith("key:")


def test_a_simulation_says_what_each_reminder_would_say(world: World) -> None:
    body = {"appointmentDateTime": "2026-05-15T10:00:00Z", "render": True, "service": "Haircut"}
    answer = world.salon.post("/api/simulate", body)
    assert answer.status_code == 200, answer.text
    texts = {(one["reminderType"], one["channel"]): one["text"] for one in answer.json["data"]["reminders"]}
    assert "Your appt is tomorrow!" in texts["24hr", "sms"]
    assert "Your appt starts in 1hr!" in texts["1hr", "sms"]
    assert all(texts.values())
    body["render"] = False
    plain = world.salon.post("/api/simulate", body).json["data"]["reminders"]
    assert {one["text"] for one in plain} == {None}
