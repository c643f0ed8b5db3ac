"""GET and PATCH /api/settings, GET /api/audit: what a workspace chooses, and who changed it."""

from typing import Any

import pytest
from sqlalchemy import delete, select, update

from app.database import reading, writing
from app.workspaces import audit, service
from app.workspaces.models import AuditEntry, Workspace
from tests.answers import data_of, error_of, fields_of
from tests.features.hostile import NO_TEXT
from tests.together import together
from tests.world import SENDER, Tenant, World


def patch(tenant: Tenant, body: Any, **headers: str) -> Any:
    return tenant.ask("PATCH", "/api/settings", body, **headers)


def shown(tenant: Tenant) -> dict[str, Any]:
    return dict(data_of(tenant.get("/api/settings")))


def entries(tenant: Tenant, action: str = "settings.changed") -> list[dict[str, Any]]:
    page = data_of(tenant.get("/api/audit"))["entries"]
    return [entry for entry in page if entry["action"] == action]


def stored() -> list[tuple[Any, ...]]:
    with reading() as session:
        rows = session.scalars(select(Workspace).order_by(Workspace.id))
        return [(row.id, row.name, row.timezone, row.default_sender, row.on_unknown, row.settings) for row in rows]


FRESH = {
    "workspaceId": "ws_salon",
    "name": "ws_salon",
    "timezone": "UTC",
    "defaultSender": None,
    "onUnknown": "resend",
    "retryPolicies": {"default": None, "reminder": None},
    "caps": {"dailySegments": None, "monthlySegments": None, "dailySpend": None, "monthlySpend": None},
    "prices": {"currency": None, "sms": None, "whatsapp": None, "email": None},
    "replies": {"enabled": None},
    "bookingForm": {
        "enabled": False,
        "services": [],
        "staff": [],
        "eventType": None,
        "eventName": None,
        "countries": [],
        "openFrom": None,
        "openUntil": None,
        "minNoticeMinutes": 60,
        "maxDaysAhead": 90,
        "perDay": 100,
        "perNumber": 3,
        "perAddress": 10,
        "origins": [],
        "consentText": None,
    },
}
ALL = {
    "name": "Salon Anna",
    "timezone": "Europe/Berlin",
    "defaultSender": SENDER,
    "onUnknown": "hold",
    "retryPolicies": {
        "default": {"maxAttempts": 10, "firstDelaySeconds": 0.5, "factor": 1.5, "maxDelaySeconds": 60.0},
        "reminder": {"maxAttempts": 1, "firstDelaySeconds": None, "factor": None, "maxDelaySeconds": None},
    },
    "caps": {"dailySegments": 100, "monthlySegments": 1000, "dailySpend": "5.00", "monthlySpend": "50.5"},
    "prices": {"currency": "EUR", "sms": "0.0725", "whatsapp": "0.05", "email": "0"},
    "replies": {"enabled": True},
    "bookingForm": {
        "enabled": True,
        "services": ["Haircut"],
        "staff": ["Bo"],
        "eventType": "cut",
        "eventName": "Cut",
        "countries": ["DE"],
        "openFrom": "09:00",
        "openUntil": "17:30",
        "minNoticeMinutes": 30,
        "maxDaysAhead": 60,
        "perDay": 50,
        "perNumber": 2,
        "perAddress": 5,
        "origins": ["https://www.example.com"],
        "consentText": "You may write to me.",
    },
}


def test_a_new_workspace_has_chosen_nothing(world: World) -> None:
    assert shown(world.salon) == FRESH


def test_all_can_be_changed_and_read_back_and_reset(world: World) -> None:
    assert data_of(patch(world.salon, ALL)) == {"workspaceId": "ws_salon", **ALL}
    assert shown(world.salon) == {"workspaceId": "ws_salon", **ALL}

    assert data_of(patch(world.salon, dict.fromkeys(ALL))) == FRESH
    assert [row[-1] for row in stored()] == [{}, {}]


