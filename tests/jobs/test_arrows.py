"""Every arrow of the state machine is taken by something that happens, and no other arrow is."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.messages import reconcile
from app.messages.states import TRANSITIONS, Status
from app.webhooks.inbound import Inbound, receive
from tests.jobs import moves
from tests.jobs.support import (
    PERMANENT,
    TRANSIENT,
    hold_unknown,
    log_lags,
    lose_quietly,
    report,
)
from tests.world import PERSON, SENDER, World

ARROWS = {(source, target) for source, targets in TRANSITIONS.items() for target in targets}

S = Status
SENDING = (S.SCHEDULED, S.SENDING)


def delivered(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    report(world, job_id, "delivered")
    report(world, job_id, "read")


def undelivered(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    report(world, job_id, "undelivered")
    report(world, job_id, "delivered")


def read_without_a_receipt(world: World) -> None:
    job_id = world.salon.send()
    world.work()
    report(world, job_id, "read")


def tried_again_and_too_late(world: World) -> None:
    until = world.clock.now() + timedelta(seconds=30)
    world.salon.send(validUntil=until.isoformat())
    world.provider.script.append(TRANSIENT)
    world.work()
    world.clock.set(until)
    world.live(5)


def refused(world: World) -> None:
    world.salon.send()
    world.provider.script.append(PERMANENT)
    world.work()


def found(world: World) -> None:
    world.salon.send()
    world.provider.script.append(world.provider.accept_then_lose)
    world.work()
    world.live(20)


def held(world: World) -> None:
    hold_unknown(world.salon)
    world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    world.live(60)


def proved_when_a_resend_was_planned(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(world.provider.accept_then_lose)
    world.work()
    with log_lags(world):
        for _ in range(3):
            world.clock.advance(seconds=15)
            reconcile.reconcile(world.message(job_id).id)
    report(world, job_id, "queued")


def expired(world: World) -> None:
    world.salon.delay(1)
    world.clock.advance(hours=5)
    world.work()


def called_off(world: World) -> None:
    world.salon.cancel(world.salon.delay(1))


def stopped(world: World) -> None:
    world.salon.delay(1)
    receive(Inbound("twilio", "SM1", PERSON, SENDER, "STOP"))


def resumed(world: World) -> None:
    rule = world.salon.text(cron="*/10 * * * *", timezone="UTC")
    recurring_id = world.salon.post("/api/trigger/schedule-recurring", rule).json["data"]["recurringId"]
    for action in ("pause", "resume"):
        world.salon.post(f"/api/trigger/recurring/{recurring_id}/{action}", {"workspaceId": "ws_salon"})


STORIES: dict[Callable[[World], None], set[tuple[Status, Status]]] = {
    delivered: {SENDING, (S.SENDING, S.SENT), (S.SENT, S.DELIVERED), (S.DELIVERED, S.READ)},
    undelivered: {SENDING, (S.SENDING, S.SENT), (S.SENT, S.UNDELIVERED)},
    read_without_a_receipt: {SENDING, (S.SENDING, S.SENT), (S.SENT, S.READ)},
    tried_again_and_too_late: {SENDING, (S.SENDING, S.SCHEDULED), (S.SCHEDULED, S.FAILED)},
    refused: {SENDING, (S.SENDING, S.FAILED)},
    found: {SENDING, (S.SENDING, S.UNKNOWN), (S.UNKNOWN, S.SENT)},
    held: {SENDING, (S.SENDING, S.UNKNOWN), (S.UNKNOWN, S.FAILED)},
    proved_when_a_resend_was_planned: {
        SENDING,
        (S.SENDING, S.UNKNOWN),
        (S.UNKNOWN, S.SCHEDULED),
        (S.SCHEDULED, S.SENT),
    },
    expired: {(S.SCHEDULED, S.SKIPPED)},
    called_off: {(S.SCHEDULED, S.CANCELLED)},
    stopped: {(S.SCHEDULED, S.CANCELLED)},
    resumed: {(S.SCHEDULED, S.CANCELLED), (S.CANCELLED, S.SCHEDULED)},
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_takes_its_arrows_and_no_others(world: World, story: Callable[[World], None]) -> None:
    moves.watch()
    story(world)
    assert moves.seen() == STORIES[story]


def test_the_stories_together_take_every_arrow() -> None:
    assert set().union(*STORIES.values()) == ARROWS
