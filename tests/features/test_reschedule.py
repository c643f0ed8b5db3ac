"""POST /api/trigger/reschedule-job: another time for the same job."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.answers import data_of, error_of, fields_of
from tests.features import lives
from tests.features.test_cancel import OVER
from tests.world import World

PATH = "/api/trigger/reschedule-job"
Life = Callable[[World], str]


def move(world: World, job_id: str, **changes: Any) -> TestResponse:
    return world.salon.post(PATH, {"jobId": job_id, "workspaceId": "ws_salon"} | changes)


def test_the_job_keeps_its_id_and_the_time_is_echoed(world: World) -> None:
    job_id = world.salon.delay(5)

    answer = data_of(move(world, job_id, scheduledTime="2026-05-12T16:00:00+10:00"))

    assert answer == {"jobId": job_id, "status": "scheduled", "scheduledTime": "2026-05-12T16:00:00+10:00"}
    assert world.salon.status(job_id)["scheduledTime"] == "2026-05-12T16:00:00+10:00"
    assert len(world.messages()) == 1


def test_again_is_the_same_answer(world: World) -> None:
    job_id = world.salon.delay(5)

    answers = [data_of(move(world, job_id, scheduledTime="2026-05-11T14:00:00Z")) for _ in range(3)]

    assert answers == [answers[0]] * 3


def test_a_delay_counts_from_now(world: World) -> None:
    job_id = world.salon.delay(5)
    world.clock.advance(minutes=2)

    assert data_of(move(world, job_id, delayMinutes=10))["scheduledTime"] == "2026-05-11T12:12:00.000+00:00"


@pytest.mark.parametrize("live", [lives.waiting, lives.due, lives.retrying])
@pytest.mark.parametrize("minutes", [1, 600])
def test_it_goes_out_once_at_the_new_time_and_not_before(world: World, live: Life, minutes: int) -> None:
    job_id = live(world)
    tried = len(world.provider.posted)
    data_of(move(world, job_id, delayMinutes=minutes))

    world.clock.advance(minutes=minutes, microseconds=-1)
    world.work()
    assert len(world.provider.posted) == tried

    world.clock.advance(microseconds=1)
    world.live(10)
    assert len(world.provider.posted) == tried + 1
    world.live(7200, step=3600)
    assert len(world.provider.posted) == tried + 1


@pytest.mark.parametrize("live, code", [*OVER, (lives.cancelled, "already_finished")])
def test_what_is_over_or_under_way_is_a_conflict_that_says_so(world: World, live: Life, code: str) -> None:
    job_id = live(world)
    before = world.salon.status(job_id)

    error_of(move(world, job_id, delayMinutes=5), 409, code)

    assert world.salon.status(job_id) == before


def test_what_is_being_sent_at_this_moment_is_a_conflict(world: World) -> None:
    job_id = world.salon.send()
    answers: list[TestResponse] = []
    lives.while_sending(world, lambda: answers.append(move(world, job_id, delayMinutes=5)))

    world.work()

    error_of(answers[0], 409, "already_processing")
    assert world.salon.status(job_id)["status"] == "completed"
    world.live(600, step=60)
    assert len(world.provider.posted) == 1


def test_the_default_validity_moves_along(world: World) -> None:
    job_id = world.salon.delay(5)

    move(world, job_id, scheduledTime="2026-05-13T12:00:00Z")

    assert world.message(job_id).valid_until == datetime(2026, 5, 13, 16, tzinfo=UTC)


def test_a_validity_that_was_asked_for_stands(world: World) -> None:
    job_id = world.salon.delay(5, validUntil="2026-05-11T13:00:00Z")

    assert fields_of(move(world, job_id, scheduledTime="2026-05-11T13:00:00Z")) == {"scheduledTime"}
    assert fields_of(move(world, job_id, delayMinutes=61)) == {"delayMinutes"}
    data_of(move(world, job_id, delayMinutes=59))
    assert world.message(job_id).valid_until == datetime(2026, 5, 11, 13, tzinfo=UTC)


REFUSED: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"scheduledTime", "delayMinutes"}),
    ({"scheduledTime": "2026-05-12T16:00:00Z", "delayMinutes": 5}, {"scheduledTime", "delayMinutes"}),
    ({"scheduledTime": "2026-05-12T16:00:00"}, {"scheduledTime"}),
    ({"scheduledTime": "2026-05-11T12:00:00Z"}, {"scheduledTime"}),
    ({"scheduledTime": "2028-05-12T12:00:00Z"}, {"scheduledTime"}),
    ({"delayMinutes": 0}, {"delayMinutes"}),
    ({"delayMinutes": "5"}, {"delayMinutes"}),
    ({"delayMinutes": 731 * 24 * 60 + 1}, {"delayMinutes"}),
    ({"delayMinutes": 5, "body": "New text"}, {"body"}),
    ({"delayMinutes": 5, "workspaceId": "a b"}, {"workspaceId"}),
    ({"delayMinutes": 5, "jobId": "a b"}, {"jobId"}),
]


def test_what_cannot_be_is_refused_by_name(world: World) -> None:
    job_id = world.salon.delay(60)
    before = world.salon.status(job_id)

    for changes, names in REFUSED:
        assert fields_of(move(world, job_id, **changes)) == names, changes
    assert world.salon.status(job_id) == before


def test_an_unknown_job_and_an_outsider_s_are_404(world: World) -> None:
    job_id = world.salon.delay(60)

    error_of(move(world, "job_nothing", delayMinutes=5), 404, "not_found")
    for workspace_id in ("ws_salon", "ws_outsider"):
        body = {"jobId": job_id, "workspaceId": workspace_id, "delayMinutes": 5}
        error_of(world.outsider.post(PATH, body), 404, "not_found")
    assert world.salon.status(job_id)["scheduledTime"] == "2026-05-11T13:00:00.000+00:00"
