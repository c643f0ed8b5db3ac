"""What the API's documentation shows of people; ``app.api.body.example`` moves the times to the coming year."""

from typing import Any

NEW_CONTACT: dict[str, Any] = {
    "contactId": "client-7",
    "firstName": "Ana",
    "lastName": "Silva",
    "phone": "+1234567890",
    "email": "ana@example.com",
    "timezone": "Australia/Brisbane",
    "tags": ["vip"],
    "fields": {"favourite": "green tea"},
}
CONTACT_CHANGE: dict[str, Any] = {"phone": "+1234567891", "tags": ["vip", "autumn"]}
CONTACT: dict[str, Any] = NEW_CONTACT | {
    "name": "Ana Silva",
    "notes": "",
    "optedOut": ["sms"],
    "createdAt": "2025-05-11T05:22:43.000+00:00",
    "updatedAt": "2025-05-11T05:22:43.000+00:00",
}
CONTACT_PAGE: dict[str, Any] = {"contacts": [CONTACT], "nextCursor": None}
NEW_CONSENT: dict[str, Any] = {"kind": "marketing", "channel": "sms", "source": "newsletter form"}
CONSENT: dict[str, Any] = NEW_CONSENT | {
    "consentId": "0197c2f1d5a87b3e9f10c4d2a6b81e37",
    "contactId": "client-7",
    "givenAt": "2025-05-11T05:22:43.000+00:00",
    "expiresAt": None,
    "revokedAt": None,
    "inForce": True,
}
CONSENT_LIST: dict[str, Any] = {"consents": [CONSENT]}
CHANNEL: dict[str, Any] = {"channel": "sms"}
OPT_OUT: dict[str, Any] = {"contactId": "client-7", "optedOut": ["sms"], "cancelled": 2}
ERASED: dict[str, Any] = {
    "contactId": "client-7",
    "status": "erased",
    "cancelled": 0,
    "keptAppointments": 1,
    "keptMessages": 3,
}
IMPORTED: dict[str, Any] = {"total": 3, "created": 2, "updated": 0, "skipped": 1, "skippedLines": [4]}
