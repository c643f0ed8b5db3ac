"""Our account is refused (401, suspended): everything waits, nothing is used up, a probe each minute resumes it."""

from datetime import timedelta

from structlog.testing import capture_logs

from app.channels.base import Failure, OutgoingMessage
from app.messages import delivery
from tests.jobs.support import CONFIGURATION, bodies, outcomes
from tests.world import World


def refuse_account(world: World) -> list[float]:
    """From now on our credentials are refused; returns the list of the seconds at which somebody probes."""
    begin, probes = world.clock.now(), list[float]()

    def probe() -> Failure | None:
        probes.append((world.clock.now() - begin).total_seconds())
        return world.provider.probe_failure

    world.provider.probe = probe  # type: ignore[method-assign]
    world.provider.probe_failure = CONFIGURATION
    world.provider.script.append(CONFIGURATION)
    return probes


def accept_account(world: World) -> None:
    world.provider.probe_failure = None


def gauge(world: World, name: str) -> float:
    text = world.app.test_client().get("/metrics").text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


def test_one_refusal_stops_all_sending_of_every_workspace(world: World) -> None:
    refuse_account(world)
    jobs = [world.salon.send(body=f"Now {n}") for n in range(5)] + [world.outsider.send(body="Elsewhere")]
    jobs.append(world.salon.delay(1, body="Later"))
    world.work()
    world.live(120)

    assert len(world.provider.posted) == 1
    assert bodies(world) == []
    for job_id in jobs:
        message = world.message(job_id)
        assert (message.status, message.attempts_used, message.attempts_uncounted) == ("scheduled", 0, 0)
    assert outcomes(world, jobs[0]) == ["configuration"]
    assert [outcomes(world, job_id) for job_id in jobs[1:]] == [[]] * 6
    assert world.salon.status(jobs[0])["status"] == "processing"


def test_a_probe_each_minute_resumes_it_and_everything_goes_out_once(world: World) -> None:
    probes = refuse_account(world)
    due = [world.salon.send(body="First"), world.outsider.send(body="Second")]
    world.work()
    during = world.salon.delay(2, body="Due in the pause")
    after = world.salon.delay(10, body="Due after it")
    world.live(300)
    assert probes == [60, 120, 180, 240, 300]
    assert len(world.provider.posted) == 1

    accept_account(world)
    world.live(65)
    assert probes[5:] == [360]
    assert sorted(bodies(world)) == ["Due in the pause", "First", "Second"]
    assert {world.message(job_id).status for job_id in (*due, during)} == {"sent"}

    world.live(300)
    assert sorted(bodies(world)) == ["Due after it", "Due in the pause", "First", "Second"]
    assert world.message(after).sent_at == world.message(after).due_at
    assert world.message(due[0]).attempts_used == 1
    assert len(probes) == 6


def test_a_whole_retry_budget_is_left_after_a_pause(world: World) -> None:
    job_id = world.salon.send()
    world.provider.script.extend([CONFIGURATION] * 4)  # more often than a message may fail
    world.work()
    world.live(300)

    message = world.message(job_id)
    assert outcomes(world, job_id) == ["configuration"] * 4 + ["accepted"]
    assert (message.status, message.attempts_used) == ("sent", 1)


def test_the_pause_is_an_alert(world: World) -> None:
    assert gauge(world, "bellhop_provider_account_paused") == 0
    refuse_account(world)
    world.salon.send()
    with capture_logs() as logs:
        world.work()
        world.live(50)
    paused = [entry for entry in logs if entry["event"] == "provider account paused"]
    assert [(entry["log_level"], entry["code"], entry["account"]) for entry in paused] == [
        ("error", 20003, "twilio:ACtest")
    ]
    assert gauge(world, "bellhop_provider_account_paused") == 1

    accept_account(world)
    with capture_logs() as logs:
        world.live(15)
    assert [entry["log_level"] for entry in logs if entry["event"] == "provider account resumed"] == ["info"]
    assert gauge(world, "bellhop_provider_account_paused") == 0


def test_while_paused_a_message_can_be_called_off_and_moved(world: World) -> None:
    refuse_account(world)
    cancelled, moved = world.salon.send(body="Cancelled"), world.salon.send(body="Moved")
    world.work()
    assert world.salon.cancel(cancelled).status_code == 200
    due_at = world.clock.now() + timedelta(minutes=10)
    body = {"jobId": moved, "workspaceId": "ws_salon", "scheduledTime": due_at.isoformat()}
    assert world.salon.post("/api/trigger/reschedule-job", body).status_code == 200
    accept_account(world)
    world.live(700)

    assert bodies(world) == ["Moved"]
    assert world.provider.log[0].created_at == due_at
    assert world.message(cancelled).status == "cancelled"


def test_what_loses_its_use_in_the_pause_is_not_sent_and_says_so_at_once(world: World) -> None:
    refuse_account(world)
    until = world.clock.now() + timedelta(minutes=5)
    tried = world.salon.send(validUntil=until.isoformat())
    waiting = world.salon.send(body="Second", validUntil=until.isoformat())
    world.work()
    world.live(310)

    # Still paused: whoever asks must not be told "processing" for days.
    assert (world.message(tried).status, world.message(tried).reason) == ("failed", "expired")
    assert (world.message(waiting).status, world.message(waiting).reason) == ("skipped", "expired")
    accept_account(world)
    world.live(65)
    assert bodies(world) == []


def test_refusals_of_requests_that_were_on_their_way_change_nothing(world: World) -> None:
    probes = refuse_account(world)
    first, second = world.salon.send(body="First"), world.salon.send(body="Second")

    def overtaken(_message: OutgoingMessage) -> Failure:
        delivery.deliver(world.message(second).id)  # another worker, which gets its answer before
        world.clock.advance(seconds=20)
        return CONFIGURATION

    world.provider.script.appendleft(overtaken)
    with capture_logs() as logs:
        world.work()
        world.live(50)
    assert [entry["event"] for entry in logs].count("provider account paused") == 1
    assert probes == [60]
    assert [outcomes(world, job_id) for job_id in (first, second)] == [["configuration"]] * 2

    accept_account(world)
    world.live(60)
    assert sorted(bodies(world)) == ["First", "Second"]
