"""Many workers at once: one of them wins each message, and the provider gets one request."""

import threading
from collections import Counter
from functools import partial

from app import queue
from app.errors import Conflict
from app.messages import delivery, reconcile, service, sweep
from app.messages.status import Report, apply_report
from tests.jobs.support import bodies, dies_at, lose_quietly, outcomes
from tests.together import together
from tests.world import World


def test_of_many_workers_with_the_same_message_one_sends_it(world: World) -> None:
    job_id = world.salon.send()
    together(world.app, [partial(delivery.deliver, world.message(job_id).id)] * 8)

    assert bodies(world) == ["Hello"]
    assert len(world.provider.posted) == 1
    assert outcomes(world, job_id) == ["accepted"]
    assert (world.message(job_id).status, world.message(job_id).attempt) == ("sent", 1)


def test_fifty_messages_and_four_workers_with_all_of_them(world: World) -> None:
    jobs = [world.salon.send(body=f"Text {n:02}") for n in range(50)]
    rows = [world.message(job_id).id for job_id in jobs]

    def worker(turn: int) -> None:
        # Each in its own order, so that they meet at different messages.
        for row_id in rows[turn * 12 :] + rows[: turn * 12]:
            delivery.deliver(row_id)

    together(world.app, [partial(worker, turn) for turn in range(4)])

    assert Counter(bodies(world)) == {f"Text {n:02}": 1 for n in range(50)}
    assert len(world.provider.posted) == 50
    assert {message.status for message in world.messages()} == {"sent"}
    assert {message.attempt for message in world.messages()} == {1}


def test_a_nudge_that_is_doubled_many_times_is_harmless(world: World) -> None:
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    queue.add([queue.Nudge(queue.SEND, row_id, f"{row_id}-{n}-double") for n in range(20)])
    jobs = [raw.decode() for raw in world.redis.lrange("rq:queue:send", 0, -1)]
    assert len(jobs) == 21
    together(world.app, [partial(delivery.deliver, rq_id.partition("-")[0]) for rq_id in jobs[:8]])
    world.work()
    assert bodies(world) == ["Hello"]


def test_cancel_and_send_at_the_same_instant_never_both_win(world: World) -> None:
    for _ in range(12):
        job_id = world.salon.send()
        row_id = world.message(job_id).id
        answers: list[str] = []

        def cancel(job_id: str = job_id, answers: list[str] = answers) -> None:
            try:
                answers.append(str(service.cancel("ws_salon", job_id).status))
            except Conflict as refusal:
                answers.append(refusal.code)

        posted = len(world.provider.posted)
        together(world.app, [partial(delivery.deliver, row_id), cancel])
        went_out = len(world.provider.posted) - posted
        assert (went_out, answers[0]) in {(0, "cancelled"), (1, "already_processing"), (1, "already_sent")}
        assert world.message(job_id).status == ("sent" if went_out else "cancelled")


def test_cancels_at_the_same_instant_all_get_the_same_answer(world: World) -> None:
    job_id = world.salon.delay(1)
    answers = together(world.app, [partial(service.cancel, "ws_salon", job_id)] * 4)
    assert {answer.status for answer in answers} == {"cancelled"}


def test_reports_and_the_answer_itself_at_the_same_instant(world: World) -> None:
    for _ in range(6):
        job_id = world.salon.send()
        started: list[threading.Thread] = []

        def overtaken(message, job_id=job_id, started=started):
            answer = world.provider.accept(message)
            report = partial(
                apply_report,
                Report("twilio", answer.provider_message_id, "sent", attempt_id=message.attempt_id),
            )
            threads = [threading.Thread(target=in_context, args=(report,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            started.extend(threads)
            return answer

        def in_context(work) -> None:
            with world.app.app_context():
                work()

        world.provider.script.append(overtaken)
        world.work()
        for thread in started:
            thread.join(timeout=30)
        message = world.message(job_id)
        assert (message.status, message.provider_status, message.attempts_used) == ("sent", "sent", 1)
    assert len(world.delivery_events()) == 6


def test_two_sweeps_and_two_looks_at_the_same_instant_resend_once(world: World) -> None:
    job_id = world.salon.send()
    row_id = world.message(job_id).id
    with dies_at("claimed"):
        world.work()
    for _ in range(20):
        world.clock.advance(seconds=5)
        together(world.app, [sweep.sweep, sweep.sweep, partial(reconcile.reconcile, row_id)] * 2)
        world.work()
    assert bodies(world) == ["Hello"]
    assert outcomes(world, job_id) == ["not_accepted", "accepted"]


def test_many_in_doubt_are_settled_by_many_workers(world: World) -> None:
    # Ten equal texts to one person, half of them accepted, and nobody knows.
    jobs = [world.salon.send() for _ in range(10)]
    rows = [world.message(job_id).id for job_id in jobs]
    world.provider.script.extend([world.provider.accept_then_lose, lose_quietly] * 5)
    all_claimed = threading.Barrier(10)
    send = world.provider.send

    def at_once(message):
        all_claimed.wait(timeout=30)
        return send(message)

    world.provider.send = at_once
    together(world.app, [partial(delivery.deliver, row_id) for row_id in rows])
    world.provider.send = send
    assert {message.status for message in world.messages()} == {"unknown"}

    for _ in range(12):
        world.clock.advance(seconds=10)
        together(world.app, [partial(reconcile.reconcile, row_id) for row_id in rows])
        sweep.sweep()
        world.work()
    world.live(120)
    assert bodies(world) == ["Hello"] * 10
    assert {message.status for message in world.messages()} == {"sent"}
    assert {message.provider_message_id for message in world.messages()} == {
        record.provider_message_id for record in world.provider.log
    }
