"""POST /api/trigger/send-sms (seed 001.01, 001.51)."""

from tests.world import World


def test_it_answers_with_the_seed_s_three_fields(world: World) -> None:
    response = world.salon.post("/api/trigger/send-sms", world.salon.text())

    assert response.status_code == 202
    assert response.json["success"] is True
    data = response.json["data"]
    assert set(data) == {"jobId", "status", "messageId"}
    assert data["status"] == "processing"
    assert data["jobId"].startswith("job_")
    assert data["messageId"].startswith("msg_")


def test_the_message_reaches_the_provider_once(world: World) -> None:
    job_id = world.salon.send(body="Your table is ready")

    world.work()

    assert [record.body for record in world.provider.log] == ["Your table is ready"]
    state = world.salon.status(job_id)
    assert state["status"] == "completed"
    assert state["messageStatus"] == "sent"
    assert state["completedTime"] is not None


def test_it_is_stored_before_the_answer_even_while_redis_is_away(make_world) -> None:
    world = make_world(redis_url="redis://127.0.0.1:1/0")

    job_id = world.salon.send()

    assert world.message(job_id).status == "scheduled"
