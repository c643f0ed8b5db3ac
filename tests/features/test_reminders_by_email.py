"""An appointment's reminders, by SMS and by email, through the built-in test carrier: what seed 000 asks for."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.channels.registry import providers
from app.database import reading
from tests.answers import data_of, error_of
from tests.appointments import appointment, make
from tests.world import PERSON, SENDER, World

INBOX = "/api/sandbox/inbox"
BOOKED = {"appointmentDateTime": "2025-12-15T10:00:00Z"}


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    world = make_world(scripted=False, email_from="us@bellhop.example")
    world.clock.set(datetime(2025, 12, 13, 15, 0, tzinfo=UTC))
    return world


def inbox(world: World, **query: str) -> list[dict[str, str]]:
    return list(data_of(world.salon.get(INBOX, **query))["messages"])


def test_at_each_time_an_sms_and_an_email_go_out_and_are_written_down(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(**BOOKED))
    for moment in ("13T15:00", "14T10:00", "15T09:00"):
        world.clock.set(datetime.fromisoformat(f"2025-12-{moment}:00+00:00"))
        world.live(10)

    arrived = inbox(world)
    assert sorted(one["channel"] for one in arrived) == ["email"] * 3 + ["sms"] * 3
    emails = [one for one in arrived if one["channel"] == "email"]
    assert {one["fromNumber"] for one in emails} == {"us@bellhop.example"}
    assert all(one["subject"] and one["body"] for one in emails)
    assert [one["subject"] for one in arrived if one["channel"] == "sms"] == [None] * 3
    assert inbox(world, to=emails[0]["to"]) == emails

    query = text(
        "SELECT reminder_type, channel, status, sent_at IS NOT NULL, provider, twilio_sid, sendgrid_message_id"
        " FROM appointment_reminders ORDER BY scheduled_for, channel"
    )
    with reading() as session:
        rows = [tuple(row) for row in session.execute(query)]
    assert [row[:5] for row in rows] == [
        (kind, channel, "sent", 1, "sandbox")
        for kind in ("confirmation", "24hr", "1hr")
        for channel in ("email", "sms")
    ]
    # The id stands in the column of its channel.
    sids = {one["sid"] for one in arrived}
    assert all((row[6] if row[1] == "email" else row[5]) in sids for row in rows)
    assert all((row[5] if row[1] == "email" else row[6]) is None for row in rows)


def test_an_email_that_went_out_is_delivered(world: World) -> None:
    make(world.salon, "/api/appointments", appointment(**BOOKED))

    world.live(10)

    assert world.salon.status("reminder-confirmation-uuid-123-email")["messageStatus"] == "delivered"


def test_where_sms_is_real_there_is_no_test_phone_but_perhaps_a_test_mailbox(make_world: Callable[..., World]) -> None:
    real = {"sms_provider": "twilio", "twilio_account_sid": "ACtest", "twilio_auth_token": "token"}
    world = make_world(email_provider="sandbox", **real)

    assert data_of(world.salon.get(INBOX)) == {"messages": []}
    error_of(world.salon.post("/api/sandbox/reply", {"from": PERSON, "to": SENDER, "body": "STOP"}), 404)


def test_without_any_email_provider_the_email_is_said_to_be_unavailable(make_world: Callable[..., World]) -> None:
    world = make_world(scripted=False, email_provider="none")
    world.clock.set(datetime(2025, 12, 13, 15, 0, tzinfo=UTC))

    data = make(world.salon, "/api/appointments", appointment(**BOOKED))
    world.live(10)

    assert {one["channel"] for one in inbox(world)} == {"sms"}
    assert providers().get("email") is None
    emails = [one for one in data["reminders"] if one["channel"] == "email"]
    assert {one.status for one in world.messages() if one.channel == "email"} <= {"skipped"}
    assert all(one["status"] != "sent" for one in emails)
