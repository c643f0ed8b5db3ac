"""AUTH_REQUIRED=0: this machine needs no key, and nobody else gets in."""

import json

import pytest
from sqlalchemy import select

from app.database import reading
from app.errors import SettingsError
from app.settings import load
from app.workspaces.models import Workspace
from tests.answers import data_of, error_of, fields_of
from tests.world import World

SEND = "/api/trigger/send-sms"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def open_world(make_world) -> World:
    return make_world(auth_required=False)


def send(world: World, headers: dict[str, str] | None = None, base_url: str = "http://localhost:3000", **changes: str):
    body = json.dumps(world.salon.text(**changes))
    return world.salon.client.post(SEND, data=body, headers=JSON | (headers or {}), base_url=base_url)


def workspaces() -> set[str]:
    with reading() as session:
        return set(session.scalars(select(Workspace.id)))


def test_no_key_is_needed_and_a_workspace_is_made_on_first_use(open_world: World) -> None:
    job_id = data_of(send(open_world, workspaceId="ws_123"), 202)["jobId"]

    assert "ws_123" in workspaces()
    response = open_world.salon.client.get(f"/api/trigger/job-status?jobId={job_id}&workspaceId=ws_123")
    assert data_of(response)["jobId"] == job_id


def test_only_creating_makes_a_workspace(open_world: World) -> None:
    client, job = open_world.salon.client, {"jobId": "job_x", "workspaceId": "ws_unknown"}

    error_of(client.get("/api/trigger/job-status", query_string=job), 404)
    error_of(client.post("/api/trigger/cancel-job", json=job), 404)
    error_of(client.post("/api/trigger/reschedule-job", json=job | {"delayMinutes": 1}), 404)
    assert data_of(client.get("/api/trigger/recurring?workspaceId=ws_unknown"))["recurring"] == []
    assert fields_of(send(open_world, workspaceId="ws_unknown", to="1")) == {"to"}
    assert "ws_unknown" not in workspaces()


def test_without_a_key_the_workspace_must_be_named(open_world: World) -> None:
    client = open_world.salon.client

    assert fields_of(client.get("/api/trigger/job-status?jobId=job_x")) == {"workspaceId"}
    assert fields_of(client.get("/api/trigger/recurring")) == {"workspaceId"}
    assert fields_of(client.get("/api/sandbox/inbox")) == {"workspaceId"}


def test_a_wrong_key_is_still_refused(open_world: World) -> None:
    for header in ("Bearer nonsense", "Bearer ", "Bearer", "Basic eDp5", ""):
        error_of(send(open_world, {"Authorization": header}), 401)


def test_a_right_key_still_binds_to_its_workspace(open_world: World) -> None:
    error_of(open_world.outsider.post(SEND, open_world.salon.text()), 403)
    assert open_world.outsider.send()


def test_this_machine_has_several_names(open_world: World) -> None:
    for host in ("localhost:3000", "127.0.0.1:3000", "127.0.0.1", "127.1.2.3:80", "[::1]:3000", "LOCALHOST"):
        data_of(send(open_world, base_url=f"http://{host}"), 202)


FOREIGN = ["example.com", "example.com:3000", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1:3000", "[::1"]
FOREIGN += [
    "0.0.0.0:3000",
    "[::]:3000",
    "192.168.1.10",
    "[::ffff:10.0.0.1]",
    "localhost@example.com",
    "",
    "a b",
    "\xe4",
]
FOREIGN += ["example.com#localhost", "]", ":"]


def test_a_foreign_host_needs_a_key(open_world: World) -> None:
    for host in FOREIGN:
        response = send(open_world, {"Host": host})
        assert response.status_code in (400, 401), host
        error_of(response, response.status_code)
    assert open_world.messages() == []


PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-Ip")


def test_what_came_through_a_proxy_needs_a_key(open_world: World) -> None:
    key = {"Authorization": f"Bearer {open_world.salon.key}"}
    for header in PROXIES:
        for value in ("127.0.0.1", "for=127.0.0.1", ""):
            error_of(send(open_world, {header: value}), 401)
        data_of(send(open_world, {header: "127.0.0.1"} | key), 202)


def test_what_a_foreign_page_can_post_is_415(open_world: World) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        error_of(send(open_world, {"Content-Type": content_type}), 415, "unsupported_media_type")


def test_webhooks_are_never_open(open_world: World) -> None:
    for path in ("/webhooks/twilio/status", "/webhooks/twilio/inbound"):
        error_of(open_world.salon.client.post(path, data={"MessageSid": "SM1", "MessageStatus": "sent"}), 403)


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"public_base_url": "https://sms.example.com"}])
def test_it_is_refused_where_others_could_reach_us(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="AUTH_REQUIRED"):
        load(env_file=None, auth_required=False, secret_key="x", **settings)
