"""The API's description: /openapi.json for programs, /docs for people."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
import schemathesis
from pydantic.alias_generators import to_camel
from werkzeug import Response
from werkzeug.test import Client, TestResponse

from app import clock
from app.api.endpoint import ENDPOINTS, PLAIN_ROUTES
from app.api.openapi import openapi_path
from tests.people import add
from tests.world import PERSON, Tenant, World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Flask's ways to write a parameter: <name>, <kind:name>, <any(a, b):name>.
PARAMETER = re.compile(r"<(?:[^>]*:)?([a-z_]+)>")
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    response = world.app.test_client().get("/openapi.json")
    assert response.mimetype == "application/json"
    return dict(response.json)


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def served(world: World, prefixes: tuple[str, ...]) -> set[tuple[str, str]]:
    return {
        (method, PARAMETER.sub(lambda found: f"{{{to_camel(found[1])}}}", rule.rule))
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(prefixes)
    }


def test_it_is_a_valid_openapi_3_1_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found: Any = document
        for step in reference.split("/"):
            found = found[step]
        assert found


def test_every_route_of_the_api_is_described_and_nothing_else(world: World, document: dict[str, Any]) -> None:
    described = set(operations(document))

    assert {one for one in described if one[1].startswith("/api/")} == served(world, ("/api/",))
    assert described == served(world, ("/api/", "/webhooks/", "/healthz", "/readyz", "/metrics"))
    assert len(described) == len(ENDPOINTS) + len(PLAIN_ROUTES)


def test_operations_have_names_of_their_own_and_say_what_they_do(document: dict[str, Any]) -> None:
    found = operations(document)

    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    assert all(operation["summary"] and operation["description"] for operation in found.values())
    assert {tag for operation in found.values() for tag in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }


def test_creating_routes_take_an_idempotency_key_and_every_write_a_dry_run(document: dict[str, Any]) -> None:
    creating = {(one.method, openapi_path(one.path)) for one in ENDPOINTS if one.creates}
    for (method, path), operation in operations(document).items():
        headers = {one["$ref"].rpartition("/")[2] for one in operation.get("parameters", ()) if "$ref" in one}
        writes = method != "GET" and path.startswith("/api/")
        assert headers == {
            *(["Idempotency-Key"] if (method, path) in creating else []),
            *(["X-Dry-Run"] if writes else []),
        }


def test_a_path_with_a_choice_names_its_words(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/trigger/recurring/{recurringId}/{action}"]["post"]

    by_name = {one.get("name"): one for one in operation["parameters"]}
    assert by_name["recurringId"]["in"] == by_name["action"]["in"] == "path"
    assert by_name["action"]["schema"]["enum"] == ["pause", "resume", "cancel"]


def test_a_bulk_s_items_are_described_though_each_is_judged_on_its_own(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["ScheduleBulk"]["properties"]["messages"]["items"] == {"$ref": "#/components/schemas/BulkItem"}
    assert schemas["BulkItem"]["required"] == ["to", "body"]
    assert schemas["BulkItem"]["properties"]["delayMinutes"]["anyOf"][0]["exclusiveMinimum"] == 0


def test_a_key_is_asked_for_only_where_one_is_needed(make_world: Any) -> None:
    with_keys = make_world().app.test_client().get("/openapi.json").json
    without = make_world(auth_required=False).app.test_client().get("/openapi.json").json

    assert with_keys["security"] == [{"bearer": []}]
    assert without["security"] == [{}, {"bearer": []}]
    assert with_keys["paths"]["/healthz"]["get"]["security"] == []


def test_it_names_the_address_under_which_the_service_is_reached(make_world: Any) -> None:
    client = make_world(public_base_url="https://bell.example").app.test_client()

    assert client.get("/openapi.json").json["servers"] == [{"url": "https://bell.example"}]
    assert "curl -X POST https://bell.example/api/trigger/send-sms" in client.get("/docs").text


SEED_EXAMPLES = {
    "send-sms": {
        "to": "+1234567890",
        "body": "Hello, this is an immediate message",
        "workspaceId": "ws_123",
        "fromNumber": "+1987654321",
    },
    "schedule-delay": {
        "to": "+1234567890",
        "body": "Hello from delay scheduler",
        "workspaceId": "ws_123",
        "delayMinutes": 5,
        "fromNumber": "+1987654321",
    },
    "schedule-until": {
        "to": "+1234567890",
        "body": "Hello at specific time",
        "workspaceId": "ws_123",
        "scheduledTime": "2027-05-11T16:00:00+10:00",
        "fromNumber": "+1987654321",
    },
    "cancel-job": {"jobId": "job_xyz", "workspaceId": "ws_123"},
}


@pytest.mark.parametrize("route", SEED_EXAMPLES)
def test_the_examples_are_the_seed_s_and_lie_ahead(document: dict[str, Any], route: str) -> None:
    assert clock.now().year == 2026
    content = document["paths"][f"/api/trigger/{route}"]["post"]["requestBody"]["content"]["application/json"]

    assert content["example"] == SEED_EXAMPLES[route]


def check(document: dict[str, Any], response: TestResponse, path: str, method: str = "POST") -> None:
    """The answer is one that the document promises."""
    schemathesis.openapi.from_dict(document)[path][method].validate_response(response)


@pytest.mark.parametrize("route", [one for one in ENDPOINTS if one.body is not None], ids=lambda one: one.name)
def test_every_example_of_a_request_is_accepted(world: World, document: dict[str, Any], route: Any) -> None:
    response = ask_the_example(world, document, route)

    assert response.status_code == route.status, response.text
    check(document, response, openapi_path(route.path), route.method)


@pytest.mark.parametrize("route", [one for one in ENDPOINTS if one.body is not None], ids=lambda one: one.name)
def test_every_answer_to_a_dry_run_is_described(world: World, document: dict[str, Any], route: Any) -> None:
    response = ask_the_example(world, document, route, X_Dry_Run="true")

    assert response.status_code == 200, response.text
    assert (response.json if route.bare else response.json["data"])["dryRun"] is True
    check(document, response, openapi_path(route.path), route.method)


def ask_the_example(world: World, document: dict[str, Any], route: Any, **headers: str) -> TestResponse:
    """Send a route's example in a world where the things that it names are there."""
    operation = document["paths"][openapi_path(route.path)][route.method.lower()]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    tenant = world.tenant(example.get("workspaceId", "ws_123"))
    if "jobId" in example:
        example["jobId"] = tenant.delay(5)
    made = make_what_is_named(tenant)
    path = PARAMETER.sub(lambda found: made[found[1]], route.path)
    return tenant.ask(route.method, path, example, **headers)


