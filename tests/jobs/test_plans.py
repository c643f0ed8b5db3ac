"""Plans and workers: nothing of an older plan goes out, nothing goes out twice, whatever dies and whoever is first."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.channels.base import OutgoingMessage, SendResult
from app.messages.delivery import deliver
from app.messages.states import Status
from tests.appointments import appointment, booking, make, plan
from tests.jobs.dying import dies_at_step
from tests.jobs.support import AMBIGUOUS, TRANSIENT
from tests.together import together
from tests.world import Tenant, World

APPOINTMENTS = "/api/appointments"
MOST_STEPS = 60
NEXT_DAY = "2026-05-16T10:00:00Z"


def headers(tenant: Tenant) -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant.key}"}


def move(world: World, to: str, appointment_id: str = "uuid-123") -> dict:
    path = f"{APPOINTMENTS}/{appointment_id}"
    response = world.app.test_client().patch(path, json={"appointmentDateTime": to}, headers=headers(world.salon))
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def cancel(world: World, appointment_id: str = "uuid-123") -> dict:
    response = world.app.test_client().delete(f"{APPOINTMENTS}/{appointment_id}", headers=headers(world.salon))
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def go_to(world: World, text: str) -> None:
    world.clock.set(datetime.fromisoformat(text))
    world.repair()
    world.work()


@pytest.fixture
def due(world: World) -> World:
    """A booking whose confirmation is out, a moment before its reminder a day ahead."""
    make(world.salon, APPOINTMENTS, appointment(email=None))
    world.work()
    assert len(world.provider.posted) == 1
    world.clock.set(datetime(2026, 5, 14, 9, 59, 59, tzinfo=UTC))
    world.repair()
    return world


def test_a_reminder_is_tried_five_times_with_the_printed_gaps(due: World) -> None:
    due.provider.script.extend([TRANSIENT] * 6)
    posted = len(due.provider.posted)
    go_to(due, "2026-05-14T10:00:00Z")
    moments = []
    for second in range(1, 800):
        due.clock.set(datetime(2026, 5, 14, 10, 0, tzinfo=UTC) + timedelta(seconds=second))
        before = len(due.provider.posted)
        due.work()
        if len(due.provider.posted) > before:
            moments.append(second)
    assert moments == [5, 30, 155, 780]
    assert len(due.provider.posted) - posted == 5
    row = plan()["reminder-24hr-uuid-123"]
    assert (row.status, row.reason) == (Status.FAILED, "attempts_exhausted")


def test_a_try_that_failed_before_the_move_has_no_further_one_after_it(due: World) -> None:
    due.provider.script.append(TRANSIENT)
    go_to(due, "2026-05-14T10:00:00Z")
    assert plan()["reminder-24hr-uuid-123"].attempts_used == 1
    data = move(due, NEXT_DAY)
    assert [one["jobId"] for one in data["moved"]] == ["reminder-24hr-uuid-123", "reminder-1hr-uuid-123"]
    posted = len(due.provider.posted)
    due.live(3600, step=300)
    assert len(due.provider.posted) == posted
    go_to(due, "2026-05-15T10:00:00Z")
    assert len(due.provider.posted) == posted + 1


def test_a_move_during_a_try_fences_the_tries_that_would_follow(due: World) -> None:
    answers: list[dict] = []

    def refuse(_message: OutgoingMessage) -> SendResult:
        answers.append(move(due, NEXT_DAY))
        return TRANSIENT

    due.provider.script.append(refuse)
    go_to(due, "2026-05-14T10:00:00Z")
    assert [one["jobId"] for one in answers[0]["alreadySent"]] == [
        "reminder-confirmation-uuid-123",
        "reminder-24hr-uuid-123",
    ]
    assert [one["jobId"] for one in answers[0]["added"]] == ["reminder-24hr-uuid-123"]
    posted = len(due.provider.posted)
    due.live(3600, step=60)
    assert len(due.provider.posted) == posted, "the try of the old plan was the last one"
    assert plan()["reminder-24hr-uuid-123-r1"].reason == "superseded"
    go_to(due, "2026-05-15T10:00:00Z")
    assert len(due.provider.posted) == posted + 1


def test_an_unknown_try_of_the_old_plan_is_not_sent_again(due: World) -> None:
    due.provider.script.append(AMBIGUOUS)
    go_to(due, "2026-05-14T10:00:00Z")
    assert plan()["reminder-24hr-uuid-123"].status == Status.UNKNOWN
    move(due, NEXT_DAY)
    posted = len(due.provider.posted)
    due.live(600, step=10)
    assert len(due.provider.posted) == posted
    assert plan()["reminder-24hr-uuid-123-r1"].status in (Status.FAILED, Status.SKIPPED)


def test_a_cancellation_during_a_try_is_the_last_word(due: World) -> None:
    def refuse(_message: OutgoingMessage) -> SendResult:
        cancel(due)
        return TRANSIENT

    due.provider.script.append(refuse)
    go_to(due, "2026-05-14T10:00:00Z")
    due.live(2 * 24 * 3600, step=3600)
    assert len(due.provider.posted) == 3, "confirmation, the try, the notice of the cancellation"


def _moved(world: World) -> None:
    move(world, NEXT_DAY)


def _cancelled(world: World) -> None:
    cancel(world)


def _booked(world: World) -> None:
    make(world.salon, APPOINTMENTS, appointment(email=None))


@pytest.mark.parametrize("story", [_booked, _moved, _cancelled], ids=["booked", "moved", "cancelled"])
def test_a_death_at_any_step_leaves_the_old_plan_or_the_new_one(world: World, story: Callable[[World], None]) -> None:
    """The caller who got no answer asks again, and in the end each reminder has gone out once, at its time."""
    for step in range(1, MOST_STEPS):
        world.clock.set(datetime(2026, 5, 11, 12, 0, tzinfo=UTC) + timedelta(days=30 * step))
        start = world.clock.now() + timedelta(days=3)
        name = f"uuid-{step}"
        body = appointment(appointmentId=name, email=None, appointmentDateTime=start.isoformat())
        sent_before = len(world.provider.log)

        def act(body: dict = body, name: str = name, start: datetime = start) -> None:
            if story is _booked:
                make(world.salon, APPOINTMENTS, body)
            elif story is _moved:
                move(world, (start + timedelta(days=1)).isoformat(), name)
            else:
                cancel(world, name)

        if story is not _booked:
            make(world.salon, APPOINTMENTS, body)
            world.work()
        with dies_at_step(world, step) as steps:
            act()
        act()
        world.live(5 * 24 * 3600, step=3600)
        wanted = {_booked: 3, _moved: 3, _cancelled: 2}[story]
        assert len(world.provider.log) - sent_before == wanted, steps.reached
        if len(steps.reached) < step:
            return
    raise AssertionError("there is no end of the steps")


def test_the_same_booking_from_many_at_once_is_one(world: World) -> None:
    def book() -> int:
        client = world.app.test_client()
        return client.post("/api/bookings", json=booking(), headers=headers(world.salon)).status_code

    assert together(world.app, [book] * 8) == [201] * 8
    assert len(plan()) == 5
    world.live(12 * 3600, step=1800)
    assert len(world.provider.log) == 4


def test_moves_against_a_worker_send_each_reminder_once(due: World) -> None:
    due.clock.set(datetime(2026, 5, 14, 10, 0, tzinfo=UTC))
    due.repair()

    row_id = plan()["reminder-24hr-uuid-123"].id

    def work() -> None:
        deliver(row_id)

    together(due.app, [work, lambda: move(due, NEXT_DAY), work])
    due.live(3 * 24 * 3600, step=1800)
    texts = [one for one in plan().values() if one.status == Status.SENT]
    assert len({(one.reminder_type, one.due_at) for one in texts}) == len(texts)
    assert len(due.provider.log) == len(texts)
    assert plan()["reminder-24hr-uuid-123"].due_at == datetime(2026, 5, 15, 10, 0, tzinfo=UTC)
