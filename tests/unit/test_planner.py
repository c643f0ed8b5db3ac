"""The planner's timelines: those that the seeds print, and each way in which a reminder is moved or left out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.errors import Invalid
from app.messages.states import Reason
from app.quiet_hours import QuietHours
from app.reminders.planner import MAX_REMINDERS, Facts, Planned, Preferences, plan
from app.reminders.policy import CLASSIC, PRESETS, Policy, Rule, parse_offset, parse_policy

BERLIN, APIA, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia"), ZoneInfo("Australia/Lord_Howe")
NIGHT = QuietHours(time(21), time(8))
BOTH = {"sms": "+12345678901", "email": "anna@example.com"}


def at(text: str) -> datetime:
    """An instant; UTC where it has no offset."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def facts(starts: str, booked: str, zone: ZoneInfo | None = None, **changes: object) -> Facts:
    there = zone or ZoneInfo("UTC")
    return replace(Facts("uuid-123", at(starts), at(booked), there, there, {"sms": "+12345678901"}), **changes)


def before(*offsets: str, clock: str | None = None) -> Policy:
    rules = [{"type": "before", "offset": text} | ({"clock": clock} if clock else {}) for text in offsets]
    return parse_policy({"rules": rules})


def every(interval: str, **changes: object) -> Policy:
    return parse_policy({"rules": [{"type": "every", "interval": interval} | changes]})


def times(planned: Sequence[Planned]) -> list[tuple[str, str, Reason | None]]:
    return [(one.reminder_type, f"{one.due_at.astimezone(UTC):%d %H:%M}", one.reason) for one in planned]


def sent(planned: Sequence[Planned]) -> list[str]:
    return [f"{one.due_at.astimezone(UTC):%d %H:%M}" for one in planned if one.reason is None]


class TestTheSeeds:
    def test_seed_000_three_moments_on_two_channels(self) -> None:
        story = facts("2025-12-15T10:00", "2025-12-13T15:00", addresses=BOTH)

        planned = plan(story, CLASSIC, Preferences(quiet=NIGHT), story.booked_at)

        assert [(one.reminder_type, one.channel, one.job_id, one.due_at, one.reason) for one in planned] == [
            ("confirmation", "sms", "reminder-confirmation-uuid-123", at("2025-12-13T15:00"), None),
            ("confirmation", "email", "reminder-confirmation-uuid-123-email", at("2025-12-13T15:00"), None),
            ("24h", "sms", "reminder-24hr-uuid-123", at("2025-12-14T10:00"), None),
            ("24h", "email", "reminder-24hr-uuid-123-email", at("2025-12-14T10:00"), None),
            ("1h", "sms", "reminder-1hr-uuid-123", at("2025-12-15T09:00"), None),
            ("1h", "email", "reminder-1hr-uuid-123-email", at("2025-12-15T09:00"), None),
        ]
        assert [one.valid_until for one in planned[::2]] == [
            at("2025-12-14T15:00"),
            at("2025-12-14T22:00"),
            at("2025-12-15T09:30"),
        ]

    def test_seed_004_every_two_hours_and_the_fifth_is_skipped(self) -> None:
        story = facts("2024-12-31T10:00", "2024-12-31T00:00", appointment_id="booking_123")
        story = replace(story, addresses={"sms": "+12345678901", "whatsapp": "whatsapp:+12345678901"})

        planned = plan(story, PRESETS["every-2h"], Preferences(quiet=NIGHT), story.booked_at)

        assert [(one.job_id, f"{one.due_at:%H:%M}", one.reason) for one in planned] == [
            ("booking_123-reminder-1", "02:00", None),
            ("booking_123-reminder-2", "04:00", None),
            ("booking_123-reminder-3", "06:00", None),
            ("booking_123-reminder-4", "08:00", None),
            ("booking_123-reminder-5", "10:00", Reason.AT_APPOINTMENT_TIME),
        ]
        assert {one.channel for one in planned} == {"whatsapp"}
        assert [f"{one.valid_until:%H:%M}" for one in planned[:4]] == ["04:00", "06:00", "08:00", "10:00"]

    @pytest.mark.parametrize(("minutes", "count"), [(119, 0), (120, 0), (121, 1), (599, 4), (601, 5)])
    def test_seed_004_less_than_two_hours_away_nothing_is_sent(self, minutes: int, count: int) -> None:
        story = facts("2026-05-11T22:00", "2026-05-11T12:00")
        story = replace(story, booked_at=story.starts_at - timedelta(minutes=minutes))
        planned = plan(story, every("2h"), Preferences(), story.booked_at)

        assert len(sent(planned)) == count
        if minutes < 120:
            assert [(one.reminder_type, one.reason) for one in planned] == [("every-1", Reason.BOOKED_LATE)]

    def test_seed_002_a_day_and_two_hours_before_only_if_in_the_future(self) -> None:
        story = facts("2026-05-12T18:00", "2026-05-12T12:00")
        assert times(plan(story, PRESETS["clinic"], Preferences(), story.booked_at)) == [
            ("24h", "11 18:00", Reason.BOOKED_LATE),
            ("2h", "12 16:00", None),
        ]

    def test_weeks_ahead_every_two_hours_has_all_its_reminders_from_the_first_on(self) -> None:
        story = facts("2026-06-11T12:00", "2026-05-11T12:00")
        planned = plan(story, PRESETS["every-2h"], Preferences(), story.booked_at)
        assert [one.job_id for one in planned[:2]] == ["uuid-123-reminder-1", "uuid-123-reminder-2"]
        assert len(sent(planned)) == 31 * 12 - 1