def test_only_what_is_named_changes(world: World) -> None:
    patch(world.salon, ALL)

    after = data_of(patch(world.salon, {"caps": {"dailySegments": None, "monthlySegments": 7}}))

    assert after["caps"] == ALL["caps"] | {"dailySegments": None, "monthlySegments": 7}
    assert {name: after[name] for name in ALL if name != "caps"} == {n: v for n, v in ALL.items() if n != "caps"}


def test_an_empty_patch_changes_nothing_and_is_not_worth_an_entry(world: World) -> None:
    assert data_of(patch(world.salon, {})) == FRESH
    assert data_of(patch(world.salon, {"timezone": "UTC", "caps": {}})) == FRESH
    assert entries(world.salon) == []


def test_a_dry_run_says_what_would_be_and_changes_nothing(world: World) -> None:
    before = stored()

    answer = data_of(patch(world.salon, ALL, X_Dry_Run="true"))

    assert (answer["dryRun"], answer["timezone"]) == (True, "Europe/Berlin")
    assert (stored(), entries(world.salon)) == (before, [])


def test_what_others_keep_in_the_same_place_stays(world: World) -> None:
    with writing() as session:
        session.execute(update(Workspace).where(Workspace.id == "ws_salon").values(settings={"other": {"a": 1}}))

    patch(world.salon, {"caps": {"dailySegments": 5}})

    assert stored()[1][-1] == {"other": {"a": 1}, "caps": {"dailySegments": 5}}


def test_patches_of_different_fields_at_once_all_survive(world: World) -> None:
    wanted: list[dict[str, Any]] = [
        {"name": "Anna's"},
        {"timezone": "Europe/Berlin"},
        {"onUnknown": "hold"},
        {"caps": {"dailySegments": 5}},
        {"caps": {"monthlySegments": 50}},
        {"prices": {"sms": "0.01"}},
        {"replies": {"enabled": True}},
        {"retryPolicies": {"default": {"maxAttempts": 2}}},
    ]

    def work(body: dict[str, Any]) -> int:
        tenant = Tenant("ws_salon", world.salon.key, world.app.test_client())
        return int(patch(tenant, body).status_code)

    assert together(world.app, [lambda body=body: work(body) for body in wanted]) == [200] * len(wanted)

    after = shown(world.salon)
    assert (after["name"], after["timezone"], after["onUnknown"]) == ("Anna's", "Europe/Berlin", "hold")
    assert (after["caps"]["dailySegments"], after["caps"]["monthlySegments"]) == (5, 50)
    assert (after["prices"]["sms"], after["replies"]["enabled"]) == ("0.01", True)
    assert after["retryPolicies"]["default"]["maxAttempts"] == 2
    assert len(entries(world.salon)) == len(wanted)


def test_the_next_message_goes_by_the_new_zone_and_sender_at_once(world: World) -> None:
    second = "+19876543277"
    with writing() as session:
        service.add_sender(session, "ws_salon", "sms", second)
    patch(world.salon, {"defaultSender": SENDER})
    body = {"to": "+12345678901", "body": "Hello", "workspaceId": "ws_salon", "delayMinutes": 5}
    for _ in range(2):  # from the second on by the quick way
        data_of(world.salon.post("/api/trigger/schedule-delay", body), 202)

    patch(world.salon, {"defaultSender": second, "timezone": "Australia/Sydney"})

    job = data_of(world.salon.post("/api/trigger/schedule-delay", body), 202)
    assert job["scheduledTime"].endswith("+10:00")
    assert world.message(job["jobId"]).from_address == second


