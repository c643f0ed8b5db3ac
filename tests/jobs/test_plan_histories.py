"""Whatever happens to an appointment, and whatever the provider answers: each reminder of the time that holds, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.appointments.models import Appointment
from app.database import reading
from app.messages.models import Message
from tests.appointments import appointment, make
from tests.jobs.support import AMBIGUOUS, PERMANENT, TRANSIENT
from tests.world import World

BEFORE = {"24h": timedelta(hours=24), "1h": timedelta(hours=1)}
PATH = "/api/appointments"
ANSWERS = ["lose", "transient", "ambiguous", "permanent"]
ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.2, 1, 5, 20, 26])),
    st.tuples(st.just("move"), st.integers(1, 72)),
    st.tuples(st.just("cancel"), st.just(0)),
    st.tuples(
        st.just("answers"), st.lists(st.sampled_from(["lose", "transient", "ambiguous", "permanent"]), max_size=3)
    ),
    st.tuples(st.just("book again"), st.just(0)),
)


class History:
    """What held when, as the caller was told."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.start = world.clock.now() + timedelta(hours=30)
        self.body = appointment(appointmentId=name, email=None, appointmentDateTime=self.start.isoformat())
        make(world.salon, PATH, self.body)
        self.held: list[tuple[datetime, datetime | None]] = [(world.clock.now(), self.start)]
        """From when on, which start; None once it is cancelled."""

    def do(self, action: str, value: Any) -> None:
        world = self.world
        world.clock.advance(seconds=1)  # so that it is told apart from what went out at that instant
        now = world.clock.now()
        if action == "wait":
            world.live(value * 3600, step=min(value * 3600, 3600))
        elif action == "answers":
            known = {
                "lose": world.provider.accept_then_lose,
                "transient": TRANSIENT,
                "ambiguous": AMBIGUOUS,
                "permanent": PERMANENT,
            }
            world.provider.script.extend(known[name] for name in value)
        elif action == "move":
            start = now + timedelta(hours=value)
            answer = world.salon.ask("PATCH", f"{PATH}/{self.name}", {"appointmentDateTime": start.isoformat()})
            assert answer.status_code == (409 if self.held[-1][1] is None else 200), answer.text
            if answer.status_code == 200:
                self.held.append((now, start))
        elif action == "cancel":
            assert world.salon.ask("DELETE", f"{PATH}/{self.name}").status_code == 200
            if self.held[-1][1] is not None:
                self.held.append((now, None))
        elif action == "book again" and self.held[-1][1] is not None and self.start > now:
            make(world.salon, PATH, self.body)
            if self.held[-1][1] != self.start:
                self.held.append((now, self.start))

    def start_at(self, at: datetime) -> datetime | None:
        """The start that held at an instant."""
        return [start for since, start in self.held if since <= at][-1]

    def accepted(self) -> list[tuple[str, datetime]]:
        """What the provider has of it: reminder type and when it took it."""
        taken = {record.provider_message_id: record.created_at for record in self.world.provider.log}
        with reading() as session:
            query = select(Message.reminder_type, Message.provider_message_id).join(
                Appointment, Appointment.id == Message.appointment_id
            )
            rows = session.execute(query.where(Appointment.public_id == self.name)).all()
        return [(kind or "", taken[sid]) for kind, sid in rows if sid in taken]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=1, max_size=7))
def test_no_reminder_is_doubled_early_or_of_a_time_that_does_not_hold(
    world: World, actions: list[tuple[str, Any]]
) -> None:
    world.provider.script.clear()
    count = len(world.provider.log)
    world.clock.set(max(world.clock.now(), datetime(2026, 5, 11, 12, 0, tzinfo=UTC)) + timedelta(days=10))
    history = History(world, f"a{world.clock.now():%Y%m%d%H%M%S}")
    for action, value in actions:
        history.do(action, value)
    world.provider.script.clear()
    world.live(100 * 3600, step=4 * 3600)

    seen = set()
    accepted = history.accepted()
    assert len(accepted) == len(world.provider.log) - count, "every accepted text is known to be one of ours"
    for kind, at in accepted:
        start = history.start_at(at)
        if kind == "cancellation":
            assert start is None
            continue
        assert start is not None, f"{kind} after the cancellation"
        assert at < start, f"{kind} after the start"
        if kind in BEFORE:
            assert at >= start - BEFORE[kind], f"{kind} too early"
        assert (kind, start) not in seen, f"{kind} twice"
        seen.add((kind, start))