class TestLate:
    @pytest.mark.parametrize(
        ("offset", "minutes", "goes"),
        [("24h", 30, True), ("24h", 31, False), ("1h", 6, True), ("1h", 7, False), ("30m", 3, True), ("30m", 4, False)],
    )
    def test_within_a_tenth_of_the_offset_or_half_an_hour_it_goes_at_once(
        self, offset: str, minutes: int, goes: bool
    ) -> None:
        story = facts("2026-05-15T12:00", "2026-05-01T12:00")
        story = replace(story, booked_at=story.starts_at - parse_offset(offset).length + timedelta(minutes=minutes))

        [one] = plan(story, before(offset), Preferences(), story.booked_at)

        assert (one.due_at, one.reason) == ((story.booked_at, None) if goes else (one.planned_for, Reason.BOOKED_LATE))

    def test_where_the_workspace_wants_it_the_late_one_nearest_to_the_appointment_goes_now(self) -> None:
        story = facts("2026-05-11T12:30", "2026-05-11T12:00")
        wishes = Preferences(late_booking="send_now")
        assert times(plan(story, CLASSIC, wishes, story.booked_at)) == [
            ("confirmation", "11 12:00", None),
            ("24h", "11 12:00", Reason.SUPERSEDED),
            ("1h", "11 12:00", None),
        ]

    def test_the_confirmation_goes_whenever_it_was_booked(self) -> None:
        story = facts("2026-05-12T03:10", "2026-05-12T03:00")
        assert sent(plan(story, CLASSIC, Preferences(quiet=NIGHT), story.booked_at)) == ["12 03:00"]

    @pytest.mark.parametrize("booked", ["2026-05-12T03:10", "2026-05-12T04:00"])
    @pytest.mark.parametrize("late_booking", ["skip", "send_now"])
    def test_once_the_appointment_has_begun_nothing_goes(self, booked: str, late_booking: str) -> None:
        story = facts("2026-05-12T03:10", booked)
        wishes = Preferences(late_booking=late_booking)  # type: ignore[arg-type]
        assert {one.reason for one in plan(story, CLASSIC, wishes, story.booked_at)} == {Reason.BOOKED_LATE}
        story = facts("2026-05-12T03:10", "2026-05-11T00:00")
        assert sent(plan(story, CLASSIC, wishes, at(booked))) == []

    def test_a_confirmation_is_of_use_for_a_day(self) -> None:
        story = facts("2026-05-20T12:00", "2026-05-11T12:00")
        soon = plan(story, CLASSIC, Preferences(), at("2026-05-12T11:59"))[0]
        over = plan(story, CLASSIC, Preferences(), at("2026-05-12T12:00"))[0]
        assert (soon.due_at, soon.valid_until, soon.reason) == (at("2026-05-12T11:59"), at("2026-05-12T12:00"), None)
        assert over.reason is Reason.EXPIRED

    def test_planned_again_the_intervals_that_were_missed_are_not_made_up_for(self) -> None:
        story = facts("2026-05-11T22:00", "2026-05-11T12:00")
        planned = plan(story, every("2h"), Preferences(late_booking="send_now"), at("2026-05-11T16:10"))
        assert times(planned) == [
            ("every-1", "11 14:00", Reason.BOOKED_LATE),
            ("every-2", "11 16:10", None),
            ("every-3", "11 18:00", None),
            ("every-4", "11 20:00", None),
            ("every-5", "11 22:00", Reason.AT_APPOINTMENT_TIME),
        ]


