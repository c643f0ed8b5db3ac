"""Erasing a person: nothing that is left says who it was."""

from typing import Any

import pytest
from sqlalchemy import inspect, select, text, update

from app import clock
from app.appointments.models import Appointment
from app.contacts import service as contacts
from app.contacts.models import Contact
from app.database import db, reading, writing
from app.messages.models import InboundMessage, Message
from app.messages.status import Report, apply_report
from app.workspaces import service as workspaces
from tests.answers import data_of, error_of
from tests.people import CONTACTS, add, everybody
from tests.world import PERSON, SENDER, World

ANA = {
    "contactId": "ana@example.com",
    "name": "Ana Silva",
    "phone": PERSON,
    "email": "ana@example.com",
    "notes": "Silva",
}
PATH = f"{CONTACTS}/ana@example.com"
TRACES = ("Ana", "Silva", "ana@example.com", PERSON, PERSON[1:])


def appointment(starts: str, status: str = "CONFIRMED") -> None:
    with writing() as session:
        contact = session.scalars(select(Contact).where(Contact.public_id == ANA["contactId"])).one()
        session.add(
            Appointment(
                workspace_id="ws_salon",
                public_id=f"a-{starts[:10]}-{status}",
                contact_id=contact.id,
                phone=PERSON,
                email="ana@example.com",
                starts_at=clock.now().fromisoformat(starts),
                starts_text=starts,
                status=status,
                extra={"who": "Ana"},
            )
        )


def everything() -> str:
    """Every row of every table, but for opt-outs, keys and the sandbox's own log, as text."""
    with reading() as session:
        names = set(inspect(db.engine).get_table_names()) - {
            "suppressions",
            "sandbox_messages",
            "alembic_version",
            "api_keys",
        }
        return "\n".join(str(row) for name in sorted(names) for row in session.execute(text(f'SELECT * FROM "{name}"')))


def heard(to: str = SENDER) -> None:
    with writing() as session:
        session.add(
            InboundMessage(
                provider="twilio",
                provider_message_id=f"SM{to}",
                channel="sms",
                from_address=PERSON,
                to_address=to,
                body="It is me, Ana",
                raw={"From": PERSON},
            )
        )


def test_without_appointments_nothing_is_left_of_the_person(world: World) -> None:
    add(world.salon, **ANA)
    data_of(world.salon.post(f"{PATH}/consents", {"kind": "marketing", "source": "Ana told us"}), 201)
    sent = world.salon.send(body="Dear Ana", metadata={"who": "Silva"}, mediaUrl="https://example.com/Ana.png")
    world.work()
    waiting = world.salon.delay(60, body="Dear Ana")
    rule = world.salon.text(body="Dear Ana", cron="30 12 * * *", timezone="UTC")
    assert world.salon.post("/api/trigger/schedule-recurring", rule).status_code == 202
    with writing() as session:
        workspaces.add_sender(session, "ws_salon", "sms", "+15550000009")
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, "stop")
    heard("+15550000009")
    apply_report(Report("twilio", world.message(sent).provider_message_id or "", "delivered", raw={"To": PERSON}))
    assert all(trace in everything() for trace in TRACES)

    answer = data_of(world.salon.call("DELETE", PATH))

    assert (answer["contactId"], answer["status"], answer["keptAppointments"]) == (ANA["contactId"], "erased", 0)
    assert answer["cancelled"] == 1
    assert answer["keptMessages"] == answer["cancelled"] + 1
    left = everything()
    assert [trace for trace in TRACES if trace in left] == []
    error_of(world.salon.get(PATH), 404, "not_found")
    error_of(world.salon.call("DELETE", PATH), 404, "not_found")
    assert (world.message(sent).to_address, world.message(sent).segments) == ("erased", 1)
    assert world.salon.status(waiting)["status"] == "cancelled"
    posted = len(world.provider.posted)
    world.live(3700, step=300)
    assert len(world.provider.posted) == posted
    assert add(world.salon, contactId="again", phone=PERSON)["optedOut"] == ["sms"]  # whoever said STOP has said it


def test_past_appointments_stay_without_a_person(world: World) -> None:
    add(world.salon, **ANA)
    appointment("2026-05-11T11:59:00+00:00")
    appointment("2026-06-01T10:00:00+00:00", "CANCELLED")

    assert data_of(world.salon.call("DELETE", PATH))["keptAppointments"] == 2

    left = everything()
    assert [trace for trace in TRACES if trace in left] == []
    assert everybody(world.salon) == []
    error_of(world.salon.get(PATH), 404)
    with reading() as session:
        [contact] = session.scalars(select(Contact)).all()
        assert {one.contact_id for one in session.scalars(select(Appointment))} == {contact.id}
    error_of(world.salon.get(f"{CONTACTS}/erased_{contact.id}"), 404)
    add(world.salon, **ANA)  # somebody may come again, as somebody new


def test_with_appointments_to_come_it_is_refused(world: World) -> None:
    made = add(world.salon, **ANA)
    appointment("2026-05-11T12:01:00+00:00", "PENDING")
    job_id = world.salon.delay(60)

    error_of(world.salon.call("DELETE", PATH), 409, "appointments_ahead")

    assert data_of(world.salon.get(PATH)) == made
    assert world.salon.status(job_id)["status"] == "scheduled"


@pytest.mark.parametrize("status", ["sending", "unknown"])
def test_what_is_on_its_way_is_waited_for(world: World, status: str) -> None:
    made = add(world.salon, **ANA)
    job_id, waiting = world.salon.send(), world.salon.delay(60)
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job_id).values(status=status))

    error_of(world.salon.call("DELETE", PATH), 409, "already_processing")

    assert data_of(world.salon.get(PATH)) == made
    assert world.salon.status(waiting)["status"] == "scheduled"


def test_a_report_that_comes_later_brings_nothing_back(world: World) -> None:
    add(world.salon, **ANA)
    job_id = world.salon.send()
    world.work()
    sid = world.message(job_id).provider_message_id or ""
    data_of(world.salon.call("DELETE", PATH))

    apply_report(Report("twilio", sid, "delivered", raw={"To": PERSON}))

    assert world.salon.status(job_id)["messageStatus"] == "delivered"
    assert PERSON not in everything()


def test_other_people_and_other_workspaces_keep_all(world: World) -> None:
    add(world.salon, **ANA)
    bo = add(world.salon, contactId="bo", phone="+12345678902")
    add(world.outsider, **ANA)
    kept = [world.salon.delay(60, to="+12345678902"), world.outsider.delay(60)]
    heard()  # both workspaces send from this number

    data_of(world.salon.call("DELETE", PATH))

    assert data_of(world.salon.get(f"{CONTACTS}/bo")) == bo
    assert data_of(world.outsider.get(PATH))["phone"] == PERSON
    assert [world.message(job_id).status for job_id in kept] == ["scheduled"] * 2
    with reading() as session:
        assert [one.from_address for one in session.scalars(select(InboundMessage))] == [PERSON]


def test_a_dry_run_erases_nothing_and_an_outsider_neither(world: World) -> None:
    made = add(world.salon, **ANA)
    before = everything()

    tried: dict[str, Any] = data_of(world.salon.call("DELETE", PATH, X_Dry_Run="true"))
    assert (tried["contactId"], tried["dryRun"]) == (ANA["contactId"], True)
    error_of(world.outsider.call("DELETE", PATH), 404, "not_found")
    error_of(world.outsider.call("DELETE", f"{PATH}?workspaceId=ws_salon"), 404, "not_found")

    assert everything() == before
    assert data_of(world.salon.get(PATH)) == made
