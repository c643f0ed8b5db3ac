"""API keys: who may call, and whose things they reach."""

import pytest
from sqlalchemy import select

from app.cli import init_cli
from app.database import reading
from app.workspaces import service
from app.workspaces.models import ApiKey
from tests.answers import data_of, error_of
from tests.world import Tenant, World

CREATING = {
    "/api/trigger/send-sms": {},
    "/api/trigger/schedule-delay": {"delayMinutes": 5},
    "/api/trigger/schedule-until": {"scheduledTime": "2026-05-12T16:00:00Z"},
    "/api/trigger/schedule-recurring": {"cron": "0 9 * * *", "timezone": "UTC"},
    "/api/trigger/schedule-bulk": None,
}
POSTS = [*CREATING, "/api/trigger/cancel-job", "/api/trigger/reschedule-job", "/api/trigger/recurring/x/pause"]
GETS = ["/api/trigger/job-status", "/api/trigger/recurring", "/api/sandbox/inbox"]


def creating(tenant: Tenant, path: str) -> dict[str, object]:
    """A valid body for a creating route."""
    extra = CREATING[path]
    if extra is not None:
        return tenant.text(**extra)
    item = {key: value for key, value in tenant.text(delayMinutes=1).items() if key != "workspaceId"}
    return {"workspaceId": tenant.workspace_id, "messages": [item]}


def test_every_route_asks_for_a_valid_key(world: World) -> None:
    wrong = [
        "",
        "Bearer",
        "Bearer ",
        "Basic d3M6a2V5",
        "Bearer nonsense",
        f"Bearer bh_{'x' * 43}",
        "Bearer \xff",
        "KEY",
    ]
    for header in [None, *wrong]:
        headers = {"Content-Type": "application/json"} | ({} if header is None else {"Authorization": header})
        for path in POSTS:
            error_of(world.salon.client.post(path, data="{}", headers=headers), 401, "unauthorized")
        for path in GETS:
            error_of(world.salon.client.get(path, headers=headers), 401, "unauthorized")
    assert world.messages() == []


def test_a_401_names_the_scheme(world: World) -> None:
    assert world.salon.client.get(GETS[0]).headers["WWW-Authenticate"] == "Bearer"


def test_a_key_must_be_whole_and_in_its_own_case(world: World) -> None:
    key = world.salon.key
    for wrong in (key[:-1], key + "x", key.swapcase(), key[:8], f"{key} {key}"):
        headers = {"Authorization": f"Bearer {wrong}"}
        error_of(world.salon.client.get(GETS[1], headers=headers), 401)
    assert world.salon.client.get(GETS[1], headers={"Authorization": f"bearer {key}"}).status_code == 200


@pytest.mark.parametrize("path", CREATING)
def test_creating_in_another_workspace_is_forbidden(world: World, path: str) -> None:
    error_of(world.outsider.post(path, creating(world.salon, path)), 403, "forbidden")
    error_of(world.outsider.post(path, creating(world.salon, path) | {"workspaceId": "ws_new"}), 403, "forbidden")

    assert world.messages() == []
    data_of(world.salon.post(path, creating(world.salon, path)), 202)


@pytest.mark.parametrize("named", ["ws_salon", "ws_outsider"])
def test_another_workspace_s_job_looks_as_if_it_did_not_exist(world: World, named: str) -> None:
    job = {"jobId": world.salon.delay(60), "workspaceId": named}
    nothing = {"jobId": "job_nothing", "workspaceId": named}

    def answers(ref: dict[str, str]) -> list[object]:
        return [
            error_of(response, 404, "not_found")
            for response in (
                world.outsider.get("/api/trigger/job-status", **ref),
                world.outsider.post("/api/trigger/cancel-job", ref),
                world.outsider.post("/api/trigger/reschedule-job", ref | {"delayMinutes": 5}),
            )
        ]

    assert answers(job) == answers(nothing)
    assert world.salon.status(job["jobId"])["status"] == "scheduled"


def test_another_workspace_s_recurring_messages_cannot_be_seen_or_changed(world: World) -> None:
    body = creating(world.salon, "/api/trigger/schedule-recurring")
    recurring_id = data_of(world.salon.post("/api/trigger/schedule-recurring", body), 202)["recurringId"]

    for action in ("pause", "resume", "cancel"):
        path = f"/api/trigger/recurring/{recurring_id}/{action}"
        error_of(world.outsider.post(path, {}), 404, "not_found")
        error_of(world.outsider.post(path, {"workspaceId": "ws_salon"}), 404, "not_found")
    error_of(world.outsider.get(GETS[1], workspaceId="ws_salon"), 404, "not_found")
    assert data_of(world.outsider.get(GETS[1]))["recurring"] == []
    assert data_of(world.salon.get(GETS[1]))["recurring"][0]["status"] == "active"


def test_a_revoked_key_is_refused_from_then_on_and_the_others_stay(world: World) -> None:
    init_cli(world.app)
    runner = world.app.test_cli_runner()
    second = runner.invoke(args=["keys", "create", "ws_salon", "--name", "second"]).output.strip()
    assert world.salon.get(GETS[1]).status_code == 200

    assert "1 revoked" in runner.invoke(args=["keys", "revoke", "ws_salon", world.salon.key[:8]]).output

    error_of(world.salon.get(GETS[1]), 401)
    assert world.salon.client.get(GETS[1], headers={"Authorization": f"Bearer {second}"}).status_code == 200
    assert world.outsider.get(GETS[1]).status_code == 200


def test_the_bootstrap_key_works_and_making_it_again_changes_nothing(make_world) -> None:
    key = "k" * 32
    world = make_world(api_key_bootstrap=f"ws_first:{key}")
    init_cli(world.app)
    for _ in range(2):
        assert world.app.test_cli_runner().invoke(args=["bootstrap"]).exit_code == 0

    first = Tenant("ws_first", key, world.app.test_client())
    assert first.send(fromNumber="+19876543210")
    error_of(first.post("/api/trigger/send-sms", world.salon.text()), 403)


def test_keys_are_stored_as_hashes(world: World) -> None:
    service.store_key("ws_salon", "my-own-key-of-thirty-two-characters", "own")

    with reading() as session:
        rows = session.scalars(select(ApiKey)).all()
    for secret in (world.salon.key, world.outsider.key, "my-own-key-of-thirty-two-characters"):
        assert secret[8:] not in repr([vars(row) for row in rows])
    assert {len(row.digest) for row in rows} == {32}
