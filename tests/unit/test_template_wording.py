"""Days, times and spans, in the appointment's own zone and as they are at the moment of sending."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.segments import count_segments, utf16_length
from app.errors import Invalid
from app.message_templates import service, wording
from app.message_templates.context import ALIASES, FIELDS, Facts, Person, Visit, value_of
from app.message_templates.defaults import DEFAULTS, Text
from app.message_templates.render import Field, TemplateError
from app.message_templates.service import compose

BRISBANE, NEW_YORK = ZoneInfo("Australia/Brisbane"), ZoneInfo("America/New_York")
SEED = datetime(2025, 12, 15, 10, tzinfo=NEW_YORK)
"""Seed 000's appointment: December 15, 2025 at 10:00 AM."""


def facts(now: datetime, starts_at: datetime = SEED, zone: ZoneInfo = NEW_YORK, **visit: str) -> Facts:
    return Facts(
        now=now.astimezone(UTC),
        zone=zone,
        business_name="Shear Delight",
        channel="sms",
        person=Person(None, "Ada", "Lovelace", "+12345678901", None, {"colour": "red", "visits": 3, "odd": ["x"]}),
        visit=Visit(starts_at.astimezone(UTC), None, "booking_123", **visit),
    )


def value(name: str, given: Facts, form: str | None = None) -> str | None:
    return value_of(given, Field(name, 1, form=form))


@pytest.mark.parametrize(
    "minutes, words, short",
    [
        (120, "2 hours", "2hr"),
        (60, "1 hour", "1hr"),
        (90, "1 hour 30 minutes", "1hr 30min"),
        (24 * 60, "24 hours", "24hr"),
        (45, "45 minutes", "45min"),
        (1, "1 minute", "1min"),
        (0.6, "1 minute", "1min"),
        (119.2, "2 hours", "2hr"),
        (59.6, "1 hour", "1hr"),
        (47 * 60 + 58, "2 days", "2d"),
        (3 * 24 * 60 + 4 * 60, "3 days 4 hours", "3d 4hr"),
        (25 * 60, "25 hours", "25hr"),
        (0.2, None, None),
        (0, None, None),
        (-90, None, None),
    ],
)
def test_a_span_is_told_in_natural_words(minutes: float, words: str | None, short: str | None) -> None:
    assert wording.span(timedelta(minutes=minutes)) == words
    assert wording.short_span(timedelta(minutes=minutes)) == short


@given(st.timedeltas(timedelta(0), timedelta(days=800)))
def test_a_span_is_never_far_from_the_truth(length: timedelta) -> None:
    units = {"day": 1440, "hour": 60, "minute": 1}
    words = (wording.span(length) or "0 minute").split()
    told = sum(int(number) * units[unit.rstrip("s")] for number, unit in zip(words[::2], words[1::2], strict=True))

    assert abs(told - length.total_seconds() / 60) <= max(length.total_seconds() / 60 * 0.05, 0.5)


@pytest.mark.parametrize(
    "day, words",
    [
        (date(2025, 12, 14), "today"),
        (date(2025, 12, 15), "tomorrow"),
        (date(2025, 12, 16), "Tuesday 16 December"),
        (date(2025, 12, 13), "Saturday 13 December"),
        (date(2026, 3, 1), "Sunday 1 March"),
        (date(2026, 12, 14), "Monday 14 December 2026"),
        (date(2028, 2, 29), "Tuesday 29 February 2028"),
    ],
)
def test_a_day_is_told_as_seen_from_today(day: date, words: str) -> None:
    assert wording.day_word(day, date(2025, 12, 14)) == words


@pytest.mark.parametrize(
    "hour, minute, twelve", [(0, 5, "12:05 AM"), (12, 30, "12:30 PM"), (10, 0, "10:00 AM"), (23, 59, "11:59 PM")]
)
def test_the_clock_has_twelve_hours_and_on_demand_twenty_four(hour: int, minute: int, twelve: str) -> None:
    at = datetime(2026, 1, 1, hour, minute, tzinfo=UTC)
    given = facts(at, at, ZoneInfo("UTC"))

    assert value("appointment.time", given) == twelve
    assert value("appointment.time", given, "24h") == f"{hour:02}:{minute:02}"


def test_the_seed_s_two_sentences_come_out_as_printed() -> None:
    day_before = facts(SEED - timedelta(hours=24))
    hour_before = facts(SEED - timedelta(hours=1))

    for channel in ("sms", "whatsapp"):
        assert compose(DEFAULTS["24h", channel], day_before).body == "Your appt is tomorrow!"
        assert compose(DEFAULTS["1h", channel], hour_before).body == "Your appt starts in 1hr!"
    assert compose(DEFAULTS["24h", "email"], day_before).subject == "Your appt is tomorrow!"
    assert compose(DEFAULTS["1h", "email"], hour_before).subject == "Your appt starts in 1hr!"


def test_tomorrow_is_never_said_on_another_day() -> None:
    late = compose(DEFAULTS["24h", "sms"], facts(SEED - timedelta(hours=9)))
    early = compose(DEFAULTS["24h", "sms"], facts(SEED - timedelta(hours=36)))

    assert late.body == "Your appt is today!"
    assert early.body == "Your appt is Monday 15 December!"


