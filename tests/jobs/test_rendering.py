"""Texts of templates are written when they are sent, from what is true then."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, update

from app import clock, metrics
from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import db, insert_ignore, writing
from app.message_templates import service as templates
from app.message_templates.models import MessageTemplate
from app.messages import claims, rendering
from app.messages.models import InboundMessage, Message
from app.workspaces.models import Workspace
from tests.jobs.support import (
    THROTTLED,
    TRANSIENT,
    Crash,
    bodies,
    dies_at,
    lose_quietly,
    outcomes,
)
from tests.planned import make_appointment, make_contact, plan
from tests.together import together
from tests.world import PERSON, SENDER, World

HELLO = 'Hi {{ contact.first_name | default: "there" }}, {{ appointment.service }} is {{ appointment.day }}'


def own(body: str, kind: str = "reminder", channel: str = "sms", **values: Any) -> str:
    with writing() as session:
        columns = {"body": body, **values}
        event_type = columns.pop("event_type", "")
        return templates.save(session, "ws_salon", kind, channel, event_type, columns).id


def change(model: type[Any], row_id: str, **values: Any) -> None:
    with writing() as session:
        session.execute(update(model).where(model.id == row_id).values(**values))


@pytest.fixture
def visit(world: World) -> tuple[str, str]:
    """Ada's haircut of tomorrow, at one in the afternoon; the ids of both."""
    contact_id = make_contact()
    starts_at = world.clock.now() + timedelta(hours=15)
    return contact_id, make_appointment(contact_id, starts_at, service="Haircut")


def test_a_text_tells_what_is_true_when_it_is_sent(world: World, visit: tuple[str, str]) -> None:
    contact_id, appointment_id = visit
    own(HELLO)
    job_id = plan(world, appointment_id, world.clock.now() + timedelta(hours=1))
    change(Contact, contact_id, first_name="Augusta")
    change(Appointment, appointment_id, service="Beard trim")

    assert world.message(job_id).body == "(not written yet)"
    world.clock.advance(hours=1)
    world.work()

    assert bodies(world) == ["Hi Augusta, Beard trim is tomorrow"]
    message = world.message(job_id)
    assert (message.status, message.body) == ("sent", bodies(world)[0])


def test_the_day_is_that_of_the_sending_though_it_was_planned_for_another(world: World, visit: tuple[str, str]) -> None:
    plan(world, visit[1], world.clock.now(), "24h", valid_until=world.clock.now() + timedelta(hours=14))
    world.clock.advance(hours=13)  # in Brisbane it is the day of the appointment by now
    world.repair()
    world.work()

    assert bodies(world) == ["Your appt is today!"]


def test_the_template_of_that_moment_counts(world: World, visit: tuple[str, str]) -> None:
    plan(world, visit[1], world.clock.now(), "1h")
    own("New words", "1h")
    world.work()

    assert bodies(world) == ["New words"]


@pytest.mark.parametrize(
    "kind, event_type, text",
    [
        ("24h", None, "own 24h"),
        ("24h", "colour", "own 24h colour"),
        ("24h", "perm", "own 24h"),
        ("48h", None, "own reminder"),
        ("1h", None, "Your appt starts in 15hr!"),
        ("my-kind", "colour", "own reminder colour"),
    ],
)
def test_which_template_is_taken(world: World, kind: str, event_type: str | None, text: str) -> None:
    for named in ("24h", "reminder"):
        own(f"own {named}", named)
        own(f"own {named} colour", named, event_type="colour")
    own("not this one", "24h", "whatsapp")
    starts_at = world.clock.now() + timedelta(hours=15)
    plan(world, make_appointment(make_contact(), starts_at, event_type=event_type), world.clock.now(), kind)
    world.work()

    assert bodies(world) == [text]


def test_a_certain_template_is_taken_by_its_id_and_no_other_in_its_place(world: World) -> None:
    contact_id = make_contact()
    chosen = own("Spring offer for {{ contact.name }}", "batch-1")
    first = plan(world, None, world.clock.now(), "batch", contact_id=contact_id, template_id=chosen)
    second = plan(world, None, world.clock.now(), "batch", contact_id=contact_id, template_id="0" * 32)
    world.work()

    assert bodies(world) == ["Spring offer for Ada Lovelace"]
    assert world.message(first).status == "sent"
    assert (world.message(second).status, world.message(second).reason) == ("skipped", "missing_field")


