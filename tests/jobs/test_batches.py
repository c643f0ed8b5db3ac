"""The worker's own way: many messages in one claim and one settling, and still each has the fate of its own."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app import queue
from app.channels.base import Accepted, Failure
from app.channels.models import ProviderAccount
from app.contacts import service as contacts
from app.database import writing
from app.messages import claims, delivery, reconcile, settling, sweep
from app.messages.claims import Claim
from app.messages.models import Message
from app.messages.status import Report, apply_report
from tests.jobs.support import (
    AMBIGUOUS,
    CONFIGURATION,
    OPTED_OUT,
    PERMANENT,
    THROTTLED,
    TRANSIENT,
    UNREACHABLE,
    bodies,
    dies_at,
    log_lags,
    lose_quietly,
    outcomes,
    report,
)
from tests.together import together
from tests.world import World

ANSWERS = (None, TRANSIENT, THROTTLED, UNREACHABLE, PERMANENT, AMBIGUOUS, OPTED_OUT, CONFIGURATION)
SAME = (
    "status",
    "reason",
    "scheduled_at",
    "attempt",
    "attempts_used",
    "attempts_uncounted",
    "revision",
    "lease_until",
    "next_check_at",
    "provider",
    "provider_status",
    "error_code",
    "error_message",
    "sent_at",
    "finished_at",
)


def number(n: int) -> str:
    return f"+123456789{n:02}"


def rows(world: World, jobs: list[str]) -> list[str]:
    return [world.message(job_id).id for job_id in jobs]


def claim(world: World, jobs: list[str]) -> list[Claim]:
    """In the order of the jobs."""
    made = {one.id: one for one in claims.claim(rows(world, jobs), world.providers)}
    return [made[row_id] for row_id in rows(world, jobs) if row_id in made]


def settle(world: World, *results: tuple[Claim, Accepted | Failure]) -> None:
    settling.settle(results, world.providers)


def post(world: World, one: Claim) -> Accepted | Failure:
    result = delivery.post(one, world.providers)
    assert result is not None
    return result


def test_a_batch_ends_as_its_messages_would_one_by_one(world: World) -> None:
    def send_all(offset: int) -> list[str]:
        return [world.salon.send(to=number(offset + n), body=f"Text {n}") for n in range(len(ANSWERS))]

    together_jobs = send_all(0)
    made = claim(world, together_jobs)
    assert len(made) == len(ANSWERS)
    pairs = zip(made, ANSWERS, strict=True)
    settle(world, *[(one, post(world, one) if answer is None else answer) for one, answer in pairs])
    assert world.salon.status(together_jobs[0])["messageStatus"] == "sent"

    resume(world)
    one_by_one = send_all(20)
    world.provider.script.extend([world.provider.accept if answer is None else answer for answer in ANSWERS])
    for row_id in rows(world, one_by_one):
        delivery.deliver(row_id)

    def fate(job_id: str) -> dict[str, Any]:
        [attempt] = world.attempts(job_id)
        message = world.message(job_id)
        seen = {name: getattr(message, name) for name in SAME}
        seen |= {name: getattr(attempt, name) for name in ("number", "outcome", "http_status", "error_code")}
        return seen | {"known": message.provider_message_id == attempt.provider_message_id}

    assert [fate(job_id) for job_id in together_jobs] == [fate(job_id) for job_id in one_by_one]


def resume(world: World) -> None:
    with writing() as session:
        session.get_one(ProviderAccount, world.provider.account).paused_at = None


def test_of_a_batch_only_what_may_go_out_is_claimed(world: World) -> None:
    fine = world.salon.send(to=number(1))
    early = world.salon.delay(5, to=number(2))
    until = world.clock.now() + timedelta(minutes=1)
    expired = world.salon.send(to=number(3), validUntil=until.isoformat())
    cancelled = world.salon.send(to=number(4))
    opted_out = world.salon.send(to=number(5))
    world.salon.cancel(cancelled)
    with writing() as session:
        contacts.suppress(session, ["ws_salon"], "sms", number(5), "manual")
    world.clock.set(until)

    made = claim(world, [expired, early, opted_out, fine, cancelled])

    assert [one.id for one in made] == rows(world, [fine])
    assert [world.message(job_id).status for job_id in (fine, early, expired, cancelled, opted_out)] == [
        "sending",
        "scheduled",
        "skipped",
        "cancelled",
        "skipped",
    ]
    assert outcomes(world, fine) == [None]
    assert sum(len(world.attempts(job_id)) for job_id in (early, expired, cancelled, opted_out)) == 0


def test_the_same_message_twice_in_a_batch_is_claimed_once(world: World) -> None:
    job_id = world.salon.send()
    [row_id] = rows(world, [job_id])
    [made] = claims.claim([row_id, row_id], world.providers)
    assert (made.id, made.attempt) == (row_id, 1)
    assert outcomes(world, job_id) == [None]


def test_overlapping_batches_of_many_workers_claim_each_message_once(world: World) -> None:
    jobs = [world.salon.send(to=number(n), body=f"Text {n}") for n in range(50)]
    everything = rows(world, jobs)

    def worker(turn: int) -> list[Claim]:
        mine: list[Claim] = []
        mixed = everything[turn * 12 :] + everything[: turn * 12]
        for start in range(0, 50, 10):
            mine += claims.claim(mixed[start : start + 20], world.providers)
        settling.settle([(one, post(world, one)) for one in mine], world.providers)
        return mine

    made = together(world.app, [partial(worker, turn) for turn in range(4)])

    assert sorted(one.id for mine in made for one in mine) == sorted(everything)
    assert sorted(bodies(world)) == sorted(f"Text {n}" for n in range(50))
    assert {(message.status, message.attempt) for message in world.messages()} == {("sent", 1)}


def test_stale_answers_in_a_batch_touch_nothing_but_their_own_tries(world: World) -> None:
    jobs = [world.salon.send(to=number(n), body=f"Text {n}") for n in range(4)]
    fresh, refused, late, resent = claim(world, jobs)
    fresh_answer, late_answer = post(world, fresh), post(world, late)
    for row_id in (late.id, resent.id):
        take_away(world, row_id)
    with log_lags(world):
        for _ in range(4):
            world.clock.advance(seconds=15)
            reconcile.reconcile(resent.id)
    delivery.deliver(resent.id)  # another worker has sent it meanwhile

    settle(world, (late, late_answer), (fresh, fresh_answer), (resent, AMBIGUOUS), (refused, PERMANENT))

    assert [world.message(job_id).status for job_id in jobs] == ["sent", "failed", "sent", "sent"]
    assert [outcomes(world, job_id) for job_id in jobs] == [
        ["accepted"],
        ["permanent"],
        ["accepted"],
        ["ambiguous", "accepted"],
    ]
    assert sorted(bodies(world)) == ["Text 0", "Text 2", "Text 3"]


def take_away(world: World, row_id: str) -> None:
    """The reaper's way with one lease."""
    with writing() as session:
        session.get_one(Message, row_id).lease_until = world.clock.now() - timedelta(seconds=1)
    sweep.release_expired_leases(world.clock.now())


