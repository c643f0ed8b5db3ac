"""What the API's documentation shows: the requests and answers of seed 001, and ours in their style.

Times are the seed's; `app.api.body.example` moves them to the coming year.
"""

from typing import Any

_MESSAGE = {
    "to": "+1234567890",
    "body": "Your message content",
    "workspaceId": "ws_123",
    "fromNumber": "+1987654321",
}

SEND_SMS = _MESSAGE | {"body": "Hello, this is an immediate message"}
SCHEDULE_DELAY: dict[str, Any] = _MESSAGE | {"body": "Hello from delay scheduler", "delayMinutes": 5}
SCHEDULE_UNTIL = _MESSAGE | {"body": "Hello at specific time", "scheduledTime": "2025-05-11T16:00:00+10:00"}
SCHEDULE_BULK = {
    "workspaceId": "ws_123",
    "fromNumber": "+1987654321",
    "messages": [
        {"to": "+1234567890", "body": "Hello from delay scheduler", "delayMinutes": 5},
        {"to": "+1234567890", "body": "Hello at specific time"},
    ],
}
SCHEDULE_RECURRING = _MESSAGE | {
    "body": "See you this month?",
    "cron": "0 9 1 * *",
    "timezone": "Australia/Brisbane",
    "until": "2025-12-24T00:00:00+10:00",
    "skipDates": ["2025-10-01"],
}
JOB = {"jobId": "job_xyz", "workspaceId": "ws_123"}
RESCHEDULE = JOB | {"scheduledTime": "2025-05-11T16:00:00+10:00"}
WORKSPACE = {"workspaceId": "ws_123"}

SENT = {"jobId": "job_immediate_xyz", "status": "processing", "messageId": "msg_123"}
SCHEDULED = {"jobId": "job_abc", "status": "scheduled", "scheduledTime": "2025-05-11T16:00:00+10:00"}
CANCELLED = {"jobId": "job_xyz", "status": "cancelled"}
JOB_STATE = {
    "jobId": "job_xyz",
    "status": "completed",
    "scheduledTime": "2025-05-11T15:22:43+10:00",
    "completedTime": "2025-05-11T15:22:45+10:00",
    "messageStatus": "delivered",
    "reason": None,
}
BULK_ANSWER = {
    "accepted": 1,
    "rejected": 1,
    "results": [
        {
            "index": 0,
            "success": True,
            "jobId": "job_xyz",
            "messageId": "msg_123",
            "status": "scheduled",
            "scheduledTime": "2025-05-11T15:22:43.000+10:00",
            "reference": None,
        },
        {
            "index": 1,
            "success": False,
            "error": {
                "code": "invalid",
                "message": "Some fields are not valid: body.",
                "fields": {"body": ["give either scheduledTime or delayMinutes"]},
            },
        },
    ],
}
RECURRING_STATE = {
    "recurringId": "0197c2f1d5a87b3e9f10c4d2a6b81e37",
    "status": "active",
    "nextRuns": ["2025-06-01T09:00:00+10:00", "2025-07-01T09:00:00+10:00", "2025-08-01T09:00:00+10:00"],
}
RECURRING_LIST = {
    "recurring": [
        RECURRING_STATE
        | {
            "to": "+1234567890",
            "fromNumber": "+1987654321",
            "body": "See you this month?",
            "mediaUrl": [],
            "crons": ["0 9 1 * *"],
            "timezone": "Australia/Brisbane",
            "until": "2025-12-23T14:00:00+00:00",
            "count": None,
            "skipDates": ["2025-10-01"],
            "createdAt": "2025-05-11T05:22:43.000+00:00",
        }
    ]
}

MESSAGE: dict[str, Any] = {
    "messageId": "msg_123",
    "jobId": "job_xyz",
    "to": "+1234567890",
    "fromNumber": "+1987654321",
    "body": "Hello from delay scheduler",
    "mediaUrl": [],
    "status": "completed",
    "messageStatus": "delivered",
    "state": "delivered",
    "reason": None,
    "scheduledTime": "2025-05-11T15:22:43.000+10:00",
    "nextAttemptAt": None,
    "slotAt": None,
    "validUntil": "2025-05-11T09:22:43.000+00:00",
    "sentAt": "2025-05-11T05:22:43.210+00:00",
    "finishedAt": "2025-05-11T05:22:45.000+00:00",
    "attempts": 1,
    "segments": 1,
    "provider": "twilio",
    "providerMessageId": "SM0123456789abcdef0123456789abcdef",
    "providerStatus": "delivered",
    "errorCode": None,
    "errorMessage": None,
    "explanation": None,
    "recurringId": None,
    "reference": None,
    "metadata": {},
    "createdAt": "2025-05-11T05:17:43.000+00:00",
}
MESSAGE_PAGE = {"messages": [MESSAGE], "nextCursor": None}
MESSAGE_STORY = MESSAGE | {
    "tries": [
        {
            "number": 1,
            "provider": "twilio",
            "startedAt": "2025-05-11T05:22:43.004+00:00",
            "finishedAt": "2025-05-11T05:22:43.210+00:00",
            "outcome": "accepted",
            "httpStatus": 201,
            "errorCode": None,
            "errorMessage": None,
            "providerMessageId": "SM0123456789abcdef0123456789abcdef",
        }
    ],
    "reports": [{"status": "delivered", "errorCode": None, "receivedAt": "2025-05-11T05:22:45.000+00:00"}],
}

NEW_BATCH: dict[str, Any] = {
    "name": "Autumn offer",
    "category": "informational",
    "body": "Hello {{ contact.first_name }}, we are open on Sunday.",
    "segment": {"tags": ["autumn"]},
    "delayMinutes": 10,
}
_BATCH: dict[str, Any] = {
    "batchId": "0197c2f1d5a87b3e9f10c4d2a6b81e37",
    "name": "Autumn offer",
    "status": "scheduled",
    "channel": "sms",
    "category": "informational",
    "total": 120,
    "scheduledTime": "2025-05-11T15:32:43.000+10:00",
}
BATCH_ACCEPTED: dict[str, Any] = _BATCH | {
    "accepted": 119,
    "skipped": [{"contactId": "client-7", "reason": "opted_out"}],
    "skippedCounts": {"opted_out": 1},
    "segments": 119,
    "undoUntil": "2025-05-11T15:32:43.000+10:00",
}
BATCH_STATE: dict[str, Any] = _BATCH | {
    "status": "sending",
    "segment": {"tags": ["autumn"]},
    "total": 119,
    "counts": {"delivered": 100, "sent": 12, "scheduled": 7},
    "createdAt": "2025-05-11T05:22:43.000+00:00",
    "cancelledAt": None,
}
BATCH_PAGE: dict[str, Any] = {"batches": [BATCH_STATE], "nextCursor": None}
BATCH_CANCELLED: dict[str, Any] = {
    "batchId": "0197c2f1d5a87b3e9f10c4d2a6b81e37",
    "status": "cancelled",
    "stopped": 7,
    "alreadyGone": 112,
}
