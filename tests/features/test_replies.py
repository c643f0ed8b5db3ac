"""C confirms the next appointment and X cancels it, where the workspace wants that."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from app import events
from app.appointments import replies
from app.appointments.models import Appointment
from app.channels.phone import WHATSAPP
from app.contacts.models import Suppression
from app.database import reading, writing
from app.messages.models import InboundMessage, Message
from app.reminders import settings as reminder_settings
from app.webhooks.inbound import intent_of
from app.workspaces import service as workspaces
from app.workspaces.models import AuditEntry
from tests import appointments
from tests.features import signing
from tests.features.signing import INBOUND, TOKEN
from tests.together import together
from tests.world import PERSON, SENDER, Tenant, World

OTHER = "+12345678902"
COUNT = iter(range(10**6))


@pytest.fixture
def world(make_world) -> World:
    world: World = make_world(twilio_auth_token=TOKEN)
    want(world.salon)
    return world


def want(tenant: Tenant, enabled: bool = True) -> None:
    response = tenant.ask("PATCH", "/api/settings", {"replies": {"enabled": enabled}})
    assert response.status_code == 200, response.text


def hear(world: World, body: str, person: str = PERSON, sid: str | None = None, to: str = SENDER) -> None:
    form = signing.text_from(person, body, to=to, sid=sid or f"SMreply{next(COUNT)}")
    assert signing.post(world, INBOUND, form).status_code == 200


def book(tenant: Tenant, name: str, at: str = "2026-05-15T10:00:00Z", **changes: Any) -> None:
    appointments.make(
        tenant, "/api/appointments", appointments.appointment(appointmentId=name, appointmentDateTime=at, **changes)
    )


def states(workspace_id: str = "ws_salon") -> dict[str, str]:
    with reading() as session:
        rows = session.scalars(select(Appointment).where(Appointment.workspace_id == workspace_id))
        return {row.public_id: row.status for row in rows}


def answers() -> list[tuple[str, str, str, str | None]]:
    with reading() as session:
        query = select(Message).where(Message.kind.in_(("reply_confirmed", "reply_cancelled", "cancellation")))
        rows = session.scalars(query.order_by(Message.created_at, Message.id))
        return [(row.kind or "", row.to_address, row.from_address, row.reason) for row in rows]


def audited() -> list[tuple[str, str, str, Any, Any]]:
    with reading() as session:
        query = select(AuditEntry).where(AuditEntry.action.like("appointment.%")).order_by(AuditEntry.id)
        rows = session.scalars(query)
        return [(row.actor, row.action, row.subject, row.before, row.after) for row in rows]


def no_cancellation_notice() -> None:
    with writing() as session:
        row = reminder_settings.defaults("ws_salon")
        row.send_cancellation = False
        session.add(row)


@pytest.mark.parametrize("body", ["C", "c", " c.", "Confirm", "CONFIRMED!", "yes, confirm", "I confirm"])
def test_c_confirms_the_next_appointment_and_is_answered_from_the_same_number(world: World, body: str) -> None:
    book(world.salon, "later", "2026-05-16T10:00:00Z")
    book(world.salon, "next")
    heard: list[dict[str, Any]] = []
    listener = events.appointment_confirmed.connect(lambda _, **given: heard.append(given), weak=False)
    try:
        hear(world, body)
    finally:
        events.appointment_confirmed.disconnect(listener)

    assert states() == {"next": "CONFIRMED", "later": "PENDING"}
    assert answers() == [("reply_confirmed", PERSON, SENDER, None)]
    assert audited() == [("contact", "appointment.confirmed", "next", {"status": "PENDING"}, {"status": "CONFIRMED"})]
    assert [(one["workspace_id"], one["actor"]) for one in heard] == [("ws_salon", "contact")]


def test_the_answer_goes_out_and_the_reminders_stay(world: World) -> None:
    book(world.salon, "next")
    world.work()
    before = {name: row.status for name, row in appointments.plan().items()}
    sent = len(world.provider.posted)

    hear(world, "C")
    world.work()

    assert len(world.provider.posted) == sent + 1
    assert {name: row.status for name, row in appointments.plan().items()} == before


def test_x_cancels_and_the_notice_of_it_is_the_answer(world: World) -> None:
    book(world.salon, "next")

    hear(world, "X")

    assert states() == {"next": "CANCELLED"}
    assert {kind for kind, *_ in answers()} == {"cancellation"}
    assert [entry[:3] for entry in audited()] == [("contact", "appointment.cancelled", "next")]
    waiting = [row for row in appointments.plan().values() if row.status == "scheduled"]
    assert {row.kind for row in waiting} == {"cancellation"}


def test_where_no_notice_is_sent_x_has_an_answer_of_its_own(world: World) -> None:
    no_cancellation_notice()
    book(world.salon, "next")

    hear(world, "X")

    assert answers() == [("reply_cancelled", PERSON, SENDER, None)]


def test_the_same_reply_again_and_again_does_nothing_more(world: World) -> None:
    book(world.salon, "next")
    book(world.salon, "later", "2026-05-16T10:00:00Z")

    for _ in range(3):
        hear(world, "C")
        hear(world, "C", sid="SMsame")
    assert states() == {"next": "CONFIRMED", "later": "PENDING"}
    assert len(answers()) == 1

    for _ in range(3):
        hear(world, "X")
    assert states() == {"next": "CANCELLED", "later": "PENDING"}


def test_an_hour_later_x_means_the_next_one(world: World) -> None:
    book(world.salon, "next")
    book(world.salon, "later", "2026-05-16T10:00:00Z")
    hear(world, "X")

    world.clock.advance(seconds=3601)
    hear(world, "X")

    assert states() == {"next": "CANCELLED", "later": "CANCELLED"}


def test_an_x_that_found_nothing_does_not_stand_in_the_way_of_another(world: World) -> None:
    hear(world, "X")
    book(world.salon, "next")

    hear(world, "X")

    assert states() == {"next": "CANCELLED"}


def test_at_most_five_answers_a_day_go_to_one_number(world: World) -> None:
    for day in range(7):
        book(world.salon, f"a{day}", f"2026-06-{10 + day}T10:00:00Z")
    for day in range(7):
        hear(world, "C")
        with writing() as session:
            session.execute(update(Appointment).where(Appointment.public_id == f"a{day}").values(status="COMPLETED"))

    assert len(answers()) == replies.MOST_ANSWERS
    assert len(audited()) == 7


@pytest.mark.parametrize("body", ["", "Hello", "c u later", "Xavier", "xx", "Thanks x", "yes please", "No", "C" * 300])
def test_anything_else_is_no_reply_and_gets_no_answer(world: World, body: str) -> None:
    book(world.salon, "next")

    hear(world, body)

    assert (states(), answers()) == ({"next": "PENDING"}, [])


@pytest.mark.parametrize("body", ["CANCEL", "cancel", "STOP", "YES", "START"])
def test_twilio_s_own_keywords_stay_what_they_are(world: World, body: str) -> None:
    book(world.salon, "next")

    hear(world, body)

    assert (states(), answers()) == ({"next": "PENDING"}, [])
    with reading() as session:
        assert bool(session.scalars(select(Suppression)).all()) == (body.upper() in ("CANCEL", "STOP"))


def test_twilio_s_reading_of_a_keyword_comes_before_ours() -> None:
    assert intent_of("C", "STOP") == "stop"


def test_a_workspace_that_does_not_want_replies_gets_none(world: World) -> None:
    want(world.salon, False)
    book(world.salon, "next")
    book(world.outsider, "theirs")

    hear(world, "C")
    hear(world, "X")

    assert (states(), states("ws_outsider")) == ({"next": "PENDING"}, {"theirs": "PENDING"})
    assert answers() == []


def test_a_number_that_several_share_means_the_one_next_appointment(world: World) -> None:
    want(world.outsider)
    book(world.salon, "ours", "2026-05-16T10:00:00Z")
    book(world.outsider, "theirs", "2026-05-15T10:00:00Z")

    hear(world, "X")

    assert (states(), states("ws_outsider")) == ({"ours": "PENDING"}, {"theirs": "CANCELLED"})


def test_nobody_confirms_for_somebody_else_or_through_another_s_number(world: World) -> None:
    book(world.salon, "next")

    hear(world, "C", person=OTHER)
    hear(world, "C", to="+15005550009")

    assert (states(), answers()) == ({"next": "PENDING"}, [])


def test_what_has_begun_or_is_over_is_not_touched(world: World) -> None:
    book(world.salon, "begun", "2026-05-11T12:30:00Z")
    world.clock.advance(seconds=1800)

    hear(world, "X")

    assert states() == {"begun": "PENDING"}


def test_whatsapp_is_answered_by_whatsapp(world: World) -> None:
    with writing() as session:
        workspaces.add_sender(session, "ws_salon", "whatsapp", f"{WHATSAPP}{SENDER}")
    book(world.salon, "next")

    hear(world, "C", person=f"{WHATSAPP}{PERSON}", to=f"{WHATSAPP}{SENDER}")

    assert states() == {"next": "CONFIRMED"}
    assert answers() == [("reply_confirmed", f"{WHATSAPP}{PERSON}", f"{WHATSAPP}{SENDER}", None)]


def test_a_crash_between_storing_and_acting_is_made_good_by_the_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    book(world.salon, "next")
    with monkeypatch.context() as patched:
        patched.setattr(replies, "handle", lambda _: 1 / 0)
        hear(world, "C")  # and Twilio has its answer all the same
    assert states() == {"next": "PENDING"}

    world.clock.advance(seconds=61)
    world.repair()
    world.clock.advance(seconds=61)
    world.repair()

    assert states() == {"next": "CONFIRMED"}
    assert len(answers()) == 1


def test_yesterday_s_reply_is_not_acted_on_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    book(world.salon, "next")
    with monkeypatch.context() as patched:
        patched.setattr(replies, "handle", lambda _: 1 / 0)
        hear(world, "X")

    world.clock.advance(seconds=86_401)
    assert replies.handle_waiting(world.clock.now()) == 0


def test_c_and_x_at_once_leave_one_truth(world: World) -> None:
    book(world.salon, "next")
    book(world.salon, "later", "2026-05-16T10:00:00Z")
    works = [lambda body=body: hear(world, body) for body in ("C", "X", "C", "X")]

    together(world.app, works)

    assert states()["next"] == "CANCELLED"
    with reading() as session:
        assert all(session.scalars(select(InboundMessage.handled_at)))
    cancelled = [entry for entry in audited() if entry[1] == "appointment.cancelled"]
    assert [entry[2] for entry in cancelled] == ["next"]


def test_the_same_webhook_many_times_at_once_acts_once(world: World) -> None:
    book(world.salon, "next")

    together(world.app, [lambda: hear(world, "C", sid="SMonce")] * 4)

    assert (states(), len(answers()), len(audited())) == ({"next": "CONFIRMED"}, 1, 1)


def test_the_test_phone_says_how_a_reply_was_understood(make_world) -> None:
    world: World = make_world()
    want(world.salon)
    book(world.salon, "next")

    response = world.salon.post("/api/sandbox/reply", {"from": PERSON, "to": SENDER, "body": "C"})

    assert json.loads(response.data)["data"] == {"intent": "confirm"}
    assert states() == {"next": "CONFIRMED"}
