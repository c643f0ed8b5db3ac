"""/r/{token}: the pages behind the links in messages."""

from typing import Any

import pytest
from sqlalchemy import select

from app.appointments.models import Appointment
from app.contacts.models import Contact, Suppression
from app.database import reading, writing
from app.message_templates.links import Purpose, make_link
from app.messages.states import Status
from tests.appointments import appointment, make, plan
from tests.world import World

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def booked(world: World, **changes: Any) -> tuple[Appointment, Contact]:
    make(world.salon, "/api/appointments", appointment(timezone="Europe/Berlin", **changes))
    with reading() as session:
        row = session.scalars(select(Appointment)).one()
        return row, session.get_one(Contact, row.contact_id)


def status_of(row: Appointment) -> str:
    with reading() as session:
        return session.get_one(Appointment, row.id).status


def path_of(purpose: Purpose, subject_id: str, channel: str | None = None) -> str:
    return make_link(purpose, subject_id, channel).removeprefix("http://127.0.0.1:3000")


def suppressed() -> set[tuple[str, str, str]]:
    with reading() as session:
        return {(one.workspace_id, one.channel, one.address) for one in session.scalars(select(Suppression))}


def waiting() -> set[str]:
    """Where reminders still go."""
    rows = plan().values()
    return {row.to_address for row in rows if row.status == Status.SCHEDULED and row.kind != "cancellation"}


def test_looking_changes_nothing(world: World) -> None:
    row, contact = booked(world, service="<b>Haircut</b>")
    client = world.app.test_client()
    before = plan().keys()
    for purpose in Purpose:
        subject = contact.id if purpose is Purpose.UNSUBSCRIBE else row.id
        page = client.get(path_of(purpose, subject))
        assert page.status_code == 200
        assert client.head(path_of(purpose, subject)).status_code == 200
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert contact.phone not in page.text
        if purpose is not Purpose.UNSUBSCRIBE:
            assert "Friday 15 May 2026, 12:00 (Europe/Berlin)" in page.text
            assert "&lt;b&gt;Haircut" in page.text
    assert status_of(row) == "PENDING"
    assert suppressed() == set()
    assert plan().keys() == before


def test_a_post_confirms_and_again_is_the_same(world: World) -> None:
    row, _ = booked(world)
    client = world.app.test_client()
    for purpose in (Purpose.CONFIRM, Purpose.MANAGE, Purpose.CONFIRM):
        page = client.post(path_of(purpose, row.id), data={"action": "confirm"})
        assert page.status_code == 200
        assert "Your appointment is confirmed." in page.text
        assert status_of(row) == "CONFIRMED"


def test_a_post_cancels_and_nothing_that_waits_goes_out(world: World) -> None:
    row, _ = booked(world)
    client = world.app.test_client()
    for purpose in (Purpose.CANCEL, Purpose.MANAGE):
        page = client.post(path_of(purpose, row.id), data={"action": "cancel"})
        assert page.status_code == 200
        assert "This appointment is cancelled." in page.text
        assert "<button" not in page.text
        assert status_of(row) == "CANCELLED"
    assert waiting() == set()
    late = client.post(path_of(Purpose.MANAGE, row.id), data={"action": "confirm"}, headers={"Accept": "text/html"})
    assert late.status_code == 409
    assert late.mimetype == "text/html"
    assert status_of(row) == "CANCELLED"


def test_a_link_does_what_it_is_for_and_nothing_else(world: World) -> None:
    row, _ = booked(world)
    client = world.app.test_client()
    for purpose, data in (
        (Purpose.CONFIRM, {"action": "cancel"}),
        (Purpose.CANCEL, {"action": "confirm"}),
        (Purpose.CANCEL, {}),
        (Purpose.CANCEL, ONE_CLICK),
        (Purpose.MANAGE, {"action": "delete"}),
        (Purpose.MANAGE, {"action": "cancel\0"}),
    ):
        assert client.post(path_of(purpose, row.id), data=data).status_code in (400, 415, 422)
    for body, kind, status in (
        (b"action=%ff", "application/x-www-form-urlencoded", 400),
        (b"action=cancel&action=cancel", "application/x-www-form-urlencoded", 400),
        (b"action=" + b"x" * 10_000_000, "application/x-www-form-urlencoded", 413),
        (b'{"action": "cancel"}', "application/json", 415),
        (b"action=cancel", "text/plain", 415),
    ):
        assert client.post(path_of(Purpose.CANCEL, row.id), data=body, content_type=kind).status_code == status
    assert status_of(row) == "PENDING"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_no_link_of_ours_is_404(world: World) -> None:
    row, _ = booked(world)
    client = world.app.test_client()
    good = path_of(Purpose.CANCEL, row.id).removeprefix("/r/")
    nobody = [path_of(purpose, "0" * 32).removeprefix("/r/") for purpose in (Purpose.MANAGE, Purpose.UNSUBSCRIBE)]
    for token in ["x", "x.y", "\u00e4", "%00", "x" * 5000, good[:-1], good + "x", "Z" + good[1:], *nobody]:
        for method in ("GET", "POST"):
            page = client.open(f"/r/{token}", method=method, data={"action": "cancel"}, headers={"Accept": "text/html"})
            assert (page.status_code, page.mimetype) == (404, "text/html"), token
    assert status_of(row) == "PENDING"


def test_after_the_appointment_the_link_is_gone(world: World) -> None:
    row, _ = booked(world)
    client = world.app.test_client()
    world.clock.set(row.starts_at)
    for method in ("GET", "POST"):
        page = client.open(path_of(Purpose.CANCEL, row.id), method=method, data={"action": "cancel"})
        assert page.status_code == 410
    assert status_of(row) == "PENDING"


def test_one_click_unsubscribes_from_that_channel_only(world: World) -> None:
    _, contact = booked(world)
    client = world.app.test_client()
    path = path_of(Purpose.UNSUBSCRIBE, contact.id, "email")
    for _ in range(2):
        assert client.post(path, data=ONE_CLICK).status_code == 200
    assert suppressed() == {("ws_salon", "email", contact.email)}
    assert waiting() == {contact.phone}


def test_one_click_works_in_every_encoding(world: World) -> None:
    _, contact = booked(world)
    path = path_of(Purpose.UNSUBSCRIBE, contact.id, "sms")
    response = world.app.test_client().post(path, data=ONE_CLICK, content_type="multipart/form-data")
    assert response.status_code == 200
    assert suppressed() == {("ws_salon", "sms", contact.phone)}


def test_unsubscribing_from_all_reaches_the_number_of_the_appointment_too(world: World) -> None:
    row, contact = booked(world)
    with writing() as session:
        session.get_one(Appointment, row.id).phone = "+12345678999"
    page = world.app.test_client().post(path_of(Purpose.UNSUBSCRIBE, contact.id))
    assert "You will get no more messages" in page.text
    numbers = {contact.phone, "+12345678999"}
    assert suppressed() == {
        ("ws_salon", "email", contact.email),
        *(("ws_salon", "sms", number) for number in numbers),
        *(("ws_salon", "whatsapp", f"whatsapp:{number}") for number in numbers),
    }
    assert waiting() == set()