def make_what_is_named(tenant: Tenant) -> dict[str, str]:
    """One thing of each kind, as the examples name it; by the name of the path parameter."""
    start = (clock.now() + timedelta(days=100)).isoformat()
    body = {"appointmentId": "made", "contactId": "uuid-456", "phone": PERSON, "appointmentDateTime": start}
    response = tenant.post("/api/appointments", body)
    assert response.status_code == 201, response.text
    person = add(tenant, phone="+15550000001", tags=["autumn"])["contactId"]
    return {"appointment_id": "made", "booking_id": "made", "kind": "24h", "channel": "sms", "contact_id": person}


def test_every_example_of_an_answer_has_the_form_that_it_illustrates(document: dict[str, Any]) -> None:
    described = schemathesis.openapi.from_dict(document)
    shown = 0
    for (method, path), operation in operations(document).items():
        for status, answer in operation["responses"].items():
            answer = document["components"]["responses"][answer["$ref"].split("/")[-1]] if "$ref" in answer else answer
            example = answer.get("content", {}).get("application/json", {}).get("example")
            if example is not None:
                described[path][method].validate_response(answered(int(status), example))
                shown += 1
    assert shown > 100


def answered(status: int, body: Any) -> TestResponse:
    return Client(Response(json.dumps(body), status, content_type="application/json")).get("/")


def test_an_answer_of_another_form_would_be_noticed(document: dict[str, Any]) -> None:
    data = {"jobId": "job_xyz", "status": "cancelled", "surprise": 1}

    with pytest.raises(schemathesis.openapi.checks.JsonSchemaError):
        check(document, answered(200, {"success": True, "data": data}), "/api/trigger/cancel-job")


def test_errors_have_the_described_form(world: World, document: dict[str, Any]) -> None:
    path = "/api/trigger/send-sms"
    refused = world.salon.post(path, world.salon.text(to="nobody"))
    unknown = world.app.test_client().post(path, json={})
    foreign = world.outsider.post(path, world.salon.text())

    assert [one.status_code for one in (refused, unknown, foreign)] == [422, 401, 403]
    for response in (refused, unknown, foreign):
        check(document, response, path)


class Page(HTMLParser):
    """What a page consists of, as far as the promises about it go."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(world: World) -> Page:
    response = world.app.test_client().get("/docs")
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    return Page(response.text)


def test_the_page_shows_every_path_field_and_error(page: Page, document: dict[str, Any]) -> None:
    for path in document["paths"]:
        assert path in page.text
    for model in ("SendSms", "ScheduleUntil", "ScheduleBulk", "BulkItem", "ScheduleRecurring", "MessageStory"):
        for name in document["components"]["schemas"][model]["properties"]:
            assert name in page.text
    for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503):
        assert ("id", f"error-{status}") in page.attributes


def test_the_page_s_commands_hold_the_examples(page: Page) -> None:
    assert "curl -X POST http://127.0.0.1:3000/api/trigger/send-sms" in page.text
    assert '-H "Authorization: Bearer YOUR_API_KEY"' in page.text
    assert '"body": "Hello, this is an immediate message"' in page.text
    assert "curl 'http://127.0.0.1:3000/api/trigger/job-status?jobId=job_xyz&workspaceId=ws_123'" in page.text


def test_the_page_asks_nothing_of_anybody_else_and_runs_no_script(page: Page) -> None:
    addresses = [value for name, value in page.attributes if name in ("href", "src", "action", "srcset", "poster")]

    assert addresses
    assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in addresses)
    assert not page.tags & {"script", "style", "iframe", "object", "form"}
    assert not [name for name, _ in page.attributes if name == "style" or name.startswith("on")]


def test_every_link_within_the_page_has_its_target(page: Page) -> None:
    targets = [value for name, value in page.attributes if name == "id"]

    assert len(targets) == len(set(targets))
    assert {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")} <= set(targets)


def test_the_page_may_load_its_own_style_and_images_only(world: World) -> None:
    client = world.app.test_client()

    assert client.get("/docs").headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:"
    )
    for path in ("/static/docs.css", "/static/bell.svg"):
        with client.get(path) as response:
            assert response.status_code == 200
            assert not re.search(r"url\(|@import", response.text)


def test_without_keys_the_commands_carry_none(make_world: Any) -> None:
    text = make_world(auth_required=False).app.test_client().get("/docs").text

    assert '-H "Authorization' not in text
    assert "-H &#34;Authorization" not in text


def test_the_front_door_leads_to_the_page(world: World) -> None:
    response = world.app.test_client().get("/")

    assert response.status_code == 302
    assert response.location == "/docs"
