"""Unknown addresses, other methods, odd ids and queries: errors in the envelope, never a page."""

import pytest

from tests.answers import error_of, fields_of
from tests.features.test_malformed_requests import POSTS, SEND
from tests.world import World

GETS = ["/api/trigger/job-status", "/api/trigger/recurring"]


@pytest.mark.parametrize("path, allowed", [*((path, "POST") for path in POSTS), *((path, "GET") for path in GETS)])
def test_another_method_is_405_and_says_which_are_allowed(world: World, path: str, allowed: str) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {allowed}:
        response = world.salon.client.open(path, method=method, headers={"Accept": "text/html"})

        error_of(response, 405, "method_not_allowed")
        assert allowed in response.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api/nothing",
            "/api",
            "/api/trigger",
            "/api/trigger/",
            f"{SEND}/",
            "/api//trigger/send-sms",
            "//api/trigger",
        ),
        *("/nothing", "/api/trigger/%00", "/api/trigger/%ff", "/api/../etc/passwd", "/<b>", "/api/trigger/send-sms%0a"),
        *(
            "/api/trigger/recurring/x/delete",
            "/api/trigger/recurring/x",
            "/api/sandbox",
            "/webhooks",
            "/webhooks/twilio/x",
        ),
    ],
)
def test_an_unknown_address_is_404(world: World, path: str) -> None:
    for method in ("GET", "POST"):
        error_of(world.salon.client.open(path, method=method, headers={"Accept": "text/html"}), 404, "not_found")


@pytest.mark.parametrize("recurring_id", ["x", "%00", "a%00b", "%ff", "%ed%a0%80", "x" * 5000, "..", "%27%20OR%201=1"])
def test_an_id_that_cannot_be_is_404(world: World, recurring_id: str) -> None:
    error_of(world.salon.post_raw(f"/api/trigger/recurring/{recurring_id}/pause", b"{}"), 404, "not_found")


@pytest.mark.parametrize(
    "query, names",
    [
        ("", {"jobId", "workspaceId"}),
        ("jobId=x", {"workspaceId"}),
        ("workspaceId=ws_salon", {"jobId"}),
        ("workspaceId=ws_salon&jobId=", {"jobId"}),
        ("workspaceId=ws_salon&jobId=%00", {"jobId"}),
        ("workspaceId=ws_salon&jobId=x%0a", {"jobId"}),
        ("workspaceId=ws_salon&jobId=%ff", {"jobId"}),
        ("workspaceId=ws_salon&jobId=x&more=1", {"more"}),
    ],
)
def test_a_query_is_judged_like_a_body(world: World, query: str, names: set[str]) -> None:
    response = world.salon.client.get(
        f"/api/trigger/job-status?{query}", headers={"Authorization": f"Bearer {world.salon.key}"}
    )
    assert fields_of(response) == names
