"""Nobody knows whether the provider has the message: it is looked up, and sent again only on proof that it has not."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from app.channels.base import Failure, FailureKind
from app.channels.twilio import TwilioProvider
from app.messages import reconcile
from app.webhooks.inbound import Inbound, receive
from tests.jobs.support import (
    AMBIGUOUS,
    bodies,
    hold_unknown,
    lose_quietly,
    outcomes,
    started,
    watch_looks,
)
from tests.twilio_server import ACCOUNT_SID, AUTH_TOKEN, Reply, TwilioServer
from tests.world import World

AWAY = Failure(FailureKind.UNREACHABLE, "connection refused")


def test_an_accepted_message_is_found_and_not_sent_again(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(world.provider.accept_then_lose)
    looks = watch_looks(world)
    world.work()
    assert world.message(job_id).status == "unknown"
    assert world.salon.status(job_id)["status"] == "processing"
    assert outcomes(world, job_id) == ["ambiguous"]

    world.live(120, step=10)

    message = world.message(job_id)
    assert len(world.provider.posted) == 1
    assert (message.status, message.attempts_used, message.error_message) == ("sent", 1, None)
    assert message.provider_message_id == world.provider.log[0].provider_message_id
    assert outcomes(world, job_id) == ["accepted"]
    assert looks == [10]


def test_a_message_that_was_not_accepted_is_sent_again_once(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(lose_quietly)
    looks = watch_looks(world)
    world.work()
    world.live(180, step=10)

    message = world.message(job_id)
    assert bodies(world) == ["Hello"]
    assert (message.status, message.attempts_used, message.attempts_uncounted) == ("sent", 1, 1)
    assert outcomes(world, job_id) == ["not_accepted", "accepted"]
    assert len(looks) >= 2
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(looks))
    assert 30 <= started(world, job_id)[1] <= 60
    assert started(world, job_id)[1] == looks[-1]


def test_held_messages_are_given_up_and_said_so(world: World) -> None:
    hold_unknown(world.salon)
    lost, taken, other = (
        world.salon.send(body="Lost"),
        world.salon.send(body="Taken"),
        world.outsider.send(body="Other"),
    )
    world.provider.script.extend([lose_quietly, world.provider.accept_then_lose, lose_quietly])
    world.work()
    world.live(180, step=10)

    assert (world.message(lost).status, world.message(lost).reason) == ("failed", "held_unknown")
    assert world.salon.status(lost)["reason"] == "held_unknown"
    assert outcomes(world, lost) == ["ambiguous"]
    assert world.message(taken).status == "sent"
    assert world.message(other).status == "sent"
    assert bodies(world) == ["Taken", "Other"]


@pytest.mark.parametrize("accepted", [True, False])
def test_while_the_log_cannot_be_read_nothing_is_sent_and_then_it_is_settled_within_a_minute(
    world: World, accepted: bool
) -> None:
    job_id = world.salon.send()
    world.provider.script.append(world.provider.accept_then_lose if accepted else lose_quietly)
    world.provider.log_failure = AWAY
    world.work()
    world.live(600, step=10)
    assert world.message(job_id).status == "unknown"
    assert len(world.provider.posted) == 1

    world.provider.log_failure = None
    world.live(60)
    assert world.message(job_id).status == "sent"
    assert bodies(world) == ["Hello"]


def test_a_log_that_could_not_be_read_counts_for_no_look(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    world.live(10)
    assert world.message(job_id).checks == 1
    world.provider.log_failure = AWAY
    world.live(60)
    assert world.message(job_id).checks == 1
    assert world.message(job_id).status == "unknown"


def test_what_loses_its_use_while_it_is_looked_up_is_not_sent_again(world: World) -> None:
    until = world.clock.now() + timedelta(seconds=20)
    job_id = world.salon.send(validUntil=until.isoformat())
    world.provider.script.append(lose_quietly)
    world.work()
    world.live(120, step=10)

    assert (world.message(job_id).status, world.message(job_id).reason) == ("failed", "expired")
    assert bodies(world) == []


def test_a_stop_while_it_is_looked_up_prevents_the_resend(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    receive(Inbound("twilio", "SM1", world.message(job_id).to_address, world.message(job_id).from_address, "STOP"))
    world.live(120, step=10)

    assert (world.message(job_id).status, world.message(job_id).reason) == ("failed", "opted_out")
    assert bodies(world) == []


def test_what_is_being_looked_up_cannot_be_called_off_or_moved(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    answer = world.salon.cancel(job_id)
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "already_processing")


def test_two_workers_that_look_at_the_same_time_resend_once(world: World) -> None:
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    world.provider.script.append(lose_quietly)
    world.work()

    def other_worker_looks(**_):
        reconcile.reconcile(row_id)
        return []

    for _ in range(4):
        world.clock.advance(seconds=15)
        world.provider.find = other_worker_looks
        reconcile.reconcile(row_id)
    world.work()
    assert bodies(world) == ["Hello"]
    assert len(world.attempts(job_id)) == 2


def test_a_provider_that_always_fails_ambiguously_ends_after_ten_resends(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.extend([AMBIGUOUS] * 50)
    world.work()
    world.live(900, step=10)

    message = world.message(job_id)
    assert (message.status, message.reason, message.attempts_used) == ("failed", "attempts_exhausted", 0)
    assert len(world.provider.posted) == 11


REPLIES = {
    "500": Reply(status=500, accept=True),
    "502": Reply(status=502, accept=True, body=b"<html>Bad gateway</html>", content_type="text/html"),
    "503": Reply(status=503, code=20503, accept=True),
    "504": Reply(status=504, accept=True),
    "reset": Reply(reset=True, accept=True),
    "time-out": Reply(delay_s=0.5, accept=True),
    "truncated 201": Reply(truncate=True, accept=True),
    "unparsable 201": Reply(body=b"<html>Created</html>", accept=True),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("accepted", [True, False])
def test_each_unclear_answer_of_twilio_leads_to_one_acceptance(world: World, name: str, accepted: bool) -> None:
    with TwilioServer() as twilio:
        provider = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=twilio.url, timeout_s=0.25)
        world.app.extensions["bellhop.provider"] = provider
        twilio.script(replace(REPLIES[name], accept=accepted))
        job_id = world.salon.send()
        world.work()
        assert world.message(job_id).status == "unknown"
        assert len(twilio.accepted) == int(accepted)
        world.live(90)
        provider.close()

    assert [sent.body for sent in twilio.accepted] == ["Hello"]
    assert world.message(job_id).provider_message_id == twilio.accepted[0].sid
    assert outcomes(world, job_id) == (["accepted"] if accepted else ["not_accepted", "accepted"])
