"""The next channel: after a definite failure, once, and as long as the message is of any use."""

from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import update

from app import clock
from app.appointments.models import Appointment
from app.channels.base import Failure, FailureKind
from app.contacts import service as contacts
from app.database import writing
from app.messages import fallback, service, sweep
from app.messages.models import Message
from app.messages.states import Reason
from app.messages.status import Report, apply_report
from tests.jobs.channels import EMAIL, Carriers, carriers, contact, store
from tests.jobs.support import OPTED_OUT, PERMANENT, THROTTLED, TRANSIENT, Crash, follow
from tests.world import PERSON, World

WHATSAPP = f"whatsapp:{PERSON}"


@pytest.fixture
def by(world: World) -> Carriers:
    return carriers(world)


def go_on(world: World) -> None:
    """A sweep, and whatever it starts."""
    sweep.sweep()
    world.work()


def channels(world: World) -> list[str]:
    """Which channels have a message, in the order in which they were made."""
    return [message.channel for message in world.messages()]


def edit(job_id: str, **values: object) -> None:
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job_id).values(**values))


def appointment(person: str) -> str:
    with writing() as session:
        made = Appointment(
            workspace_id="ws_salon",
            public_id="appointment_1",
            contact_id=person,
            phone=PERSON,
            email="booked@example.com",
            starts_at=clock.now() + timedelta(hours=3),
            starts_text="then",
        )
        session.add(made)
        session.flush()
        return made.id


def test_what_was_refused_goes_out_on_the_next_channel_once(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    job = store(PERSON, body="At nine", job_id="reminder-24hr-1", fallback="email,whatsapp", contact_id=contact())

    world.work()
    for _ in range(3):
        world.clock.advance(seconds=5)
        go_on(world)

    failed, following = world.messages()
    assert (failed.status, failed.reason, failed.fallback) == ("failed", "rejected", None)
    assert (following.job_id, following.channel, following.to_address) == (f"{job}-via-email", "email", EMAIL)
    assert (following.status, following.fallback, following.body) == ("sent", "whatsapp", "At nine")
    assert (following.valid_until, following.contact_id) == (failed.valid_until, failed.contact_id)
    assert (len(by.sms.posted), len(by.email.posted), len(by.whatsapp.posted)) == (1, 1, 0)


def test_what_did_not_arrive_goes_out_on_the_next_channel(world: World, by: Carriers) -> None:
    job = store(PERSON, fallback="email", contact_id=contact())
    world.work()
    go_on(world)
    assert channels(world) == ["sms"]

    apply_report(Report("twilio", str(world.message(job).provider_message_id), "undelivered", error_code=30005))
    go_on(world)
    go_on(world)

    assert channels(world) == ["sms", "email"]
    assert world.message(f"{job}-via-email").status == "sent"


def test_the_chain_is_followed_to_its_end(world: World, by: Carriers) -> None:
    for provider in (by.sms, by.whatsapp, by.email):
        provider.script.append(PERMANENT)
    store(PERSON, fallback="whatsapp,email", contact_id=contact())

    world.work()
    for _ in range(5):
        world.clock.advance(seconds=5)
        go_on(world)

    assert channels(world) == ["sms", "whatsapp", "email"]
    assert {message.status for message in world.messages()} == {"failed"}


@pytest.mark.parametrize("answer, tries", [(TRANSIENT, 3), (THROTTLED, 11)])
def test_what_has_had_its_tries_goes_on(world: World, by: Carriers, answer: Failure, tries: int) -> None:
    by.sms.script.extend([answer] * tries)
    store(PERSON, fallback="email", contact_id=contact())

    follow(world, 600)
    go_on(world)

    assert channels(world) == ["sms", "email"]
    assert len(by.sms.posted) == tries


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in fallback.DEFINITE])
def test_no_other_end_leads_anywhere(world: World, by: Carriers, reason: Reason) -> None:
    job = store(PERSON, fallback="email", contact_id=contact(), delay_s=60)
    edit(job, status="failed", reason=reason)
    world.clock.advance(seconds=60)

    go_on(world)

    assert channels(world) == ["sms"]
    assert world.message(job).fallback is None


def test_who_said_stop_is_not_found_another_way(world: World, by: Carriers) -> None:
    by.sms.script.append(OPTED_OUT)
    store(PERSON, fallback="email", contact_id=contact())

    world.work()
    go_on(world)

    assert channels(world) == ["sms"]


