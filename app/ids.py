"""Ids: time-ordered for rows, deterministic for jobs.

Row ids are UUIDv7 (RFC 9562) written as 32 hex digits: rows made together lie together in the index, and a table can
be partitioned by time on its primary key. Job ids are what the caller sees; where the caller gave an
idempotency key they follow from it, so that a repeated request names the same job.
"""

import hashlib
import os
import re
import time

WORKSPACE_ID = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
"""The caller's own id of a tenant; no colon, which separates it from the key in ``API_KEY_BOOTSTRAP``."""
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What RQ accepts as an id, and so what we accept."""
APPOINTMENT_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
"""The caller's own id of an appointment; it becomes part of its reminders' job ids."""
CONTACT_ID = re.compile(r"[A-Za-z0-9_.@-]{1,128}")
"""The caller's own id of a person."""
BATCH_ID = re.compile(r"[0-9a-f]{32}")

_FIXED = 0xF << 76 | 0b11 << 62
"""Where UUIDv7 has its version and its variant."""


def new_id() -> str:
    """A new row id: 48 bits of milliseconds, then random bits, in the UUIDv7 layout."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    return f"{milliseconds << 80 | random & ~_FIXED | 0x7 << 76 | 0b10 << 62:032x}"


def job_id(row_id: str) -> str:
    """The public job id of a message that the caller did not name."""
    return f"job_{row_id}"


def message_id(row_id: str) -> str:
    """The public message id."""
    return f"msg_{row_id}"


def keyed_job_id(workspace_id: str, route: str, idempotency_key: str, index: int = 0) -> str:
    """The public job id that follows from an idempotency key; ``index`` tells the items of a bulk apart."""
    text = "\0".join((workspace_id, route, idempotency_key, str(index)))
    return f"job_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