HUGE = 10**400
REFUSED: list[tuple[str, Any]] = [
    *(("name", value) for value in (*NO_TEXT[1:], "", "  ", "x" * 201)),
    *(("timezone", value) for value in (*NO_TEXT[1:], "", "Mars/Olympus", "localtime", "../UTC", "utc+2", "x" * 65)),
    *(("defaultSender", value) for value in (*NO_TEXT[1:], "", "+15550001111", "x" * 321)),
    *(("onUnknown", value) for value in (True, 0, "", "Resend", "drop", [], {})),
    *((f"retryPolicies.{name}.maxAttempts", value) for name in ("default", "reminder")
      for value in (0, 11, -1, HUGE, 1.5, True, "3", [], {})),
    *(("retryPolicies.default.firstDelaySeconds", value) for value in (0, -1, 3601, HUGE, True, "1", [])),
    *(("retryPolicies.default.factor", value) for value in (0.9, 10.1, HUGE, True, "2")),
    *(("retryPolicies.default.maxDelaySeconds", value) for value in (0, 86_401, HUGE, True, "2")),
    *(("retryPolicies.other", value) for value in ({}, {"maxAttempts": 3})),
    *((f"caps.{name}", value) for name in ("dailySegments", "monthlySegments")
      for value in (-1, 1_000_000_001, HUGE, 1.5, True, "3", [], {})),
    *((f"caps.{name}", value) for name in ("dailySpend", "monthlySpend")
      for value in (1, 1.5, -1, True, "", "-1", "1,5", "1e3", ".5", "1.", "1.0000001", "9" * 10, " 1", "1\n", "NaN",
                    "\uff11", "a\0", "\ud800", [], {})),
    *((f"prices.{name}", value) for name in ("sms", "whatsapp", "email") for value in (1, -0.1, "-1", "free", [])),
    *(("prices.currency", value) for value in ("", "eur", "EURO", "\u20ac", 978, True)),
    *(("replies.enabled", value) for value in (0, 1, "true", "yes", [], {})),
    *((name, value) for name in ("retryPolicies", "caps", "prices", "replies") for value in (True, 1, "x", [], [{}])),
    *((name, 1) for name in ("unknown", "caps.unknown", "prices.unknown", "replies.unknown", "Name", "on_unknown")),
    ("retryPolicies.default.unknown", 1),
]  # fmt: skip


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def test_what_is_wrong_is_named_and_nothing_is_stored(world: World) -> None:
    before = stored()
    for path, value in REFUSED:
        response = patch(world.salon, nested(path, value))
        assert response.status_code == 422, (path, value, response.text)
        assert any(name.startswith(path.split(".")[0]) for name in fields_of(response)), (path, value, response.text)
    assert (stored(), entries(world.salon)) == (before, [])


def test_a_body_that_is_no_object_or_too_large_is_refused(world: World) -> None:
    before = stored()
    broken = [b"[]", b"{", b"null", b'{"name": NaN}', b"\xff", b'{"name": "a", "name": "b"}']
    for body, status in [(one, 400) for one in broken] + [(b'{"name": "' + b"x" * 10**7 + b'"}', 413)]:
        headers = {"Authorization": f"Bearer {world.salon.key}", "Content-Type": "application/json"}
        response = world.app.test_client().patch("/api/settings", data=body, headers=headers)
        assert response.status_code == status, response.text
    assert stored() == before


@pytest.mark.parametrize("prices", [{}, {"sms": "0.01"}, {"currency": "EUR"}])
def test_a_limit_on_money_needs_prices(world: World, prices: dict[str, str]) -> None:
    before = stored()

    response = patch(world.salon, {"caps": {"dailySpend": "1"}, "prices": prices})

    assert fields_of(response) == {"caps.dailySpend"}
    assert stored() == before


def test_nobody_sees_or_changes_another_workspace_s(world: World) -> None:
    for response in (
        world.outsider.get("/api/settings", workspaceId="ws_salon"),
        world.outsider.get("/api/usage", workspaceId="ws_salon"),
        world.outsider.get("/api/audit", workspaceId="ws_salon"),
        patch(world.outsider, {"workspaceId": "ws_salon", "name": "Mine"}),
    ):
        assert error_of(response, 404)
    assert shown(world.salon) == FRESH
    for method, path in (("GET", "settings"), ("PATCH", "settings"), ("GET", "usage"), ("GET", "audit")):
        response = world.app.test_client().open(f"/api/{path}", method=method, json={} if method == "PATCH" else None)
        assert response.status_code == 401


def test_a_workspace_that_is_not_there_is_not_made(make_world: Any) -> None:
    world: World = make_world(auth_required=False)
    client = world.app.test_client()
    for path in ("settings", "usage"):
        assert client.get(f"/api/{path}?workspaceId=ws_new").status_code == 404
    assert client.patch("/api/settings", json={"workspaceId": "ws_new", "name": "x"}).status_code == 404
    assert client.patch("/api/settings", json={"name": "x"}).status_code == 422
    assert client.patch("/api/settings", json={"workspaceId": "ws_salon", "name": "x"}).status_code == 200
    assert entries(world.salon)[0]["actor"] == "local"


