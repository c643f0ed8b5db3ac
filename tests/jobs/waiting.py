"""Messages that wait for their time, and what Redis knows of them, for the tests of feeding."""

from collections.abc import Sequence
from datetime import timedelta

from app.database import writing
from app.messages import service
from app.messages.service import Draft, Stored
from tests.world import PERSON, SENDER, Tenant, World


def commit(world: World, seconds: Sequence[float], tenant: Tenant | None = None) -> list[Stored]:
    """Messages due in so many seconds from now, committed and not announced: their process died in between."""
    now = world.clock.now()
    drafts = [
        Draft(
            workspace_id=(tenant or world.salon).workspace_id,
            to=PERSON,
            sender=SENDER,
            body=f"In {delay:g} s, number {number}",
            due_at=now + timedelta(seconds=delay),
            due_text="",
            valid_until=now + timedelta(seconds=delay, hours=4),
        )
        for number, delay in enumerate(seconds)
    ]
    with writing() as session:
        return service.store(session, drafts)


def accept(world: World, seconds: Sequence[float], tenant: Tenant | None = None) -> list[str]:
    """Messages due in so many seconds, accepted in the ordinary way; returns the ids of their rows."""
    stored = commit(world, seconds, tenant)
    service.announce(stored)
    return [one.id for one in stored]


def scheduled(world: World) -> list[str]:
    """The rows whose nudges wait for their time in Redis, in order."""
    return [job_id.partition("-")[0] for job_id in world.scheduled()]


def queued(world: World) -> list[str]:
    """The rows whose nudges wait for a worker, in order."""
    return [job_id.decode().partition("-")[0] for job_id in world.redis.lrange("rq:queue:send", 0, -1)]


def held(world: World) -> list[str]:
    """All rows that Redis knows."""
    return queued(world) + scheduled(world)