def test_reports_that_overtook_a_batch_are_not_lost(world: World) -> None:
    jobs = [world.salon.send(to=number(n), body=f"Text {n}") for n in range(3)]
    made = claim(world, jobs)
    answers = [post(world, one) for one in made]
    apply_report(Report("twilio", answers[0].provider_message_id, "delivered"))
    report(world, jobs[1], "sent", record=1)

    settle(world, *zip(made, answers, strict=True))

    assert [world.message(job_id).status for job_id in jobs] == ["delivered", "sent", "sent"]
    assert [world.message(job_id).provider_status for job_id in jobs] == ["delivered", "sent", "queued"]
    assert {world.message(job_id).attempts_used for job_id in jobs} == {1}


def test_an_answer_that_says_more_than_accepted_counts_in_full(world: World) -> None:
    jobs = [world.salon.send(to=number(n)) for n in range(3)]
    words = ("delivered", "failed", "a new word")
    made = claim(world, jobs)
    settle(world, *[(one, Accepted(f"SM{n}", word)) for n, (one, word) in enumerate(zip(made, words, strict=True))])
    assert [world.message(job_id).status for job_id in jobs] == ["delivered", "undelivered", "sent"]


def test_one_answer_that_cannot_be_stored_does_not_hold_up_the_others(world: World) -> None:
    # Two equal texts in doubt. A look gave the second one the first one's record, and now the first one's answer comes.
    first, second = world.salon.send(body="Same"), world.salon.send(body="Same")
    other = world.salon.send(to=number(1), body="Other")
    held_up, lost, fine = claim(world, [first, second, other])
    late_answer, fine_answer = post(world, held_up), post(world, fine)
    settle(world, (lost, AMBIGUOUS))
    world.clock.advance(seconds=20)
    take_away(world, held_up.id)
    reconcile.reconcile(lost.id)
    assert world.message(second).provider_message_id == late_answer.provider_message_id

    settle(world, (held_up, late_answer), (fine, fine_answer))

    assert world.message(other).status == "sent"
    assert world.message(first).status == "unknown"
    world.live(120, step=10)
    assert sorted(bodies(world)) == ["Other", "Same", "Same"]
    assert {message.status for message in world.messages()} == {"sent"}
    assert len({message.provider_message_id for message in world.messages()}) == 3


def test_a_batch_that_is_given_back_is_due_as_before(world: World) -> None:
    jobs = [world.salon.send(to=number(n), body=f"Text {n}") for n in range(3)]
    due = [world.message(job_id).scheduled_at for job_id in jobs]
    made = claim(world, jobs)
    world.clock.advance(seconds=25)
    assert [delivery.post(one, world.providers) for one in made] == [None] * 3
    settling.give_back(made)

    assert [world.message(job_id).scheduled_at for job_id in jobs] == due
    assert world.provider.posted == []
    world.work()
    assert sorted(bodies(world)) == ["Text 0", "Text 1", "Text 2"]
    assert [outcomes(world, job_id) for job_id in jobs] == [["given_back", "accepted"]] * 3
    assert {message.attempts_uncounted for message in world.messages()} == {0}


def test_a_death_with_a_whole_batch_in_hand(world: World) -> None:
    jobs = [world.salon.send(to=number(n), body=f"Text {n}") for n in range(6)]
    made = claim(world, jobs)
    for one in made[:3]:
        post(world, one)  # and then the process is gone, before anything of this is written down
    world.provider.script.append(lose_quietly)
    world.redis.flushall()
    world.live(180, step=10)

    assert sorted(bodies(world)) == [f"Text {n}" for n in range(6)]
    assert [outcomes(world, job_id)[0] for job_id in jobs] == ["accepted"] * 3 + ["not_accepted"] * 3
    assert {message.status for message in world.messages()} == {"sent"}


@pytest.mark.parametrize("step", ["claimed", "posted", "settled"])
def test_a_single_message_goes_through_the_same_steps(world: World, step: str) -> None:
    world.salon.send()
    with dies_at(step):
        world.work()
    world.live(120, step=10)
    assert bodies(world) == ["Hello"]
    assert queue.present(queue.SEND_QUEUE) == set()
