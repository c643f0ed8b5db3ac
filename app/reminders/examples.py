"""What the API's documentation shows of the reminder settings and of the ledger; the latter in seed 003's words."""

from typing import Any

QUIET = {"start": "21:00", "end": "08:00", "mode": "shift"}
NEW_SETTINGS: dict[str, Any] = {
    "sendConfirmation": True,
    "send24hrReminder": True,
    "send1hrReminder": False,
    "emailEnabled": False,
    "policy": "classic",
    "eventPolicies": {
        "surgery": {
            "rules": [{"type": "at_booking"}, {"type": "before", "offset": "1w"}, {"type": "before", "offset": "24h"}],
            "channels": ["sms"],
            "fallback": ["email"],
        }
    },
    "quietHours": QUIET,
    "lateBooking": "skip",
}
SOME_SETTINGS: dict[str, Any] = {"send1hrReminder": False, "quietHours": {"start": "20:00", "end": "09:00"}}
SETTINGS: dict[str, Any] = {
    "workspaceId": "ws_123",
    "sendConfirmation": True,
    "send24hrReminder": True,
    "send1hrReminder": False,
    "smsEnabled": True,
    "emailEnabled": False,
    "whatsappEnabled": True,
    "policy": {"preset": "classic"},
    "eventPolicies": NEW_SETTINGS["eventPolicies"],
    "quietHours": QUIET,
    "lateBooking": "skip",
    "sendCancellation": True,
    "updatedAt": "2025-05-11T05:22:43.000+00:00",
}

MARK = {"entityType": "MEETING", "entityId": "meeting-123", "reminderType": "24h", "userId": "user-456"}
_ECHO: dict[str, Any] = MARK | {"channel": None, "occurrence": None}
MARKED = _ECHO | {"shouldSend": True}
WAS_SENT = _ECHO | {"wasSent": True}
RELEASED = _ECHO | {"released": True}
SENT_REMINDERS = {
    "reminders": [
        {
            "reminderType": "24h",
            "userId": "user-1",
            "sentAt": "2025-01-15T10:00:00.000+00:00",
            "channel": None,
            "occurrence": None,
        },
        {
            "reminderType": "1h",
            "userId": "user-1",
            "sentAt": "2025-01-16T09:00:00.000+00:00",
            "channel": None,
            "occurrence": None,
        },
    ],
    "more": False,
}
CLEANED_UP = {"deleted": 1234, "message": "Cleaned up 1,234 old reminder records", "more": False}
