"""A change of reminder settings, zone, sender or person gives what is still to come a new plan, and nothing else."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import events
from app.appointments import replanning
from app.appointments.models import Appointment, Replan
from app.contacts.models import Contact
from app.database import reading, writing
from app.messages.models import Message
from app.messages.states import Reason, Status
from app.reminders import settings as reminder_settings
from app.reminders.models import ReminderSettings
from app.workspaces.models import Sender, Workspace
from tests.appointments import appointment, make, plan
from tests.world import SENDER, World

PATH = "/api/appointments"


def setting(**values: Any) -> Any:
    """A change of the salon's reminder settings."""

    def change(session: Session) -> None:
        row = session.get(ReminderSettings, "ws_salon") or reminder_settings.defaults("ws_salon")
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)

    return change


def changed(*, keep: bool = True, **values: Any) -> replanning.Affected:
    return replanning.apply("ws_salon", setting(**values), keep=keep)[1]


def revisions() -> dict[str, int]:
    with reading() as session:
        return {row.public_id: row.revision for row in session.scalars(select(Appointment))}


def waiting() -> dict[str, str]:
    return {name: f"{row.due_at:%d %H:%M}" for name, row in plan().items() if row.status == Status.SCHEDULED}


def marks() -> int:
    with reading() as session:
        return len(session.scalars(select(Replan)).all())


@pytest.fixture
def booked(world: World) -> World:
    """Two appointments; one has a reminder in the quiet hours. Their confirmations are sent."""
    make(world.salon, PATH, appointment(appointmentId="day", email=None))
    make(world.salon, PATH, appointment(appointmentId="night", email=None, appointmentDateTime="2026-05-16T22:30:00Z"))
    world.work()
    return world


def test_only_what_changes_gets_a_new_plan(booked: World) -> None:
    assert waiting()["reminder-24hr-night"] == "16 08:00"
    result = changed(quiet_start=None, quiet_end=None)
    assert result == replanning.Affected(appointments=1, moved=1, cancelled=0, added=1, already_sent=1)
    assert revisions() == {"day": 1, "night": 2}
    assert waiting() == {
        "reminder-24hr-day": "14 10:00",
        "reminder-1hr-day": "15 09:00",
        "reminder-24hr-night": "15 22:30",
        "reminder-1hr-night": "16 21:30",
    }
    assert marks() == 0
    assert changed(quiet_start=None, quiet_end=None) == replanning.Affected()


def test_a_switch_that_is_off_calls_off_and_on_again_adds_but_sends_nothing_twice(booked: World) -> None:
    result = changed(send_24hr_reminder=False, send_confirmation=False)
    assert (result.appointments, result.cancelled, result.added) == (2, 2, 0)
    assert set(waiting()) == {"reminder-1hr-day"}
    result = changed(send_24hr_reminder=True, send_confirmation=True)
    assert (result.appointments, result.added, result.cancelled) == (2, 2, 0)
    booked.clock.set(datetime(2026, 5, 17, tzinfo=UTC))
    for moment in ("14T10:00", "15T09:00", "16T08:00", "16T23:00"):
        booked.clock.set(datetime.fromisoformat(f"2026-05-{moment}:00+00:00"))
        booked.repair()
        booked.work()
    assert len(booked.provider.posted) == 2 + 3


def test_a_new_rule_sends_nothing_for_a_time_that_has_passed(booked: World) -> None:
    booked.clock.set(datetime(2026, 5, 14, 12, 0, tzinfo=UTC))
    booked.repair()
    booked.work()
    sent = len(booked.provider.posted)
    rules = [{"type": "at_booking"}, {"type": "before", "offset": "22h"}, {"type": "before", "offset": "3d"}]
    changed(policy={"rules": rules}, late_booking="send_now")
    booked.repair()
    booked.work()
    assert len(booked.provider.posted) == sent
    assert set(waiting()) == {"reminder-22hr-night"}


