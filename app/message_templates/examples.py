"""What the API's documentation shows of the templates."""

from typing import Any

SAVE = {
    "body": 'Hi {{ contact.first_name | default: "there" }}, your {{ appointment.service }} with '
    "{{ appointment.staff }} is {{ appointment.day }} at {{ appointment.time }}.",
    "missingField": "skip",
}
TEMPLATE: dict[str, Any] = SAVE | {
    "kind": "24h",
    "channel": "sms",
    "eventType": None,
    "subject": None,
    "contentSid": None,
    "contentVariables": {},
    "isDefault": False,
    "updatedAt": "2025-05-11T05:22:43.000+00:00",
}
TEMPLATES = {
    "templates": [TEMPLATE],
    "fields": [{"name": "contact.first_name", "example": "Alex"}],
}
DELETED = {"kind": "24h", "channel": "sms", "eventType": None, "deleted": True}
