"""/api/cron/meeting-reminders: seed 003's safety net, for appointments that another program wrote into the table."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError

from app.appointments import cron, workspace_planner
from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import writing
from tests.appointments import appointment, make, plan
from tests.together import together
from tests.world import World

PATH = "/api/cron/meeting-reminders"
NINE = datetime(2026, 5, 11, 9, 0, tzinfo=UTC)


def written_by_hand(workspace_id: str, number: int = 1, status: str = "PENDING", hours: float = 24) -> list[str]:
    """Rows as an old program would have them, booked a week ago; returns their ids."""
    names = [f"meeting-{index}" for index in range(number)]
    people = [
        {
            "id": f"{workspace_id}{index}"[:32],
            "workspace_id": workspace_id,
            "public_id": name,
            "phone": f"+1234567{index:04}",
        }
        for index, name in enumerate(names)
    ]
    rows = [
        {
            "workspace_id": workspace_id,
            "public_id": name,
            "contact_id": person["id"],
            "phone": person["phone"],
            "starts_at": NINE + timedelta(hours=hours),
            "starts_text": (NINE + timedelta(hours=hours)).isoformat(),
            "status": status,
            "booked_at": NINE - timedelta(days=7),
        }
        for name, person in zip(names, people, strict=True)
    ]
    with writing() as session:
        session.execute(insert(Contact), people)
        session.execute(insert(Appointment), rows)
    return names


@pytest.fixture
def nine(world: World) -> World:
    world.clock.set(NINE)
    return world


def test_it_runs_twice_and_sends_once(nine: World) -> None:
    written_by_hand("ws_salon")
    first = nine.salon.get(PATH)
    assert first.status_code == 200, first.text
    assert first.json["data"]["checked"] == 1
    assert first.json["data"]["scheduled"] == 2, "a day before, now, and an hour before"
    nine.work()
    assert len(nine.provider.posted) == 1
    nine.clock.advance(minutes=30)
    second = nine.salon.call("POST", PATH).json["data"]
    assert second == {"checked": 1, "scheduled": 0, "skipped": 1, "failed": 0}
    nine.work()
    assert len(nine.provider.posted) == 1


@pytest.mark.parametrize(
    ("hours", "status", "found"),
    [
        (23, "PENDING", 1),
        (25, "CONFIRMED", 1),
        (22.9, "PENDING", 0),
        (25.1, "PENDING", 0),
        (24, "CANCELLED", 0),
        (24, "COMPLETED", 0),
    ],
)
def test_its_window_is_two_hours_wide_and_of_open_meetings(nine: World, hours: float, status: str, found: int) -> None:
    written_by_hand("ws_salon", hours=hours, status=status)
    assert nine.salon.get(PATH).json["data"]["checked"] == found


def test_what_was_planned_at_its_booking_needs_nothing(nine: World) -> None:
    make(nine.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-12T09:30:00Z"))
    before = plan()
    assert nine.salon.get(PATH).json["data"] == {"checked": 1, "scheduled": 0, "skipped": 1, "failed": 0}
    assert plan().keys() == before.keys()


def test_many_at_once_make_each_reminder_once(nine: World) -> None:
    written_by_hand("ws_salon", 20)
    runs = together(nine.app, [lambda: cron.run(NINE)] * 5)
    assert sum(run.scheduled for run in runs) == 40
    nine.work()
    assert len(nine.provider.posted) == 20


def test_one_that_cannot_be_planned_stops_no_other(nine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written_by_hand("ws_salon", 5)
    plan_one = workspace_planner.Planner.plan

    def refuse(self: workspace_planner.Planner, row: Appointment, *rest: object) -> object:
        if row.public_id == "meeting-3":
            raise ValueError("broken")
        return plan_one(self, row, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(workspace_planner.Planner, "plan", refuse)
    assert nine.salon.get(PATH).json["data"] == {"checked": 5, "scheduled": 8, "skipped": 0, "failed": 1}
    monkeypatch.undo()
    assert nine.salon.get(PATH).json["data"]["scheduled"] == 2


def test_without_a_database_the_next_run_makes_up_for_it(nine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written_by_hand("ws_salon")

    def away(*_: object) -> object:
        raise OperationalError("SELECT", None, Exception("the database is away"))

    with monkeypatch.context() as patched:
        patched.setattr(cron, "_missing", away)
        assert nine.salon.get(PATH).status_code == 503
    assert nine.salon.get(PATH).json["data"]["scheduled"] == 2


def test_it_also_runs_by_itself_every_half_hour(nine: World) -> None:
    nine.repair()
    written_by_hand("ws_salon")
    nine.live(29 * 60, step=60)
    assert nine.provider.posted == []
    nine.live(60, step=60)
    assert len(nine.provider.posted) == 1


def test_a_key_sees_its_own_meetings_only_and_nobody_without_one_any(nine: World) -> None:
    written_by_hand("ws_outsider")
    assert nine.salon.get(PATH).json["data"]["checked"] == 0
    assert nine.app.test_client().get(PATH).status_code == 401
    assert nine.salon.get(PATH, workspaceId="ws_outsider").status_code == 404


def test_without_keys_in_use_it_still_needs_one(make_world: object) -> None:
    world = make_world(auth_required=False)  # type: ignore[operator]
    assert world.app.test_client().get(PATH, query_string={"workspaceId": "ws_salon"}).status_code == 401


def test_a_dry_run_counts_and_makes_nothing(nine: World) -> None:
    written_by_hand("ws_salon")
    assert nine.salon.call("POST", PATH, X_Dry_Run="true").json["data"]["scheduled"] == 2
    assert plan() == {}