@pytest.mark.parametrize("reason", ["whatsapp_window", "channel_unavailable"])
def test_what_was_never_tried_goes_on_at_its_time(world: World, by: Carriers, reason: str) -> None:
    job = store(WHATSAPP, fallback="sms", delay_s=60)
    edit(job, status="skipped", reason=reason)

    go_on(world)
    assert channels(world) == ["whatsapp"]
    world.clock.advance(seconds=60)
    go_on(world)

    assert channels(world) == ["whatsapp", "sms"]
    assert world.message(f"{job}-via-sms").to_address == PERSON


def test_after_its_use_nothing_follows(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    store(PERSON, fallback="email", contact_id=contact(), valid_s=60)
    world.work()

    world.clock.advance(seconds=60)
    go_on(world)

    assert channels(world) == ["sms"]


def test_a_channel_without_an_address_or_a_provider_is_passed_over(make_world: Callable[..., World]) -> None:
    world = make_world(email_provider="none")
    world.provider.script.extend([PERMANENT] * 2)
    store(PERSON, job_id="one", fallback="email,whatsapp", contact_id=contact())
    store("+12345678909", job_id="two", fallback="email", contact_id=contact("+12345678909", None))

    world.work()
    go_on(world)

    assert [message.job_id for message in world.messages()][2:] == ["one-via-whatsapp"]


def test_the_opt_outs_of_the_next_channel_hold_there(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    job = store(PERSON, fallback="email", contact_id=contact())
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "email", EMAIL, "stop")

    world.work()
    go_on(world)

    assert world.message(f"{job}-via-email").reason == "opted_out"
    assert by.email.posted == []


def test_the_address_that_was_booked_comes_first(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    booked = appointment(contact())
    job = store(PERSON, fallback="email", appointment_id=booked, plan_revision=1, reminder_type="24h")

    world.work()
    go_on(world)

    following = world.message(f"{job}-via-email")
    assert following.to_address == "booked@example.com"
    assert (following.appointment_id, following.plan_revision, following.reminder_type) == (booked, 1, "24h")


def test_nothing_follows_what_belongs_to_an_older_plan(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    booked = appointment(contact())
    store(PERSON, fallback="email", appointment_id=booked, plan_revision=1, reminder_type="24h")
    world.work()
    with writing() as session:
        session.execute(update(Appointment).values(revision=2))

    go_on(world)

    assert channels(world) == ["sms"]


def test_a_reminder_that_the_plan_has_on_that_channel_anyway_is_not_sent_twice(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    about = {"appointment_id": appointment(contact()), "plan_revision": 1, "reminder_type": "24h"}
    store(PERSON, fallback="email", **about)
    store(EMAIL, **about)

    world.work()
    go_on(world)

    assert len(world.messages()) == 2


def test_of_two_who_follow_at_once_one_makes_the_message(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    job = store(PERSON, fallback="email", contact_id=contact())
    world.work()
    row = world.message(job).id

    for _ in range(2):
        with writing() as session:
            fallback._follow(session, row, clock.now())

    assert channels(world) == ["sms", "email"]


def test_a_death_in_the_middle_leaves_it_to_the_next(world: World, by: Carriers) -> None:
    by.sms.script.append(PERMANENT)
    job = store(PERSON, fallback="email", contact_id=contact())
    world.work()

    for owner, step in ((service, "store"), (service, "announce")):
        with patch.object(owner, step, side_effect=Crash(step)), pytest.raises(Crash):
            fallback.take_next_channels(clock.now())
    world.live(20)

    assert channels(world) == ["sms", "email"]
    assert world.message(f"{job}-via-email").status == "sent"


def test_a_taken_name_does_not_stop_it(world: World, by: Carriers) -> None:
    by.sms.script.append(Failure(FailureKind.PERMANENT, "no"))
    long = "x" * 125
    jobs = [store(PERSON, job_id=name, fallback="email", contact_id=contact()) for name in (long,)]
    store(PERSON, job_id="job-via-email")
    by.sms.script.append(PERMANENT)
    world.work()
    go_on(world)

    assert channels(world) == ["sms", "sms", "email"]
    assert world.message(jobs[0]).fallback is None
