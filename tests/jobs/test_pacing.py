"""A sender carries so many segments a second, whoever sends, however many wait, and whatever is lost meanwhile."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app import clock
from app.database import writing
from app.messages import pacing, sweep
from app.workspaces import service as workspaces
from app.workspaces.models import Sender
from tests.answers import data_of
from tests.jobs.support import CONFIGURATION, TRANSIENT, bodies, follow
from tests.world import SENDER, World

OTHER = "+19876543299"

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For long stories in which nothing depends on the kind of database."""


@pytest.fixture
def paced(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which each sender carries one segment a second, and turns are promised ten seconds ahead."""
    monkeypatch.setattr(pacing, "AHEAD", timedelta(seconds=10))
    world = make_world(sender_rate=1)
    for tenant in (world.salon, world.outsider):
        allow(tenant.workspace_id, OTHER)
    return world


def allow(workspace_id: str, address: str) -> None:
    with writing() as session:
        workspaces.add_sender(session, workspace_id, "sms", address)


def pass_time(world: World, seconds: float) -> None:
    """Let time pass, from one nudge to the next, exactly, with a sweep every five seconds."""
    while seconds > 0:
        follow(world, min(seconds, sweep.INTERVAL_S))
        world.repair()
        world.work()
        seconds -= sweep.INTERVAL_S


def bulk(world: World, count: int, *, sender: str = SENDER, body: str = "Text", delay: float = 0.01) -> list[str]:
    """So many messages, due a millisecond after each other; returns the job ids."""
    items = [
        {"to": f"+1234567{number:04}", "body": f"{body} {number:03}", "delayMinutes": delay + number / 60_000}
        for number in range(count)
    ]
    answer = world.salon.post(
        "/api/trigger/schedule-bulk", {"workspaceId": "ws_salon", "fromNumber": sender, "messages": items}
    )
    return [result["jobId"] for result in answer.json["data"]["results"]]


def gone(world: World, sender: str = SENDER) -> list[float]:
    """When each message reached the provider, in seconds after the first."""
    times = [record.created_at for record in world.provider.log if record.sender == sender]
    return [(at - times[0]).total_seconds() for at in times]


def test_a_sender_carries_one_segment_a_second_in_the_order_in_which_messages_were_due(paced: World) -> None:
    bulk(paced, 30)
    pass_time(paced, 35)

    assert gone(paced) == pytest.approx([float(second) for second in range(30)], abs=0.001)
    assert bodies(paced) == [f"Text {number:03}" for number in range(30)]


def test_what_waits_holds_nothing_and_others_pass(paced: World) -> None:
    bulk(paced, 30)
    paced.clock.advance(seconds=1)
    paced.work()
    assert len(bodies(paced)) == 1
    assert {message.status for message in paced.messages()} == {"scheduled", "sent"}

    paced.outsider.send(fromNumber=OTHER, body="Me too")
    paced.work()

    assert bodies(paced)[-1] == "Me too"
    assert paced.redis.llen("rq:queue:send") == 0


def test_a_message_of_many_segments_takes_as_many_turns(paced: World) -> None:
    texts = ["a" * 161, "ä" * 160, "\u4f60" * 71, "€" * 81, "short"]  # 2 GSM-7, 1 GSM-7, 2 UCS-2, 2 GSM-7, 1
    for text in texts:
        paced.salon.send(body=text)
        paced.clock.advance(seconds=0.001)
    pass_time(paced, 15)

    assert [round(at) for at in gone(paced)] == [0, 2, 3, 5, 7]


def test_a_sender_s_own_rate_counts_and_of_several_the_lowest(paced: World) -> None:
    with writing() as session:
        session.execute(update(Sender).where(Sender.workspace_id == "ws_salon").values(rate=10))
        session.execute(
            update(Sender).where(Sender.workspace_id == "ws_outsider", Sender.address == OTHER).values(rate=5)
        )
    paced.clock.advance(minutes=1)  # a process goes by what it has read a little while ago
    bulk(paced, 5)
    bulk(paced, 5, sender=OTHER)
    pass_time(paced, 5)

    assert gone(paced) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.001)
    assert gone(paced, OTHER) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=0.001)


def test_a_promise_is_short_so_a_bulk_that_is_called_off_leaves_the_sender_free(paced: World) -> None:
    jobs = bulk(paced, 40)
    paced.clock.advance(seconds=10)
    paced.work()
    last = paced.salon.send(body="Behind them all")
    paced.work()
    for job_id in jobs:
        paced.salon.cancel(job_id)

    pass_time(paced, 20)

    assert bodies(paced) == ["Text 000", "Behind them all"]
    assert paced.message(last).sent_at - paced.message(last).due_at <= pacing.AHEAD + timedelta(
        seconds=sweep.INTERVAL_S
    )


@on_sqlite
def test_an_outage_does_not_end_in_a_burst(paced: World) -> None:
    bulk(paced, 40)
    pass_time(paced, 5)
    before = len(bodies(paced))
    paced.clock.advance(minutes=10)
    pass_time(paced, 20)

    times = gone(paced)[before:]
    assert all(sum(start <= at < start + 1 for at in times) <= 1 + pacing.BURST.total_seconds() + 1 for start in times)
    assert len(times) <= 20 + pacing.BURST.total_seconds() + 1


@on_sqlite
def test_late_workers_still_send(paced: World) -> None:
    bulk(paced, 15)
    for _ in range(12):  # each time they come eight seconds late
        paced.clock.advance(seconds=8)
        paced.repair()
        paced.work()

    assert len(bodies(paced)) == 15


def test_two_workers_share_the_rate(paced: World) -> None:
    jobs = [paced.message(job_id).id for job_id in bulk(paced, 10)]
    paced.clock.advance(seconds=1)

    assert sum(len(pacing.admit(half)) for half in (jobs[::2], jobs[1::2])) == 1


@on_sqlite
def test_a_flushed_redis_loses_no_message_and_no_rate(paced: World) -> None:
    bulk(paced, 25)
    pass_time(paced, 5)
    paced.redis.flushall()
    paced.repair()
    bulk(paced, 5, body="More")
    pass_time(paced, 35)

    assert len(bodies(paced)) == 30
    times = gone(paced)
    assert all(
        sum(start <= at <= start + 10 for at in times) <= 11 + pacing.BURST.total_seconds() + 1 for start in times
    )


def test_without_redis_everything_passes(make_world: Callable[..., World]) -> None:
    world = make_world(sender_rate=1, redis_url="redis://127.0.0.1:1/0")
    jobs = [world.message(world.salon.send(body=f"Text {number}")).id for number in range(3)]

    assert pacing.admit(jobs) == jobs


def test_a_turn_after_its_validity_is_not_taken_and_it_expires(paced: World) -> None:
    bulk(paced, 10)
    valid_until = clock.now() + timedelta(seconds=5)
    brief = paced.salon.delay(0.05, body="Brief", validUntil=valid_until.isoformat())
    paced.clock.advance(seconds=3)
    paced.work()
    assert paced.message(brief).scheduled_at == valid_until

    pass_time(paced, 20)

    assert paced.message(brief).reason == "expired"
    assert gone(paced) == pytest.approx([float(second) for second in range(10)], abs=0.001)


def test_a_message_that_waits_can_be_moved_and_called_off(paced: World) -> None:
    _, second, third = bulk(paced, 3)
    paced.clock.advance(seconds=1)
    paced.work()
    assert paced.message(second).slot_at == paced.message(second).scheduled_at > clock.now()

    assert paced.salon.cancel(third).status_code == 200
    paced.salon.post("/api/trigger/reschedule-job", {"jobId": second, "workspaceId": "ws_salon", "delayMinutes": 1})
    assert paced.message(second).slot_at is None
    pass_time(paced, 61)

    assert gone(paced) == [0, 60]


def test_a_retry_takes_a_new_turn(paced: World) -> None:
    paced.provider.script.append(TRANSIENT)
    bulk(paced, 3)
    pass_time(paced, 10)

    assert bodies(paced) == ["Text 001", "Text 002", "Text 000"]
    assert gone(paced) == pytest.approx([0, 1, 2], abs=0.001)
    assert [message.attempts_used for message in paced.messages()].count(2) == 1
    assert {message.slot_at for message in paced.messages()} == {None}


@on_sqlite
def test_a_paused_account_s_messages_go_out_at_the_rate_when_it_is_back(paced: World) -> None:
    paced.provider.script.append(CONFIGURATION)
    paced.provider.probe_failure = CONFIGURATION
    bulk(paced, 8)
    pass_time(paced, 60)
    assert bodies(paced) == []

    paced.provider.probe_failure = None
    pass_time(paced, 90)

    assert len(bodies(paced)) == 8
    assert all(sum(start <= at < start + 1 for at in gone(paced)) <= 7 for start in gone(paced))


@on_sqlite
def test_a_rate_that_is_lifted_frees_those_who_wait(paced: World) -> None:
    bulk(paced, 60)
    pass_time(paced, 5)
    with writing() as session:
        session.execute(update(Sender).values(rate=0))
    pass_time(paced, 45)

    assert len(bodies(paced)) == 60


def test_without_a_rate_neither_sql_nor_redis_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pacing.admit([])  # the senders' rates are read now and then
    monkeypatch.setattr("app.messages.pacing.reading", None)
    monkeypatch.setattr("app.messages.pacing.redis_client", None)

    assert pacing.admit(["a", "b"]) == ["a", "b"]


def test_no_number_shows_in_redis(paced: World) -> None:
    bulk(paced, 3)
    pass_time(paced, 2)

    keys = [key.decode() for key in paced.redis.scan_iter("bellhop:pace:*")]
    assert len(keys) == 1
    assert SENDER.strip("+") not in keys[0]


def test_the_api_tells_until_when_it_waits(paced: World) -> None:
    first, second, *_, last = bulk(paced, 20)
    paced.clock.advance(seconds=1)
    paced.work()

    def told(job_id: str) -> dict[str, Any]:
        return data_of(paced.salon.get(f"/api/messages/{job_id}"))

    assert told(first)["slotAt"] is None
    assert told(second)["slotAt"] == told(second)["nextAttemptAt"] == "2026-05-11T12:00:02.000+00:00"
    assert told(last)["slotAt"] == told(last)["nextAttemptAt"] > told(second)["slotAt"]
    assert (
        told(second)["scheduledTime"] == paced.salon.status(second)["scheduledTime"] == "2026-05-11T12:00:00.601+00:00"
    )


def test_it_is_counted(paced: World) -> None:
    bulk(paced, 20)
    paced.clock.advance(seconds=1)
    paced.work()

    text = paced.app.test_client().get("/metrics").text
    assert "bellhop_messages_deferred_total 19.0" in text
    assert "bellhop_waiting_for_sender 19.0" in text