def test_what_waits_in_quiet_hours_survives_a_change_in_the_night(booked: World) -> None:
    booked.clock.set(datetime(2026, 5, 16, 7, 0, tzinfo=UTC))
    changed(send_1hr_reminder=False)
    assert waiting()["reminder-24hr-night"] == "16 08:00"


def test_the_route_tells_what_became_of_the_plans_and_a_dry_run_only_counts(booked: World) -> None:
    body = {"send24hrReminder": False}
    tried = booked.salon.ask("PATCH", "/api/reminder-settings", body, X_Dry_Run="true").json["data"]
    assert tried["affected"] == {
        "appointments": 2,
        "moved": 0,
        "added": 0,
        "cancelled": 2,
        "alreadySent": 2,
        "inProgress": False,
    }
    assert len(waiting()) == 3
    done = booked.salon.ask("PATCH", "/api/reminder-settings", body).json["data"]
    assert done["affected"] == tried["affected"]
    assert set(waiting()) == {"reminder-1hr-day"}


def test_a_dry_run_counts_the_same_and_changes_nothing(booked: World) -> None:
    before = plan()
    tried = changed(keep=False, quiet_start=None, quiet_end=None, send_1hr_reminder=False)
    assert {name: (row.status, row.due_at, row.plan_revision) for name, row in plan().items()} == {
        name: (row.status, row.due_at, row.plan_revision) for name, row in before.items()
    }
    assert revisions() == {"day": 1, "night": 1}
    assert marks() == 0
    assert tried.appointments == 2
    assert changed(quiet_start=None, quiet_end=None, send_1hr_reminder=False) == tried


def test_a_failing_change_leaves_no_mark(booked: World) -> None:
    def fail(session: Session) -> None:
        setting(send_24hr_reminder=False)(session)
        raise ValueError

    with pytest.raises(ValueError):
        replanning.apply("ws_salon", fail)
    assert marks() == 0
    assert "reminder-24hr-day" in waiting()


def test_many_are_done_in_batches_and_the_sweep_finishes_what_a_crash_or_patience_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replanning, "BATCH", 2)
    for number in range(5):
        make(world.salon, PATH, appointment(appointmentId=f"a{number}", email=None))
    world.work()
    with writing() as session:
        setting(send_24hr_reminder=False)(session)
        replanning.request(session, "ws_salon")
    first = replanning.run("ws_salon", patience_s=0)
    assert (first.appointments, first.in_progress) == (2, True)
    assert marks() == 1
    world.repair()
    assert marks() == 0
    assert set(waiting()) == {f"reminder-1hr-a{number}" for number in range(5)}
    assert set(revisions().values()) == {2}


def test_a_change_in_the_middle_of_another_begins_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replanning, "BATCH", 1)
    for number in range(3):
        make(world.salon, PATH, appointment(appointmentId=f"a{number}", email=None))
    with writing() as session:
        setting(send_24hr_reminder=False)(session)
        replanning.request(session, "ws_salon")
    assert replanning.run("ws_salon", patience_s=0).in_progress
    assert changed(send_24hr_reminder=True).appointments == 1
    assert len([name for name in waiting() if "24hr" in name]) == 3


def test_the_workspace_s_zone_moves_quiet_hours_and_its_sender_changes_what_waits(booked: World) -> None:
    with writing() as session:
        session.execute(update(Workspace).where(Workspace.id == "ws_salon").values(timezone="America/New_York"))
        events.plan_inputs_changing.send(session=session, workspace_id="ws_salon")
    assert marks() == 1
    booked.repair()
    assert waiting()["reminder-24hr-night"] == "15 22:30"
    with writing() as session:
        session.execute(delete(Sender).where(Sender.workspace_id == "ws_salon", Sender.address == SENDER))
        session.add(Sender(workspace_id="ws_salon", channel="sms", address="+15550001111"))
        events.plan_inputs_changing.send(session=session, workspace_id="ws_salon")
    booked.clock.advance(seconds=5)
    booked.repair()
    rows = [row for row in plan().values() if row.status == Status.SCHEDULED]
    assert {row.from_address for row in rows} == {"+15550001111"}
    assert {row.job_id for row in rows} == {"reminder-24hr-day", "reminder-24hr-night", "reminder-1hr-night"}