def test_without_a_needed_value_a_message_is_skipped_or_sent_with_a_gap(world: World, visit: tuple[str, str]) -> None:
    own("At {{ appointment.location }}.", "1h", missing_field="skip")
    own("At {{ appointment.location }}.", "2h", missing_field="blank")
    skipped = plan(world, visit[1], world.clock.now(), "1h")
    plan(world, visit[1], world.clock.now(), "2h")
    world.work()

    assert bodies(world) == ["At ."]
    message = world.message(skipped)
    assert (message.status, message.reason, message.attempt) == ("skipped", "missing_field", 0)
    assert message.finished_at == world.clock.now()


def test_a_stored_text_that_is_no_template_ends_the_message_and_no_other(world: World, visit: tuple[str, str]) -> None:
    own("{{ contact.first_name", "1h")
    own("{{ no.such.field }}", "2h")
    broken = [plan(world, visit[1], world.clock.now(), kind) for kind in ("1h", "2h")]
    plan(world, visit[1], world.clock.now(), "24h")
    world.work()

    assert bodies(world) == ["Your appt is tomorrow!"]
    assert {world.message(job_id).reason for job_id in broken} == {"missing_field"}


def test_a_text_that_is_too_long_for_its_channel_is_not_sent(world: World, visit: tuple[str, str]) -> None:
    own("x" * 1601, "1h")
    job_id = plan(world, visit[1], world.clock.now(), "1h")
    world.work()

    assert bodies(world) == []
    assert (world.message(job_id).status, world.message(job_id).reason) == ("skipped", "too_long")


def test_a_defect_in_one_text_holds_up_no_other_and_is_counted(world: World, visit: tuple[str, str]) -> None:
    nowhere = make_appointment(visit[0], world.clock.now() + timedelta(hours=15), timezone="Nowhere/Land")
    lame = plan(world, nowhere, world.clock.now(), "24h")
    plan(world, visit[1], world.clock.now(), "24h")
    world.work()

    assert bodies(world) == ["Your appt is tomorrow!"]
    assert world.message(lame).status == "scheduled"
    assert 'bellhop_background_errors_total{where="rendering"} 1.0' in metrics.render(world.redis).decode()
    world.clock.advance(hours=5)
    world.repair()
    world.work()
    assert world.message(lame).reason == "expired"


@pytest.mark.parametrize("refusal", [TRANSIENT, THROTTLED], ids=["transient", "throttled"])
def test_after_a_definite_refusal_the_text_is_written_anew(world: World, visit: tuple[str, str], refusal: Any) -> None:
    own(HELLO)
    world.provider.script.append(refusal)
    plan(world, visit[1], world.clock.now())
    world.work()
    change(Contact, visit[0], first_name="Augusta")
    world.live(120)

    assert bodies(world) == ["Hi Augusta, Haircut is tomorrow"]


def test_after_a_doubtful_end_the_text_stays_as_the_provider_may_have_it(world: World, visit: tuple[str, str]) -> None:
    own(HELLO)
    world.provider.script.append(lose_quietly)
    job_id = plan(world, visit[1], world.clock.now())
    world.work()
    change(Contact, visit[0], first_name="Augusta")
    world.live(180)

    assert bodies(world) == ["Hi Ada, Haircut is tomorrow"]
    assert outcomes(world, job_id) == ["not_accepted", "accepted"]


def test_a_doubtful_try_that_was_accepted_is_found_by_its_text(world: World, visit: tuple[str, str]) -> None:
    own(HELLO)
    world.provider.script.append(world.provider.accept_then_lose)
    job_id = plan(world, visit[1], world.clock.now())
    world.work()
    change(Contact, visit[0], first_name="Augusta")
    world.live(180)

    assert bodies(world) == ["Hi Ada, Haircut is tomorrow"]
    assert world.message(job_id).status == "sent"
    assert len(world.attempts(job_id)) == 1


