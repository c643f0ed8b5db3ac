"""Messages brought to each point of their life, by what brings them there in real life."""

from collections.abc import Callable

from sqlalchemy import update

from app.channels.base import Accepted, Failure, FailureKind, OutgoingMessage
from app.contacts import service as contacts
from app.database import writing
from app.messages.status import Report, apply_report
from app.workspaces.models import Workspace
from tests.world import PERSON, World

BUSY = Failure(FailureKind.TRANSIENT, "busy", code=21611, http_status=400)
REFUSED = Failure(FailureKind.PERMANENT, "no such number", code=21211, http_status=400)


def report(world: World, job_id: str, word: str, code: int | None = None) -> None:
    """The provider's report on a message that it has accepted."""
    sid = world.message(job_id).provider_message_id
    assert sid is not None
    apply_report(Report("twilio", sid, word, error_code=code))


def while_sending(world: World, act: Callable[[], None]) -> None:
    """Have something happen at the moment at which the next message is with the provider."""

    def accept(message: OutgoingMessage) -> Accepted:
        act()
        return world.provider.accept(message)

    world.provider.script.append(accept)


def waiting(world: World) -> str:
    return world.salon.delay(60)


def due(world: World) -> str:
    return world.salon.send()


def retrying(world: World) -> str:
    world.provider.script.append(BUSY)
    return sent(world)


def unknown(world: World) -> str:
    world.provider.script.append(world.provider.accept_then_lose)
    return sent(world)


def sent(world: World) -> str:
    job_id = world.salon.send()
    world.work()
    return job_id


def delivered(world: World) -> str:
    job_id = sent(world)
    report(world, job_id, "delivered")
    return job_id


def undelivered(world: World) -> str:
    job_id = sent(world)
    report(world, job_id, "undelivered", 30005)
    return job_id


def read(world: World) -> str:
    job_id = delivered(world)
    report(world, job_id, "read")
    return job_id


def refused(world: World) -> str:
    world.provider.script.append(REFUSED)
    return sent(world)


def exhausted(world: World) -> str:
    world.provider.script.extend([BUSY] * 3)
    job_id = sent(world)
    world.live(10)
    return job_id


def expired(world: World) -> str:
    job_id = world.salon.send(validUntil="2026-05-11T12:01:00Z")
    world.clock.advance(minutes=1)
    world.work()
    return job_id


def opted_out(world: World) -> str:
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", PERSON, "stop")
    return sent(world)


def held(world: World) -> str:
    """Its fate was never known, and its workspace wants no second try."""
    with writing() as session:
        session.execute(update(Workspace).values(on_unknown="hold"))
    world.provider.script.append(Failure(FailureKind.AMBIGUOUS, "no answer in time"))
    job_id = sent(world)
    world.live(60, step=10)
    return job_id


def throttled(world: World) -> str:
    world.provider.script.extend([Failure(FailureKind.THROTTLED, "slow down", http_status=429, retry_after_s=1)] * 11)
    job_id = sent(world)
    world.live(60)
    return job_id


def cancelled(world: World) -> str:
    job_id = waiting(world)
    assert world.salon.cancel(job_id).status_code == 200
    return job_id
