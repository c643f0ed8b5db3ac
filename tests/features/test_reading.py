"""GET /api/messages: lists by keyset, and the story of one message."""

from app.channels.base import Failure, FailureKind
from tests.world import World


def test_the_list_has_the_latest_due_first_and_pages_without_gaps(world: World) -> None:
    jobs = [world.salon.delay(minutes) for minutes in (1, 2, 3, 3, 5)]

    seen, cursor = [], {}
    for _ in range(3):
        page = world.salon.get("/api/messages", limit="2", **cursor).json["data"]
        seen += [message["jobId"] for message in page["messages"]]
        cursor = {"cursor": page["nextCursor"]}

    assert page["nextCursor"] is None
    assert sorted(seen) == sorted(jobs)
    assert (seen[0], seen[-1]) == (jobs[4], jobs[0])


def test_the_list_can_be_narrowed_by_status_and_recipient(world: World) -> None:
    kept = world.salon.delay(5, to="+12025550100")
    world.salon.delay(5)
    cancelled = world.salon.delay(5)
    world.salon.cancel(cancelled)

    def jobs(**query: str) -> list[str]:
        return [m["jobId"] for m in world.salon.get("/api/messages", **query).json["data"]["messages"]]

    assert jobs(to="+12025550100") == [kept]
    assert jobs(status="cancelled") == [cancelled]
    assert world.salon.get("/api/messages", status="lost").status_code == 422
    assert world.salon.get("/api/messages", cursor="99999999999999999999-" + "0" * 32).status_code == 422


def test_one_message_tells_its_tries_and_reports(world: World) -> None:
    world.provider.script.append(Failure(FailureKind.TRANSIENT, "queue full", code=21611, http_status=400))
    job_id = world.salon.send()
    world.work()
    world.live(10)

    story = world.salon.get(f"/api/messages/{job_id}").json["data"]

    assert [t["outcome"] for t in story["tries"]] == ["transient", "accepted"]
    assert story["tries"][0]["errorCode"] == 21611
    assert story["state"] == "sent"
    assert world.salon.get(f"/api/messages/{story['messageId']}").json["data"]["jobId"] == job_id


def test_a_failed_message_explains_its_error_in_plain_words(world: World) -> None:
    world.provider.script.append(Failure(FailureKind.PERMANENT, "not a mobile", code=21614, http_status=400))
    job_id = world.salon.send()
    world.work()

    story = world.salon.get(f"/api/messages/{job_id}").json["data"]

    assert (story["state"], story["reason"], story["errorCode"]) == ("failed", "rejected", 21614)
    assert story["explanation"]


def test_the_outsider_sees_nothing(world: World) -> None:
    job_id = world.salon.send()

    assert world.outsider.get("/api/messages").json["data"]["messages"] == []
    assert world.outsider.get(f"/api/messages/{job_id}").status_code == 404
    assert world.outsider.get("/api/messages", workspaceId="ws_salon").status_code == 404