def test_the_audit_log_says_who_changed_what(world: World) -> None:
    patch(world.salon, {"caps": {"dailySegments": 5}, "defaultSender": SENDER})
    patch(world.salon, {"caps": {"dailySegments": 6}})

    last, first = entries(world.salon)
    assert last["actor"] == f"key:{world.salon.key[:8]}"
    assert (last["before"], last["after"]) == ({"caps.dailySegments": 5}, {"caps.dailySegments": 6})
    assert first["after"] == {"caps.dailySegments": 5, "defaultSender": "+19*****210"}
    assert first["at"] == "2026-05-11T12:00:00.000+00:00"
    assert entries(world.outsider) == []


def test_keys_made_and_revoked_are_in_it_without_the_key(world: World) -> None:
    key = service.create_key("ws_salon", "till")
    assert service.revoke_key("ws_salon", key) == 1

    made, revoked = entries(world.salon, "key.created")[0], entries(world.salon, "key.revoked")[0]
    assert (made["subject"], made["after"], made["actor"]) == (key[:8], {"name": "till"}, "system")
    assert (revoked["subject"], revoked["actor"]) == (key[:8], "system")
    assert key not in world.salon.get("/api/audit").text


def test_pages_follow_each_other_without_a_gap(world: World) -> None:
    with writing() as session:
        session.execute(delete(AuditEntry))
    for number in range(5):
        with writing() as session:
            audit.record(session, "ws_salon", audit.SYSTEM, "test.done", f"{number}")
    seen, cursor = list[str](), None
    while True:
        page = data_of(world.salon.get("/api/audit", limit="2", **({"cursor": cursor} if cursor else {})))
        seen += [entry["id"] for entry in page["entries"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"limit": "1.5"}, {"cursor": ""}, {"cursor": "x" * 32},
     {"cursor": "\0"}, {"unknown": "1"}, {"workspaceId": ""}],
)  # fmt: skip
def test_a_wrong_query_is_named(world: World, query: dict[str, str]) -> None:
    assert fields_of(world.salon.get("/api/audit", **query)) == set(query)


def test_secrets_and_numbers_are_not_in_the_log(world: World) -> None:
    after = {"apiKey": "s3cret", "nested": {"password": "s3cret"}, "phone": "+12345678901", "mail": "anna@example.com"}
    with writing() as session:
        audit.record(session, "ws_salon", "a@b.example", "test.done", "+12345678901", {}, after)
        audit.record(session, "ws_salon", audit.SYSTEM, "test.nothing", "x", {"a": 1}, {"a": 1})

    [entry] = entries(world.salon, "test.done")
    assert entry["after"] == {
        "apiKey": "(hidden)",
        "nested.password": "(hidden)",
        "phone": "+12*****901",
        "mail": "a***@example.com",
    }
    assert entry["subject"] == "+12*****901"
    assert entries(world.salon, "test.nothing") == []


def test_the_booking_form_is_switched_on_and_checked_as_a_whole(world: World) -> None:
    page = "/book/ws_salon"
    assert world.app.test_client().get(page).status_code == 404
    form = {"enabled": True, "countries": ["US"], "openFrom": "09:00", "openUntil": "17:00"}
    answer = world.salon.ask("PATCH", "/api/settings", {"bookingForm": form})
    assert answer.status_code == 200, answer.text
    assert answer.json["data"]["bookingForm"]["openUntil"] == "17:00"
    assert world.app.test_client().get(page).status_code == 200
    wrong = world.salon.ask("PATCH", "/api/settings", {"bookingForm": {"openUntil": "08:00"}})
    assert wrong.status_code == 422, "it would end before it begins"
    assert world.salon.ask("PATCH", "/api/settings", {"bookingForm": None}).status_code == 200
    assert world.app.test_client().get(page).status_code == 404
