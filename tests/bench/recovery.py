"""How long Bellhop needs after a loss: a worker with messages in flight, the scheduler that leads.

``python -m tests.bench.recovery`` prints the figures; `measure` returns them. A real installation with two workers and
two schedulers, default settings but for pacing, and a provider that keeps a log.
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from tests.acceptance.processes import wait_until
from tests.chaos.client import Client
from tests.chaos.installation import KEY, SENDER, WORKSPACE, Installation, installation
from tests.chaos.run import OPEN_STATES
from tests.twilio_server import Reply

IN_FLIGHT = 64
BATCH = 90
"""What one worker takes at a time, so that the other has room for what comes."""
ANSWER_S = 5.0
"""How long the provider takes over the messages that the worker dies with."""
PROBES, PROBE_EVERY_S = 40, 0.05
DETECTED = "jobs of a dead worker went back to their queue"
STREAM_S, STREAM_EVERY_S = 7.0, 0.05


@dataclass(frozen=True)
class WorkerKilled:
    """kill -9 of one of two workers; seconds after it. ``held`` counts what it had claimed, in flight or next."""

    held: int
    detected_s: float
    settled_p50_s: float
    settled_last_s: float
    others_went_on_s: float
    lost: int
    doubled: int


@dataclass(frozen=True)
class LeaderLost:
    """The latest of a stream of messages, one each 50 ms, while the scheduler that leads goes; medians of rounds."""

    killed_s: float
    handed_over_s: float
    undisturbed_s: float


@dataclass(frozen=True)
class Recovery:
    """All figures."""

    worker: WorkerKilled
    leader: LeaderLost


def measure(database: str = "postgresql", rounds: int = 3) -> Recovery:
    """Measure on a fresh installation; some three minutes."""
    with (
        tempfile.TemporaryDirectory(prefix="bellhop-recovery-") as folder,
        installation(database, Path(folder), TWILIO_TIMEOUT_S="10") as place,
    ):
        place.twilio.default_delay_s = 0.05
        leader = LeaderLost(
            killed_s=statistics.median(_without_leader(place, signal.SIGKILL) for _ in range(rounds)),
            handed_over_s=statistics.median(_without_leader(place, signal.SIGTERM) for _ in range(rounds)),
            undisturbed_s=_without_leader(place, None),
        )
        return Recovery(_without_worker(place), leader)


def _without_worker(place: Installation) -> WorkerKilled:
    twilio, client = place.twilio, Client(place.bellhop)
    known = {row["messageId"] for row in client.rows()}
    # Of what is in flight every other message was accepted, and nobody can tell.
    replies = (Reply(accept=True, delay_s=ANSWER_S), Reply(accept=False, status=503, delay_s=ANSWER_S))
    twilio.script(*replies * BATCH)
    posts = _posts(place)
    _ask(place, [(f"In flight {n}", time.time() + 1) for n in range(BATCH)])
    wait_until(lambda: _posts(place) - posts >= IN_FLIGHT, 20, "enough is in flight")
    held, victim = max(
        ((_held_by(place, pid), pid) for pid in place.bellhop.pids("worker")), key=lambda one: len(one[0])
    )
    seen = place.bellhop.output.count(DETECTED)

    os.kill(victim, signal.SIGKILL)
    killed_at = time.time()
    twilio.forget_scripts()
    _ask(place, [(f"Other {n}", killed_at + n * PROBE_EVERY_S + 0.1) for n in range(PROBES)])
    wait_until(lambda: place.bellhop.output.count(DETECTED) > seen, 30, "the death is noticed")
    detected_s = time.time() - killed_at

    wait_until(lambda: not any(row["state"] in OPEN_STATES for row in client.rows()), 180, "all is settled")
    rows = [row for row in client.rows() if row["messageId"] not in known]
    settled = [_seconds(row["sentAt"]) - killed_at for row in rows if row["messageId"] in held and row["sentAt"]]
    accepted = Counter(sent.body for sent in twilio.accepted)
    arrived = {sent.body: sent.at for sent in twilio.accepted}
    return WorkerKilled(
        held=len(held),
        detected_s=detected_s,
        settled_p50_s=statistics.median(settled),
        settled_last_s=max(settled),
        others_went_on_s=max(arrived[f"Other {n}"] - (killed_at + n * PROBE_EVERY_S + 0.1) for n in range(PROBES)),
        lost=sum(accepted[row["body"]] == 0 for row in rows),
        doubled=sum(accepted[row["body"]] > 1 for row in rows),
    )


def _held_by(place: Installation, pid: int) -> list[str]:
    """The messages that a worker process has taken, as rq-dashboard would show them."""
    with redis.Redis.from_url(place.redis_url, decode_responses=True) as client:
        workers = {client.hget(key, "name") or key.removeprefix("rq:worker:") for key in _workers(client, pid)}
        jobs = [key for key in client.scan_iter("rq:job:*") if client.hget(key, "worker_name") in workers]
    return sorted(f"msg_{key.removeprefix('rq:job:').partition('-')[0]}" for key in jobs)


def _workers(client: "redis.Redis", pid: int) -> list[str]:
    keys = (key for key in client.scan_iter("rq:worker:*") if client.type(key) == "hash")
    return [key for key in keys if client.hget(key, "pid") == str(pid)]


def _without_leader(place: Installation, how: signal.Signals | None) -> float:
    """The greatest lateness in a stream of messages while the leader gets a signal, in seconds."""
    place.spare.stop()
    client = Client(place.bellhop)
    [leader] = wait_until(lambda: place.bellhop.pids("scheduler"), what="a scheduler")
    first = f"Before {time.time_ns()}"
    _ask(place, [(first, time.time() + 0.5)])  # once it has gone out, that one leads
    wait_until(lambda: first in {sent.body for sent in place.twilio.accepted}, 20, "the supervised one leads")
    heirs = _schedulers(place)
    place.spare.tend()
    wait_until(lambda: _schedulers(place) > heirs, 20, "the spare one is ready")
    begin, name = time.time() + 1, f"Stream {time.time_ns()}"
    stream = {f"{name} {n}": begin + n * STREAM_EVERY_S for n in range(round(STREAM_S / STREAM_EVERY_S))}
    _ask(place, list(stream.items()))
    wait_until(lambda: time.time() > begin + 1.5, what="the stream flows")
    if how:
        os.kill(leader, how)
    wait_until(lambda: stream.keys() <= {sent.body for sent in place.twilio.accepted}, 60, "the stream has gone out")
    wait_until(lambda: not client.rows("sending"), 20, "it is settled")
    return max(sent.at - stream[sent.body] for sent in place.twilio.accepted if sent.body in stream)


def _schedulers(place: Installation) -> int:
    """Connections to Redis that wait for the schedulers' wake-up call."""
    with redis.Redis.from_url(place.redis_url) as client:
        return sum(int(count) for _, count in client.pubsub_numsub("bellhop:scheduler:wake"))


def _ask(place: Installation, texts: list[tuple[str, float]]) -> None:
    messages = [
        {"to": f"+123456{n % 1000:05}", "body": body, "scheduledTime": datetime.fromtimestamp(due, UTC).isoformat()}
        for n, (body, due) in enumerate(texts)
    ]
    body = {"workspaceId": WORKSPACE, "fromNumber": SENDER, "messages": messages}
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = place.bellhop.request("POST", "/api/trigger/schedule-bulk", body, headers)
    assert answer.status == 202, answer
    assert answer.body["data"]["rejected"] == 0, answer


def _posts(place: Installation) -> int:
    return sum(method == "POST" for method, _ in list(place.twilio.requests))


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def main() -> None:
    """Print all figures, one a line."""
    figures: dict[str, Any] = asdict(measure(sys.argv[1] if sys.argv[1:] else "postgresql"))
    for part, values in figures.items():
        for name, value in values.items():
            print(f"{part:8}{name:20}{value:8.3f}" if isinstance(value, float) else f"{part:8}{name:20}{value:8}")


if __name__ == "__main__":
    main()
