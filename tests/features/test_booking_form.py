"""/book: a stranger books without a login, by the page or by JSON."""

from datetime import UTC, datetime

from sqlalchemy import select

from app.cli import init_cli
from app.contacts.models import Consent
from app.database import reading
from tests.answers import data_of, fields_of
from tests.appointments import plan
from tests.forms import PAGE, PHONE, appointments, client_of, everything, open_form, send, send_json, switch_on
from tests.world import World


def test_it_is_off_until_it_is_switched_on(world: World) -> None:
    client = client_of(world)
    for path in ("/book", PAGE, "/book/ws_nobody", "/book/%00", "/book/" + "x" * 100):
        assert client.get(path).status_code == 404
        assert send_json(client, path).status_code == 404
    switch_on(enabled=False)
    assert client.get(PAGE).status_code == 404
    assert client.get("/book").status_code == 404
    assert everything() == [0] * 5


def test_a_person_books_by_the_page_and_is_thanked(world: World) -> None:
    switch_on()
    client = client_of(world)
    response = send(client, notes="First floor, please")
    assert response.status_code == 303, response.text
    page = client.get(response.headers["Location"])
    assert page.status_code == 200
    assert "Friday 15 May 2026, 10:00 (Europe/Berlin)" in page.text
    [(appointment, contact)] = appointments()
    assert appointment.starts_at == datetime(2026, 5, 15, 8, 0, tzinfo=UTC)
    assert (appointment.source, appointment.status, appointment.phone) == ("form", "PENDING", PHONE)
    assert appointment.extra == {"name": "Anna Muster", "notes": "First floor, please"}
    assert (contact.first_name, contact.last_name, contact.phone) == ("Anna", "Muster", PHONE)


def test_a_program_books_by_json_and_the_reminders_are_planned(world: World) -> None:
    switch_on(services=["Haircut"], staff=["Bo"], eventType="visit", eventName="Visit")
    response = send_json(client_of(world), service="Haircut", staff="Bo", email="Anna@Example.com")
    data = data_of(response, 201)
    [(appointment, contact)] = appointments()
    assert data == {
        "appointmentId": appointment.public_id,
        "appointmentDateTime": "2026-05-15T10:00:00+02:00",
        "date": "2026-05-15",
        "time": "10:00",
        "timezone": "Europe/Berlin",
        "service": "Haircut",
        "staff": "Bo",
        "status": "PENDING",
    }
    assert (appointment.event_type, appointment.event_name) == ("visit", "Visit")
    assert contact.email == appointment.email == "anna@example.com"
    assert f"reminder-24hr-{appointment.public_id}" in plan()


def test_nobody_waits_for_the_sending(world: World) -> None:
    switch_on()
    assert send_json(client_of(world)).status_code == 201
    assert world.provider.posted == [], "answered before anything was sent"
    world.work()
    assert [message.to for message in world.provider.posted] == [PHONE], "the confirmation, at once"


def test_one_time_may_come_in_one_piece(world: World) -> None:
    switch_on()
    client = client_of(world)
    for text, hour in (("2026-05-15T10:00", 8), ("2026-05-16T10:00:00Z", 10), ("2026-05-17T10:00+10:00", 0)):
        data_of(send_json(client, appointmentDateTime=text, date=..., time=...), 201)
        assert appointments()[-1][0].starts_at.hour == hour
    assert fields_of(send_json(client, appointmentDateTime="2026-05-15T10:00")) == {"appointmentDateTime"}


def test_the_bare_address_is_the_only_form_s(world: World) -> None:
    switch_on()
    client = client_of(world)
    assert send(client, "/book").status_code == 303
    data_of(send_json(client, "/book", date="2026-05-16"), 201)
    switch_on("ws_outsider")
    assert client.get("/book").status_code == 404
    assert [row.workspace_id for row, _ in appointments()] == ["ws_salon", "ws_salon"]