def test_a_worker_that_dies_between_writing_and_claiming_leaves_a_message_that_waits(
    world: World, visit: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own(HELLO)
    job_id = plan(world, visit[1], world.clock.now())
    admit = claims.pacing.admit

    def dies(_: Any) -> Any:
        raise Crash

    monkeypatch.setattr(claims.pacing, "admit", dies)
    with pytest.raises(Crash):
        world.work()
    assert (world.message(job_id).status, world.message(job_id).body) == ("scheduled", "Hi Ada, Haircut is tomorrow")

    monkeypatch.setattr(claims.pacing, "admit", admit)
    change(Contact, visit[0], first_name="Augusta")
    world.live(60)
    assert bodies(world) == ["Hi Augusta, Haircut is tomorrow"]


def test_a_worker_that_dies_with_the_claim_leaves_the_text_as_it_may_have_gone_out(
    world: World, visit: tuple[str, str]
) -> None:
    own(HELLO)
    plan(world, visit[1], world.clock.now())
    with dies_at("claimed"):
        world.work()
    change(Contact, visit[0], first_name="Augusta")
    world.live(300)

    assert bodies(world) == ["Hi Ada, Haircut is tomorrow"]


def test_a_batch_may_mix_given_texts_and_templates(world: World, visit: tuple[str, str]) -> None:
    own(HELLO)
    given = [world.salon.send(body=f"{{{{ given {n} }}}}", to=f"+1234567891{n}") for n in range(3)]
    planned = [plan(world, visit[1], world.clock.now(), kind) for kind in ("reminder", "24h")]
    mixed = [world.message(job_id).id for pair in zip(given, [*planned, given[2]], strict=True) for job_id in pair]

    made = claims.claim(mixed)

    assert {one.body for one in made} == {
        *(f"{{{{ given {n} }}}}" for n in range(3)),
        "Hi Ada, Haircut is tomorrow",
        "Your appt is tomorrow!",
    }


def test_the_statements_do_not_grow_with_the_batch(world: World) -> None:
    own(HELLO)
    starts_at = world.clock.now() + timedelta(hours=15)
    jobs = []
    for n in range(12):
        contact_id = make_contact(phone=f"+123456789{n:02}")
        appointment_id = make_appointment(contact_id, starts_at, service="Haircut")
        jobs.append(plan(world, appointment_id, world.clock.now(), to=f"+123456789{n:02}"))
    ids = [world.message(job_id).id for job_id in jobs]
    plain = [world.message(world.salon.send()).id]

    assert statements_of(lambda: rendering.render_due(plain)) == 1
    assert statements_of(lambda: rendering.render_due(ids[:2])) == 4
    assert statements_of(lambda: rendering.render_due(ids[2:])) == 4
    assert statements_of(lambda: rendering.render_due(ids)) == 3, "what is written already is not written again"


def statements_of(work: Any) -> int:
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "INSERT", "WITH")):
            seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len(seen)


def test_a_long_text_takes_as_many_turns_as_it_has_segments(make_world: Any) -> None:
    world: World = make_world(sender_rate=1)
    contact_id = make_contact()
    own("{{ contact.first_name }} " + "x" * 300, "1h")
    starts_at = world.clock.now() + timedelta(hours=1)
    plan(world, make_appointment(contact_id, starts_at), world.clock.now(), "1h")
    plan(world, make_appointment(contact_id, starts_at), world.clock.now(), "24h")
    world.live(20, step=0.5)

    messages = sorted(world.messages(), key=lambda one: one.id)
    assert [one.segments for one in messages] == [2, 1]
    assert (messages[1].sent_at - messages[0].sent_at).total_seconds() >= 2  # type: ignore[operator]


def test_a_message_that_comes_too_early_waits_and_is_written_again(world: World, visit: tuple[str, str]) -> None:
    own(HELLO)
    job_id = plan(world, visit[1], world.clock.now() + timedelta(minutes=5))
    assert claims.claim([world.message(job_id).id]) == []
    change(Contact, visit[0], first_name="Augusta")
    world.clock.advance(minutes=5)
    world.repair()
    world.work()

    assert bodies(world) == ["Hi Augusta, Haircut is tomorrow"]


