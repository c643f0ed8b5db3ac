"""/api/reminder-settings: what is kept of them, what is refused, and that the plans go by them."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.database import reading, writing
from app.reminders import settings
from app.reminders.models import ReminderSettings
from tests.answers import data_of, error_of, fields_of
from tests.appointments import appointment, booking, make
from tests.together import together
from tests.world import Tenant, World

PATH = "/api/reminder-settings"
DEFAULTS = {
    "workspaceId": "ws_salon",
    "sendConfirmation": True,
    "send24hrReminder": True,
    "send1hrReminder": True,
    "smsEnabled": True,
    "emailEnabled": True,
    "whatsappEnabled": True,
    "policy": None,
    "eventPolicies": {},
    "quietHours": {"start": "21:00", "end": "08:00", "mode": "shift"},
    "lateBooking": "skip",
    "sendCancellation": True,
    "updatedAt": None,
}
OTHER: dict[str, Any] = {
    "sendConfirmation": False,
    "send24hrReminder": False,
    "send1hrReminder": False,
    "smsEnabled": False,
    "emailEnabled": False,
    "whatsappEnabled": False,
    "policy": {"preset": "clinic"},
    "eventPolicies": {"cut": {"rules": [{"type": "before", "offset": "1d"}], "channels": ["email"]}},
    "quietHours": {"start": "00:00", "end": "23:59", "mode": "skip"},
    "lateBooking": "send_now",
    "sendCancellation": False,
}


def read(tenant: Tenant) -> dict[str, Any]:
    return data_of(tenant.get(PATH))


def change(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    return data_of(tenant.ask("PATCH", PATH, changes))


def rows() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(ReminderSettings)) or 0


def planned(world: World, body: dict[str, Any], path: str = "/api/appointments") -> list[tuple[str, str, str | None]]:
    data = make(world.salon, path, body)
    return [(one["reminderType"], one["channel"], one["reason"]) for one in data["reminders"]]


def test_a_workspace_begins_with_the_defaults_and_without_a_row(world: World) -> None:
    assert read(world.salon) == DEFAULTS
    assert rows() == 0


@pytest.mark.parametrize("name", OTHER)
def test_each_can_be_changed_alone_and_the_others_stay(world: World, name: str) -> None:
    expected = DEFAULTS | {name: OTHER[name], "updatedAt": "2026-05-11T12:00:00.000+00:00"}

    assert change(world.salon, **{name: OTHER[name]}) == expected
    assert read(world.salon) == expected
    assert read(world.outsider) == DEFAULTS | {"workspaceId": "ws_outsider"}


def test_all_can_be_set_at_once_and_what_is_left_out_takes_its_default(world: World) -> None:
    assert data_of(world.salon.ask("PUT", PATH, OTHER)) == OTHER | {
        "workspaceId": "ws_salon",
        "updatedAt": "2026-05-11T12:00:00.000+00:00",
    }
    emptied = data_of(world.salon.ask("PUT", PATH, {}))
    assert {**emptied, "updatedAt": None} == DEFAULTS


def test_a_policy_by_name_is_kept_as_a_preset_and_null_takes_it_away(world: World) -> None:
    assert change(world.salon, policy="clinic")["policy"] == {"preset": "clinic"}
    assert change(world.salon, policy=None)["policy"] is None
    assert change(world.salon, quietHours=None)["quietHours"] is None


def test_a_dry_run_says_what_would_be_and_keeps_nothing(world: World) -> None:
    data = data_of(world.salon.ask("PATCH", PATH, {"smsEnabled": False}, X_Dry_Run="true"))
    assert (data["smsEnabled"], data["dryRun"]) == (False, True)
    assert rows() == 0


def test_of_changes_at_the_same_time_none_is_lost(world: World) -> None:
    names = ["sendConfirmation", "send24hrReminder", "send1hrReminder", "smsEnabled", "emailEnabled", "whatsappEnabled"]
    answers = together(
        world.app,
        [
            lambda name=name: (
                world.app.test_client()
                .patch(  # type: ignore[misc]
                    PATH, json={name: False}, headers={"Authorization": f"Bearer {world.salon.key}"}
                )
                .status_code
            )
            for name in names
        ],
    )
    assert answers == [200] * len(names)
    assert [read(world.salon)[name] for name in names] == [False] * len(names)


def test_a_change_tells_before_and_after(world: World) -> None:
    with writing() as session:
        found = settings.change(session, "ws_salon", {"sms_enabled": False, "late_booking": "skip"})
        assert found.fields == {"sms_enabled": (True, False)}


class TestPlans:
    def test_the_switches_of_the_seed_edit_the_classic_policy(self, world: World) -> None:
        change(world.salon, sendConfirmation=False, send1hrReminder=False, emailEnabled=False)
        assert planned(world, appointment()) == [("24hr", "sms", None)]

    def test_the_request_s_policy_goes_before_the_event_type_s_before_the_workspace_s(self, world: World) -> None:
        change(
            world.salon,
            policy={"rules": [{"type": "before", "offset": "3h"}], "channels": ["sms"]},
            eventPolicies={"surgery": {"rules": [{"type": "before", "offset": "1w"}], "channels": ["email"]}},
        )
        later = {"appointmentDateTime": "2026-06-15T12:00:00Z"}
        assert planned(world, appointment(**later, appointmentId="a")) == [("3hr", "sms", None)]
        assert planned(world, appointment(**later, appointmentId="b", eventType="surgery")) == [("1w", "email", None)]
        chosen = appointment(**later, appointmentId="c", eventType="surgery", policy="clinic")
        assert {one[0] for one in planned(world, chosen)} == {"24hr", "2hr"}

    def test_a_booking_has_its_own_default_but_the_workspace_decides(self, world: World) -> None:
        assert planned(world, booking(bookingId="a"), "/api/bookings")[0] == ("every-1", "whatsapp", None)
        change(world.salon, policy="clinic", quietHours=None)
        assert {one[0] for one in planned(world, booking(bookingId="b"), "/api/bookings")} == {"24hr", "2hr"}

    def test_quiet_hours_and_late_bookings_are_as_the_workspace_wants_them(self, world: World) -> None:
        soon = {"appointmentDateTime": "2026-05-12T07:00:00Z"}
        assert sorted(planned(world, appointment(**soon, appointmentId="a")))[::2] == [
            ("1hr", "email", "quiet_hours"),
            ("24hr", "email", "booked_late"),
            ("confirmation", "email", None),
        ]
        change(world.salon, quietHours=None, lateBooking="send_now")
        assert {one[2] for one in planned(world, appointment(**soon, appointmentId="b"))} == {None}

    def test_a_plan_of_too_many_is_refused_by_name_and_nothing_is_stored(self, world: World) -> None:
        change(world.salon, policy={"rules": [{"type": "every", "interval": "15m"}]})
        body = appointment(appointmentDateTime="2028-05-01T12:00:00Z")
        assert fields_of(world.salon.post("/api/appointments", body)) == {"policy"}
        error_of(world.salon.get("/api/appointments/uuid-123"), 404)
        assert world.messages() == []

    def test_a_channel_that_is_named_but_switched_off_is_recorded(self, world: World) -> None:
        change(world.salon, smsEnabled=False, policy={"preset": "clinic", "channels": ["sms"]})
        assert planned(world, appointment()) == [
            ("24hr", "sms", "channel_unavailable"),
            ("2hr", "sms", "channel_unavailable"),
        ]


RULES = "policy.rules"
NO_POLICY: list[tuple[Any, str]] = [
    (1, "policy"),
    (True, "policy"),
    ("", "policy"),
    ("Classic", "policy"),
    ([], "policy"),
    ({}, RULES),
    ({"rules": []}, RULES),
    ({"rules": "x"}, RULES),
    ({"rules": {}}, RULES),
    ({"rules": [{"type": "at_booking"}] * 21}, RULES),
    ({"preset": "x"}, "policy.preset"),
    ({"preset": None}, "policy.preset"),
    ({"preset": ["classic"]}, "policy.preset"),
    ({"preset": "classic", "rules": []}, RULES),
    ({"preset": "classic", "extra": 1}, "policy.extra"),
    ({"preset": "classic", "channels": []}, "policy.channels"),
    ({"preset": "classic", "channels": "sms"}, "policy.channels"),
    ({"preset": "classic", "channels": ["sms", "sms"]}, "policy.channels"),
    ({"preset": "classic", "channels": ["fax"]}, "policy.channels"),
    ({"preset": "classic", "channels": [["sms"]]}, "policy.channels"),
    ({"preset": "classic", "channels": [{}]}, "policy.channels"),
    ({"preset": "classic", "fallback": [1]}, "policy.fallback"),
    ({"rules": [1]}, f"{RULES}.0"),
    ({"rules": [{}]}, f"{RULES}.0.type"),
    ({"rules": [{"type": []}]}, f"{RULES}.0.type"),
    ({"rules": [{"type": "after", "offset": "1h"}]}, f"{RULES}.0.type"),
    ({"rules": [{"type": "before"}]}, f"{RULES}.0.offset"),
    ({"rules": [{"type": "every", "offset": "2h"}]}, f"{RULES}.0.offset"),
    ({"rules": [{"type": "before", "interval": "2h"}]}, f"{RULES}.0.interval"),
    ({"rules": [{"type": "at_booking", "offset": "2h"}]}, f"{RULES}.0.offset"),
    ({"rules": [{"type": "at_booking", "clock": "wall"}]}, f"{RULES}.0.clock"),
    ({"rules": [{"type": "before", "offset": "1h", "clock": "x"}]}, f"{RULES}.0.clock"),
    ({"rules": [{"type": "before", "offset": "1h", "clock": []}]}, f"{RULES}.0.clock"),
    ({"rules": [{"type": "at_booking", "quietHours": True}]}, f"{RULES}.0.quietHours"),
    ({"rules": [{"type": "before", "offset": "1h", "quietHours": 1}]}, f"{RULES}.0.quietHours"),
    ({"rules": [{"type": "before", "offset": "1h", "quietHours": None}]}, f"{RULES}.0.quietHours"),
    ({"rules": [{"type": "before", "offset": "1h", "template": "A"}]}, f"{RULES}.0.template"),
    ({"rules": [{"type": "before", "offset": "1h", "template": 1}]}, f"{RULES}.0.template"),
    ({"rules": [{"type": "before", "offset": "1h", "channels": ["x"]}]}, f"{RULES}.0.channels"),
    ({"rules": [{"type": "before", "offset": "1h", "x": 1}]}, f"{RULES}.0.x"),
    ({"rules": [{"type": "before", "offset": "60m"}, {"type": "before", "offset": "1h"}]}, f"{RULES}.1"),
    ({"rules": [{"type": "every", "interval": "2h"}, {"type": "every", "interval": "3h"}]}, f"{RULES}.1"),
    ({"rules": [{"type": "every", "interval": "14m"}]}, f"{RULES}.0.interval"),
    *(
        ({"rules": [{"type": "before", "offset": offset}]}, f"{RULES}.0.offset")
        for offset in (
            None, True, 1, 24.0, [], "", "24", "h", "0h", "-1h", "1.5h", "1 h", "24H", "24hr", "1y", "367d", "53w",
            "99999w", "100000m", "1h\n", "\uff11h", "\u0661h", "1" * 5000 + "h",
        )
    ),
]  # fmt: skip

SWITCHES = [name for name, value in DEFAULTS.items() if value is True]
REFUSED: dict[str, list[Any]] = {
    **{name: [None, 0, 1, "true", "", [], {}] for name in SWITCHES},
    "lateBooking": [None, "", "SKIP", "later", True, 1, ["skip"]],
    "quietHours": [
        *(True, 1, "", "21:00-08:00", [], {}, {"start": "21:00"}, {"start": "21:00", "end": "21:00"}),
        *({"start": "24:00", "end": "08:00"}, {"start": "21:60", "end": "08:00"}, {"start": 21, "end": 8}),
        *({"start": "9:00", "end": "10:00"}, {"start": "21:00:00", "end": "08:00"}),
        *({"start": "21:00\n", "end": "08:00"}, {}),
        *({"start": "21:00", "end": "08:00", "mode": "hold"}, {"start": "21:00", "end": "08:00", "zone": "UTC"}),
        *({"start": "\uff12\uff11:00", "end": "08:00"}, {"start": None, "end": None}),
    ],
    "eventPolicies": [
        *(None, True, [], "x", {"a": None}, {"": "clinic"}, {" ": "clinic"}, {"x" * 101: "clinic"}),
        *({"a": {"rules": [{"type": "before", "offset": "1"}]}}, {"a\0": "clinic"}),
        {str(number): "clinic" for number in range(101)},
    ],
    "policy": [value for value, _ in NO_POLICY],
    "workspaceId": [True, 0, "", "x" * 65, "ws salon", []],
    "timezone": ["UTC"],
    "send_confirmation": [True],
    "__proto__": [{}],
    "a\ud800": [1],
}  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize("field", REFUSED, ids=ascii)
    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_a_hostile_value_is_refused_by_the_name_of_its_field(self, world: World, method: str, field: str) -> None:
        for value in REFUSED[field]:
            response = world.salon.ask(method, PATH, {field: value})
            named = {name.split(".")[0] for name in fields_of(response)}
            assert named == ({"body"} if "\ud800" in field else {field}), ascii(value)[:80]
        assert rows() == 0

    @pytest.mark.parametrize(("value", "field"), NO_POLICY, ids=lambda value: ascii(value)[:40])
    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_what_is_wrong_with_a_policy_is_named_by_its_path(self, world: World, value: Any, field: str) -> None:
        assert fields_of(world.salon.ask("PATCH", PATH, {"policy": value})) == {field}
        inner = field.replace("policy", "eventPolicies.cut", 1)
        assert fields_of(world.salon.ask("PATCH", PATH, {"eventPolicies": {"cut": value}})) == {inner}

    def test_a_change_of_nothing_is_refused(self, world: World) -> None:
        assert fields_of(world.salon.ask("PATCH", PATH, {})) == {"body"}
        assert fields_of(world.salon.ask("PATCH", PATH, {"workspaceId": "ws_salon"})) == {"body"}

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
    def test_another_workspace_s_are_not_found(self, world: World, method: str) -> None:
        change(world.salon, smsEnabled=False)
        body = None if method == "GET" else {"workspaceId": "ws_salon", "smsEnabled": True}
        response = world.outsider.ask(method, f"{PATH}?workspaceId=ws_salon" if body is None else PATH, body)
        error_of(response, 404, "not_found")
        assert read(world.salon)["smsEnabled"] is False

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_what_is_no_json_object_is_malformed(self, world: World, method: str) -> None:
        key = {"Authorization": f"Bearer {world.salon.key}"}
        for body, status in (
            (b"", 400),
            (b"[]", 400),
            (b"{", 400),
            (b"\xff", 400),
            (b'{"a":NaN}', 400),
            (b"1" * 10_000_000, 413),
        ):
            response = world.salon.client.open(
                PATH, method=method, data=body, content_type="application/json", headers=key
            )
            assert response.status_code == status, body[:20]
        response = world.salon.client.open(PATH, method=method, data=b"{}", content_type="text/plain", headers=key)
        assert response.status_code == 415
        assert rows() == 0
