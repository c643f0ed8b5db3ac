"""Old messages are forgotten, and nothing that is still needed."""

from datetime import timedelta

from sqlalchemy import func, select

from app.database import reading
from app.messages.models import Attempt, DeliveryEvent, Message
from app.messages.pruning import prune
from tests.appointments import appointment, make, plan
from tests.jobs.support import report
from tests.world import World


def left() -> list[int]:
    with reading() as session:
        return [session.scalar(select(func.count()).select_from(one)) or 0 for one in (Message, Attempt, DeliveryEvent)]


def test_what_is_over_for_ninety_days_is_forgotten(world: World) -> None:
    world.clock.set(world.clock.now() + timedelta(days=500))  # after the rows' ids, which the machine's clock gives
    job_id = world.salon.send()
    world.work()
    report(world, job_id, "delivered")
    assert left() == [1, 1, 1]
    assert prune(world.clock.now() + timedelta(days=89)) == 0
    assert prune(world.clock.now() + timedelta(days=91)) == 1
    assert left() == [0, 0, 0]


def test_what_waits_is_kept_and_so_are_the_reminders_of_what_is_to_come(world: World) -> None:
    world.clock.set(world.clock.now() + timedelta(days=500))
    start = world.clock.now() + timedelta(days=120)
    make(world.salon, "/api/appointments", appointment(email=None, appointmentDateTime=start.isoformat()))
    world.work()
    waiting = world.salon.delay(60 * 24 * 200)
    later = world.clock.now() + timedelta(days=100)
    assert prune(later) == 0
    assert world.message(waiting).status == "scheduled"
    assert len(plan()) == 6


def test_it_can_be_switched_off(make_world: object) -> None:
    world: World = make_world(retention_days=0)  # type: ignore[operator]
    world.clock.set(world.clock.now() + timedelta(days=500))
    world.salon.send()
    world.work()
    assert prune(world.clock.now() + timedelta(days=1000)) == 0