def test_a_person_s_new_number_and_zone_reach_their_appointments_only(booked: World) -> None:
    other = {"name": "Bo", "phone": "+12025550100", "email": None}
    make(booked.salon, PATH, appointment(appointmentId="bo", **other))
    own = appointment(appointmentId="own", email=None)
    make(booked.salon, PATH, own)
    with writing() as session:
        session.execute(update(Appointment).where(Appointment.public_id == "own").values(phone="+12025550111"))
        session.execute(update(Message).where(Message.job_id == "reminder-24hr-own").values(to_address="+12025550111"))
        session.execute(update(Message).where(Message.job_id == "reminder-1hr-own").values(to_address="+12025550111"))
    with writing() as session:
        contact = session.scalars(select(Contact).where(Contact.first_name == "Anna")).one()
        before = {"phone": contact.phone, "email": contact.email}
        contact.phone, contact.timezone = "+12025550199", "America/New_York"
        ids = {"workspace_id": "ws_salon", "contact_id": contact.id}
        events.contact_changing.send(session=session, **ids, **before)
    booked.repair()
    rows = {name: row for name, row in plan().items() if row.status == Status.SCHEDULED and "24hr" in name}
    assert {name: row.to_address for name, row in rows.items()} == {
        "reminder-24hr-day": "+12025550199",
        "reminder-24hr-night": "+12025550199",
        "reminder-24hr-bo": "+12025550100",
        "reminder-24hr-own": "+12025550111",
    }
    assert waiting()["reminder-24hr-night"] == "15 22:30"
    assert revisions()["bo"] == 1


def test_what_goes_out_afterwards_goes_by_the_new_settings(booked: World) -> None:
    """The due message is fenced: its claim, made with the old revision in hand, gets nothing."""
    booked.clock.set(datetime(2026, 5, 14, 9, 59, 58, tzinfo=UTC))
    assert not changed(send_24hr_reminder=False).in_progress
    sent = len(booked.provider.posted)
    booked.live(10)
    assert len(booked.provider.posted) == sent
    assert plan()["reminder-24hr-day"].reason == Reason.SUPERSEDED


def test_an_appointment_that_cannot_be_planned_stops_no_other(booked: World) -> None:
    with writing() as session:
        session.execute(update(Appointment).where(Appointment.public_id == "day").values(timezone="Gone/Away"))
    assert changed(send_24hr_reminder=False).appointments == 1
    assert marks() == 0


def test_the_outsider_s_plans_stay_as_they_are(booked: World) -> None:
    make(booked.outsider, PATH, appointment(appointmentId="theirs"))
    before = revisions()["theirs"]
    changed(send_24hr_reminder=False)
    assert revisions()["theirs"] == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_booking_that_has_read_the_settings_of_before_is_waited_for(world: World) -> None:
    """It is not committed when the settings change; nobody else can see it, and yet it gets the new plan."""
    make(world.salon, PATH, appointment(appointmentId="first", email=None))
    done = threading.Event()

    def change() -> None:
        with world.app.app_context():
            changed(send_24hr_reminder=False)
        done.set()

    with writing() as session:
        row = session.scalars(select(Appointment)).one()
        values = {column.key: getattr(row, column.key) for column in Appointment.__mapper__.column_attrs}
        session.add(Appointment(**values | {"id": "f" * 32, "public_id": "late"}))
        session.flush()
        thread = threading.Thread(target=change)
        thread.start()
        assert not done.wait(0.5)
        copies = [message for message in session.scalars(select(Message)) if message.reminder_type == "24h"]
        fields = {column.key: getattr(copies[0], column.key) for column in Message.__mapper__.column_attrs}
        session.add(Message(**fields | {"id": "e" * 32, "job_id": "late-24", "appointment_id": "f" * 32}))
    thread.join(10)
    assert done.is_set()
    assert plan()["late-24"].status == Status.CANCELLED
