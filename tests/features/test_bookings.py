"""/api/bookings: seed 004's reminders every two hours until the appointment."""

from datetime import UTC, datetime

from tests.appointments import booking, make, plan
from tests.world import World

PATH = "/api/bookings"
MIDNIGHT = datetime(2026, 5, 12, 0, 0, tzinfo=UTC)


def reminders(world: World) -> list[dict]:
    response = world.salon.get(f"{PATH}/booking_123/reminders")
    assert response.status_code == 200, response.text
    return list(response.json)


def test_the_printed_example_comes_out(world: World) -> None:
    """Booking at 10:00, created at 00:00: five computed, the fifth is skipped (at appointment time)."""
    world.clock.set(MIDNIGHT)
    make(world.salon, PATH, booking(appointmentTime="2026-05-12T10:00:00Z"))
    assert reminders(world) == [
        {"jobId": "booking_123-reminder-1", "state": "delayed", "scheduledFor": "2026-05-12T02:00:00Z"},
        {"jobId": "booking_123-reminder-2", "state": "delayed", "scheduledFor": "2026-05-12T04:00:00Z"},
        {"jobId": "booking_123-reminder-3", "state": "delayed", "scheduledFor": "2026-05-12T06:00:00Z"},
        {"jobId": "booking_123-reminder-4", "state": "delayed", "scheduledFor": "2026-05-12T08:00:00Z"},
        {"jobId": "booking_123-reminder-5", "state": "failed", "scheduledFor": "2026-05-12T10:00:00Z"},
    ]
    assert plan()["booking_123-reminder-5"].reason == "at_appointment_time"
    sent = []
    for hour in range(1, 13):
        world.clock.set(MIDNIGHT.replace(hour=hour))
        world.repair()
        world.work()
        sent.append(len(world.provider.posted))
    assert sent == [0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4]
    assert all(message.to.startswith("whatsapp:") for message in world.provider.posted)
    assert [one["state"] for one in reminders(world)] == ["completed"] * 4 + ["failed"]


def test_less_than_two_hours_ahead_there_are_none(world: World) -> None:
    make(world.salon, PATH, booking(appointmentTime="2026-05-11T13:59:00Z"))
    assert [one["state"] for one in reminders(world)] == ["failed"]
    world.live(7200, step=600)
    assert world.provider.posted == []


def test_the_same_booking_many_times_has_the_same_jobs(world: World) -> None:
    first = make(world.salon, PATH, booking())
    for _ in range(3):
        again = make(world.salon, PATH, booking())
        assert again["reminders"] == first["reminders"]
        assert again["revision"] == 1
    assert len(plan()) == 5


def test_moving_a_booking_moves_its_end(world: World) -> None:
    make(world.salon, PATH, booking())
    answer = world.salon.ask("PATCH", f"{PATH}/booking_123", {"appointmentTime": "2026-05-11T18:00:00Z"})
    assert answer.status_code == 200, answer.text
    cancelled = [one["jobId"] for one in answer.json["data"]["cancelled"]]
    assert cancelled == ["booking_123-reminder-3", "booking_123-reminder-4"]
    world.live(12 * 3600, step=1800)
    assert len(world.provider.posted) == 2


def test_cancelling_removes_all_pending_reminders(world: World) -> None:
    make(world.salon, PATH, booking())
    world.clock.set(datetime(2026, 5, 11, 14, 0, tzinfo=UTC))
    world.repair()
    world.work()
    headers = {"Authorization": f"Bearer {world.salon.key}"}
    response = world.salon.client.delete(f"{PATH}/booking_123", headers=headers)
    assert response.status_code == 200
    assert [one["jobId"] for one in response.json["data"]["cancelled"]] == [
        "booking_123-reminder-2",
        "booking_123-reminder-3",
        "booking_123-reminder-4",
    ]
    assert [one["jobId"] for one in response.json["data"]["alreadySent"]] == ["booking_123-reminder-1"]
    world.live(8 * 3600, step=1800)
    assert len(world.provider.posted) == 2, "the first reminder, and the confirmation of the cancellation"
    assert world.scheduled() == []


def test_stats_count_the_workspace_only(world: World) -> None:
    assert world.salon.get("/api/queue/stats").json == {
        "waiting": 0,
        "active": 0,
        "completed": 0,
        "failed": 0,
        "delayed": 0,
    }
    make(world.salon, PATH, booking())
    make(world.outsider, PATH, booking())
    world.salon.send()
    assert world.salon.get("/api/queue/stats").json == {
        "waiting": 1,
        "active": 0,
        "completed": 0,
        "failed": 1,
        "delayed": 4,
    }
