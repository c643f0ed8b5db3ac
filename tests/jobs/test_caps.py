"""A workspace sends no more in a day or a month than it allows itself, whoever sends and however often it is tried."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app import events
from app.database import reading, writing
from app.messages import caps, claims, sweep
from app.messages.models import Message
from app.retry import POLICIES
from app.workspaces import preferences
from app.workspaces.models import AuditEntry, Usage, Workspace
from tests.answers import data_of
from tests.jobs.support import AMBIGUOUS, PERMANENT, TRANSIENT, bodies, follow, hold_unknown, started
from tests.together import together
from tests.world import World

LONG = "x" * 200
"""Two segments."""


def choose(world: World, **sections: Any) -> None:
    response = world.salon.ask("PATCH", "/api/settings", sections)
    assert response.status_code == 200, response.text


def usage(world: World) -> dict[str, Any]:
    return dict(data_of(world.salon.get("/api/usage")))


def used(world: World) -> tuple[int, int]:
    answer = usage(world)
    return answer["today"]["segments"], answer["month"]["segments"]


def ends(world: World, jobs: list[str]) -> list[tuple[str, str | None]]:
    return [(row.status, row.reason) for row in map(world.message, jobs)]


def arrive(world: World, at: datetime) -> None:
    """Let it be a later time, which the feeder has seen come."""
    world.clock.set(at)
    world.repair()
    world.work()


def news() -> list[tuple[str, str]]:
    with reading() as session:
        query = select(AuditEntry).where(AuditEntry.action.like("cap.%")).order_by(AuditEntry.id)
        return [(row.action, row.subject) for row in session.scalars(query)]


SENT, SKIPPED = ("sent", None), ("skipped", "cap_reached")


def test_what_does_not_fit_is_skipped_and_says_why(world: World) -> None:
    choose(world, caps={"dailySegments": 3})
    jobs = [world.salon.send(body=f"Text {number}") for number in range(5)]

    world.work()

    assert Counter(ends(world, jobs)) == {SENT: 3, SKIPPED: 2}
    assert len(bodies(world)) == 3
    assert used(world) == (3, 3)
    state = world.salon.status(next(job for job in jobs if world.message(job).reason))
    assert (state["status"], state["reason"]) == ("failed", "cap_reached")


def test_who_is_due_first_goes_first(world: World) -> None:
    choose(world, caps={"dailySegments": 2})
    jobs = [world.salon.delay(5 - number) for number in range(5)]
    ids = [world.message(job).id for job in jobs]
    world.clock.advance(minutes=6)

    claimed = claims.claim(ids)

    assert {claim.id for claim in claimed} == {ids[3], ids[4]}


def test_long_texts_count_for_what_they_are(world: World) -> None:
    choose(world, caps={"dailySegments": 3})
    jobs = [world.salon.delay(minutes, body=LONG) for minutes in (1, 2)]
    world.clock.advance(minutes=3)
    assert len(claims.claim([world.message(job).id for job in jobs])) == 1
    assert used(world) == (2, 2)


def test_what_is_still_of_use_tomorrow_waits_for_it_in_the_workspace_s_own_zone(world: World) -> None:
    choose(world, caps={"dailySegments": 1}, timezone="Australia/Sydney")
    until = "2026-05-12T11:00:00Z"
    jobs = [world.salon.send(body=f"Text {number}", validUntil=until) for number in range(3)]

    world.work()

    midnight = datetime.fromisoformat("2026-05-11T14:00:00+00:00")  # in Sydney
    waiting = [row for row in map(world.message, jobs) if row.status == "scheduled"]
    assert {row.scheduled_at for row in waiting} == {midnight}
    assert len(waiting) == 2

    arrive(world, midnight)
    assert len(bodies(world)) == 2
    assert usage(world)["today"]["period"] == "2026-05-12"
    assert used(world) == (1, 2)
    assert Counter(ends(world, jobs)) == {SENT: 2, SKIPPED: 1}


def test_a_reminder_that_waits_for_another_day_does_not_come_at_midnight(world: World) -> None:
    choose(world, caps={"dailySegments": 0})
    job = world.salon.send(validUntil="2026-05-13T12:00:00Z")
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job).values(reminder_type="24h"))

    world.work()

    assert world.message(job).scheduled_at == datetime.fromisoformat("2026-05-12T08:00:00+00:00")


def test_a_full_month_lasts_until_the_next(world: World) -> None:
    choose(world, caps={"monthlySegments": 1})
    jobs = [world.salon.send(body=f"{number}", validUntil="2026-06-01T12:00:00Z") for number in range(2)]
    world.work()

    [waiting] = [row for row in map(world.message, jobs) if row.status == "scheduled"]
    assert waiting.scheduled_at == datetime.fromisoformat("2026-06-01T00:00:00+00:00")
    arrive(world, waiting.scheduled_at)
    assert ends(world, jobs) == [SENT, SENT]


def test_money_is_counted_by_price_and_channel(world: World) -> None:
    choose(world, caps={"dailySpend": "0.05"}, prices={"currency": "EUR", "sms": "0.02", "whatsapp": "0.01"})
    world.salon.send(body=LONG)
    world.work()
    assert usage(world)["today"]["spend"] == "0.04"

    world.salon.send(body="one more is too much")
    world.work()

    today = usage(world)["today"]
    assert (today["spend"], today["maxSpend"], today["percent"], today["reached"]) == ("0.04", "0.05", 80, True)
    assert len(bodies(world)) == 1


def test_a_retry_is_not_counted_again(world: World) -> None:
    choose(world, caps={"dailySegments": 1})
    world.provider.script += [TRANSIENT, TRANSIENT]
    job = world.salon.send()

    follow(world, 60)

    assert world.message(job).status == "sent"
    assert len(world.attempts(job)) == 3
    assert used(world) == (1, 1)


def test_a_retry_on_the_next_day_moves_its_count_there(world: World) -> None:
    hourly = {"firstDelaySeconds": 3600, "maxDelaySeconds": 3600}
    choose(world, caps={"dailySegments": 1}, retryPolicies={"default": hourly})
    world.clock.set(datetime.fromisoformat("2026-05-11T23:30:00+00:00"))
    world.provider.script += [TRANSIENT]
    job = world.salon.send()

    follow(world, 3600)

    assert world.message(job).status == "sent"
    with reading() as session:
        counted = {row.period: row.segments for row in session.scalars(select(Usage))}
    assert counted == {"2026-05-11": 0, "2026-05-12": 1, "2026-05": 1}


def refused(world: World) -> str:
    world.provider.script.append(PERMANENT)
    job = world.salon.send()
    world.work()
    return job


def given_up(world: World) -> str:
    world.provider.script += [TRANSIENT] * POLICIES["default"].max_attempts
    job = world.salon.send()
    follow(world, 60)
    return job


def called_off(world: World) -> str:
    world.provider.script.append(TRANSIENT)
    job = world.salon.send()
    world.work()
    assert world.salon.cancel(job).status_code == 200
    return job


@pytest.mark.parametrize("how", [refused, given_up, called_off])
def test_what_did_not_go_out_is_given_back_once(world: World, how: Any) -> None:
    choose(world, caps={"dailySegments": 5}, prices={"currency": "EUR", "sms": "0.5"})
    world.salon.send(body="stays counted")
    world.work()
    how(world)
    assert used(world) == (2, 2)
    choose(world, prices={"sms": "9"})  # exactly what was taken comes back, whatever it would cost now

    sweep.sweep()
    sweep.sweep()

    assert used(world) == (1, 1)
    assert usage(world)["today"]["spend"] == "0.50"


def test_what_may_have_gone_out_stays_counted(world: World) -> None:
    choose(world, caps={"dailySegments": 5})
    hold_unknown(world.salon)
    world.provider.script.append(lambda _: AMBIGUOUS)
    job = world.salon.send()
    follow(world, 600)
    assert world.message(job).reason == "held_unknown"

    sweep.sweep()

    assert used(world) == (1, 1)


def test_many_at_once_never_pass_the_cap(world: World) -> None:
    choose(world, caps={"dailySegments": 7, "monthlySegments": 20})
    ids = [world.message(world.salon.send(body=f"Text {number}")).id for number in range(24)]
    chunks = [ids[start::4] for start in range(4)]

    claimed = together(world.app, [lambda chunk=chunk: len(claims.claim(chunk)) for chunk in chunks])

    assert sum(claimed) == 7
    assert used(world) == (7, 7)
    assert [action for action, _ in news()] == ["cap.warned", "cap.reached"]


def test_the_same_messages_in_two_workers_are_counted_once(world: World) -> None:
    choose(world, caps={"dailySegments": 100})
    ids = [world.message(world.salon.send(body=f"Text {number}")).id for number in range(10)]

    claimed = together(world.app, [lambda: len(claims.claim(ids)) for _ in range(3)])

    assert sum(claimed) == 10
    assert used(world) == (10, 10)


def test_refunds_and_claims_at_once_keep_the_books_balanced(world: World) -> None:
    choose(world, caps={"dailySegments": 100})
    for _ in range(10):
        refused(world)
    ids = [world.message(world.salon.send(body=f"Text {number}")).id for number in range(10)]
    now = world.clock.now()

    refunds = [lambda: caps.refund(now)] * 2
    together(world.app, [*refunds, *(lambda ids=ids[at::2]: claims.claim(ids) for at in range(2))])

    assert used(world) == (10, 10)


def test_the_owner_hears_once_that_a_cap_is_near_and_once_that_it_is_reached(world: World) -> None:
    heard: list[tuple[str, str, int]] = []
    near = events.cap_warned.connect(
        lambda _, workspace_id, period, percent: heard.append((workspace_id, period, percent)), weak=False
    )
    choose(world, caps={"dailySegments": 10})
    counts = []
    try:
        for number in range(12):
            world.salon.send(body=f"Text {number}")
            world.work()
            counts.append(len(news()))
    finally:
        events.cap_warned.disconnect(near)

    assert counts == [0] * 7 + [1] * 3 + [2] * 2
    assert news() == [("cap.warned", "2026-05-11"), ("cap.reached", "2026-05-11")]
    assert heard == [("ws_salon", "2026-05-11", 80)]
    today = usage(world)["today"]
    assert (today["percent"], today["warned"], today["reached"]) == (100, True, True)


def test_without_caps_nothing_is_counted_and_nothing_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, "_concerned", lambda *_: pytest.fail("a query for nobody"))
    world.salon.send()
    world.work()

    answer = usage(world)
    assert (answer["counted"], answer["today"]["segments"], answer["today"]["percent"]) == (False, None, None)
    with reading() as session:
        assert session.scalars(select(Usage)).all() == []


def test_one_workspace_s_caps_are_no_other_s(world: World) -> None:
    choose(world, caps={"dailySegments": 0})
    mine, theirs = world.salon.send(), world.outsider.send()

    world.work()

    assert ends(world, [mine, theirs]) == [SKIPPED, SENT]


def test_who_is_too_early_or_over_is_dealt_with_as_ever(world: World) -> None:
    choose(world, caps={"dailySegments": 5})
    early, over = world.salon.delay(30), world.salon.delay(1)
    ids = [world.message(job).id for job in (early, over)]
    with writing() as session:
        past = world.clock.now() - timedelta(seconds=1)
        session.execute(update(Message).where(Message.job_id == over).values(scheduled_at=past, valid_until=past))

    assert claims.claim(ids) == []

    assert ends(world, [early, over]) == [("scheduled", None), ("skipped", "expired")]
    assert used(world) == (0, 0)


def test_a_cap_that_is_lifted_lets_the_next_ones_through(world: World) -> None:
    choose(world, caps={"dailySegments": 1})
    world.salon.send(body="first")
    world.work()
    choose(world, caps=None)
    job = world.salon.send(body="second")
    world.work()
    assert world.message(job).status == "sent"


def test_settings_that_cannot_be_read_hold_nobody_up(world: World) -> None:
    with writing() as session:
        broken = {"caps": {"dailySegments": "many"}}
        session.execute(update(Workspace).where(Workspace.id == "ws_outsider").values(settings=broken))
    preferences.forget()
    job = world.salon.send()
    world.work()
    assert world.message(job).status == "sent"


def test_a_workspace_s_own_retry_policy_is_the_one_that_is_followed(world: World) -> None:
    override = {"maxAttempts": 5, "firstDelaySeconds": 10, "factor": 3, "maxDelaySeconds": 60}
    choose(world, retryPolicies={"default": override})
    world.provider.script += [TRANSIENT] * 5
    mine = world.salon.send()
    follow(world, 300)

    assert started(world, mine) == [0, 10, 40, 100, 160]
    assert ends(world, [mine]) == [("failed", "attempts_exhausted")]

    world.provider.script += [TRANSIENT] * 5
    theirs = world.outsider.send()
    follow(world, 300)
    assert started(world, theirs) == [0, 1, 3]


def test_other_processes_go_by_a_change_within_half_a_minute(world: World) -> None:
    world.salon.send()
    world.work()
    with writing() as session:  # as another process would
        changed = update(Workspace).where(Workspace.id == "ws_salon")
        session.execute(changed.values(settings={"caps": {"dailySegments": 0}}))

    world.clock.advance(seconds=31)
    job = world.salon.send(body="too much")
    world.work()

    assert ends(world, [job]) == [SKIPPED]
