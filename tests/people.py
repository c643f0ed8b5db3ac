"""People for tests, made through the API."""

from typing import Any

from werkzeug.test import TestResponse

from tests.answers import data_of
from tests.world import Tenant

CONTACTS = "/api/contacts"


def add(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    """A contact of a workspace, as the API shows it."""
    return data_of(tenant.post(CONTACTS, fields), 201)


def everybody(tenant: Tenant) -> list[dict[str, Any]]:
    """All contacts of a workspace, the latest first."""
    return list(data_of(tenant.get(CONTACTS, limit="200"))["contacts"])


def patch(tenant: Tenant, contact_id: str, **changes: Any) -> TestResponse:
    """Change a contact."""
    return tenant.call("PATCH", f"{CONTACTS}/{contact_id}", changes)
