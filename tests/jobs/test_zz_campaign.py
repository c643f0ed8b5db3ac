"""Anything that can happen, in any order: messages still go out once, in time, and to those who want them.

Hypothesis makes up the stories and shortens those that end badly. The witnesses are the provider's own log and a
trigger in the database; the promises are checked at the moment at which the provider takes a message.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete, text

from app.channels.base import Accepted, Failure, OutgoingMessage
from app.database import db, reading, writing
from app.messages import sweep
from app.messages.models import Attempt, Message
from app.messages.states import ACCEPTED, FINAL, Status, may
from app.messages.status import Report, apply_report
from app.webhooks.inbound import Inbound, receive
from tests.conftest import NOON
from tests.jobs import moves
from tests.jobs.dying import dies_at_step
from tests.jobs.support import (
    AMBIGUOUS,
    CONFIGURATION,
    OPTED_OUT,
    PERMANENT,
    THROTTLED,
    TRANSIENT,
    UNREACHABLE,
)
from tests.world import SENDER, World

PEOPLE = ("+12345678901", "+12345678902")
TEXTS = ("Hello", "Hello, Hello", "See you soon")
FAILURES = (PERMANENT, OPTED_OUT, TRANSIENT, THROTTLED, UNREACHABLE, CONFIGURATION, AMBIGUOUS)
WORDS = ("queued", "sent", "delivered", "undelivered")

people, texts = st.sampled_from(PEOPLE), st.sampled_from(TEXTS)
picks = st.integers(0, 50)


class Story(RuleBasedStateMachine):
    """One example: a service with two people, and a provider that does as it likes."""

    world: ClassVar[World]

    @initialize()
    def begin(self) -> None:
        world = self.world
        keep = {"workspaces", "api_keys", "senders", "users", "memberships"}
        with writing() as session:
            for table in reversed(db.metadata.sorted_tables):
                if table.name not in keep:
                    session.execute(delete(table))
            session.execute(text("DELETE FROM moves"))
        world.redis.flushall()
        world.clock.set(NOON)
        world.provider.script.clear()
        world.provider.posted.clear()
        world.provider.log.clear()
        world.provider.log_failure = world.provider.probe_failure = None
        world.provider.accept = self.accept  # type: ignore[method-assign]
        self.jobs: list[str] = []
        self.cancelled: set[str] = set()
        self.stopped: set[str] = set()
        self.attempts: dict[str, str] = {}

    def accept(self, posted: OutgoingMessage) -> Accepted:
        """The provider takes a message: now every promise has to hold."""
        now = self.world.clock.now()
        with reading() as session:
            attempt = session.get_one(Attempt, posted.attempt_id)
            message = session.get_one(Message, attempt.message_id)
        assert now >= message.due_at, "early"
        assert now < message.valid_until, "when it was of no use any more"
        assert message.job_id not in self.cancelled, "after a cancel that answered 200"
        assert posted.to not in self.stopped, "to somebody who had opted out"
        accepted = type(self.world.provider).accept(self.world.provider, posted)
        self.attempts[accepted.provider_message_id] = posted.attempt_id
        return accepted

    def pick(self, number: int) -> str:
        return self.jobs[number % len(self.jobs)]

    @rule(to=people, body=texts)
    def send(self, to: str, body: str) -> None:
        self.jobs.append(self.world.salon.send(to=to, body=body))

    @rule(to=people, body=texts, minutes=st.sampled_from([0.05, 0.5, 1, 3]))
    def delay(self, to: str, body: str, minutes: float) -> None:
        self.jobs.append(self.world.salon.delay(minutes, to=to, body=body))

    @precondition(lambda self: self.jobs)
    @rule(number=picks)
    def cancel(self, number: int) -> None:
        job_id = self.pick(number)
        answer = self.world.salon.cancel(job_id)
        if answer.status_code == 200:
            self.cancelled.add(job_id)
        else:
            assert answer.status_code == 409

    @precondition(lambda self: self.jobs)
    @rule(number=picks, minutes=st.sampled_from([0.1, 2]))
    def reschedule(self, number: int, minutes: float) -> None:
        body = {"jobId": self.pick(number), "workspaceId": "ws_salon", "delayMinutes": minutes}
        assert self.world.salon.post("/api/trigger/reschedule-job", body).status_code in (200, 409)

    @rule(person=people, word=st.sampled_from(["STOP", "START"]), number=st.integers(0, 10**9))
    def write_to_us(self, person: str, word: str, number: int) -> None:
        receive(Inbound("twilio", f"SM{number}-{len(self.stopped)}-{word}-{person}", person, SENDER, word))
        (self.stopped.add if word == "STOP" else self.stopped.discard)(person)

    @rule(failure=st.sampled_from(FAILURES))
    def next_answer_fails(self, failure: Failure) -> None:
        def fail(posted: OutgoingMessage) -> Failure:
            if failure is OPTED_OUT:
                self.stopped.add(posted.to)
            return failure

        self.world.provider.script.append(fail)

    @rule()
    def next_answer_is_lost(self) -> None:
        self.world.provider.script.append(self.world.provider.accept_then_lose)

    @rule(seconds=st.sampled_from([15, 35, 100]), accepted=st.booleans())
    def next_answer_is_late(self, seconds: float, accepted: bool) -> None:
        def late(posted: OutgoingMessage) -> Accepted | Failure:
            answer = self.accept(posted) if accepted else AMBIGUOUS
            self.world.live(seconds, step=5)  # the lease ends meanwhile, and others go on
            return answer

        self.world.provider.script.append(late)

    @rule(away=st.booleans())
    def provider_s_log(self, away: bool) -> None:
        self.world.provider.log_failure = UNREACHABLE if away else None

    @rule(refused=st.booleans())
    def our_account(self, refused: bool) -> None:
        self.world.provider.probe_failure = CONFIGURATION if refused else None

    @precondition(lambda self: self.world.provider.log)
    @rule(number=picks, word=st.sampled_from(WORDS), named=st.booleans())
    def callback(self, number: int, word: str, named: bool) -> None:
        log = self.world.provider.log
        sid = log[number % len(log)].provider_message_id
        apply_report(Report("twilio", sid, word, attempt_id=self.attempts[sid] if named else None))

    @rule(seconds=st.sampled_from([0.5, 5, 20, 60]))
    def time_passes(self, seconds: float) -> None:
        self.world.live(seconds, step=min(seconds, 10))

    @rule(number=st.integers(1, 12))
    def a_process_dies(self, number: int) -> None:
        with dies_at_step(self.world, number):
            self.world.live(5)

    @rule()
    def workers_only(self) -> None:
        self.world.clock.advance(seconds=1)
        self.world.work()

    @rule()
    def redis_loses_everything(self) -> None:
        self.world.redis.flushall()

    @rule(name=st.sampled_from(["queue", "scheduled"]))
    def redis_loses_something(self, name: str) -> None:
        if name == "queue":
            self.world.redis.lpop("rq:queue:send")
        else:
            self.world.redis.zpopmin("rq:scheduled:send")

    @rule()
    def a_second_sweep(self) -> None:
        sweep.sweep()
        sweep.sweep()

    def teardown(self) -> None:
        """Everything works again: within a quarter of an hour every message has its end."""
        if not hasattr(self, "jobs"):
            return
        world = self.world
        world.provider.log_failure = world.provider.probe_failure = None
        world.provider.script.clear()
        for _ in range(60):
            world.live(15, step=15)
            messages = world.messages()
            if all(message.status in FINAL | ACCEPTED for message in messages):
                break
        ended = {message.job_id: message for message in messages}
        assert {message.status for message in messages} <= {*FINAL, *ACCEPTED}
        assert len(ended) == len(self.jobs)
        for message in messages:
            if message.status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED):
                assert message.reason, "an end without a reason"
            else:
                assert message.reason is None
        # Each message that says it was sent has an acceptance of its own, and there is no other acceptance.
        accepted = sorted(record.provider_message_id for record in world.provider.log)
        assert sorted(str(m.provider_message_id) for m in messages if m.status in ACCEPTED) == accepted
        assert all(ended[job_id].status == Status.CANCELLED for job_id in self.cancelled)
        assert all(may(source, target) for source, target in moves.seen())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whatever_happens_each_message_goes_out_once(make_world: Callable[..., Any]) -> None:
    Story.world = make_world()
    moves.watch()
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=600,
            stateful_step_count=40,
            deadline=timedelta(seconds=20),
            suppress_health_check=list(HealthCheck),
        ),
    )
