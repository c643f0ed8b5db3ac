"""Redis never holds more than its bound; what it holds is due first, and all the rest goes out in its turn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update

from app import queue
from app.database import reading, writing
from app.messages import feeding, service
from app.messages.models import Message
from app.messages.states import Status
from jobs import feeder
from jobs.feeder import Feeder
from jobs.scheduler import Scheduler
from tests.jobs.support import bodies
from tests.jobs.waiting import accept, commit, held, queued, scheduled
from tests.together import together
from tests.world import World

MINUTE = 60.0
BOUND = 8


@pytest.fixture
def small(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose Redis holds eight sends."""
    monkeypatch.setattr(feeder, "BATCH", 3)
    monkeypatch.setattr(feeder, "AUDIT_ROWS", 3)
    return make_world(horizon_max=BOUND)


def test_of_more_than_there_is_room_for_the_first_are_held(small: World) -> None:
    rows = accept(small, [MINUTE * (n + 1) for n in range(20)])
    small.repair()
    small.redis.flushall()
    small.repair()

    assert scheduled(small) == rows[:BOUND]


def test_an_earlier_one_takes_the_place_of_the_last(small: World) -> None:
    rows = accept(small, [MINUTE * (n + 1) for n in range(10)])
    small.repair()
    [early] = accept(small, [30])

    assert scheduled(small) == [early, *rows[: BOUND - 1]]
    assert not small.redis.exists(f"rq:job:{rows[BOUND - 1]}-0")


def test_somebody_else_s_entry_is_never_put_out(small: World) -> None:
    later = small.clock.now() + timedelta(minutes=59)
    job = queue.rq_queue(queue.SEND_QUEUE).enqueue_at(later, "builtins.len", "foreign")
    accept(small, [MINUTE * (n + 1) for n in range(10)])
    small.repair()
    accept(small, [30])

    assert job.id in small.scheduled()
    assert len(small.scheduled()) == BOUND


def fill_with_theirs(world: World, number: int = BOUND) -> None:
    later = world.clock.now() + timedelta(hours=9)
    for n in range(number):
        queue.rq_queue(queue.SEND_QUEUE).enqueue_at(later, "builtins.len", "foreign", job_id=f"foreign-{n}")


def test_where_others_fill_the_schedule_what_is_due_goes_in_up_to_the_bound(small: World) -> None:
    fill_with_theirs(small)
    accept(small, [MINUTE])
    rows = accept(small, [0.0] * 20)
    small.repair()

    assert len(queued(small)) == BOUND
    assert set(queued(small)) <= set(rows)
    live_all(small)
    assert len(bodies(small)) == len(set(bodies(small))) == 21
    assert small.redis.zcard("rq:scheduled:send") == BOUND


def test_ours_are_put_out_for_what_is_due_sooner_though_others_come_last(small: World) -> None:
    late = accept(small, [MINUTE * 30, MINUTE * 40])
    fill_with_theirs(small, BOUND - 2)
    rows = accept(small, [0.0] * 3)

    assert queued(small)[:2] == rows[:2]
    assert not set(late) & set(held(small))
    assert len([one for one in held(small) if len(one) == 32]) <= BOUND
    later = accept(small, [MINUTE])
    live_all(small)
    sent = {message.id for message in small.messages() if message.status == Status.SENT}
    assert {*rows, *later} <= sent


def live_all(world: World) -> None:
    """Time passes, until what was due within a minute has gone; workers never see more of ours than the bound."""
    pop = world._pop

    def watched() -> Any:
        assert len([one for one in held(world) if len(one) == 32]) <= BOUND
        return pop()

    world._pop = watched  # type: ignore[method-assign]
    world.live(90, step=1)


def test_it_is_filled_again_in_pieces_as_it_empties(small: World) -> None:
    rows = accept(small, [MINUTE * (n + 1) for n in range(20)])
    small.repair()
    for job_id in small.scheduled()[:2]:
        small.salon.cancel(small_job(job_id))
    small.repair()
    assert len(held(small)) == BOUND - 2  # three quarters are left: not yet
    small.salon.cancel(small_job(small.scheduled()[0]))
    small.repair()
    assert held(small) == rows[3 : 3 + BOUND]


def small_job(rq_id: str) -> str:
    """The public id of the job behind a nudge."""
    with reading() as session:
        return session.scalars(select(Message.job_id).where(Message.id == rq_id.partition("-")[0])).one()


def live_bounded(world: World, seconds: float, step: float = 1.0) -> None:
    """Time passes; each worker's job is followed by a look at how much Redis holds."""
    pop = world._pop

    def watched() -> Any:
        assert len(held(world)) <= BOUND
        return pop()

    world._pop = watched  # type: ignore[method-assign]
    world.live(seconds, step=step)


def test_many_at_one_instant_all_go_out_within_the_bound(small: World) -> None:
    accept(small, [10.0] * 50)
    live_bounded(small, 30)

    assert len(bodies(small)) == len(set(bodies(small))) == 50
    assert all(message.sent_at >= message.due_at for message in small.messages())