class TestQuietHours:
    def test_what_falls_into_them_waits_for_their_end_in_the_recipient_s_zone(self) -> None:
        story = facts("2026-05-13T22:00", "2026-05-10T12:00", recipient_zone=BERLIN)  # midnight in Berlin
        [one] = plan(story, before("24h"), Preferences(quiet=NIGHT), story.booked_at)
        assert (one.planned_for, one.due_at) == (at("2026-05-12T22:00"), at("2026-05-13T08:00+02:00"))
        assert [step["step"] for step in one.steps] == ["rule", "offset", "quiet_hours"]
        assert "21:00 to 08:00, Europe/Berlin" in one.steps[-1]["text"]

    @pytest.mark.parametrize(
        ("starts", "reason"),
        [("08:30", Reason.QUIET_HOURS), ("08:59", None), ("07:30", Reason.QUIET_HOURS), ("09:00", None)],
    )
    def test_not_where_it_would_be_too_late_to_be_of_use(self, starts: str, reason: Reason | None) -> None:
        """More than half of the offset late is too late."""
        story = facts(f"2026-05-13T{starts}", "2026-05-10T12:00")
        [one] = plan(story, before("1h"), Preferences(quiet=NIGHT), story.booked_at)
        assert one.reason is reason

    def test_or_is_skipped_where_the_workspace_says_so(self) -> None:
        story = facts("2026-05-13T22:00", "2026-05-10T12:00")
        wishes = Preferences(quiet=replace(NIGHT, mode="skip"))
        assert [one.reason for one in plan(story, before("24h"), wishes, story.booked_at)] == [Reason.QUIET_HOURS]

    def test_the_nightly_ones_of_a_row_are_not_all_sent_in_the_morning(self) -> None:
        story = facts("2026-05-12T12:30", "2026-05-11T18:00")
        planned = plan(story, every("2h"), Preferences(quiet=NIGHT), story.booked_at)
        assert sent(planned) == ["11 20:00", "12 08:00", "12 10:00", "12 12:00"]
        assert [one.reminder_type for one in planned if one.reason is Reason.QUIET_HOURS] == [
            f"every-{number}" for number in (2, 3, 4, 5, 6)
        ]

    def test_of_several_that_they_move_to_one_moment_the_nearest_to_the_appointment_goes(self) -> None:
        story = facts("2026-05-13T22:30", "2026-05-10T12:00")
        planned = plan(story, before("24h", "20h", "14h"), Preferences(quiet=NIGHT), story.booked_at)
        assert times(planned) == [
            ("24h", "13 08:00", Reason.SUPERSEDED),
            ("20h", "13 08:00", None),
            ("14h", "13 08:30", None),
        ]

    def test_a_rule_may_be_exempt(self) -> None:
        story = facts("2026-05-13T22:00", "2026-05-10T12:00")
        policy = parse_policy({"rules": [{"type": "before", "offset": "24h", "quietHours": False}]})
        assert sent(plan(story, policy, Preferences(quiet=NIGHT), story.booked_at)) == ["12 22:00"]

    def test_planned_again_during_the_night_it_still_goes_in_the_morning(self) -> None:
        story = facts("2026-05-13T22:00", "2026-05-10T12:00")
        for now in ("2026-05-10T12:00", "2026-05-12T23:00", "2026-05-13T07:59"):
            assert sent(plan(story, before("24h"), Preferences(quiet=NIGHT), at(now))) == ["13 08:00"]