def test_numbers_without_a_country_are_those_of_the_sender_s(world: World) -> None:
    switch_on(countries=[])
    data_of(send_json(client_of(world), phone="(234) 567-8901"), 201)
    assert appointments()[0][0].phone == "+12345678901"
    assert fields_of(send_json(client_of(world))) == {"phone"}, "a German number, for a salon that sends from the US"


def test_sending_the_form_twice_is_one_booking_and_the_same_thanks(world: World) -> None:
    switch_on()
    client = client_of(world)
    token = open_form(client)
    first, second = send(client, token=token), send(client, token=token)
    assert first.status_code == second.status_code == 303
    assert client.get(first.headers["Location"]).text == client.get(second.headers["Location"]).text
    assert len(appointments()) == 1
    other = send(client, token=token, time="11:00")
    assert other.status_code == 422
    assert "that booking stands" in other.text
    assert len(appointments()) == 1


def test_json_honours_the_idempotency_key_and_the_dry_run(world: World) -> None:
    switch_on()
    client = client_of(world)
    dry = data_of(send_json(client, headers={"X-Dry-Run": "true"}))
    assert (dry["dryRun"], dry["appointmentId"]) == (True, None)
    assert everything() == [0] * 5
    answers = [send_json(client, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert len(appointments()) == 1


def test_consent_is_asked_for_and_kept(world: World) -> None:
    switch_on(consentText="I agree to get text messages.")
    client = client_of(world)
    refused = send(client)
    assert refused.status_code == 422
    assert "I agree to get text messages." in refused.text
    assert fields_of(send_json(client)) == {"consent"}
    assert everything() == [0] * 5
    assert send(client, consent="on").status_code == 303
    with reading() as session:
        [consent] = session.scalars(select(Consent)).all()
    assert (consent.kind, consent.source, consent.contact_id) == (
        "informational",
        "booking_form",
        appointments()[0][1].id,
    )


def test_a_known_person_is_found_and_what_is_known_stays(world: World) -> None:
    switch_on(perNumber=9)
    client = client_of(world)
    new = data_of(send_json(client, email="anna@example.com"), 201)
    again = data_of(send_json(client, name="Someone Else", email="other@example.com", time="11:00"), 201)
    by_email = data_of(send_json(client, phone=..., email="ANNA@example.com", time="12:00"), 201)
    assert new.keys() == again.keys() == by_email.keys(), "the answer does not tell"
    rows = appointments()
    assert len({contact.id for _, contact in rows}) == 1
    assert (rows[0][1].first_name, rows[0][1].email) == ("Anna", "anna@example.com")
    assert [row.email for row, _ in rows] == ["anna@example.com"] * 3, "nothing about Anna goes to a stranger's address"
    assert [row.phone for row, _ in rows] == [PHONE] * 3


def test_somebody_else_s_email_with_another_number_is_another_person(world: World) -> None:
    switch_on()
    client = client_of(world)
    data_of(send_json(client, email="anna@example.com"), 201)
    data_of(send_json(client, name="Mallory", phone="0151 99999999", email="anna@example.com"), 201)
    (_, anna), (_, mallory) = appointments()
    assert anna.id != mallory.id
    assert (mallory.first_name, mallory.email) == ("Mallory", None)


def test_the_cli_shows_how_to_try_it(world: World) -> None:
    init_cli(world.app)
    runner = world.app.test_cli_runner()
    shown = runner.invoke(args=["forms", "on", "ws_new", "--country", "DE", "--service", "Haircut"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.strip().endswith("/book/ws_new")
    assert "Haircut" in client_of(world).get("/book/ws_new").text
    assert runner.invoke(args=["forms", "on", "ws_new", "--country", "XX"]).exit_code == 2
    assert runner.invoke(args=["forms", "off", "ws_new"]).exit_code == 0
    assert client_of(world).get("/book/ws_new").status_code == 404
