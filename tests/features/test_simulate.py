"""POST /api/simulate: the timeline of an appointment that need not exist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.appointments.models import Appointment
from app.contacts import service as contacts
from app.contacts.models import Contact
from app.database import reading, writing
from app.messages.models import Message
from app.reminders import settings as reminder_settings
from app.reminders.models import ReminderSettings
from app.reminders.schemas import SettingsFields
from app.workspaces.models import Sender, Workspace
from tests.appointments import appointment, booking, make
from tests.features.hostile import NO_TEXT, TIMES
from tests.world import PERSON, World

PATH = "/api/simulate"
START = "2026-05-15T10:00:00Z"


def simulate(world: World, **body: Any) -> dict[str, Any]:
    response = world.salon.post(PATH, {"appointmentDateTime": START} | body)
    assert response.status_code == 200, response.text
    return dict(response.json["data"])


def lines(data: dict[str, Any]) -> list[tuple[str, str, str, str | None]]:
    return [(one["reminderType"], one["channel"], one["scheduledFor"], one["reason"]) for one in data["reminders"]]


def stored(world: World) -> tuple[int, ...]:
    with reading() as session:
        tables = (Appointment, Contact, Message, ReminderSettings, Workspace, Sender)
        return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def test_the_timeline_tells_times_in_both_zones_and_why(world: World) -> None:
    before = stored(world)
    data = simulate(
        world,
        appointmentDateTime="2026-05-15T12:00:00Z",
        timezone="Europe/Berlin",
        contact={"phone": PERSON, "timezone": "America/Los_Angeles"},
    )
    assert (data["timezone"], data["recipientTimezone"], data["policy"]) == (
        "Europe/Berlin",
        "America/Los_Angeles",
        "classic",
    )
    assert data["eventTime"] == "Friday 15 May 2026 at 14:00 (Europe/Berlin)"
    assert lines(data) == [
        ("confirmation", "sms", "2026-05-11T12:00:00Z", None),
        ("confirmation", "email", "2026-05-11T12:00:00Z", "no_address"),
        ("24hr", "sms", "2026-05-14T15:00:00Z", None),
        ("24hr", "email", "2026-05-14T15:00:00Z", "no_address"),
        ("1hr", "sms", "2026-05-15T11:00:00Z", "quiet_hours"),
        ("1hr", "email", "2026-05-15T11:00:00Z", "quiet_hours"),
    ]
    moved = data["reminders"][2]
    assert moved["recipientTime"] == "Thursday 14 May 2026 at 08:00 (America/Los_Angeles)"
    assert moved["eventTime"] == "Thursday 14 May 2026 at 17:00 (Europe/Berlin)"
    assert [one["step"] for one in moved["steps"]] == ["rule", "offset", "quiet_hours"]
    assert data["summary"] == "2 of 6 reminders would be sent."
    assert stored(world) == before


def test_any_clock_and_any_draft_can_be_tried(world: World) -> None:
    rules = {"rules": [{"type": "before", "offset": "1d"}, {"type": "before", "offset": "90m", "channels": ["sms"]}]}
    data = simulate(
        world,
        now="2027-03-27T11:00:00Z",
        bookedAt="2027-03-20T11:00:00Z",
        appointmentDateTime="2027-03-28T12:00:00+02:00",
        timezone="Europe/Berlin",
        policy=rules,
        settings={"quietHours": None, "emailEnabled": False, "lateBooking": "send_now"},
    )
    assert lines(data) == [("1d", "sms", "2027-03-27T11:00:00Z", None), ("90m", "sms", "2027-03-28T08:30:00Z", None)]
    assert [one["text"] for one in data["clockChanges"]] == [
        "On Sunday 28 March 2027 at 02:00 the clocks in Europe/Berlin go forward to 03:00."
    ]


def test_a_booking_follows_its_own_usual_policy(world: World) -> None:
    data = simulate(world, kind="booking", appointmentDateTime="2026-05-11T17:00:00Z")
    assert (data["policy"], len(data["reminders"])) == ("every-2h", 2)


def test_an_existing_one_is_tried_with_what_is_given_in_place_of_its_own(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(timezone="Europe/Berlin", email=None))
    response = world.salon.post(PATH, {"appointmentId": "uuid-123"})
    data = response.json["data"]
    assert data["appointmentDateTime"] == START
    assert data["timezone"] == "Europe/Berlin"
    moved = world.salon.post(PATH, {"appointmentId": "uuid-123", "appointmentDateTime": "2026-05-20T10:00:00Z"})
    assert moved.json["data"]["reminders"][2]["scheduledFor"] == "2026-05-19T10:00:00Z"
    assert world.salon.get("/api/appointments/uuid-123").json["data"]["appointmentDateTime"] == START
    assert world.salon.post(PATH, {"appointmentId": "nobody"}).status_code == 404
    assert world.outsider.post(PATH, {"appointmentId": "uuid-123"}).status_code == 404


def test_a_contact_is_found_by_its_id_and_an_opt_out_is_told(world: World) -> None:
    made = make(world.salon, "/api/appointments", appointment(contactId="uuid-456"))
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, "stop")
    data = simulate(world, contactId=made["contactId"])
    assert {one["channel"]: one["reason"] for one in data["reminders"]} == {"sms": "opted_out", "email": None}
    for tenant, name in ((world.salon, "nobody"), (world.outsider, "uuid-456")):
        response = tenant.post(PATH, {"appointmentDateTime": START, "contactId": name})
        assert list(response.json["error"]["fields"]) == ["contactId"]


def test_the_outsider_cannot_look_into_the_workspace(world: World) -> None:
    body = {"appointmentDateTime": START, "workspaceId": "ws_salon"}
    assert world.outsider.post(PATH, body).status_code == 404


BAD: dict[str, list[Any]] = {
    "now": [*TIMES, "9999-12-31T23:59:59Z", "0002-01-01T00:00:00Z", "2226-01-01T00:00:00Z"],
    "appointmentDateTime": [*TIMES, "2026-05-11T12:00:00Z", "2020-01-01T00:00:00Z", "9998-01-01T00:00:00Z"],
    "bookedAt": [*TIMES, "2020-01-01T00:00:00Z", "0002-01-01T00:00:00Z", "9998-01-01T00:00:00Z"],
    "timezone": [value for value in NO_TEXT if value is not None] + ["Gone/Away", "", "localtime", "../etc"],
    "eventType": [1, "", "x" * 101, "a\0b", "\ud800"],
    "policy": [1, True, [], "weekly", {}, {"rules": []}, {"rules": [{"type": "x"}]}, {"preset": 1}, {"x": "a\0"}],
    "settings": [
        1,
        [],
        {"x": 1},
        {"smsEnabled": "yes"},
        {"quietHours": {"start": "25:00", "end": "08:00"}},
        {"quietHours": {"start": "08:00", "end": "08:00"}},
        {"policy": "weekly"},
        {"lateBooking": "never"},
        {"eventPolicies": {"": "clinic"}},
        {"eventPolicies": {"a": "weekly"}},
    ],
    "contact": [1, [], {"phone": "12"}, {"email": "x"}, {"timezone": "Gone/Away"}, {"name": "x"}],
    "contactId": [1, "", "a b", "x" * 129, "a\0"],
    "appointmentId": [1, "", "a b", "x" * 81, "a\0"],
    "kind": [1, "", "meeting"],
    "workspaceId": [1, "", "a b"],
    "unknown": [1],
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bad_input_names_its_field_and_nothing_is_stored(world: World) -> None:
    before = stored(world)
    for name, values in BAD.items():
        for value in values:
            response = world.salon.post(PATH, {"appointmentDateTime": START} | {name: value})
            assert response.status_code == 422, (name, value, response.text)
            assert [one.split(".")[0] for one in response.json["error"]["fields"]] == [name], (value, response.text)
    assert list(world.salon.post(PATH, {}).json["error"]["fields"]) == ["appointmentDateTime"]
    assert world.salon.post_raw(PATH, b"[]").status_code == 400
    assert world.salon.post_raw(PATH, b'{"now": "' + b"x" * 10_000_000 + b'"}').status_code == 413
    assert stored(world) == before


def test_a_leap_day_and_the_end_of_the_year_are_days_like_any_other(world: World) -> None:
    data = simulate(world, now="2027-12-31T23:00:00Z", appointmentDateTime="2028-02-29T10:00:00Z")
    assert data["reminders"][2]["scheduledFor"] == "2028-02-28T10:00:00Z"


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]
offsets = st.sampled_from(["30m", "1h", "2h", "24h", "1d", "36h", "3d", "1w"])
rules = st.lists(
    st.one_of(
        st.just({"type": "at_booking"}),
        st.builds(lambda offset: {"type": "before", "offset": offset}, offsets),
        st.builds(lambda interval: {"type": "every", "interval": interval}, st.sampled_from(["2h", "1d"])),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda rule: rule.get("offset", rule["type"]),
)
policies = st.one_of(st.sampled_from(["classic", "clinic", "every-2h"]), st.builds(lambda some: {"rules": some}, rules))
hours = st.builds(lambda hour: f"{hour:02}:30", st.integers(0, 23))
quiet = st.none() | st.builds(
    lambda start, end, mode: {"start": start, "end": end, "mode": mode},
    hours,
    hours,
    st.sampled_from(["shift", "skip"]),
).filter(lambda value: value["start"] != value["end"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@given(
    policy=policies,
    quiet_hours=quiet,
    late=st.sampled_from(["skip", "send_now"]),
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    ahead=st.timedeltas(timedelta(minutes=1), timedelta(days=12)),
    kind=st.sampled_from(["appointment", "booking"]),
)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_says_what_a_real_booking_then_stores(
    world: World,
    policy: Any,
    quiet_hours: Any,
    late: str,
    zones: tuple[str, str],
    now: datetime,
    ahead: timedelta,
    kind: str,
) -> None:
    world.clock.set(now)
    start = (now + ahead).isoformat()
    draft = {"policy": policy, "quietHours": quiet_hours, "lateBooking": late}
    said = simulate(
        world,
        appointmentDateTime=start,
        timezone=zones[0],
        settings=draft,
        kind=kind,
        contact={"phone": PERSON, "timezone": zones[1]},
    )
    with writing() as session:
        draft_fields = SettingsFields.model_validate(draft, by_alias=True)
        reminder_settings.change(session, "ws_salon", draft_fields.checked(draft_fields.model_fields_set))
        contacts.find_or_create(session, "ws_salon", phone=PERSON, email=None, name="Anna").timezone = zones[1]
    name = f"x{stored(world)[0]}"
    common = {"email": None, "timezone": zones[0]}
    if kind == "booking":
        body, path = booking(bookingId=name, appointmentTime=start, **common), "/api/bookings"
    else:
        body, path = appointment(appointmentId=name, appointmentDateTime=start, **common), "/api/appointments"
    real = make(world.salon, path, body)
    found = [(one["reminderType"], one["channel"], one["scheduledFor"], one["reason"]) for one in real["reminders"]]
    assert sorted(found, key=str) == sorted(lines(said), key=str)
    valid = {(one["reminderType"], one["channel"]): one["validUntil"] for one in real["reminders"]}
    assert {(one["reminderType"], one["channel"]): one["validUntil"] for one in said["reminders"]} == valid
