"""Malformed, hostile and boundary input to the routes of appointments and bookings: named, and nothing stored."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import reading
from app.messages.models import Message
from tests.appointments import appointment, booking, make
from tests.world import World

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no zone", {"appointmentDateTime": "2026-05-15T10:00:00"}, "appointmentDateTime"),
    ("no such day", {"appointmentDateTime": "2027-02-29T10:00:00Z"}, "appointmentDateTime"),
    ("the year 9999", {"appointmentDateTime": "9999-12-31T23:59:59Z"}, "appointmentDateTime"),
    ("the year 0001", {"appointmentDateTime": "0001-01-01T00:00:00Z"}, "appointmentDateTime"),
    ("past", {"appointmentDateTime": "2026-05-11T12:00:00Z"}, "appointmentDateTime"),
    ("three years ahead", {"appointmentDateTime": "2029-05-15T10:00:00Z"}, "appointmentDateTime"),
    ("a number for a time", {"appointmentDateTime": 1778000000}, "appointmentDateTime"),
    ("Arabic digits", {"appointmentDateTime": "٢٠٢٦-05-15T10:00:00Z"}, "appointmentDateTime"),
    ("no time", {"appointmentDateTime": None}, "appointmentDateTime"),
    ("a day without a time", {"appointmentDateTime": None, "date": "2026-05-15"}, "date"),
    ("two times", {"date": "2026-05-15", "time": "10:00"}, "appointmentDateTime"),
    ("30 February", {"appointmentDateTime": None, "date": "2027-02-30", "time": "10:00"}, "date"),
    ("25 o'clock", {"appointmentDateTime": None, "date": "2027-02-20", "time": "25:00"}, "time"),
    (
        "a time that the clocks leave out",
        {"appointmentDateTime": None, "date": "2027-03-28", "time": "02:30", "timezone": "Europe/Berlin"},
        "time",
    ),
    ("unknown zone", {"timezone": "Mars/Olympus"}, "timezone"),
    ("a path for a zone", {"timezone": "../../etc/passwd"}, "timezone"),
    ("this machine's zone", {"timezone": "localtime"}, "timezone"),
    ("no phone number", {"phone": "0400 000 549"}, "phone"),
    ("a WhatsApp address", {"phone": "whatsapp:+12345678901"}, "phone"),
    ("no email address", {"email": "anna"}, "email"),
    ("a header in an address", {"email": "anna@example.com\nBcc: x@example.com"}, "email"),
    ("nobody", {"phone": None, "email": None}, "phone"),
    ("an unknown contact", {"phone": None, "email": None, "contactId": "nobody"}, "contactId"),
    ("an id with a slash", {"appointmentId": "a/b"}, "appointmentId"),
    ("an id of 81 characters", {"appointmentId": "a" * 81}, "appointmentId"),
    ("an empty id", {"appointmentId": ""}, "appointmentId"),
    ("an unknown policy", {"policy": "hourly"}, "policy"),
    ("a policy that is no name", {"policy": {"rules": []}}, "policy"),
    ("no duration", {"durationMinutes": 0}, "durationMinutes"),
    ("half a minute", {"durationMinutes": 0.5}, "durationMinutes"),
    ("true minutes", {"durationMinutes": True}, "durationMinutes"),
    ("a month", {"durationMinutes": 50_000}, "durationMinutes"),
    ("an empty name", {"name": "   "}, "name"),
    ("a long name", {"name": "x" * 201}, "name"),
    ("NUL", {"service": "a\0b"}, "service"),
    ("half of a pair", {"staff": "\ud800"}, "staff"),
    ("NUL deep inside", {"metadata": {"a": ["b\0"]}}, "metadata.a.0"),
    ("unknown field", {"colour": "red"}, "colour"),
    ("a state to begin with", {"status": "CANCELLED"}, "status"),
    ("two names for the start", {"scheduledAt": "2026-05-15T10:00:00Z"}, "scheduledAt"),
]


# What is refused, is refused before a database hears of it.
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def stored() -> list[int]:
    with reading() as session:
        return [
            session.scalar(select(func.count()).select_from(table)) or 0 for table in (Appointment, Contact, Message)
        ]


@ONE_DATABASE
@pytest.mark.parametrize(("changes", "field"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_named_and_nothing_is_stored(world: World, changes: dict[str, Any], field: str) -> None:
    response = world.salon.post("/api/appointments", appointment(**changes))
    assert response.status_code == 422, response.text
    assert field in response.json["error"]["fields"], response.json
    assert stored() == [0, 0, 0]


@ONE_DATABASE
@pytest.mark.parametrize("name", ["appointmentTime", "scheduledAt", "startsAt", "startTime"])
def test_what_is_wrong_is_named_as_it_was_sent(world: World, name: str) -> None:
    body = booking()
    del body["appointmentTime"]
    response = world.salon.post("/api/bookings", body | {name: "tomorrow"})
    assert list(response.json["error"]["fields"]) == [name]


@ONE_DATABASE
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b'{"a": NaN}', 400),
        (b"\xff\xfe", 400),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, 400),
        (b'{"name": "' + b"x" * 10_000_000 + b'"}', 413),
    ],
    ids=["empty", "a list", "a text", "NaN", "no UTF-8", "too deep", "10 MB"],
)
@pytest.mark.parametrize("path", ["/api/appointments", "/api/bookings"])
def test_what_is_no_object_is_refused(world: World, path: str, body: bytes, status: int) -> None:
    assert world.salon.post_raw(path, body).status_code == status
    assert stored() == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({}, 422, "body"),
        ({"appointmentDateTime": "2026-05-11T11:59:59Z"}, 422, "appointmentDateTime"),
        ({"appointmentDateTime": "2026-05-15T10:00:00"}, 422, "appointmentDateTime"),
        ({"status": "DONE"}, 422, "status"),
        ({"timezone": "Nowhere"}, 422, "timezone"),
        ({"contactId": "nobody"}, 422, "contactId"),
        ({"appointmentId": "other"}, 422, "appointmentId"),
        ({"policy": "hourly"}, 422, "policy"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(world: World, changes: dict, status: int, field: str) -> None:
    make(world.salon, "/api/appointments", appointment())
    before = world.salon.get("/api/appointments/uuid-123").json["data"]
    response = world.salon.ask("PATCH", "/api/appointments/uuid-123", changes)
    assert response.status_code == status, response.text
    assert field in response.json["error"]["fields"]
    assert world.salon.get("/api/appointments/uuid-123").json["data"] == before


def test_what_was_cancelled_cannot_be_changed(world: World) -> None:
    make(world.salon, "/api/appointments", appointment())
    assert world.salon.ask("DELETE", "/api/appointments/uuid-123").status_code == 200
    response = world.salon.ask("PATCH", "/api/appointments/uuid-123", {"staff": "Bo"})
    assert (response.status_code, response.json["error"]["code"]) == (409, "already_cancelled")
    again = world.salon.post("/api/appointments", appointment(appointmentDateTime="2026-05-20T10:00:00Z"))
    assert again.status_code == 409


@pytest.mark.parametrize("name", ["nobody", "a" * 200, "%00", "..%2f..", "'; DROP TABLE appointments; --"])
def test_an_unknown_id_is_not_found(world: World, name: str) -> None:
    for method, path in (
        ("GET", f"/api/appointments/{name}"),
        ("DELETE", f"/api/appointments/{name}"),
        ("GET", f"/api/bookings/{name}/reminders"),
    ):
        assert world.salon.ask(method, path).status_code == 404


def test_twenty_nine_february_and_the_last_second_of_two_years_are_fine(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(appointmentDateTime="2028-02-29T10:00:00+14:00"))
    shown = world.salon.get("/api/appointments/uuid-123").json["data"]
    assert shown["appointmentDateTime"] == "2028-02-29T10:00:00+14:00"
    make(world.salon, "/api/appointments", appointment(appointmentId="b", appointmentDateTime="2028-05-11T11:59:59Z"))


@ONE_DATABASE
@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"status": "X"}, {"from": "x"}, {"cursor": "x"}, {"colour": "red"}]
)
def test_a_list_is_asked_for_in_known_words(world: World, query: dict[str, str]) -> None:
    assert world.salon.get("/api/appointments", **query).status_code == 422


def test_pages_have_no_gaps(world: World) -> None:
    for index in range(5):
        make(world.salon, "/api/appointments", appointment(appointmentId=f"a{index}"))
    seen, cursor = [], {}
    for _ in range(3):
        page = world.salon.get("/api/appointments", limit="2", **cursor).json["data"]
        seen += [one["appointmentId"] for one in page["appointments"]]
        cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else {}
    assert seen == [f"a{index}" for index in range(5)]
    assert cursor == {}
