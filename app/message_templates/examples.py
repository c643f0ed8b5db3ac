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
PREVIEW = {
    "kind": "24h",
    "channel": "sms",
    "body": "Hi {{ contact.first_name }}, your {{ appointment.service }} is {{ appointment.day }} \u2013 see you!",
}
TEST_SEND = PREVIEW | {"to": "+1234567890", "fromNumber": "+1987654321"}
PREVIEWED: dict[str, Any] = {
    "kind": "24h",
    "channel": "sms",
    "subject": None,
    "body": "Hi Alex, your Haircut is tomorrow \u2013 see you!",
    "contentSid": None,
    "contentVariables": None,
    "sampleData": True,
    "isDefault": False,
    "characters": 45,
    "encoding": "UCS-2",
    "segments": 1,
    "nonGsmCharacters": [{"character": "\u2013", "name": "EN DASH", "index": 34, "suggestion": "-"}],
    "missingFields": [],
    "wouldBeSkipped": False,
    "priceEstimate": {"amount": 0.0515, "currency": "AUD"},
    "priceNote": None,
    "warnings": [{"code": "no_business_name", "message": "The text does not say whom it comes from."}],
}
TEST_SENT = {
    "jobId": "job_xyz",
    "status": "processing",
    "messageId": "msg_123",
    "body": "Hi Alex, your Haircut is tomorrow \u2013 see you!",
}
