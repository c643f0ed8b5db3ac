"""rq-dashboard behind the panel's login."""

import pytest
from rq import Worker
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from admin.rq_panel import where
from app import queue
from tests.features.panel import Browser, Panel
from tests.world import World

JOBS = "/admin/rq/0/data/jobs/send/{}/8/asc/1.json"
PAGES = (
    "/admin/rq/",
    "/admin/rq/0/view/workers",
    "/admin/rq/0/view/jobs",
    "/admin/rq/0/view/jobs/send/failed/8/asc/1",
)


def click(browser: Browser, path: str, **headers: str):
    """What a button of rq-dashboard sends: a POST without a token, from its own page."""
    return browser.post_without_token(path, headers={"Sec-Fetch-Site": "same-origin"} | headers)


def failed_job(world: World) -> Job:
    """A job that has ended in the registry of failed ones."""
    job = queue.rq_queue(queue.SEND_QUEUE).enqueue_call("jobs.send", args=["x"], job_id="broken-0", failure_ttl=1000)
    world.redis.lrem("rq:queue:send", 0, job.id)
    job.failed_job_registry.add(job, ttl=1000)
    Result.create_failure(job, ttl=1000, exc_string="Traceback: it broke")
    return job


@pytest.mark.parametrize("path", PAGES)
def test_it_is_for_operators(panel: Panel, path: str) -> None:
    panel.world.salon.delay(10)

    assert panel.browser().get(path).status_code == 302
    assert panel.salon.get(path).status_code == 403
    assert panel.operator.get(path).status_code == 200


def test_an_owner_has_no_link_to_it_and_no_button_of_it(panel: Panel) -> None:
    salon = panel.salon

    assert "/admin/rq/" not in salon.get("/admin/").text
    assert click(salon, "/admin/rq/requeue/send").status_code == 403
    assert "/admin/rq/" in panel.operator.get("/admin/").text


def test_a_get_requeues_nothing(panel: Panel) -> None:
    job = failed_job(panel.world)
    operator = panel.operator

    assert operator.get("/admin/rq/requeue/send").status_code == 405
    assert operator.send("HEAD", "/admin/rq/requeue/send").status_code == 405
    assert job.failed_job_registry.count == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
    ],
)
def test_a_click_on_another_site_does_nothing(panel: Panel, headers: dict[str, str]) -> None:
    job = failed_job(panel.world)

    answer = panel.operator.post_without_token("/admin/rq/requeue/send", headers=headers)

    assert answer.status_code == 403
    assert job.failed_job_registry.count == 1


def test_requeueing_puts_the_job_back_as_json(panel: Panel) -> None:
    job = failed_job(panel.world)
    operator = panel.operator

    assert click(operator, "/admin/rq/requeue/send").json == {"status": "OK", "count": 1}

    again = Job.fetch(job.id, connection=panel.world.redis, serializer=JSONSerializer)
    assert (again.func_name, again.args) == ("jobs.send", ["x"])
    assert again.get_status() == "queued"
    assert panel.world.redis.lrange("rq:queue:send", 0, -1) == [job.id.encode()]


def test_the_other_buttons_work_too(panel: Panel) -> None:
    job = failed_job(panel.world)
    operator = panel.operator
    origin = {"Origin": "http://localhost"}

    assert operator.post_without_token(f"/admin/rq/job/{job.id}/requeue", headers=origin).json == {"status": "OK"}
    assert click(operator, f"/admin/rq/job/{job.id}/requeue").status_code == 404  # it is not among the failed any more
    assert click(operator, "/admin/rq/queue/send/compact").json == {"status": "OK"}
    assert click(operator, f"/admin/rq/job/{job.id}/delete").json == {"status": "OK"}
    assert click(operator, "/admin/rq/queue/send/queued/empty").json == {"status": "OK"}
    assert operator.get(f"/admin/rq/0/view/job/{job.id}").status_code == 404