def test_many_at_once_for_now_go_out_in_the_order_in_which_they_came(small: World) -> None:
    for n in range(20):
        small.salon.send(body=f"Text {n:02}")
        small.clock.advance(seconds=0.001)
    assert len(queued(small)) == BOUND
    live_bounded(small, 20)

    assert bodies(small) == [f"Text {n:02}" for n in range(20)]


def test_while_there_is_a_backlog_in_sql_new_ones_do_not_overtake_it(small: World) -> None:
    small.repair()
    accept(small, [0.0] * 20)
    small.redis.lpop("rq:queue:send", 3)  # some room, but not plenty
    small.salon.send(body="Newest")

    newest = small.messages()[-1]
    assert newest.id not in held(small)
    small.live(30, step=1)
    assert bodies(small)[-1] == "Newest" or bodies(small).index("Newest") >= 17


def test_accepting_and_feeding_at_once_keep_the_bound_to_the_last_one(small: World) -> None:
    commit(small, [MINUTE + n for n in range(30)])
    over: list[int] = []

    def accepts() -> None:
        for n in range(10):
            service.announce(commit(small, [MINUTE + 30 - n]))
            over.append(int(small.redis.zcard("rq:scheduled:send")))

    def feeds() -> None:
        mine = Feeder()
        for _ in range(10):
            mine.tick()
            over.append(int(small.redis.zcard("rq:scheduled:send")))

    together(small.app, [accepts, feeds, accepts])
    small.another_leads()

    assert max(over) == BOUND
    assert scheduled(small) == [row.id for row in in_order(small)][:BOUND]


def in_order(world: World) -> list[Message]:
    """Scheduled rows in the order of their places."""
    with reading() as session:
        query = select(Message).where(Message.status == Status.SCHEDULED)
        return list(session.scalars(query.order_by(Message.scheduled_at, Message.id)))


class Feeding(RuleBasedStateMachine):
    """Accepting, losing, feeding and draining in any order, with room for eight."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        with writing() as session:
            session.execute(update(Message).values(status=Status.CANCELLED))
        self.world.redis.flushall()
        self.world.another_leads()

    @rule(minutes=st.lists(st.sampled_from([0.0, 0.5, 1, 1, 2, 10, 59, 61]), min_size=1, max_size=6))
    def accepts(self, minutes: list[float]) -> None:
        accept(self.world, [one * MINUTE for one in minutes])

    @rule(minutes=st.lists(st.sampled_from([0.0, 1, 2, 59]), min_size=1, max_size=3))
    def dies_after_the_commit(self, minutes: list[float]) -> None:
        commit(self.world, [one * MINUTE for one in minutes])

    @rule(n=st.integers(1, 8))
    def workers_take(self, n: int) -> None:
        Scheduler(self.world.redis).turn()
        self.world.redis.delete("rq:scheduler:scheduler_lock")
        for _ in range(n):
            if job_id := self.world.redis.lpop("rq:queue:send"):
                self.world.redis.delete(f"rq:job:{job_id.decode()}")
                self.ends(job_id.decode().partition("-")[0], Status.SENT)

    @rule(n=st.integers(0, 20))
    def somebody_cancels(self, n: int) -> None:
        rows = in_order(self.world)
        if n < len(rows):
            self.ends(rows[n].id, Status.CANCELLED)
            queue.remove([queue.send_nudge(rows[n].id, rows[n].revision, None).job_id])

    def ends(self, row_id: str, status: Status) -> None:
        with writing() as session:
            session.execute(update(Message).where(Message.id == row_id).values(status=status))

    @rule()
    def the_feeder_ticks(self) -> None:
        self.world.feeder.tick()

    @rule()
    def another_leads(self) -> None:
        self.world.another_leads()

    @rule()
    def redis_is_emptied(self) -> None:
        self.world.redis.flushall()

    @rule(seconds=st.sampled_from([1, 20, 300]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds=seconds)

    @invariant()
    def no_more_than_the_bound(self) -> None:
        assert len(held(self.world)) <= BOUND

    def teardown(self) -> None:
        """The feeder comes round: what Redis has is due before all that it does not have, and it is not half empty."""
        for job_id in self.world.redis.lrange("rq:queue:send", 0, -1):
            if not self.world.redis.exists(b"rq:job:" + job_id):  # called off: worth nothing to the worker that pops it
                self.world.redis.lrem("rq:queue:send", 0, job_id)
        for _ in range(60):
            self.world.feeder.tick()
            self.world.clock.advance(seconds=6)
        self.world.feeder.tick()
        end = feeding.end_of(self.world.clock.now() + timedelta(minutes=60)).at
        rows = [row for row in in_order(self.world) if row.scheduled_at <= end]
        known = set(held(self.world))
        assert known <= {row.id for row in rows}
        missing = [place for place, row in enumerate(rows) if row.id not in known]
        waiting = [place for place, row in enumerate(rows) if row.id in scheduled(self.world)]
        assert not missing or len(known) >= feeding.LOW_WATER * BOUND
        assert not missing or not waiting or max(waiting) < min(missing)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whatever_happens_redis_has_what_is_due_first(small: World) -> None:
    Feeding.world = small
    options = settings(
        max_examples=20,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if phase is not Phase.explain],  # it would trace every line
    )
    run_state_machine_as_test(Feeding, settings=options)
