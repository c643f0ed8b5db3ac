"""Seed 003's ledger: as functions, and as /api/reminders."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from app.database import reading, writing
from app.messages import sweep
from app.messages.models import Message
from app.reminders import tracker
from app.reminders.models import ReminderSent
from app.reminders.tracker import (
    cleanup_old_reminders,
    get_reminders_sent_for_entity,
    mark_reminder_as_sent,
    release_reminder,
    was_reminder_sent,
)
from tests.answers import data_of, error_of, fields_of
from tests.appointments import appointment, make, plan
from tests.together import together
from tests.world import Tenant, World

PATH = "/api/reminders"
MEETING = {"entityType": "MEETING", "entityId": "meeting-123", "reminderType": "24h", "userId": "user-456"}
SEED = {"entity_type": "MEETING", "entity_id": "meeting-123", "reminder_type": "24h", "user_id": "user-456"}


def mark(tenant: Tenant, **changes: Any) -> bool:
    return bool(data_of(tenant.post(f"{PATH}/mark", MEETING | changes))["shouldSend"])


def was_sent(tenant: Tenant, **changes: Any) -> bool:
    return bool(data_of(tenant.get(f"{PATH}/was-sent", **(MEETING | changes)))["wasSent"])


def sent(tenant: Tenant, entity_type: str = "MEETING", entity_id: str = "meeting-123") -> list[dict[str, Any]]:
    return list(data_of(tenant.get(f"{PATH}/sent", entityType=entity_type, entityId=entity_id))["reminders"])


def marks() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(ReminderSent)) or 0


class TestFunctions:
    def test_the_seed_s_calls_mean_what_it_says(self, world: World) -> None:
        assert was_reminder_sent(**SEED) is False
        assert mark_reminder_as_sent(**SEED) is True
        assert mark_reminder_as_sent(**SEED) is False
        assert was_reminder_sent(**SEED) is True
        [one] = get_reminders_sent_for_entity("MEETING", "meeting-123")
        assert (one.reminder_type, one.user_id, one.sent_at) == ("24h", "user-456", world.clock.now())

    @pytest.mark.parametrize(
        ("entity_type", "reminder_type"),
        [("MEETING", "24h"), ("CHECKIN", "weekly"), ("WORKOUT", "1h"), ("MEAL_PREP", "1d")],
    )
    def test_any_entity_can_be_reminded_of(self, world: World, entity_type: str, reminder_type: str) -> None:
        call = SEED | {"entity_type": entity_type, "reminder_type": reminder_type}
        assert [mark_reminder_as_sent(**call) for _ in range(3)] == [True, False, False]

    @pytest.mark.parametrize("kind", ["MEETING", "CHECKIN"])
    def test_of_ten_at_once_exactly_one_sends(self, world: World, kind: str) -> None:
        for number in range(5):
            call = SEED | {"entity_type": kind, "entity_id": f"meeting-{number}"}
            answers = together(world.app, [lambda call=call: mark_reminder_as_sent(**call)] * 10)  # type: ignore[misc]
            assert sorted(answers) == [False] * 9 + [True]

    def test_every_part_of_the_key_tells_reminders_apart(self, world: World) -> None:
        assert mark_reminder_as_sent(**SEED)
        for name in SEED:
            assert mark_reminder_as_sent(**(SEED | {name: "other"})), name
        for name in ("channel", "occurrence", "workspace_id"):
            other = SEED | {name: "other"}
            assert (mark_reminder_as_sent(**other), mark_reminder_as_sent(**other)) == (True, False), name

    def test_any_error_but_the_doublet_is_raised(self, world: World) -> None:
        lost = OperationalError("INSERT", None, Exception("gone"))
        with patch("app.reminders.tracker.insert_ignore", side_effect=lost), pytest.raises(OperationalError):
            mark_reminder_as_sent(**SEED)
        assert mark_reminder_as_sent(**SEED) is True

    def test_after_a_failure_that_is_certain_it_is_released(self, world: World) -> None:
        assert release_reminder(**SEED) is False
        mark_reminder_as_sent(**SEED)
        assert release_reminder(**SEED) is True
        assert (was_reminder_sent(**SEED), mark_reminder_as_sent(**SEED)) == (False, True)


class TestCleanUp:
    def age(self, days: float, **key: str) -> None:
        with writing() as session:
            for row in session.scalars(select(ReminderSent).filter_by(**key)).all():
                row.sent_at -= timedelta(days=days)

    def test_what_is_older_than_ninety_days_goes_and_is_counted(self, world: World) -> None:
        for number in range(3):
            mark_reminder_as_sent(**(SEED | {"entity_id": f"old-{number}"}))
        self.age(90.001)
        mark_reminder_as_sent(**SEED)
        self.age(89.999, entity_id="meeting-123")

        assert cleanup_old_reminders(90) == 3
        assert [cleanup_old_reminders(), marks()] == [0, 1]

    def test_not_while_its_appointment_is_still_to_come(self, world: World) -> None:
        for entity_type in ("APPOINTMENT", "CHECKIN"):
            mark_reminder_as_sent(
                **(SEED | {"entity_type": entity_type, "entity_id": "uuid-123"}), workspace_id="ws_salon"
            )
        self.age(200)
        make(world.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-13T10:00:00Z"))

        assert cleanup_old_reminders() == 1
        world.clock.advance(days=2)
        assert cleanup_old_reminders() == 1

    def test_in_batches_none_is_left_out(self, world: World) -> None:
        for number in range(7):
            mark_reminder_as_sent(**(SEED | {"entity_id": str(number)}))
        self.age(100)
        with patch.object(tracker, "BATCH", 2):
            assert cleanup_old_reminders(keep=False) == 7
            assert marks() == 7
            with patch.object(tracker, "MOST_BATCHES", 2):
                assert cleanup_old_reminders() == 4
            assert cleanup_old_reminders() == 3

    def test_it_happens_by_itself_every_day(self, world: World) -> None:
        sweep.sweep()
        mark_reminder_as_sent(**SEED)
        world.clock.advance(days=91)
        sweep.sweep()
        assert marks() == 0

    def test_the_answer_is_the_seed_s_sentence(self, world: World) -> None:
        mark(world.salon)
        mark(world.outsider)
        self.age(31)
        answer = data_of(world.salon.post(f"{PATH}/cleanup", {"days": 30}))
        assert answer == {"deleted": 1, "message": "Cleaned up 1 old reminder records", "more": False}
        assert marks() == 1, "the outsider's stays"
        assert tracker.cleaned_up(1234) == "Cleaned up 1,234 old reminder records"


class TestOverHttp:
    def test_one_hears_that_it_is_to_send_and_all_hear_their_own_words(self, world: World) -> None:
        first, second = (
            data_of(world.salon.post(f"{PATH}/mark", MEETING | {"reminderType": kind})) for kind in ("24hr", "24h")
        )
        echo = {**MEETING, "channel": None, "occurrence": None}
        assert first == echo | {"reminderType": "24hr", "shouldSend": True}
        assert second == echo | {"shouldSend": False}
        assert was_sent(world.salon, reminderType="24HR")
        assert [one["reminderType"] for one in sent(world.salon)] == ["24h"]

    def test_of_ten_at_once_exactly_one_sends(self, world: World) -> None:
        def ask() -> bool:
            headers = {"Authorization": f"Bearer {world.salon.key}"}
            return bool(
                world.app.test_client().post(f"{PATH}/mark", json=MEETING, headers=headers).json["data"]["shouldSend"]
            )

        assert sorted(together(world.app, [ask] * 10)) == [False] * 9 + [True]

    def test_whoever_lost_the_answer_asks_again_with_the_same_key(self, world: World) -> None:
        for _ in range(2):
            answer = world.salon.post(f"{PATH}/mark", MEETING, Idempotency_Key="k")
            assert data_of(answer)["shouldSend"] is True
        assert mark(world.salon) is False

    def test_workspaces_do_not_see_each_other_s(self, world: World) -> None:
        assert (mark(world.salon), mark(world.outsider)) == (True, True)
        assert len(sent(world.salon)) == 1
        named = MEETING | {"workspaceId": "ws_salon"}
        error_of(world.outsider.post(f"{PATH}/mark", named), 403)
        for path in ("was-sent", "sent"):
            query = named if path == "was-sent" else {k: named[k] for k in ("workspaceId", "entityType", "entityId")}
            error_of(world.outsider.get(f"{PATH}/{path}", **query), 404)
        for path, body in (("release", named), ("cleanup", {"workspaceId": "ws_salon"})):
            error_of(world.outsider.post(f"{PATH}/{path}", body), 404)
        assert len(sent(world.salon)) == 1

    def test_it_can_be_released(self, world: World) -> None:
        mark(world.salon)
        assert data_of(world.salon.post(f"{PATH}/release", MEETING))["released"] is True
        assert data_of(world.salon.post(f"{PATH}/release", MEETING))["released"] is False
        assert mark(world.salon) is True

    def test_a_dry_run_marks_and_releases_nothing(self, world: World) -> None:
        assert data_of(world.salon.post(f"{PATH}/mark", MEETING, X_Dry_Run="true"))["shouldSend"] is True
        assert mark(world.salon) is True
        assert data_of(world.salon.post(f"{PATH}/release", MEETING, X_Dry_Run="1"))["released"] is True
        assert mark(world.salon) is False

    def test_a_list_that_is_cut_short_says_so(self, world: World) -> None:
        for number in range(3):
            world.clock.advance(seconds=1)
            mark(world.salon, userId=f"user-{number}")
        with patch("app.reminders.tracker_views.MOST_LISTED", 2):
            data = data_of(world.salon.get(f"{PATH}/sent", entityType="MEETING", entityId="meeting-123"))
        assert ([one["userId"] for one in data["reminders"]], data["more"]) == (["user-0", "user-1"], True)


class TestOurAppointments:
    OURS = {"entityType": "APPOINTMENT", "entityId": "uuid-123"}

    def test_nobody_else_sends_what_we_are_going_to_send_or_have_sent(self, world: World) -> None:
        make(world.salon, "/api/appointments", appointment())
        for entity_type in tracker.APPOINTMENT_TYPES:
            assert mark(world.salon, **self.OURS | {"entityType": entity_type}) is False
        assert not was_sent(world.salon, **self.OURS)
        world.work()
        world.clock.set(plan()["reminder-24hr-uuid-123"].due_at)
        world.repair()
        world.work()
        assert was_sent(world.salon, **self.OURS)
        assert mark(world.salon, **self.OURS) is False
        kinds = [one["reminderType"] for one in sent(world.salon, "BOOKING", "uuid-123")]
        assert kinds == ["confirmation", "confirmation", "24h", "24h"]
        assert marks() == 0

    def test_but_may_send_what_we_are_not(self, world: World) -> None:
        make(world.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-12T10:00:00Z"))
        assert plan()["reminder-24hr-uuid-123"].reason == "booked_late"
        assert [mark(world.salon, **self.OURS) for _ in range(2)] == [True, False]
        assert [mark(world.salon, **self.OURS, reminderType="3d") for _ in range(2)] == [True, False]

    def test_and_what_was_marked_before_is_not_sent_by_us(self, world: World) -> None:
        assert mark(world.salon, **self.OURS, reminderType="24hr")
        assert mark(world.salon, **self.OURS, reminderType="1h", channel="sms")
        make(world.salon, "/api/appointments", appointment())
        reasons = {job_id: row.reason for job_id, row in plan().items() if row.reason}
        assert reasons == dict.fromkeys(
            ("reminder-24hr-uuid-123", "reminder-24hr-uuid-123-email", "reminder-1hr-uuid-123"), "already_marked"
        )

    def test_one_channel_may_be_asked_about(self, world: World) -> None:
        make(world.salon, "/api/appointments", appointment(email=None))
        assert mark(world.salon, **self.OURS, channel="sms") is False
        assert mark(world.salon, **self.OURS, channel="whatsapp") is True

    def test_after_a_move_it_has_not_been_reminded_of_the_new_time(self, world: World) -> None:
        make(world.salon, "/api/appointments", appointment(appointmentDateTime="2026-05-12T12:00:00Z"))
        world.work()
        assert was_sent(world.salon, **self.OURS)
        response = world.salon.ask(
            "PATCH", "/api/appointments/uuid-123", {"appointmentDateTime": "2026-05-20T12:00:00Z"}
        )
        assert response.status_code == 200
        assert not was_sent(world.salon, **self.OURS)
        assert mark(world.salon, **self.OURS) is False, "it is planned again"

    def test_of_another_workspace_s_appointment_nothing_is_known(self, world: World) -> None:
        make(world.salon, "/api/appointments", appointment())
        assert mark(world.outsider, **self.OURS) is True
        assert sent(world.outsider, "APPOINTMENT", "uuid-123")[0]["userId"] == "user-456"

    def test_of_a_mark_and_a_new_plan_at_once_only_one_sends(self, world: World) -> None:
        headers = {"Authorization": f"Bearer {world.salon.key}"}
        soon, later = {"appointmentDateTime": "2026-05-12T00:00:00Z"}, {"appointmentDateTime": "2026-05-20T12:00:00Z"}
        for number in range(8):
            name = f"race-{number}"
            make(world.salon, "/api/appointments", appointment(appointmentId=name, email=None, **soon))
            call = {"entity_type": "APPOINTMENT", "entity_id": name, "reminder_type": "24h", "user_id": "u"}

            def move(name: str = name) -> int:
                path = f"/api/appointments/{name}"
                return world.app.test_client().patch(path, json=later, headers=headers).status_code

            def try_it(call: dict[str, str] = call) -> bool:
                return mark_reminder_as_sent(**call, workspace_id="ws_salon")

            status, marked = together(world.app, [move, try_it])
            assert status == 200
            assert (plan()[f"reminder-24hr-{name}"].status == "scheduled") is not marked

    def test_while_ours_is_being_sent_nobody_else_sends(self, world: World) -> None:
        make(world.salon, "/api/appointments", appointment())
        with writing() as session:
            session.execute(update(Message).values(status="unknown", plan_revision=0))
        assert mark(world.salon, **self.OURS) is False


REFUSED: dict[str, list[Any]] = {
    "entityType": [None, True, 1, "", " ", "A B", "x" * 65, "\u00c4", "a\0", "\ud800", [], {}],
    "entityId": [None, True, 1, "", "x" * 129, "a\0", "a\n", "\ud800", [], {}],
    "reminderType": [None, True, 24, "", "24 h", "x" * 65, "a\0", "24h\n", "\ud800", [], {}],
    "userId": [None, True, 1, "", "x" * 129, "a\0", "\x07", "\ud800", [], {}],
    "channel": [True, 1, "", "fax", "SMS", "a\0", [], {}],
    "occurrence": [True, 1, "", "x" * 65, "a\0", "\ud800", [], {}],
    "workspaceId": [True, 1, "", "ws salon", "x" * 65],
    "sentAt": ["2026-05-11T12:00:00Z"],
    "entity_type": ["MEETING"],
}


class TestRefused:
    @pytest.mark.parametrize("field", REFUSED)
    @pytest.mark.parametrize("route", ["mark", "release"])
    def test_a_hostile_value_is_refused_by_the_name_of_its_field(self, world: World, route: str, field: str) -> None:
        for value in REFUSED[field]:
            assert fields_of(world.salon.post(f"{PATH}/{route}", MEETING | {field: value})) == {field}, ascii(value)
        assert marks() == 0

    @pytest.mark.parametrize("field", REFUSED)
    def test_so_it_is_in_a_query(self, world: World, field: str) -> None:
        for value in REFUSED[field]:
            if isinstance(value, str) and "\ud800" not in value:
                assert fields_of(world.salon.get(f"{PATH}/was-sent", **MEETING | {field: value})) == {field}, ascii(
                    value
                )

    @pytest.mark.parametrize("field", ["entityType", "entityId", "reminderType", "userId"])
    def test_a_missing_field_is_named(self, world: World, field: str) -> None:
        body = {name: value for name, value in MEETING.items() if name != field}
        assert fields_of(world.salon.post(f"{PATH}/mark", body)) == {field}
        assert fields_of(world.salon.get(f"{PATH}/was-sent", **body)) == {field}

    @pytest.mark.parametrize("days", [None, True, 0, -1, 0.5, 90.0, "90", 36_501, 10**30, [], {}])
    def test_days_must_be_a_number_of_days(self, world: World, days: Any) -> None:
        assert fields_of(world.salon.post(f"{PATH}/cleanup", {"days": days})) == {"days"}

    def test_the_widest_that_is_allowed_is_kept_as_it_is(self, world: World) -> None:
        widest = {
            "entityType": "x" * 64,
            "entityId": "\U0001f600" * 128,
            "reminderType": "9" * 63 + "h",
            "userId": "'; DROP TABLE reminders_sent; --",
            "channel": "email",
            "occurrence": "2028-02-29",
        }
        data = data_of(world.salon.post(f"{PATH}/mark", widest))
        assert {name: data[name] for name in widest} == widest
        assert marks() == 1

    @pytest.mark.parametrize("route", ["mark", "release", "cleanup"])
    def test_what_is_no_json_object_is_malformed(self, world: World, route: str) -> None:
        for body, status in ((b"", 400), (b"[]", 400), (b"{", 400), (b"\xff", 400), (b"1" * 10_000_000, 413)):
            assert world.salon.post_raw(f"{PATH}/{route}", body).status_code == status
        assert world.salon.post_raw(f"{PATH}/{route}", b"{}", "text/plain").status_code == 415
        assert marks() == 0