def test_it_shows_our_queues_jobs_and_workers(panel: Panel) -> None:
    world = panel.world
    world.salon.delay(10)
    world.salon.send()
    failed = failed_job(world)
    [scheduled] = world.scheduled()
    worker = Worker([queue.rq_queue(queue.SEND_QUEUE)], connection=world.redis, serializer=JSONSerializer)
    worker.register_birth()
    worker.prepare_execution(Job.fetch(scheduled, connection=world.redis, serializer=JSONSerializer))
    operator = panel.operator

    [shown] = [one for one in operator.get("/admin/rq/0/data/queues.json").json["queues"] if one["name"] == "send"]
    assert (shown["count"], shown["scheduled_job_registry_count"], shown["failed_job_registry_count"]) == (1, 1, 1)
    assert [job["id"] for job in operator.get(JOBS.format("scheduled")).json["jobs"]] == [scheduled]
    assert [job["exc_info"] for job in operator.get(JOBS.format("failed")).json["jobs"]] == ["Traceback: it broke"]
    assert operator.get(f"/admin/rq/0/data/job/{failed.id}.json").json["description"] == "jobs.send('x')"
    assert operator.get(f"/admin/rq/0/view/job/{failed.id}").status_code == 200
    [busy] = operator.get("/admin/rq/0/data/workers.json").json["workers"]
    assert busy["current_job"]["job_id"] == scheduled


def test_no_number_and_no_text_is_in_it(panel: Panel) -> None:
    panel.world.salon.delay(10, body="Only between us")
    [job_id] = panel.world.scheduled()
    operator = panel.operator

    for path in (JOBS.format("scheduled"), f"/admin/rq/0/data/job/{job_id}.json"):
        page = operator.get(path).text
        assert "Only between us" not in page
        assert "2345678901" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/admin/rq/1/view/queues",
        "/admin/rq/99999999999999999999/data/queues.json",
        "/admin/rq/0/view/job/unknown",
        "/admin/rq/0/data/job/unknown.json",
        "/admin/rq/0/view/jobs/'-alert(1)-'/queued/8/asc/1",
        "/admin/rq/0/view/jobs/<script>/queued/8/asc/1",
        "/admin/rq/0/view/jobs/send/nonsense/8/asc/1",
        "/admin/rq/0/data/jobs/send/nonsense/8/asc/1.json",
        "/admin/rq/0/data/jobs/send/failed/x/asc/1.json",
        "/admin/rq/0/data/jobs/send/failed/0/asc/1.json",
        "/admin/rq/0/data/jobs/send/failed/99999/asc/1.json",
        "/admin/rq/0/view/jobs/send/failed/8/asc/0",
    ],
)
def test_odd_addresses_are_a_404(panel: Panel, path: str) -> None:
    assert panel.operator.get(path).status_code == 404


def test_only_its_own_scripts_run_and_only_there(panel: Panel) -> None:
    operator = panel.operator

    answer = operator.get("/admin/rq/")

    policy = answer.headers["Content-Security-Policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert len(nonce) > 20
    assert answer.text.count("<script") == answer.text.count(f'<script nonce="{nonce}"') > 3
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert nonce not in operator.get("/admin/rq/").text
    assert "unsafe" not in operator.get("/admin/").headers["Content-Security-Policy"]
    assert operator.get("/admin/rq/static/js/jquery-3.5.1.min.js").status_code == 200


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://user:s3cret@redis.internal:6380/0?password=s3cret", "redis.internal:6380"),
        ("rediss://:s3cret@redis.internal", "redis.internal:6379"),
        ("unix:///run/redis.sock?password=s3cret", "/run/redis.sock"),
        ("", "Redis"),
    ],
)
def test_of_the_redis_url_only_the_place_is_shown(url: str, shown: str) -> None:
    assert where(url) == shown


def test_a_redis_that_is_away_is_a_503(make_panel) -> None:
    operator = make_panel(redis_url="redis://127.0.0.1:1/0").operator

    assert operator.get("/admin/rq/0/data/queues.json").status_code == 503
    assert operator.get("/admin/messages/").status_code == 200