def test_the_day_is_that_of_the_appointment_s_zone() -> None:
    # 23:30 UTC on Sunday is half past nine on Monday in Brisbane: there the appointment is on this very day.
    now = datetime(2026, 5, 10, 23, 30, tzinfo=UTC)
    starts_at = datetime(2026, 5, 11, 5, 0, tzinfo=UTC)

    assert value("appointment.day", facts(now, starts_at, BRISBANE)) == "today"
    assert value("appointment.day", facts(now, starts_at, ZoneInfo("UTC"))) == "tomorrow"
    assert value("appointment.datetime", facts(now, starts_at, BRISBANE)) == "Monday 11 May 2026 at 3:00 PM"


def test_an_hour_in_the_night_of_the_clock_change_has_sixty_minutes() -> None:
    # At 02:00 clocks in Berlin went on to 03:00.
    starts_at = datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    given = facts(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), starts_at, ZoneInfo("Europe/Berlin"))

    assert value("appointment.time_until", given) == "1 hour"


def test_seed_004_s_names_are_known() -> None:
    given = facts(SEED - timedelta(hours=2), service="Haircut", staff="Sam")

    assert [value(name, given) for name in ("service_name", "barber_name", "time_until")] == [
        "Haircut",
        "Sam",
        "2 hours",
    ]
    assert all(name in FIELDS for name in ALIASES.values())


def test_fields_of_the_workspace_s_own_are_plain_texts() -> None:
    given = facts(SEED)

    assert value("contact.fields.colour", given) == "red"
    assert value("contact.fields.visits", given) == "3"
    assert value("contact.fields.odd", given) is None
    assert value("contact.fields.none", given) is None


@pytest.mark.parametrize(
    "name, near",
    [
        ("contact.frist_name", "contact.first_name"),
        ("appointment.sevice", "appointment.service"),
        ("contact.__class__", None),
        ("contact.fields.a.b", None),
        ("appointment.starts_at.tzinfo", None),
        ("links", None),
    ],
)
def test_there_is_nothing_beside_the_list(name: str, near: str | None) -> None:
    with pytest.raises(TemplateError) as refused:
        value(name, facts(SEED))
    assert name in str(refused.value)
    assert near is None or f"do you mean {near}?" in str(refused.value)


@pytest.mark.parametrize("name", [name for name in FIELDS if not name.startswith("links.")])
def test_no_value_is_longer_than_its_field_says(name: str) -> None:
    long = "\U0001f600" * 600
    given = Facts(
        now=datetime(2025, 9, 3, 0, 0, tzinfo=UTC),
        zone=ZoneInfo("UTC"),
        business_name=long,
        person=Person(None, long, long, long, long, {}),
        visit=Visit(datetime(2028, 9, 27, 22, 58, tzinfo=UTC), None, long, long, long, long, long),
    )
    plain, _, form = name.partition("|")
    found = value(plain, given, form or None)

    assert found
    assert utf16_length(found) <= FIELDS[name].longest
    found.encode()  # no half of a pair


USUAL = {
    "service": "Haircut and beard trim",
    "staff": "Christopher",
    "location": "12 High Street",
    "event_name": "Haircut",
}


@pytest.mark.parametrize("kind, channel", [key for key in DEFAULTS if key[1] != "email"])
def test_a_default_text_is_one_segment_of_gsm_7(kind: str, channel: str) -> None:
    wednesday = datetime(2026, 9, 30, 12, 30, tzinfo=NEW_YORK)
    done = compose(DEFAULTS[kind, channel], facts(wednesday - timedelta(hours=3, minutes=25), wednesday, **USUAL))

    counted = count_segments(done.body)
    assert not done.missing
    assert (counted.encoding, counted.segments) == ("GSM-7", 1), done.body


@pytest.mark.parametrize("kind, channel", DEFAULTS)
def test_a_default_text_would_be_accepted_as_one_s_own(kind: str, channel: str) -> None:
    text = DEFAULTS[kind, channel]
    service.check(channel, text.body, text.subject)


@pytest.mark.parametrize("kind, channel", [key for key in DEFAULTS if key[1] != "email"])
def test_a_default_text_needs_nothing_but_an_appointment(kind: str, channel: str) -> None:
    bare = Facts(now=SEED - timedelta(hours=2), zone=ZoneInfo("UTC"), visit=Visit(SEED))

    assert compose(DEFAULTS[kind, channel], bare).missing == ()


def test_seed_004_s_reminder_tells_service_barber_and_the_time_left() -> None:
    given = facts(SEED - timedelta(hours=2), service="haircut", staff="Sam")

    assert compose(DEFAULTS["reminder", "whatsapp"], given).body == (
        "Reminder: your haircut with Sam is today at 10:00 AM, in 2 hours."
    )
    assert "your haircut with Sam" in compose(DEFAULTS["cancellation", "whatsapp"], given).body


def test_a_text_that_may_come_out_too_long_is_refused_and_one_that_fits_passes() -> None:
    field = FIELDS["contact.first_name"].longest
    service.check("sms", "x" * (1600 - field) + "{{ contact.first_name }}")
    with pytest.raises(Invalid) as refused:
        service.check("sms", "x" * (1601 - field) + "{{ contact.first_name }}")
    assert "1,601" in refused.value.fields["body"][0]
    service.check("email", "x" * 90_000)


def test_a_subject_is_one_line_whatever_the_values() -> None:
    given = facts(SEED, service="x\r\nBcc: everybody@example.com")

    assert compose(Text("b", "{{ appointment.service }}"), given).subject == "x Bcc: everybody@example.com"
