"""POST /api/trigger/cancel-job (seed 001.26, 001.54): "cancelled" is only said when nothing can go out any more."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from app.messages.service import too_late
from app.messages.states import Status
from tests.answers import data_of, error_of, fields_of
from tests.features import lives
from tests.world import World

PATH = "/api/trigger/cancel-job"
Life = Callable[[World], str]

OVER: list[tuple[Life, str]] = [
    (lives.unknown, "already_processing"),
    (lives.sent, "already_sent"),
    (lives.delivered, "already_sent"),
    (lives.undelivered, "already_sent"),
    (lives.read, "already_sent"),
    (lives.refused, "already_finished"),
    (lives.exhausted, "already_finished"),
    (lives.expired, "already_finished"),
    (lives.opted_out, "already_finished"),
]


@pytest.mark.parametrize("live", [lives.waiting, lives.due, lives.retrying])
def test_what_has_not_gone_out_is_cancelled_and_never_goes_out(world: World, live: Life) -> None:
    job_id = live(world)
    tried = len(world.provider.posted)

    assert data_of(world.salon.cancel(job_id)) == {"jobId": job_id, "status": "cancelled"}

    world.live(7200, step=1800)
    assert len(world.provider.posted) == tried
    assert world.salon.status(job_id)["status"] == "cancelled"


@pytest.mark.parametrize("live", [lives.waiting, lives.due, lives.cancelled])
def test_again_is_the_same_answer(world: World, live: Life) -> None:
    job_id = live(world)

    answers = [data_of(world.salon.cancel(job_id)) for _ in range(3)]

    assert answers == [{"jobId": job_id, "status": "cancelled"}] * 3


@pytest.mark.parametrize("live, code", OVER)
def test_what_is_over_or_under_way_is_a_conflict_that_says_so(world: World, live: Life, code: str) -> None:
    job_id = live(world)
    before = world.salon.status(job_id)

    error_of(world.salon.cancel(job_id), 409, code)

    assert world.salon.status(job_id) == before


def test_what_is_being_sent_at_this_moment_is_a_conflict_and_goes_out(world: World) -> None:
    job_id = world.salon.send()
    answers: list[TestResponse] = []
    lives.while_sending(world, lambda: answers.append(world.salon.cancel(job_id)))

    world.work()

    error_of(answers[0], 409, "already_processing")
    assert world.salon.status(job_id)["status"] == "completed"
    error_of(world.salon.cancel(job_id), 409, "already_sent")


def test_what_went_back_to_waiting_while_we_asked_is_not_called_sent() -> None:
    assert too_late(Status.SCHEDULED).code == "already_processing"


def test_it_works_while_redis_is_away(make_world) -> None:
    world = make_world(redis_url="redis://127.0.0.1:1/0")
    job_id = world.salon.delay(5)

    assert data_of(world.salon.cancel(job_id))["status"] == "cancelled"


def test_the_nudge_leaves_redis_too(world: World) -> None:
    job_id = world.salon.delay(5)
    assert world.redis.keys("rq:job:*")

    world.salon.cancel(job_id)

    assert world.redis.keys("rq:job:*") == []
    assert world.redis.zcard("rq:scheduled:send") == 0


def test_an_unknown_job_and_an_outsider_s_are_404(world: World) -> None:
    job_id = world.salon.delay(60)

    error_of(world.salon.cancel("job_nothing"), 404, "not_found")
    error_of(world.outsider.cancel(job_id), 404, "not_found")
    assert world.salon.status(job_id)["status"] == "scheduled"


def test_what_is_no_job_id_is_refused_by_name(world: World) -> None:
    for job_id in (None, 1, True, [], {}, "", " ", "a b", "x" * 129, "job\n", "j\0", "\ud800", "\xf6"):
        assert fields_of(world.salon.post(PATH, {"jobId": job_id, "workspaceId": "ws_salon"})) == {"jobId"}


def test_both_fields_are_needed_and_no_others_taken(world: World) -> None:
    assert fields_of(world.salon.post(PATH, {})) == {"jobId", "workspaceId"}
    job = {"jobId": "job_x", "workspaceId": "ws_salon", "reason": "x"}
    assert fields_of(world.salon.post(PATH, job)) == {"reason"}
