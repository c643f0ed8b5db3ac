"""Quiet hours hold when a reminder is late: not only when it is planned."""

from datetime import UTC, datetime

import pytest

from tests.appointments import appointment, booking, make, plan
from tests.jobs.support import TRANSIENT, UNREACHABLE
from tests.world import World

BEFORE_NINE = datetime(2026, 5, 14, 20, 59, 58, tzinfo=UTC)
EIGHT = datetime(2026, 5, 15, 8, 0, tzinfo=UTC)


@pytest.fixture
def evening(world: World) -> World:
    """Two seconds before the quiet hours, and a reminder that is due."""
    make(world.salon, "/api/appointments", appointment(email=None, appointmentDateTime="2026-05-15T20:59:58Z"))
    world.work()
    world.clock.set(BEFORE_NINE)
    world.repair()
    world.provider.posted.clear()
    return world


def test_a_try_that_failed_just_before_them_is_repeated_after_them(evening: World) -> None:
    evening.provider.script.append(TRANSIENT)
    evening.work()
    assert len(evening.provider.posted) == 1
    evening.live(600, step=5)
    assert len(evening.provider.posted) == 1
    assert plan()["reminder-24hr-uuid-123"].scheduled_at == EIGHT
    evening.clock.set(EIGHT)
    evening.live(10)
    assert len(evening.provider.posted) == 2
    assert plan()["reminder-24hr-uuid-123"].status == "sent"


def test_after_an_outage_nobody_is_woken(evening: World) -> None:
    evening.provider.script.extend([UNREACHABLE] * 3)
    evening.live(7200, step=30)
    assert len(evening.provider.log) == 1, "the confirmation"
    evening.clock.set(EIGHT)
    evening.live(180)
    assert len(evening.provider.log) == 2


def test_what_would_come_too_late_says_so(world: World) -> None:
    at = "2026-05-15T22:30:00Z"
    make(world.salon, "/api/appointments", appointment(email=None, policy="clinic", appointmentDateTime=at))
    world.work()
    world.clock.set(datetime(2026, 5, 15, 20, 30, tzinfo=UTC))
    world.repair()
    world.provider.script.extend([UNREACHABLE] * 100)
    world.live(1800 + 60, step=20)
    row = plan()["reminder-2hr-uuid-123"]
    assert (row.status, row.reason) == ("failed", "quiet_hours")


def test_the_confirmation_and_seed_004_s_reminders_take_no_notice(world: World) -> None:
    world.clock.set(datetime(2026, 5, 14, 23, 0, tzinfo=UTC))
    make(world.salon, "/api/bookings", booking(email=None, appointmentTime="2026-05-15T06:00:00Z"))
    make(world.salon, "/api/appointments", appointment(email=None, appointmentDateTime="2026-05-20T06:00:00Z"))
    world.live(7 * 3600, step=1800)
    assert len(world.provider.log) == 4


def test_new_hours_hold_at_once(evening: World) -> None:
    hours = {"quietHours": {"start": "22:00", "end": "08:00", "mode": "shift"}}
    assert evening.salon.ask("PATCH", "/api/reminder-settings", hours).status_code == 200
    evening.provider.script.append(TRANSIENT)
    evening.work()
    evening.live(60, step=5)
    assert len(evening.provider.log) == 2, "at nine it is not quiet any more"
