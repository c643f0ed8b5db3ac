"""X-Dry-Run: the answer that a write would give, and nothing written."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.api.models import IdempotencyKey
from app.database import reading
from app.messages.models import Recurrence
from app.workspaces.models import Workspace
from tests.world import World


def count(table: Any) -> int:
    with reading() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


CREATING = {
    "send-sms": {},
    "schedule-delay": {"delayMinutes": 5},
    "schedule-until": {"scheduledTime": "2026-05-12T16:00:00+10:00"},
    "schedule-recurring": {"cron": "0 9 * * *", "timezone": "Europe/Berlin"},
}


@pytest.mark.parametrize("route", CREATING)
def test_creating_answers_without_ids_and_stores_nothing(world: World, route: str) -> None:
    body = world.salon.text(**CREATING[route])

    response = world.salon.post(f"/api/trigger/{route}", body, X_Dry_Run="true", Idempotency_Key="k1")

    assert response.status_code == 200
    data = response.json["data"]
    assert data["dryRun"] is True
    assert data.get("jobId", data.get("recurringId")) is None
    assert data["status"] in ("processing", "scheduled", "active")
    assert world.messages() == []
    assert count(Recurrence) == count(IdempotencyKey) == 0
    assert world.work() == 0


def test_a_bulk_has_its_verdicts_and_stores_nothing(world: World) -> None:
    good = {"to": "+12345678901", "body": "Hi", "delayMinutes": 5}
    body = {"workspaceId": "ws_salon", "messages": [good, {**good, "to": "nobody"}]}

    data = world.salon.post("/api/trigger/schedule-bulk", body, X_Dry_Run="1").json["data"]

    assert (data["accepted"], data["rejected"], data["dryRun"]) == (1, 1, True)
    assert data["results"][0]["jobId"] is data["results"][0]["messageId"] is None
    assert "to" in data["results"][1]["error"]["fields"]
    assert world.messages() == []


def test_the_errors_are_the_real_ones(world: World) -> None:
    response = world.salon.post("/api/trigger/send-sms", world.salon.text(to="nobody"), X_Dry_Run="true")

    assert response.status_code == 422
    assert "to" in response.json["error"]["fields"]


def test_cancelling_and_moving_are_only_tried_out(world: World) -> None:
    job_id = world.salon.delay(5)
    ref = {"jobId": job_id, "workspaceId": "ws_salon"}

    cancelled = world.salon.post("/api/trigger/cancel-job", ref, X_Dry_Run="true")
    moved = world.salon.post("/api/trigger/reschedule-job", {**ref, "delayMinutes": 60}, X_Dry_Run="true")

    assert cancelled.json["data"] == {"jobId": job_id, "status": "cancelled", "dryRun": True}
    assert moved.json["data"]["jobId"] == job_id
    world.live(310)
    assert len(world.provider.log) == 1


def test_pausing_is_only_tried_out(world: World) -> None:
    body = world.salon.text(**CREATING["schedule-recurring"])
    recurring_id = world.salon.post("/api/trigger/schedule-recurring", body).json["data"]["recurringId"]

    answer = world.salon.post(f"/api/trigger/recurring/{recurring_id}/pause", {}, X_Dry_Run="true").json["data"]

    assert answer == {"recurringId": recurring_id, "status": "paused", "nextRuns": [], "dryRun": True}
    assert world.salon.get("/api/trigger/recurring").json["data"]["recurring"][0]["status"] == "active"


def test_an_unclear_header_is_refused_rather_than_guessed(world: World) -> None:
    response = world.salon.post("/api/trigger/send-sms", world.salon.text(), X_Dry_Run="maybe")

    assert response.status_code == 422
    assert world.messages() == []


def test_a_new_workspace_is_not_made(make_world: Any) -> None:
    world = make_world(auth_required=False)
    body = {"to": "+12345678901", "body": "Hi", "workspaceId": "ws_new", "fromNumber": "+19876543210"}
    client = world.app.test_client()

    response = client.post("/api/trigger/send-sms", json=body, headers={"X-Dry-Run": "true"})

    assert response.status_code == 200
    with reading() as session:
        assert session.get(Workspace, "ws_new") is None
