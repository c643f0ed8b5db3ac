"""Messages that could not be claimed: too early by another clock, moved meanwhile, or in the database's bad moment."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError

from app import clock
from app.messages import claims, delivery, service, unsent
from tests.jobs.support import lose_quietly
from tests.world import World


class Slow(clock.SystemClock):
    """The clock of a machine that is behind that of Redis."""

    def now(self) -> datetime:
        """A little while ago."""
        return super().now() - timedelta(seconds=30)


def again(world: World) -> dict[str, float]:
    """The nudges of jobs that were too early, and when they are due."""
    entries = world.redis.zrange("rq:scheduled:send", 0, -1, withscores=True)
    return {job_id.decode(): due for job_id, due in entries if b"again" in job_id}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_whose_clock_is_behind_waits_by_the_clock_that_wakes_it(world: World) -> None:
    with clock.use(Slow()):
        job_id = world.salon.delay(10 / 60)
        row_id = world.message(job_id).id
        # For Redis it is due already: so it lies in the queue, and the worker takes it at once, again and again.
        assert world.redis.llen("rq:queue:send") == 1
        for _ in range(3):
            delivery.deliver(row_id)
        seconds, microseconds = world.redis.time()
    now = datetime.fromtimestamp(seconds, UTC).timestamp() + microseconds / 1e6
    waiting = again(world)
    assert len(waiting) == 3  # none is taken for another, so none is lost
    assert all(now + 5 < due <= now + 10 for due in waiting.values())
    assert world.provider.posted == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("why", ["a twin in doubt", "its validity is over"])
def test_whoever_moves_a_message_while_its_claim_is_refused_has_the_last_word(
    world: World, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "a twin in doubt":
        world.provider.script.append(lose_quietly)
        world.salon.send()
        world.work()
    job_id = world.salon.send()
    message = world.message(job_id)
    if why == "its validity is over":
        world.clock.set(message.valid_until + timedelta(seconds=1))
    due_at = world.clock.now() + timedelta(days=1)
    refuse = claims.as_it_was

    def moved_before(message: object) -> object:
        service.reschedule("ws_salon", job_id, due_at, due_at.isoformat(), timedelta(0))
        return refuse(message)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(claims, "as_it_was", moved_before)
        patched.setattr(unsent, "as_it_was", moved_before)
        assert claims.claim([message.id]) == []
    after = world.message(job_id)
    assert (after.status, after.scheduled_at, after.revision) == ("scheduled", due_at, 1)


def test_what_was_claimed_is_sent_though_the_others_could_not_be_dealt_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, early = world.salon.send(body="Good"), world.salon.delay(5, body="Early")
    ids = [world.message(job_id).id for job_id in (good, early)]

    def deadlock(*_: object) -> None:
        raise OperationalError("UPDATE", None, Exception("deadlock detected"))

    with monkeypatch.context() as patched:
        patched.setattr(claims, "_refuse", deadlock)
        assert [claim.body for claim in claims.claim(ids)] == ["Good"]
