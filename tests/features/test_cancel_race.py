"""Cancelling or moving a message while a worker takes it: it stays here, or the caller hears that it went out."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from app.messages.delivery import deliver
from tests.answers import data_of, error_of
from tests.together import together
from tests.world import World

ROUNDS = 25


def client_of(world: World) -> Callable[[str, dict[str, object]], TestResponse]:
    """Posts as the salon from any thread, each time over a connection of its own."""
    headers = {"Authorization": f"Bearer {world.salon.key}"}

    def post(path: str, body: dict[str, object]) -> TestResponse:
        return world.app.test_client().post(f"/api/trigger/{path}", json=body, headers=headers)

    return post


def posted(world: World, body: str) -> int:
    return sum(message.body == body for message in world.provider.posted)


def test_cancel_against_one_worker(world: World) -> None:
    post = client_of(world)
    for number in range(ROUNDS):
        job_id = world.salon.send(body=f"Text {number}")
        row_id = world.message(job_id).id
        job = {"jobId": job_id, "workspaceId": "ws_salon"}

        response, _ = together(
            world.app, [lambda job=job: post("cancel-job", job), lambda row_id=row_id: deliver(row_id)]
        )

        if response.status_code == 200:
            assert data_of(response)["status"] == "cancelled"
            assert posted(world, f"Text {number}") == 0
            assert world.salon.status(job_id)["status"] == "cancelled"
        else:
            assert error_of(response, 409)["code"] in ("already_processing", "already_sent")
            assert posted(world, f"Text {number}") == 1
            assert world.salon.status(job_id)["status"] == "completed"


def test_many_callers_against_many_workers(world: World) -> None:
    post = client_of(world)
    for number in range(5):
        job_id = world.salon.send(body=f"Text {number}")
        row_id = world.message(job_id).id
        job = {"jobId": job_id, "workspaceId": "ws_salon"}

        cancels = [lambda job=job: post("cancel-job", job)] * 4
        responses = together(world.app, [*cancels, *[lambda row_id=row_id: deliver(row_id)] * 4])[:4]

        # Whoever asks hears the same: all that it is off, or all that it is too late.
        assert len({response.status_code for response in responses}) == 1
        assert posted(world, f"Text {number}") == (0 if responses[0].status_code == 200 else 1)


def test_reschedule_against_one_worker(world: World) -> None:
    post = client_of(world)
    for number in range(ROUNDS):
        job_id = world.salon.send(body=f"Text {number}")
        row_id = world.message(job_id).id
        move = {"jobId": job_id, "workspaceId": "ws_salon", "delayMinutes": 600}

        response, _ = together(
            world.app, [lambda move=move: post("reschedule-job", move), lambda row_id=row_id: deliver(row_id)]
        )

        if response.status_code == 200:
            assert posted(world, f"Text {number}") == 0
            assert world.salon.status(job_id)["status"] == "scheduled"
        else:
            assert error_of(response, 409)["code"] in ("already_processing", "already_sent")
            assert posted(world, f"Text {number}") == 1


@pytest.mark.parametrize("first", ["cancel-job", "reschedule-job"])
def test_cancel_against_reschedule_leaves_one_truth(world: World, first: str) -> None:
    post = client_of(world)
    for _ in range(10):
        job_id = world.salon.delay(5)
        job: dict[str, object] = {"jobId": job_id, "workspaceId": "ws_salon"}
        asks = [
            lambda job=job: post("cancel-job", job),
            lambda job=job: post("reschedule-job", job | {"delayMinutes": 9}),
        ]

        responses = together(world.app, asks if first == "cancel-job" else asks[::-1])

        cancelled, moved = responses if first == "cancel-job" else responses[::-1]
        assert data_of(cancelled)["status"] == "cancelled"
        assert moved.status_code == 200 or error_of(moved, 409, "already_finished")
        assert world.salon.status(job_id)["status"] == "cancelled"
