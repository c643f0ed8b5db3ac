"""Recurring messages in the tests: asking for them, and what became of them."""

from collections import Counter
from typing import Any

from tests.world import World


def recur(world: World, cron: str = "*/10 * * * *", timezone: str = "UTC", **changes: Any) -> str:
    body = world.salon.text(cron=cron, timezone=timezone, **changes)
    answer = world.salon.post("/api/trigger/schedule-recurring", body)
    assert answer.status_code == 202, answer.text
    return str(answer.json["data"]["recurringId"])


def sent_at(world: World) -> list[str]:
    """When the provider got each message, on the clock of UTC."""
    return [f"{record.created_at:%d %H:%M}" for record in world.provider.log]


def recorded(world: World) -> Counter[tuple[str, str | None]]:
    return Counter((message.status, message.reason) for message in world.messages())
