"""What was over and is open again, and people who change while something is booked for them."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.appointments import appointment, booking, make, plan
from tests.together import together
from tests.world import PERSON, World

PATH = "/api/appointments"


def status(world: World, word: str) -> dict:
    answer = world.salon.ask("PATCH", f"{PATH}/uuid-123", {"status": word})
    assert answer.status_code == 200, answer.text
    return dict(answer.json["data"])


@pytest.mark.parametrize("word", ["COMPLETED", "NO_SHOW"])
def test_an_appointment_that_is_open_again_repeats_nothing(world: World, word: str) -> None:
    make(world.salon, PATH, appointment(email=None))
    world.work()
    over = status(world, word)
    assert len(over["cancelled"]) == 2
    again = status(world, "PENDING")
    assert [one["jobId"] for one in again["alreadySent"]] == ["reminder-confirmation-uuid-123"]
    assert [one["jobId"] for one in again["added"]] == ["reminder-24hr-uuid-123", "reminder-1hr-uuid-123"]
    world.live(30)
    assert len(world.provider.log) == 1
    world.clock.set(datetime(2026, 5, 14, 10, 0, tzinfo=UTC))
    world.live(30)
    assert len(world.provider.log) == 2
    status(world, word)
    assert status(world, "CONFIRMED")["added"][0]["jobId"] == "reminder-1hr-uuid-123"
    world.live(60)
    assert len(world.provider.log) == 2


def test_a_new_number_reaches_what_is_booked_at_the_same_moment(world: World) -> None:
    people = []
    for index in range(8):
        body = {"contactId": f"c{index}", "phone": f"+1234567100{index}"}
        assert world.salon.post("/api/contacts", body).status_code == 201
        people.append(body)
    headers = {"Authorization": f"Bearer {world.salon.key}"}

    def book(index: int) -> int:
        body = {"appointmentId": f"a{index}", "contactId": f"c{index}", "appointmentDateTime": "2026-05-20T10:00:00Z"}
        return world.app.test_client().post(PATH, json=body, headers=headers).status_code

    def renumber(index: int) -> int:
        body = {"phone": f"+1234567200{index}"}
        return world.app.test_client().patch(f"/api/contacts/c{index}", json=body, headers=headers).status_code

    for index in range(8):
        assert together(world.app, [lambda i=index: book(i), lambda i=index: renumber(i)]) == [201, 200]  # type: ignore[misc]
    world.live(60)
    for index in range(8):
        assert plan()[f"reminder-24hr-a{index}"].to_address == f"+1234567200{index}"


def test_a_name_is_changed_where_it_belongs(world: World) -> None:
    make(world.salon, PATH, appointment())
    answer = world.salon.ask("PATCH", f"{PATH}/uuid-123", {"name": "Zed"})
    assert (answer.status_code, list(answer.json["error"]["fields"])) == (422, ["name"])


def test_a_workspace_that_is_new_can_be_simulated(make_world: object) -> None:
    world: World = make_world(auth_required=False)  # type: ignore[operator]
    body = {"workspaceId": "nobody-yet", "appointmentDateTime": "2026-05-20T10:00:00Z"}
    assert world.app.test_client().post("/api/simulate", json=body).status_code == 200


def test_offsets_of_almost_a_day_are_offsets(world: World) -> None:
    until = (world.clock.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%S-23:59")
    assert world.salon.post("/api/trigger/send-sms", world.salon.text(validUntil=until)).status_code == 202
    body = {"messages": [{"to": PERSON, "body": "x", "scheduledTime": until}], "workspaceId": "ws_salon"}
    answer = world.salon.post("/api/trigger/schedule-bulk", body)
    assert answer.json["data"]["accepted"] == 1


def test_plans_of_years_are_brought_up_to_date_a_few_at_a_time(world: World) -> None:
    for index in range(3):
        make(world.salon, "/api/bookings", booking(bookingId=f"b{index}", appointmentTime="2026-09-11T12:00:00Z"))
    answer = world.salon.ask("PATCH", "/api/reminder-settings", {"whatsappEnabled": False})
    assert answer.status_code == 200, answer.text
    world.live(60)
    rows = plan().values()
    assert {row.channel for row in rows if row.status == "scheduled"} == {"sms"}


def test_our_own_appointments_are_known_however_their_kind_is_spelt(world: World) -> None:
    make(world.salon, PATH, appointment())
    mark = {"entityId": "uuid-123", "reminderType": "24hr", "userId": "u"}
    for word in ("appointment", "Appointment", "APPOINTMENT", "meeting", "booking"):
        answer = world.salon.post("/api/reminders/mark", mark | {"entityType": word})
        assert answer.json["data"]["shouldSend"] is False, word