class TestClocks:
    """Nights in which the clocks change; wall-clock offsets keep the time of day, elapsed ones the length."""

    @pytest.mark.parametrize(
        ("starts", "offset", "due"),
        [
            # Europe/Berlin, 29 March 2026: 02:00 to 03:00 is left out.
            ("2026-03-29T10:00+02:00", "1d", "2026-03-28T10:00+01:00"),
            ("2026-03-29T10:00+02:00", "24h", "2026-03-28T09:00+01:00"),
            ("2026-03-30T02:30+02:00", "1d", "2026-03-29T03:30+02:00"),
            # 25 October 2026: 02:00 to 03:00 is shown twice; the first pass counts.
            ("2026-10-25T10:00+01:00", "1d", "2026-10-24T10:00+02:00"),
            ("2026-10-25T10:00+01:00", "24h", "2026-10-24T11:00+02:00"),
            ("2026-10-26T02:30+01:00", "1d", "2026-10-25T02:30+02:00"),
            ("2026-11-01T10:00+01:00", "1w", "2026-10-25T10:00+01:00"),
        ],
    )
    def test_in_berlin(self, starts: str, offset: str, due: str) -> None:
        story = facts(starts, "2026-01-01T00:00", BERLIN)
        assert [one.due_at for one in plan(story, before(offset), Preferences(), story.booked_at)] == [at(due)]

    def test_where_the_clock_moves_by_half_an_hour(self) -> None:
        story = facts("2026-10-05T02:15+11:00", "2026-01-01T00:00", LORD_HOWE)
        # 4 October: 02:00 to 02:30 is left out.
        assert [one.due_at for one in plan(story, before("1d"), Preferences(), story.booked_at)] == [
            at("2026-10-04T02:45+11:00")
        ]

    def test_where_the_calendar_left_out_a_day_it_would_come_at_the_appointment_itself(self) -> None:
        story = facts("2011-12-31T10:00+14:00", "2011-12-01T00:00", APIA)
        [one] = plan(story, before("1d"), Preferences(), story.booked_at)
        assert one.reason is Reason.AT_APPOINTMENT_TIME
        [one] = plan(story, before("24h"), Preferences(), story.booked_at)
        assert (one.due_at, one.reason) == (at("2011-12-29T10:00-10:00"), None)

    def test_hours_may_be_read_off_the_wall_and_days_counted(self) -> None:
        story = facts("2026-03-29T10:00+02:00", "2026-01-01T00:00", BERLIN)
        [wall] = plan(story, before("24h", clock="wall"), Preferences(), story.booked_at)
        [elapsed] = plan(story, before("1d", clock="elapsed"), Preferences(), story.booked_at)
        assert (wall.due_at, elapsed.due_at) == (at("2026-03-28T10:00+01:00"), at("2026-03-28T09:00+01:00"))

    def test_a_row_by_days_keeps_the_time_of_day(self) -> None:
        story = facts("2026-03-31T12:00+02:00", "2026-03-27T09:00+01:00", BERLIN)
        planned = plan(story, every("1d"), Preferences(), story.booked_at)
        assert sent(planned) == ["28 08:00", "29 07:00", "30 07:00", "31 07:00"]


