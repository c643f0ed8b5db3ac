"""Examples for the document."""

from typing import Any

PATCH: dict[str, Any] = {
    "workspaceId": "ws_123",
    "timezone": "Europe/Berlin",
    "caps": {"dailySegments": 500, "monthlySpend": "50.00"},
    "prices": {"currency": "EUR", "sms": "0.0725"},
    "replies": {"enabled": True},
}
SETTINGS: dict[str, Any] = {
    "workspaceId": "ws_123",
    "name": "Salon Anna",
    "timezone": "Europe/Berlin",
    "defaultSender": "+1987654321",
    "onUnknown": "resend",
    "retryPolicies": {"default": None, "reminder": None},
    "caps": {"dailySegments": 500, "monthlySegments": None, "dailySpend": None, "monthlySpend": "50.00"},
    "prices": {"currency": "EUR", "sms": "0.0725", "whatsapp": None, "email": None},
    "replies": {"enabled": True},
    "bookingForm": {
        "enabled": True,
        "services": ["Haircut"],
        "staff": [],
        "eventType": None,
        "eventName": None,
        "countries": ["DE"],
        "openFrom": "09:00",
        "openUntil": "17:30",
        "minNoticeMinutes": 60,
        "maxDaysAhead": 90,
        "perDay": 100,
        "perNumber": 3,
        "perAddress": 10,
        "origins": [],
        "consentText": None,
    },
}
USAGE: dict[str, Any] = {
    "counted": True,
    "currency": "EUR",
    "today": {
        "period": "2025-05-11",
        "segments": 412,
        "spend": "29.87",
        "maxSegments": 500,
        "maxSpend": None,
        "percent": 82,
        "warned": True,
        "reached": False,
        "endsAt": "2025-05-11T22:00:00.000+00:00",
    },
    "month": {
        "period": "2025-05",
        "segments": 500,
        "spend": "36.25",
        "maxSegments": None,
        "maxSpend": "50.00",
        "percent": 72,
        "warned": False,
        "reached": False,
        "endsAt": "2025-05-31T22:00:00.000+00:00",
    },
}
AUDIT: dict[str, Any] = {
    "entries": [
        {
            "id": "0196bd2f4e007d3a8b1c5a6f7e8d9c0b",
            "at": "2025-05-11T12:00:00.000+00:00",
            "actor": "key:bh_4fZq1",
            "action": "settings.changed",
            "subject": "ws_123",
            "before": {"caps.dailySegments": None},
            "after": {"caps.dailySegments": 500},
        }
    ],
    "nextCursor": None,
}
