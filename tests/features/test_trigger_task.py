"""POST /api/v1/tasks/schedule-appointment-reminders/trigger: seed 000's call, as it prints it."""

from datetime import UTC, datetime

import pytest

from tests.appointments import appointment, make, plan
from tests.world import PERSON, World

PATH = "/api/v1/tasks/schedule-appointment-reminders/trigger"
PAYLOAD = {
    "appointmentId": "uuid-123",
    "workspaceId": "67621",
    "contactId": "uuid-456",
    "appointmentDateTime": "2025-12-15T10:00:00Z",
    "eventName": "Free Consultation",
}
TYPES = ["confirmation", "confirmation", "24h", "24h", "1h", "1h"]


@pytest.fixture
def printed(world: World) -> World:
    """The seed's workspace, its contact and its day."""
    world.clock.set(datetime(2025, 12, 13, 15, 0, tzinfo=UTC))
    world.salon = world.tenant("67621")
    person = {"contactId": "uuid-456", "name": "Anna", "phone": PERSON, "email": "anna@example.com"}
    make(
        world.salon, "/api/appointments", person | {"appointmentId": "x", "appointmentDateTime": "2026-01-15T10:00:00Z"}
    )
    return world


def reminders() -> list[str]:
    return [row.reminder_type or "" for job_id, row in plan("67621").items() if "uuid-123" in job_id]


def test_the_printed_payload_plans_the_three_reminders(printed: World) -> None:
    response = printed.salon.post(PATH, PAYLOAD)
    assert response.status_code == 200, response.text
    assert list(response.json) == ["id"]
    assert reminders() == TYPES
    shown = printed.salon.get("/api/appointments/uuid-123").json["data"]
    assert (shown["eventName"], shown["contactId"]) == ("Free Consultation", "uuid-456")


def test_payload_and_options_are_taken_alike(printed: World) -> None:
    flat = printed.salon.post(PATH, PAYLOAD).json
    wrapped = printed.salon.post(PATH, {"payload": PAYLOAD, "options": {"tags": ["web"]}}).json
    assert wrapped == flat
    assert reminders() == TYPES


def test_the_same_trigger_again_is_the_same_run(printed: World) -> None:
    runs = {printed.salon.post(PATH, PAYLOAD).json["id"] for _ in range(3)}
    assert len(runs) == 1
    assert reminders() == TYPES


def test_a_trigger_for_an_appointment_that_has_its_plan_changes_nothing(printed: World) -> None:
    body = appointment(contactId="uuid-456", appointmentDateTime="2025-12-15T10:00:00Z", eventName="Free Consultation")
    del body["phone"], body["email"], body["name"]
    make(printed.salon, "/api/appointments", body)
    before = plan("67621")
    assert printed.salon.post(PATH, PAYLOAD).json["id"] == "run_uuid-123_1"
    assert plan("67621").keys() == before.keys()


def test_another_time_moves_it(printed: World) -> None:
    first = printed.salon.post(PATH, PAYLOAD).json["id"]
    second = printed.salon.post(PATH, PAYLOAD | {"appointmentDateTime": "2025-12-16T10:00:00Z"}).json["id"]
    assert first != second
    assert reminders() == TYPES


def test_options_with_an_idempotency_key_answer_as_before(printed: World) -> None:
    body = {"payload": PAYLOAD, "options": {"idempotencyKey": "k1"}}
    first = printed.salon.post(PATH, body)
    again = printed.salon.post(PATH, body)
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"contactId": "nobody"}, "contactId"),
        ({"appointmentDateTime": "2025-12-15T10:00:00"}, "appointmentDateTime"),
        ({"appointmentDateTime": "2025-12-13T14:00:00Z"}, "appointmentDateTime"),
        ({"appointmentDateTime": "9999-12-31T00:00:00Z"}, "appointmentDateTime"),
        ({"appointmentDateTime": "2025-02-29T00:00:00Z"}, "appointmentDateTime"),
        ({"appointmentId": "a b"}, "appointmentId"),
        ({"appointmentId": ""}, "appointmentId"),
        ({"appointmentId": 5}, "appointmentId"),
        ({"eventName": "x" * 201}, "eventName"),
        ({"delay": 5}, "delay"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(printed: World, changes: dict, field: str) -> None:
    response = printed.salon.post(PATH, PAYLOAD | changes)
    assert response.status_code == 422, response.text
    assert field in response.json["error"]["fields"]
    assert reminders() == []


def test_in_a_payload_the_field_is_named_with_it(printed: World) -> None:
    response = printed.salon.post(PATH, {"payload": PAYLOAD | {"eventName": ""}})
    assert list(response.json["error"]["fields"]) == ["payload.eventName"]


def test_a_bearer_key_of_the_workspace_is_needed(printed: World) -> None:
    assert printed.app.test_client().post(PATH, json=PAYLOAD).status_code == 401
    assert printed.outsider.post(PATH, PAYLOAD).status_code == 403
    assert reminders() == []
