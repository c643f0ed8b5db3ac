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
WORDS = ("queued", "sent", "delivered", "undelivered")
LOST, LATE, LATE_AND_LOST = "accepted, answer lost", "accepted, answer late", "lost, noticed late"
ANSWERS = (
    None,
    LOST,
    LOST,
    LATE,
    LATE_AND_LOST,
    AMBIGUOUS,
    AMBIGUOUS,
    TRANSIENT,
    THROTTLED,
    UNREACHABLE,
    CONFIGURATION,
    PERMANENT,
    OPTED_OUT,
)

texts = st.fixed_dictionaries({"to": st.sampled_from(PEOPLE), "body": st.sampled_from(TEXTS)})
answers = st.lists(st.sampled_from(ANSWERS), max_size=3)
minutes = st.sampled_from([0, 0, 0.05, 0.5, 2])
messages = st.tuples(texts, minutes, answers)
picks = st.integers(0, 30)


class Story(RuleBasedStateMachine):
    """One example: a service with two people to write to, and a provider that does as it likes."""

    world: ClassVar[World]

    @initialize(first=st.lists(messages, min_size=2, max_size=4))
    def begin(self, first: list[Any]) -> None:
        world = self.world
        keep = {"workspaces", "api_keys", "senders", "users", "memberships"}
        with writing() as session:
            for table in reversed(db.metadata.sorted_tables):
                if table.name not in keep:
                    session.execute(delete(table))
            session.execute(text("DELETE FROM moves"))
        world.redis.flushall()
        world.clock.set(NOON)
        world.provider.posted.clear()
        world.provider.log.clear()
        world.provider.log_failure = world.provider.probe_failure = None
        world.provider.send = self.answer  # type: ignore[method-assign]
        self.jobs: list[str] = []
        self.answers: dict[str, list[str | Failure | None]] = {}
        self.cancelled: set[str] = set()
        self.stopped: set[str] = set()
        self.blocked: set[str] = set()
        self.attempts: dict[str, str] = {}
        self.inbound = 0
        for message in first:
            self.send(message)
        world.work()

    def answer(self, posted: OutgoingMessage) -> Accepted | Failure:
        """What the provider says to a request: the next of the answers that were made up for the message."""
        self.world.provider.posted.append(posted)
        with reading() as session:
            attempt = session.get_one(Attempt, posted.attempt_id)
            job_id = session.get_one(Message, attempt.message_id).job_id
        left = self.answers.get(job_id)
        answer = left.pop(0) if left else None
        if answer is OPTED_OUT:
            self.blocked.add(posted.to)
        if posted.to in self.blocked:
            return OPTED_OUT  # and so it stays, should we forget that it was said
        if isinstance(answer, Failure):
            return answer
        result = AMBIGUOUS if answer == LATE_AND_LOST else self.accept(posted)
        if answer in (LATE, LATE_AND_LOST):
            self.world.live(40)  # the lease ends meanwhile, and others go on
        return AMBIGUOUS if answer == LOST else result

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
        accepted = self.world.provider.accept(posted)
        self.attempts[accepted.provider_message_id] = posted.attempt_id
        return accepted

    def pick(self, number: int) -> str:
        return self.jobs[number % len(self.jobs)]

    @rule(message=messages)
    def send(self, message: tuple[dict[str, str], float, list[str | Failure | None]]) -> None:
        content, minutes, answers = message
        salon = self.world.salon
        self.jobs.append(salon.delay(minutes, **content) if minutes else salon.send(**content))
        self.answers[self.jobs[-1]] = list(answers)

    @rule(number=picks)
    def cancel(self, number: int) -> None:
        answer = self.world.salon.cancel(self.pick(number))
        assert answer.status_code in (200, 409)
        if answer.status_code == 200:
            self.cancelled.add(self.pick(number))

    @rule(number=picks, minutes=st.sampled_from([0.1, 2]))
    def reschedule(self, number: int, minutes: float) -> None:
        body = {"jobId": self.pick(number), "workspaceId": "ws_salon", "delayMinutes": minutes}
        assert self.world.salon.post("/api/trigger/reschedule-job", body).status_code in (200, 409)

    @rule(person=st.sampled_from(PEOPLE), word=st.sampled_from(["STOP", "START", "START"]))
    def write_to_us(self, person: str, word: str) -> None:
        self.inbound += 1
        receive(Inbound("twilio", f"SM{self.inbound}", person, SENDER, word))
        (self.stopped.add if word == "STOP" else self.stopped.discard)(person)
        self.blocked.discard(person)

    @rule(log=st.sampled_from([None, UNREACHABLE]), account=st.sampled_from([None, CONFIGURATION]))
    def the_provider_goes_and_comes(self, log: Failure | None, account: Failure | None) -> None:
        self.world.provider.log_failure, self.world.provider.probe_failure = log, account

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
            self.world.live(10)

    @rule()
    def workers_only(self) -> None:
        self.world.clock.advance(seconds=1)
        self.world.work()

    @rule(what=st.sampled_from(["all", "queued", "scheduled"]))
    def redis_loses(self, what: str) -> None:
        if what == "all":
            self.world.redis.flushall()
        elif what == "queued":
            self.world.redis.lpop("rq:queue:send")
        else:
            self.world.redis.zpopmin("rq:scheduled:send")

    def teardown(self) -> None:
        """Everything works again: within a quarter of an hour every message has its end."""
        if not hasattr(self, "jobs"):
            return
        world = self.world
        world.provider.log_failure = world.provider.probe_failure = None
        self.answers.clear()
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
@pytest.mark.parametrize("horizon_max", [200_000, 2])
def test_whatever_happens_each_message_goes_out_once(make_world: Callable[..., Any], horizon_max: int) -> None:
    Story.world = make_world(horizon_max=horizon_max)
    moves.watch()
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=timedelta(seconds=20),
            suppress_health_check=list(HealthCheck),
        ),
    )
