"""What a booking with its plan costs beside one message, and the cron over ten thousand meetings."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import func, insert, select
from werkzeug.test import Client

from app import queue
from app.appointments import cron
from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import reading, writing
from app.messages.models import Message
from app.workspaces import service as workspaces
from tests.bench.stack import stack

WORKSPACE = "ws_bench"
KEY = "bench-key-of-more-than-32-characters"
SENDER = "+19876543210"
REQUESTS = 300
WARM_UP = 50
RULES_TIMES_CHANNELS = 6
"""``classic`` on SMS and email: what is compared is one booking with six reminders beside one message."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds for each request, one after the other in one process: application and database, no network."""

    quick: float
    """A message on the quick path."""
    keyed: float
    """A message with an Idempotency-Key: as safe to repeat as a booking with its own id."""
    booking: float
    """A booking of a new person."""
    known: float
    """A booking of a known one."""


def costs(database: str = "postgresql") -> Costs:
    """Measure all four in one process on one database."""
    with stack(database) as made, made.app.app_context():
        queue.add_in_background(made.app)
        workspaces.store_key(WORKSPACE, KEY)
        with writing() as session:
            workspaces.add_sender(session, WORKSPACE, "sms", SENDER)
        client = Client(made.app)
        numbers = count()
        start = (datetime.now(UTC) + timedelta(days=5)).isoformat()
        text = {"to": "+12345678901", "body": "Hello", "workspaceId": WORKSPACE, "fromNumber": SENDER}

        def send() -> None:
            _post(client, "/api/trigger/schedule-delay", text | {"delayMinutes": 600})

        def send_keyed() -> None:
            key = {"Idempotency-Key": f"k{next(numbers)}"}
            _post(client, "/api/trigger/schedule-delay", text | {"delayMinutes": 600}, key)

        def book_new() -> None:
            book(next(numbers))

        def book(person: int = 0) -> None:
            answer = _post(
                client,
                "/api/appointments",
                {
                    "name": "Anna Muster",
                    "phone": f"+1234{person:07}",
                    "email": f"anna{person}@example.com",
                    "appointmentId": f"a{next(numbers)}",
                    "appointmentDateTime": start,
                },
            )
            if len(answer["data"]["reminders"]) != RULES_TIMES_CHANNELS:
                raise AssertionError("another number of reminders than we say that we measure")

        # In turns, so that each is measured beside the others.
        works: list[Callable[[], None]] = [send, send_keyed, book_new, book]
        for work in works:
            for _ in range(WARM_UP):
                work()
        spent = [0.0] * len(works)
        for _ in range(REQUESTS):
            for index, work in enumerate(works):
                begun = time.perf_counter()
                work()
                spent[index] += time.perf_counter() - begun
        return Costs(*(1000 * seconds / REQUESTS for seconds in spent))


def _post(client: Client, path: str, body: dict[str, object], headers: dict[str, str] | None = None) -> dict:
    response = client.post(
        path,
        data=json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {KEY}"} | (headers or {}),
    )
    if response.status_code not in (201, 202):
        raise AssertionError(response.text)
    return dict(response.json or {})


@dataclass(frozen=True, slots=True)
class Cron:
    """A first run over meetings that nobody has planned, and a second one; seconds, and the rows that each made."""

    first_s: float
    first_rows: int
    second_s: float
    second_rows: int


def cron_over(meetings: int, database: str = "postgresql") -> Cron:
    """The cron over so many meetings in its window."""
    with stack(database) as made, made.app.app_context():
        now = datetime.now(UTC)
        workspaces.store_key(WORKSPACE, KEY)
        with writing() as session:
            workspaces.add_sender(session, WORKSPACE, "sms", SENDER)
            session.execute(insert(Contact), [_person(index) for index in range(meetings)])
            session.execute(insert(Appointment), [_meeting(index, now) for index in range(meetings)])
        rows, seconds = [], []
        for _ in range(2):
            begun = time.perf_counter()
            cron.run(now, WORKSPACE)
            seconds.append(time.perf_counter() - begun)
            with reading() as session:
                rows.append(session.scalar(select(func.count()).select_from(Message)) or 0)
        return Cron(seconds[0], rows[0], seconds[1], rows[1] - rows[0])


def _person(index: int) -> dict[str, str]:
    return {
        "id": f"{index:032x}",
        "workspace_id": WORKSPACE,
        "public_id": f"person-{index}",
        "first_name": "Anna",
        "phone": f"+1234{index:07}",
        "email": f"anna{index}@example.com",
    }


def _meeting(index: int, now: datetime) -> dict[str, object]:
    starts_at = now + timedelta(hours=23, minutes=1, seconds=index % 7000)
    return {
        "id": f"{index:032x}",
        "workspace_id": WORKSPACE,
        "public_id": f"meeting-{index}",
        "contact_id": f"{index:032x}",
        "phone": f"+1234{index:07}",
        "email": f"anna{index}@example.com",
        "starts_at": starts_at,
        "starts_text": starts_at.isoformat(),
        "booked_at": now - timedelta(days=7),
    }
