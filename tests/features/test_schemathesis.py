"""The routes do what the OpenAPI document says, whatever they are sent (schemathesis)."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sqlalchemy import update

from app.api.endpoint import ENDPOINTS
from app.api.openapi import build
from app.database import writing
from app.messages.models import Message
from tests.answers import data_of
from tests.people import CONTACTS, add
from tests.world import PERSON, Tenant, World

WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
YEAR = re.compile(r"^[0-9]{4}(?=-)")


class Current:
    """The app of the test that runs, and ids that exist in it: the tests are made before there is an app."""

    app: Callable[..., Any]
    ids: dict[str, str] = {}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


document = schemathesis.openapi.from_dict(build("http://127.0.0.1:3000", True, [one.path for one in ENDPOINTS]))
current = document.app = Current()


@document.hook
def map_case(_context: Any, case: schemathesis.Case) -> schemathesis.Case:
    """Random ids never exist, random years hardly ever lie ahead: where they are valid, real ones take their place."""
    for part in ("path_parameters", "query", "body"):
        fields = getattr(case, part)
        if isinstance(fields, dict):
            setattr(case, part, {name: real(name, value) for name, value in fields.items()})
    return case


def real(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in current.ids and WORD.fullmatch(value):
        return current.ids[name]
    return YEAR.sub("2027", value) if name in ("scheduledTime", "validUntil", "until") else value


@pytest.fixture
def tenant(world: World) -> Tenant:
    """The workspace, job and recurring message that the document's own examples name."""
    tenant = world.tenant("ws_123")
    job_id = tenant.delay(60)
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job_id).values(job_id="job_xyz"))
    rule = tenant.text(cron="0 9 1 * *", timezone="Europe/Berlin")
    recurring_id = tenant.post("/api/trigger/schedule-recurring", rule).json["data"]["recurringId"]
    current.app = world.app
    person = add(tenant, contactId="client_7", phone=PERSON)["contactId"]
    consent = data_of(tenant.post(f"{CONTACTS}/{person}/consents", {"kind": "marketing", "source": "form"}), 201)
    many = {"category": "informational", "body": "Hi", "segment": {"all": True}, "delayMinutes": 60}
    batch_id = data_of(tenant.post("/api/batches", many), 202)["batchId"]
    current.ids = {
        "batchId": batch_id,
        "contactId": person,
        "consentId": consent["consentId"],
        "workspaceId": "ws_123",
        "jobId": "job_xyz",
        "messageId": "job_xyz",
        "recurringId": recurring_id,
    }
    return tenant


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@document.parametrize()
@settings(max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: schemathesis.Case, tenant: Tenant) -> None:
    # Not all that is refused can be said in a schema: a time in the past, a zone that does not exist.
    excluded = [positive_data_acceptance]
    if case.path.endswith("/schedule-bulk") or case.operation.query:
        # A bulk is accepted with a verdict for each item. Of the queries that schemathesis means to spoil by another
        # parameter, some leave without it.
        excluded.append(negative_data_rejection)
    case.call_and_validate(headers={"Authorization": f"Bearer {tenant.key}"}, excluded_checks=excluded)
