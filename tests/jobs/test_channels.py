"""Sending on several channels at once, each through its own provider and account."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, update

from app.channels.base import Failure, FailureKind, OutgoingMessage
from app.channels.testing import ScriptedProvider
from app.database import db, writing
from app.messages import claims
from app.messages.status import Report, apply_report
from app.workspaces.models import Workspace
from tests.jobs.channels import EMAIL, REPEATABLE, SILENT, carriers, store
from tests.jobs.support import (
    AMBIGUOUS,
    CONFIGURATION,
    TRANSIENT,
    dies_at,
    follow,
    hold_unknown,
    lose_quietly,
    outcomes,
    watch_looks,
)
from tests.world import PERSON, World

WHATSAPP = f"whatsapp:{PERSON}"


def test_each_message_goes_through_the_provider_of_its_channel(world: World) -> None:
    by = carriers(world)
    jobs = [store(to) for to in (PERSON, WHATSAPP, EMAIL)]

    world.work()

    assert [[one.to for one in provider.posted] for provider in (by.sms, by.whatsapp, by.email)] == [
        [PERSON],
        [WHATSAPP],
        [EMAIL],
    ]
    assert [world.message(job).provider for job in jobs] == ["twilio", "twilio", "mailer"]
    assert [world.attempts(job)[0].provider for job in jobs] == ["twilio", "twilio", "mailer"]
    assert {world.message(job).status for job in jobs} == {"sent"}


def test_a_batch_of_all_channels_is_claimed_in_one_statement(world: World) -> None:
    carriers(world)
    rows = [world.message(store(to)).id for to in (PERSON, WHATSAPP)]
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if (word := statement.split()[0]) in ("WITH", "UPDATE", "INSERT"):
            statements.append(word)

    event.listen(db.engine, "before_cursor_execute", note)
    made = claims.claim(rows)
    event.remove(db.engine, "before_cursor_execute", note)

    assert len(made) == 2
    assert statements == (["WITH"] if db.engine.dialect.name == "postgresql" else ["UPDATE", "INSERT"])


def test_an_email_has_a_subject_the_business_s_name_and_an_id_that_stays(world: World) -> None:
    by = carriers(world)
    with writing() as session:
        session.execute(update(Workspace).where(Workspace.id == "ws_salon").values(name="Salon Süd"))
    by.email.script.append(TRANSIENT)
    job = store(EMAIL, subject="Tomorrow")
    store("other@example.com", workspace_id="ws_outsider")

    follow(world, 10)

    first, second = (one for one in by.email.posted if one.to == EMAIL)
    assert (first.subject, first.sender_name, first.channel) == ("Tomorrow", "Salon Süd", "email")
    assert first.message_id == second.message_id == world.message(job).id
    assert first.attempt_id != second.attempt_id
    assert first.status_callback is None
    # A workspace that bears its id for a name has none.
    assert [one.sender_name for one in by.email.posted if one.to != EMAIL] == [None]


def test_an_approved_template_goes_out_in_place_of_the_text(world: World) -> None:
    by = carriers(world)
    job = store(WHATSAPP, delay_s=5)
    with writing() as session:
        message = session.merge(world.message(job))
        message.content_sid, message.content_variables = "HX1", {"1": "Jo"}

    follow(world, 10)

    [posted] = by.whatsapp.posted
    assert (posted.content_sid, posted.content_variables) == ("HX1", {"1": "Jo"})


def test_an_account_that_is_refused_holds_up_its_own_channel_only(world: World) -> None:
    by = carriers(world)
    by.email.script.append(CONFIGURATION)
    by.email.probe_failure = CONFIGURATION
    waiting = [store(EMAIL), store("other@example.com", delay_s=5)]

    world.live(15)
    text = store(PERSON)
    world.live(10)

    assert world.message(text).status == "sent"
    assert [world.message(job).status for job in waiting] == ["scheduled"] * 2
    assert len(by.email.posted) == 1

    by.email.probe_failure = None
    world.live(70)
    assert [world.message(job).status for job in waiting] == ["sent"] * 2
    assert len(by.sms.posted) == 1


def test_a_channel_that_nobody_carries_is_said_to_be_unavailable(world: World) -> None:
    by = carriers(world, without="email")
    jobs = [store(EMAIL), store(PERSON)]

    world.work()

    assert [(one.status, one.reason) for one in map(world.message, jobs)] == [
        ("skipped", "channel_unavailable"),
        ("sent", None),
    ]
    assert len(by.sms.posted) == 1


class TestWithoutALog:
    """A try whose answer was lost, at a provider that keeps no log."""

    @pytest.fixture
    def email(self, world: World) -> ScriptedProvider:
        return carriers(world, SILENT).email

    def test_it_waits_for_reports_and_is_then_sent_again(self, world: World, email: ScriptedProvider) -> None:
        looks = watch_looks(world)
        email.script.append(lose_quietly)
        job = store(EMAIL)

        follow(world, 29)
        assert (world.message(job).status, len(email.posted)) == ("unknown", 1)
        follow(world, 5)

        assert (world.message(job).status, len(email.posted)) == ("sent", 2)
        # Nothing proved that the first try was not taken.
        assert outcomes(world, job) == ["ambiguous", "accepted"]
        assert looks == []

    def test_or_held_where_the_workspace_says_so(self, world: World, email: ScriptedProvider) -> None:
        hold_unknown(world.salon)
        email.script.append(lose_quietly)
        job = store(EMAIL)

        follow(world, 60)

        message = world.message(job)
        assert (message.status, message.reason, len(email.posted)) == ("failed", "held_unknown", 1)

    def test_or_held_where_it_has_lost_its_use_meanwhile(self, world: World, email: ScriptedProvider) -> None:
        email.script.append(lose_quietly)
        job = store(EMAIL, valid_s=20)

        follow(world, 60)

        assert (world.message(job).status, world.message(job).reason) == ("failed", "held_unknown")

    def test_a_report_settles_it_at_once(self, world: World, email: ScriptedProvider) -> None:
        email.script.append(email.accept_then_lose)
        job = store(EMAIL)
        follow(world, 15)

        record, attempt = email.log[0], world.attempts(job)[0]
        apply_report(Report("mailer", record.provider_message_id, "delivered", attempt_id=attempt.id))
        follow(world, 60)

        assert (world.message(job).status, len(email.posted)) == ("delivered", 1)

    def test_it_is_not_sent_again_for_ever(self, world: World, email: ScriptedProvider) -> None:
        email.script.extend([lose_quietly] * 50)
        job = store(EMAIL)

        follow(world, 3600)

        assert (world.message(job).status, world.message(job).reason) == ("failed", "held_unknown")
        assert len(email.posted) == 11

    def test_nobody_is_asked_how_a_message_is_doing(self, world: World, email: ScriptedProvider) -> None:
        job = store(EMAIL)

        world.live(60)

        assert (world.message(job).status, world.message(job).next_check_at) == ("sent", None)


class TestRepeatable:
    """A try whose answer was lost, at a provider that knows a repetition."""

    @pytest.fixture
    def email(self, world: World) -> ScriptedProvider:
        return carriers(world, REPEATABLE).email

    def test_it_is_repeated_with_the_same_id_and_goes_out_once(self, world: World, email: ScriptedProvider) -> None:
        looks = watch_looks(world)
        email.script.append(email.accept_then_lose)
        hold_unknown(world.salon)  # there is no doubt, so there is nothing to hold
        job = store(EMAIL)

        follow(world, 30)

        assert (world.message(job).status, len(email.log)) == ("sent", 1)
        assert {one.message_id for one in email.posted} == {world.message(job).id}
        assert len(email.posted) == 2
        assert looks == []

    def test_an_outage_uses_up_nothing(self, world: World, email: ScriptedProvider) -> None:
        email.script.extend([AMBIGUOUS] * 30)
        job = store(EMAIL)

        follow(world, 3600)

        message = world.message(job)
        assert (message.status, message.attempts_used, message.attempts_uncounted) == ("sent", 1, 0)

    def test_the_end_of_its_use_is_the_end_of_repeating(self, world: World, email: ScriptedProvider) -> None:
        email.script.extend([AMBIGUOUS] * 500)
        job = store(EMAIL, valid_s=600)

        follow(world, 700)

        assert (world.message(job).status, world.message(job).reason) == ("failed", "held_unknown")

    def test_a_repetition_that_is_refused_for_its_text_is_held(self, world: World, email: ScriptedProvider) -> None:
        email.script.extend([AMBIGUOUS, Failure(FailureKind.AMBIGUOUS, "another text", http_status=409)])
        job = store(EMAIL)

        follow(world, 120)

        message = world.message(job)
        assert (message.status, message.reason, len(email.posted)) == ("failed", "held_unknown", 2)

    @pytest.mark.parametrize("step", ["claimed", "posted", "settled"])
    def test_a_worker_that_dies_anywhere_sends_no_second_email(
        self, world: World, email: ScriptedProvider, step: str
    ) -> None:
        job = store(EMAIL)

        with dies_at(step):
            world.work()
        world.live(120)

        assert (world.message(job).status, len(email.log)) == ("sent", 1)


def test_what_another_provider_has_tried_is_not_looked_up_at_this_one(world: World) -> None:
    by = carriers(world, REPEATABLE)
    by.email.script.append(lose_quietly)
    job = store(EMAIL)
    world.work()
    hold_unknown(world.salon)

    by.email.name = "other"
    follow(world, 120)

    assert (world.message(job).status, world.message(job).reason) == ("failed", "held_unknown")


def test_what_another_provider_has_taken_is_not_asked_for_at_this_one(world: World) -> None:
    by = carriers(world, REPEATABLE)
    job = store(EMAIL)
    world.work()
    assert world.message(job).next_check_at is not None

    by.email.name = "other"
    by.email.fetch = pytest.fail  # type: ignore[method-assign]
    world.live(700, step=60)

    assert (world.message(job).status, world.message(job).next_check_at) == ("sent", None)


@pytest.mark.parametrize("step", ["claimed", "posted"])
def test_a_death_with_all_channels_in_hand_loses_nothing(world: World, step: str) -> None:
    by = carriers(world, REPEATABLE)
    jobs = [store(to, job_id=f"job-{n}") for n, to in enumerate((PERSON, WHATSAPP, EMAIL))]

    for _ in jobs:
        with dies_at(step):
            world.work()
    world.live(180)

    assert {world.message(job).status for job in jobs} == {"sent"}
    assert [len(provider.log) for provider in (by.sms, by.whatsapp, by.email)] == [1, 1, 1]


def test_whatsapp_leaves_a_second_between_two_messages_of_a_sender(make_world: Callable[..., World]) -> None:
    world = make_world(whatsapp_rate=1)
    long = "A text of more than one segment, were it an SMS. " * 5
    jobs = [store(f"whatsapp:+1234567890{number}", body=long) for number in range(6)]
    texts = [store(f"+1234567891{number}") for number in range(3)]

    world.work()
    assert {world.message(job).status for job in texts} == {"sent"}
    follow(world, 10)

    begun = sorted(world.attempts(job)[0].started_at for job in jobs)
    assert [(at - begun[0]).total_seconds() for at in begun] == [0, 1, 2, 3, 4, 5]


def test_a_doubtful_template_is_found_in_the_log_though_its_text_is_twilio_s(world: World) -> None:
    by = carriers(world)
    job = store(WHATSAPP, body="As we write it", delay_s=5)
    with writing() as session:
        session.merge(world.message(job)).content_sid = "HX1"

    def take_another_text(message: OutgoingMessage) -> Failure:
        by.whatsapp.accept_then_lose(replace(message, body="As Twilio writes it"))
        return AMBIGUOUS

    by.whatsapp.script.append(take_another_text)
    follow(world, 60)

    assert (world.message(job).status, len(by.whatsapp.posted)) == ("sent", 1)
