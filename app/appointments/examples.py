"""What the API's documentation shows; the times move to the coming year (`app.api.body.example`)."""

from typing import Any

NEW_APPOINTMENT: dict[str, Any] = {
    "appointmentId": "uuid-123",
    "name": "Anna Muster",
    "phone": "+1234567890",
    "email": "anna@example.com",
    "appointmentDateTime": "2025-12-15T10:00:00Z",
    "eventName": "Free Consultation",
    "durationMinutes": 30,
}
NEW_BOOKING: dict[str, Any] = {
    "bookingId": "booking_123",
    "customerName": "Anna Muster",
    "customerPhone": "+1234567890",
    "serviceName": "Haircut",
    "barberName": "Bo",
    "appointmentTime": "2025-12-31T10:00:00Z",
}
CHANGE: dict[str, Any] = {"appointmentDateTime": "2025-12-16T10:00:00Z"}
_PERSON = {"contactId": "uuid-456", "name": "Anna Muster", "phone": "+1234567890", "email": "anna@example.com"}
_REMINDER = {
    "jobId": "reminder-24hr-uuid-123",
    "messageId": "msg_0123456789abcdef0123456789abcdef",
    "reminderType": "24hr",
    "channel": "sms",
    "state": "delayed",
    "status": "scheduled",
    "scheduledFor": "2025-12-14T10:00:00Z",
    "validUntil": "2025-12-14T22:00:00Z",
    "sentAt": None,
    "reason": None,
}
APPOINTMENT: dict[str, Any] = {
    "id": "uuid-123",
    "appointmentId": "uuid-123",
    "bookingId": "uuid-123",
    "workspaceId": "67621",
    "contactId": "uuid-456",
    "contact": _PERSON,
    "appointmentDateTime": "2025-12-15T10:00:00Z",
    "date": "2025-12-15",
    "time": "10:00",
    "timezone": "UTC",
    "endsAt": "2025-12-15T10:30:00Z",
    "eventType": None,
    "eventName": "Free Consultation",
    "service": None,
    "staff": None,
    "location": None,
    "status": "PENDING",
    "source": "api",
    "policy": None,
    "revision": 1,
    "metadata": {},
    "createdAt": "2025-12-13T15:00:00Z",
    "updatedAt": "2025-12-13T15:00:00Z",
    "cancelledAt": None,
    "reminders": [_REMINDER],
}
_MOVED = {
    "jobId": "reminder-24hr-uuid-123",
    "reminderType": "24hr",
    "channel": "sms",
    "scheduledFor": "2025-12-15T10:00:00Z",
    "wasScheduledFor": "2025-12-14T10:00:00Z",
}
CHANGED = APPOINTMENT | {"revision": 2, "moved": [_MOVED], "added": [], "cancelled": [], "alreadySent": []}
PAGE: dict[str, Any] = {
    "appointments": [
        {
            "id": "uuid-123",
            "appointmentId": "uuid-123",
            "contact": _PERSON,
            "appointmentDateTime": "2025-12-15T10:00:00Z",
            "eventType": None,
            "eventName": "Free Consultation",
            "service": None,
            "staff": None,
            "status": "PENDING",
            "revision": 1,
        }
    ],
    "nextCursor": None,
}
REMINDERS: list[dict[str, Any]] = [
    {"jobId": "booking_123-reminder-1", "state": "completed", "scheduledFor": "2024-12-31T06:00:00Z"},
    {"jobId": "booking_123-reminder-2", "state": "waiting", "scheduledFor": "2024-12-31T08:00:00Z"},
]
STATS: dict[str, Any] = {"waiting": 15, "active": 3, "completed": 250, "failed": 2, "delayed": 42}
TRIGGER: dict[str, Any] = {
    "appointmentId": "uuid-123",
    "workspaceId": "67621",
    "contactId": "uuid-456",
    "appointmentDateTime": "2025-12-15T10:00:00Z",
    "eventName": "Free Consultation",
}
RUN: dict[str, Any] = {"id": "run_uuid-123_1"}
CRON: dict[str, Any] = {"checked": 12, "scheduled": 3, "skipped": 9, "failed": 0}
FORM_REQUEST: dict[str, Any] = {
    "name": "Anna Muster",
    "phone": "0400 000 549",
    "email": "anna@example.com",
    "date": "2025-12-15",
    "time": "10:00",
    "service": "Haircut",
}
FORM_RECEIVED: dict[str, Any] = {
    "appointmentId": "appointment_0123456789abcdef0123456789abcdef",
    "appointmentDateTime": "2025-12-15T10:00:00+11:00",
    "date": "2025-12-15",
    "time": "10:00",
    "timezone": "Australia/Sydney",
    "service": "Haircut",
    "staff": None,
    "status": "PENDING",
}
SIMULATE: dict[str, Any] = {
    "appointmentDateTime": "2025-12-15T10:00:00Z",
    "timezone": "Europe/Berlin",
    "policy": "classic",
    "settings": {"quietHours": {"start": "21:00", "end": "08:00"}},
    "contact": {"phone": "+1234567890", "timezone": "America/New_York"},
}
TIMELINE: dict[str, Any] = {
    "now": "2025-12-13T15:00:00Z",
    "bookedAt": "2025-12-13T15:00:00Z",
    "appointmentDateTime": "2025-12-15T10:00:00Z",
    "timezone": "Europe/Berlin",
    "recipientTimezone": "America/New_York",
    "eventTime": "Monday 15 December 2025 at 11:00 (Europe/Berlin)",
    "recipientTime": "Monday 15 December 2025 at 05:00 (America/New_York)",
    "policy": "classic",
    "summary": "1 of 1 reminders would be sent.",
    "reminders": [
        {
            "reminderType": "24hr",
            "kind": "24h",
            "channel": "sms",
            "scheduledFor": "2025-12-14T13:00:00Z",
            "eventTime": "Sunday 14 December 2025 at 14:00 (Europe/Berlin)",
            "recipientTime": "Sunday 14 December 2025 at 08:00 (America/New_York)",
            "validUntil": "2025-12-15T01:00:00Z",
            "willBeSent": True,
            "reason": None,
            "because": None,
            "subject": None,
            "text": None,
            "steps": [
                {"step": "rule", "text": "24h before the appointment begins.", "at": "2025-12-15T10:00:00+00:00"},
                {"step": "offset", "text": "Counted in time that has passed.", "at": "2025-12-14T10:00:00+00:00"},
                {
                    "step": "quiet_hours",
                    "text": "That is in the quiet hours (21:00 to 08:00, America/New_York), so it waits for their end.",
                    "at": "2025-12-14T13:00:00+00:00",
                },
            ],
        }
    ],
    "clockChanges": [],
}
