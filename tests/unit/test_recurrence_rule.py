"""What a rule may be: every refusal names its field, and nothing but a refusal is raised."""

import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.messages.recurrence import RecurrenceError, Rule, next_runs

NOON = "0 12 * * *"


def refusal(**fields: object) -> RecurrenceError:
    with pytest.raises(RecurrenceError) as caught:
        Rule.parse(**{"timezone": "UTC", **fields})
    return caught.value


NO_PLACES = [
    "",
    " ",
    ".",
    "localtime",
    "posixrules",
    "Factory",
    "UTC+2",
    "+02:00",
    "Mars/Base",
    "America",
    " UTC",
]
NO_NAMES = [
    "Europe/Berlin/",
    "europe/berlin",
    "Europe\\Berlin",
    "posix/UTC",
    "right/UTC",
    "zone.tab",
    "x" * 5000,
]
HOSTILE = ["../etc/passwd", "/etc/passwd", "/usr/share/zoneinfo/UTC", "Europe/../UTC", "UTC\0", "\ud800", "é"]


@pytest.mark.parametrize("zone", NO_PLACES + NO_NAMES + HOSTILE)
def test_a_string_that_is_no_iana_zone_is_refused(zone):
    assert refusal(cron=NOON, timezone=zone).field == "timezone"


def test_a_stored_zone_that_is_no_longer_known_is_the_same_error():
    with pytest.raises(RecurrenceError):
        next_runs(Rule((NOON,), "Gone/Away"), datetime(2026, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "US/Eastern"])
def test_iana_zones_and_their_old_names_are_taken(zone):
    assert Rule.parse(cron=NOON, timezone=zone).timezone == zone


@pytest.mark.parametrize(
    "cron, message",
    [
        ("", "5 fields"),
        ("* * * *", "5 fields"),
        ("0 0 12 * * *", "5 fields"),
        ("@daily", "5 fields"),
        ("60 12 * * *", "Bad minute"),
        ("0 24 * * *", "Bad hour"),
        ("0 12 0 * *", "Bad day-of-month"),
        ("0 12 * 13 *", "Bad month"),
        ("0 12 * * 8", "Bad day-of-week"),
        ("0 12 * * MON#6", "Bad day-of-week"),
        ("0 12-9 * * *", "Bad hour"),
        ("*/0 * * * *", "Bad minute"),
        ("0 +1 * * *", "Bad hour"),
        ("0 1_0 * * *", "Bad hour"),
        ("0 12 * * ٣L", "ASCII"),
        ("0 ١٢ * * *", "ASCII"),
        ("0 \uff19 * * *", "ASCII"),
        ("0 12 * * *\0", "Bad day-of-week"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 */29 2 MON#2", "never fires"),
        ("0 12 * * " + "1," * 100 + "1", "200"),
    ],
)
def test_a_cron_that_is_not_one_or_never_fires_is_refused(cron, message):
    error = refusal(cron=cron)
    assert error.field == "cron"
    assert message in error.message


def test_the_search_for_a_first_run_is_bounded():
    begin = time.perf_counter()
    assert "never fires" in refusal(cron="* * */29 * MON#2").message
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "0 0 * 2 MON#5", "0 0 31 * *", "59 23 L 12 *", "0 0 30 2 MON"])
def test_rare_crons_that_do_fire_are_taken(cron):
    assert Rule.parse(cron=cron, timezone="UTC").crons == (cron,)


def test_spaces_are_evened_out_and_equal_crons_kept_once():
    assert Rule.parse(crons=[" 0  12 * *\t* ", NOON], timezone="UTC").crons == (NOON,)


def test_exactly_one_of_cron_and_crons_with_one_to_24_items_is_required():
    assert refusal().field == "cron"
    assert refusal(crons=[]).field == "crons"
    assert refusal(cron=NOON, crons=[NOON]).field == "crons"
    assert refusal(crons=[f"{minute} 9 * * *" for minute in range(25)]).field == "crons"
    assert len(Rule.parse(crons=[f"{minute} 9 * * *" for minute in range(24)], timezone="UTC").crons) == 24


def test_a_bad_item_of_crons_is_named_by_its_place():
    error = refusal(crons=[NOON, "0 25 * * *"])
    assert (error.field, error.message[:7]) == ("crons", "item 1:")


@pytest.mark.parametrize("count", [0, -1, 100_001, True, False])
def test_a_count_outside_1_to_100000_is_refused(count):
    assert refusal(cron=NOON, count=count).field == "count"


@pytest.mark.parametrize("count", [None, 1, 100_000])
def test_a_count_within_bounds_is_kept(count):
    assert Rule.parse(cron=NOON, timezone="UTC", count=count).count == count


@pytest.mark.parametrize("until", [datetime(2030, 1, 1), datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))])
def test_an_until_that_names_no_instant_is_refused(until):
    assert refusal(cron=NOON, until=until).field == "until"


def test_until_is_kept_in_utc():
    until = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    rule = Rule.parse(cron=NOON, timezone="UTC", until=until)
    assert rule.until is not None
    assert rule.until.isoformat() == "2030-01-01T10:00:00+00:00"


@pytest.mark.parametrize("text", ["", "20261224", "2026-W01-1", "2026-02-30", "2026-12-24T00:00", "٢٠٢٦-12-24", "x"])
def test_a_skip_date_that_is_not_a_plain_date_is_refused(text):
    assert refusal(cron=NOON, skip_dates=["2026-01-01", text]).field == "skipDates"


def test_skip_dates_are_taken_as_text_or_dates_and_at_most_1000():
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(1_001)]
    assert refusal(cron=NOON, skip_dates=days).field == "skipDates"
    rule = Rule.parse(cron=NOON, timezone="UTC", skip_dates=["2026-01-01", date(2026, 1, 2)])
    assert rule.skip_dates == frozenset(days[:2])


FIELD = st.text(alphabet="0123456789*/-,#LWMONJAFRI? ", max_size=8)


def refused_field(cron: str, zone: str) -> str | None:
    try:
        Rule.parse(cron=cron, timezone=zone)
    except RecurrenceError as error:
        return error.field
    return None


@settings(deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(FIELD, min_size=5, max_size=5).map(" ".join)))
def test_any_text_is_a_cron_that_fires_or_a_refusal(text):
    field = refused_field(text, "UTC")
    assert field in {"cron", None}
    if field is None:
        assert len(next_runs(Rule((text,), "Europe/Berlin"), datetime(2026, 1, 1, tzinfo=UTC), 2)) == 2


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_zone_or_a_refusal(text):
    assert refused_field(NOON, text) in {"timezone", None}