def test_what_somebody_moved_while_it_was_written_is_left_to_its_new_nudge(
    world: World, visit: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = plan(world, visit[1], world.clock.now(), "24h")
    row_id, compose = world.message(job_id).id, templates.compose

    def moved(*arguments: Any) -> Any:
        change(Message, row_id, revision=1, scheduled_at=world.clock.now() + timedelta(minutes=1))
        return compose(*arguments)

    monkeypatch.setattr(templates, "compose", moved)
    assert rendering.render_due([row_id]) == []
    assert world.message(job_id).body == "(not written yet)"


def test_of_an_older_plan_nothing_is_written_and_it_ends_as_superseded(world: World, visit: tuple[str, str]) -> None:
    own("{{ appointment.location }}")  # would be skipped for want of it
    job_id = plan(world, visit[1], world.clock.now())
    change(Appointment, visit[1], revision=2)
    world.work()

    assert bodies(world) == []
    assert world.message(job_id).reason == "superseded"
    assert world.message(job_id).body == "(not written yet)"


def test_two_workers_write_and_send_it_once(world: World, visit: tuple[str, str]) -> None:
    own(HELLO)
    row_id = world.message(plan(world, visit[1], world.clock.now())).id

    def claim() -> int:
        return len(claims.claim([row_id]))

    assert sorted(together(world.app, [claim] * 4)) == [0, 0, 0, 1]


def test_twins_are_told_apart_by_the_finished_text(world: World, visit: tuple[str, str]) -> None:
    other = make_appointment(visit[0], world.clock.now() + timedelta(hours=15), service="Manicure")
    own(HELLO)
    world.provider.script.append(lose_quietly)
    first = plan(world, visit[1], world.clock.now())
    world.work()
    second, twin = plan(world, other, world.clock.now()), plan(world, visit[1], world.clock.now())
    world.work()

    assert [world.message(job_id).status for job_id in (first, second, twin)] == ["unknown", "sent", "scheduled"]
    world.live(240)
    assert sorted(bodies(world)) == ["Hi Ada, Haircut is tomorrow"] * 2 + ["Hi Ada, Manicure is tomorrow"]


def test_an_email_gets_its_subject_and_counts_as_one(world: World, visit: tuple[str, str]) -> None:
    job_id = plan(world, visit[1], world.clock.now(), "24h", to="ada@example.com", sender="salon@example.com")
    assert rendering.render_due([world.message(job_id).id]) == [world.message(job_id).id]

    message = world.message(job_id)
    assert (message.subject, message.segments) == ("Your appt is tomorrow!", 1)
    assert message.body.startswith("Hi Ada,\n\nYour appt is tomorrow!\n\nWhen: Tuesday 12 May 2026 at 1:00 PM")
    assert "http://127.0.0.1:3000/r/" in message.body
    assert PERSON not in message.body


WHATSAPP = {"to": f"whatsapp:{PERSON}", "sender": f"whatsapp:{SENDER}"}


def twilio(make_world: Any) -> World:
    world: World = make_world(
        sms_provider="twilio",
        twilio_account_sid="AC0",
        twilio_auth_token="token",
        sender_rate=0,
        phone_strictness="e164",
    )
    return world


def heard_from(world: World, ago: timedelta) -> None:
    row = {
        "provider": "twilio",
        "provider_message_id": f"SM{ago}",
        "channel": "whatsapp",
        "from_address": WHATSAPP["to"],
        "to_address": WHATSAPP["sender"],
        "body": "Hi",
        "received_at": world.clock.now() - ago,
    }
    with writing() as session:
        insert_ignore(session, InboundMessage, [row], returning=InboundMessage.id)


@pytest.mark.parametrize("hours, sent", [(None, False), (23, True), (24, False), (30, False)])
def test_a_free_whatsapp_text_goes_only_within_a_day_of_the_person_s_last(
    make_world: Any, hours: int | None, sent: bool
) -> None:
    world = twilio(make_world)
    appointment_id = make_appointment(make_contact(), world.clock.now() + timedelta(hours=15))
    if hours is not None:
        heard_from(world, timedelta(hours=hours))
    job_id = plan(world, appointment_id, world.clock.now(), "24h", **WHATSAPP)
    world.work()

    assert bodies(world) == (["Your appt is tomorrow!"] if sent else [])
    assert world.message(job_id).reason == (None if sent else "whatsapp_window")


def test_an_approved_template_goes_at_any_time_with_its_variables(make_world: Any) -> None:
    world = twilio(make_world)
    variables = {"1": "{{ contact.first_name }}", "2": "{{ appointment.time }}"}
    own("Hi", "24h", "whatsapp", content_sid="HX" + "0" * 32, content_variables=variables)
    appointment_id = make_appointment(make_contact(), world.clock.now() + timedelta(hours=15))
    job_id = plan(world, appointment_id, world.clock.now(), "24h", **WHATSAPP)
    world.work()

    message = world.message(job_id)
    assert (message.status, message.content_sid) == ("sent", "HX" + "0" * 32)
    assert message.content_variables == {"1": "Ada", "2": "1:00 PM"}


def test_another_workspace_s_template_is_never_taken(world: World, visit: tuple[str, str]) -> None:
    with writing() as session:
        foreign = MessageTemplate(workspace_id="ws_outsider", kind="24h", channel="sms", body="Foreign")
        session.add(foreign)
    plan(world, visit[1], world.clock.now(), "24h")
    mine = plan(world, None, world.clock.now(), "batch", template_id=foreign.id)
    world.work()

    assert bodies(world) == ["Your appt is tomorrow!"]
    assert world.message(mine).reason == "missing_field"


def test_times_are_told_in_the_workspace_s_zone_where_the_appointment_has_none(world: World) -> None:
    change(Workspace, "ws_salon", timezone="Asia/Kathmandu")
    appointment_id = make_appointment(make_contact(), world.clock.now() + timedelta(hours=1), timezone=None)
    plan(world, appointment_id, world.clock.now(), "confirmation")
    world.work()

    local = (clock.now() + timedelta(hours=1)).astimezone(ZoneInfo("Asia/Kathmandu"))
    assert f"{local.hour % 12}:{local.minute:02} PM" in bodies(world)[0]
