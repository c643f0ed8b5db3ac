"""Unknown addresses, other methods, odd ids and queries: errors in the envelope, never a page."""

from tests.answers import error_of, fields_of
from tests.features.test_malformed_requests import POSTS, SEND
from tests.world import World

GETS = ["/api/trigger/job-status", "/api/trigger/recurring"]
PAGE = {"Accept": "text/html"}

UNKNOWN = ["/api/nothing", "/api", "/api/trigger", "/api/trigger/", f"{SEND}/", f"{SEND}%0a", "/api//trigger/send-sms"]
UNKNOWN += [
    "//api/trigger",
    "/nothing",
    "/api/trigger/%00",
    "/api/trigger/%ff",
    "/api/../etc/passwd",
    "/<b>",
    "/webhooks",
]
UNKNOWN += ["/api/trigger/recurring/x/delete", "/api/trigger/recurring/x", "/api/sandbox", "/webhooks/twilio/x"]


def test_an_unknown_address_is_404(world: World) -> None:
    for path in UNKNOWN:
        for method in ("GET", "POST"):
            error_of(world.salon.client.open(path, method=method, headers=PAGE), 404, "not_found")


def test_another_method_is_405_and_says_which_are_allowed(world: World) -> None:
    for path, allowed in [*((path, "POST") for path in POSTS), *((path, "GET") for path in GETS)]:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {allowed}:
            response = world.salon.client.open(path, method=method, headers=PAGE)

            error_of(response, 405, "method_not_allowed")
            assert allowed in response.headers["Allow"]


def test_an_id_that_cannot_be_is_404(world: World) -> None:
    for recurring_id in ("x", "%00", "a%00b", "%ff", "%ed%a0%80", "x" * 5000, "..", "%27%20OR%201=1"):
        for action in ("pause", "resume", "cancel"):
            path = f"/api/trigger/recurring/{recurring_id}/{action}"
            error_of(world.salon.post_raw(path, b"{}"), 404, "not_found")


def test_a_query_is_judged_like_a_body(world: World) -> None:
    for query, names in (
        ("", {"jobId", "workspaceId"}),
        ("jobId=x", {"workspaceId"}),
        ("workspaceId=ws_salon", {"jobId"}),
        ("workspaceId=ws_salon&jobId=", {"jobId"}),
        ("workspaceId=ws_salon&jobId=%00", {"jobId"}),
        ("workspaceId=ws_salon&jobId=x%0a", {"jobId"}),
        ("workspaceId=ws_salon&jobId=%ff", {"jobId"}),
        ("workspaceId=ws_salon&jobId=x&more=1", {"more"}),
    ):
        headers = {"Authorization": f"Bearer {world.salon.key}"}
        response = world.salon.client.get(f"/api/trigger/job-status?{query}", headers=headers)
        assert fields_of(response) == names, query