class TestChannels:
    def test_somebody_without_an_address_is_told_of(self) -> None:
        story = facts("2026-05-15T12:00", "2026-05-11T12:00", addresses={"sms": None, "email": "a@example.com"})
        planned = plan(story, before("24h"), Preferences(), story.booked_at)
        assert [(one.channel, one.reason) for one in planned] == [("sms", Reason.NO_ADDRESS), ("email", None)]

    def test_a_channel_that_is_switched_off_is_not_planned(self) -> None:
        story = facts("2026-05-15T12:00", "2026-05-11T12:00", addresses=BOTH)
        planned = plan(story, before("24h"), Preferences(channels=("email",)), story.booked_at)
        assert [(one.channel, one.job_id) for one in planned] == [("email", "reminder-24hr-uuid-123")]

    def test_but_recorded_where_the_policy_names_it(self) -> None:
        story = facts("2026-05-15T12:00", "2026-05-11T12:00", addresses=BOTH)
        policy = replace(before("24h"), channels=("email",))
        planned = plan(story, policy, Preferences(channels=("sms",)), story.booked_at)
        assert [(one.channel, one.reason) for one in planned] == [("email", Reason.CHANNEL_UNAVAILABLE)]

    def test_whatsapp_that_cannot_be_used_is_replaced_by_sms(self) -> None:
        story = facts("2026-05-11T17:00", "2026-05-11T12:00")
        planned = plan(story, PRESETS["every-2h"], Preferences(), story.booked_at)
        assert {one.channel for one in planned} == {"sms"}

    def test_a_rule_may_have_channels_of_its_own(self) -> None:
        story = facts("2026-05-15T12:00", "2026-05-11T12:00", addresses=BOTH)
        rules = [{"type": "before", "offset": "24h", "channels": ["email"]}, {"type": "before", "offset": "1h"}]
        policy = parse_policy({"rules": rules, "channels": ["sms"]})
        planned = plan(story, policy, Preferences(), story.booked_at)
        assert [(one.reminder_type, one.channel) for one in planned] == [("24h", "email"), ("1h", "sms")]

    def test_the_fallback_leaves_out_what_is_used_anyway_and_what_cannot_be(self) -> None:
        story = facts("2026-05-15T12:00", "2026-05-11T12:00", addresses=BOTH)
        policy = replace(before("24h"), channels=("sms",), fallback=("whatsapp", "sms", "email"))
        assert [one.fallback for one in plan(story, policy, Preferences(), story.booked_at)] == [("email",)]
        nobody = replace(story, addresses={"sms": "+12345678901", "email": None})
        assert [one.fallback for one in plan(nobody, policy, Preferences(), story.booked_at)] == [()]


class TestBounds:
    def test_a_plan_of_too_many_is_refused_by_name(self) -> None:
        story = facts("2028-05-11T12:00", "2026-05-11T12:00")
        with pytest.raises(Invalid) as refused:
            plan(story, every("15m"), Preferences(), story.booked_at)
        assert list(refused.value.fields) == ["policy"]

    def test_as_many_as_seed_004_has_in_two_years_are_planned(self) -> None:
        story = facts("2028-05-11T12:00", "2026-05-11T12:00")
        assert 8_000 < len(plan(story, PRESETS["every-2h"], Preferences(), story.booked_at)) <= MAX_REMINDERS

    @pytest.mark.parametrize("year", [1, 1969, 9000, 9999])
    def test_years_at_the_end_of_the_calendar_are_refused(self, year: int) -> None:
        with pytest.raises(ValueError, match="years"):
            facts(f"{year:04}-01-01T00:00", "2026-05-11T12:00")
        with pytest.raises(ValueError, match="years"):
            facts("2026-05-11T12:00", f"{year:04}-12-31T23:59")

    def test_a_year_before_the_first_and_after_the_last_still_works(self) -> None:
        rule = Rule("before", "52w", "52w", parse_offset("52w"))
        for starts in ("1970-01-01T00:00", "8999-12-31T23:59"):
            assert plan(facts(starts, "1970-01-01T00:00"), Policy("x", (rule,)), Preferences(quiet=NIGHT), at(starts))

    def test_naive_times_are_refused(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            replace(facts("2026-05-11T12:00", "2026-05-11T12:00"), starts_at=datetime(2026, 5, 11))

    def test_29_february(self) -> None:
        story = facts("2028-02-29T10:00+01:00", "2028-02-01T00:00", BERLIN)
        assert sent(plan(story, before("1d", "1w"), Preferences(), story.booked_at)) == ["28 09:00", "22 09:00"]
