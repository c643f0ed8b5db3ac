"""What the tests of sending share: failures by name, and a worker that dies at a chosen step."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import update

from app import queue
from app.channels.base import Failure, FailureKind, OutgoingMessage, ProviderRecord
from app.database import writing
from app.messages import status
from app.messages.models import Attempt
from app.workspaces.models import Workspace
from tests.world import Tenant, World

PERMANENT = Failure(FailureKind.PERMANENT, "not a mobile number", code=21614, http_status=400)
OPTED_OUT = Failure(FailureKind.OPTED_OUT, "replied STOP", code=21610, http_status=400)
TRANSIENT = Failure(FailureKind.TRANSIENT, "not now", http_status=400)
THROTTLED = Failure(FailureKind.THROTTLED, "too fast", code=20429, http_status=429)
UNREACHABLE = Failure(FailureKind.UNREACHABLE, "connection refused")
CONFIGURATION = Failure(FailureKind.CONFIGURATION, "Authenticate", code=20003, http_status=401)
AMBIGUOUS = Failure(FailureKind.AMBIGUOUS, "no answer in time")


class Crash(BaseException):
    """The process is gone, as after kill -9: nothing of ours may catch this."""


@contextmanager
def dies_at(step: str) -> Iterator[None]:
    """Within the block, a worker that comes to a step of delivery dies there."""

    def point(reached: str) -> None:
        if reached == step:
            raise Crash(step)

    with patch("app.faults.point", point):
        try:
            yield
        except Crash:
            return
    raise AssertionError(f"no worker came to the step {step!r}")


def follow(world: World, seconds: float) -> None:
    """Let time pass from one nudge's due time to the next, exactly; the sweep has a long sleep."""
    end = world.clock.now() + timedelta(seconds=seconds)
    world.work()
    while (at := _next_due(world)) is not None and at <= end:
        assert at > world.clock.now(), "a nudge that is due was left lying"
        world.clock.set(at)
        world.work()
    world.clock.set(end)


def _next_due(world: World) -> datetime | None:
    first = [world.redis.zrange(f"rq:scheduled:{name}", 0, 0, withscores=True) for name in queue.QUEUES]
    scores = [score for entries in first for _, score in entries]
    return datetime.fromtimestamp(min(scores), UTC) if scores else None


def bodies(world: World) -> list[str]:
    """The texts that the provider accepted, in order."""
    return [record.body for record in world.provider.log]


def outcomes(world: World, job_id: str) -> list[str | None]:
    """How the tries of a job ended, in order."""
    return [attempt.outcome for attempt in world.attempts(job_id)]


def started(world: World, job_id: str) -> list[float]:
    """When each try began, in seconds after the message was due."""
    due_at = world.message(job_id).due_at
    return [(attempt.started_at - due_at).total_seconds() for attempt in world.attempts(job_id)]


def last_attempt(world: World, job_id: str) -> Attempt:
    """The latest try of a job."""
    return world.attempts(job_id)[-1]


def hold_unknown(tenant: Tenant) -> None:
    """Let the workspace keep messages of unknown fate instead of sending them again."""
    with writing() as session:
        session.execute(update(Workspace).where(Workspace.id == tenant.workspace_id).values(on_unknown="hold"))


def lose_quietly(message: OutgoingMessage) -> Failure:
    """The request got lost on its way: the provider never had the message, and nobody can tell."""
    return AMBIGUOUS


def watch_looks(world: World) -> list[float]:
    """The seconds from now at which the provider's log is read, as it happens."""
    begin, looks, find = world.clock.now(), list[float](), world.provider.find

    def watched(**question: Any) -> list[ProviderRecord]:
        looks.append((world.clock.now() - begin).total_seconds())
        return find(**question)

    world.provider.find = watched  # type: ignore[method-assign]
    return looks


@contextmanager
def log_lags(world: World) -> Iterator[None]:
    """Within the block the provider's log does not show anything yet."""
    with patch.object(world.provider, "find", lambda **_: []):
        yield


def report(world: World, job_id: str, word: str, *, record: int = -1, attempt: int = -1) -> None:
    """A status callback about a message in the provider's log, naming one of the job's attempts as its URL does."""
    status.apply_report(
        status.Report(
            "twilio",
            world.provider.log[record].provider_message_id,
            word,
            attempt_id=world.attempts(job_id)[attempt].id,
            raw={"MessageStatus": word},
        )
    )
