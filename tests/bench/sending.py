"""From the due time to the provider: bursts, sparse messages and plain throughput, ours beside stock RQ."""

import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rq import Queue, Worker
from rq_scheduler import Scheduler as StockScheduler

from app import queue
from app.database import writing
from app.messages import service
from app.workspaces import service as workspaces
from tests.bench.horizon import insert_rows
from tests.bench.provider import BenchProvider
from tests.bench.stack import Stack, cpu_seconds, percentile, processes, stack, wait_for

WORKSPACE = "ws_bench"
SENDERS = 2000


@dataclass(frozen=True)
class Run:
    """What one run showed. Times in seconds after the due time; ``cpu_ms`` is processor time for each message, by part.

    ``rate`` counts from the due time, ``flow`` from the first arrival: what matters where the workers start late.
    """

    n: int
    rate: float
    flow: float
    p50: float
    p99: float
    last: float
    earliest: float
    cpu_ms: Mapping[str, float]

    def __str__(self) -> str:
        late = {"p50": self.p50, "p99": self.p99, "last": self.last, "first": self.earliest}
        times = "  ".join(f"{name} {seconds * 1000:7.1f} ms" for name, seconds in late.items())
        cpu = "  ".join(f"{name} {ms:.2f}" for name, ms in self.cpu_ms.items())
        return f"{self.n}: {self.rate:6.0f}/s, flowing {self.flow:6.0f}/s  late {times}  CPU ms each {cpu}"


class Meter:
    """Counts the processor time of a stack's processes from its making on."""

    def __init__(self, bench: Stack, **pids: Sequence[int]) -> None:
        self._bench = bench
        self._pids = {name: list(given) for name, given in pids.items()}
        self._before = self._seconds()

    def each(self, n: int) -> dict[str, float]:
        """Milliseconds for each of ``n`` messages, by part."""
        return {name: (after - self._before.get(name, 0)) * 1000 / n for name, after in self._seconds().items()}

    def _seconds(self) -> dict[str, float]:
        return {name: cpu_seconds(pids) for name, pids in (self._pids | self._bench.store_pids()).items()}


def schedule_ours(bench: Stack, due: Sequence[datetime], senders: int = SENDERS) -> None:
    """Accept one message for each due time, each from its own sender as far as there are ``senders``."""
    with bench.app.app_context():
        with writing() as session:
            workspaces.ensure_workspace(session, WORKSPACE)
        for start in range(0, len(due), 1000):
            drafts = [
                service.Draft(
                    workspace_id=WORKSPACE,
                    to=f"+1555{start + n:07d}",
                    sender=f"+1666{(start + n) % senders:07d}",
                    body=f"Your appointment is tomorrow at ten, number {start + n}",
                    due_at=at,
                    due_text=at.isoformat(),
                    valid_until=at + timedelta(hours=4),
                )
                for n, at in enumerate(due[start : start + 1000])
            ]
            with writing() as session:
                stored = service.store(session, drafts)
            service.announce(stored)


def await_workers(bench: Stack, count: int) -> None:
    """Wait until so many workers have signed on."""
    connection = bench.redis
    wait_for(lambda: Worker.count(connection=connection) >= count, 60, "the workers are there")
    time.sleep(1)


def measure(provider: BenchProvider, due: Sequence[datetime], meter: Meter, limit_s: float) -> Run:
    """Wait until every message has arrived, and judge when."""
    arrivals: list[tuple[float, str]] = []

    def all_there() -> bool:
        arrivals.extend(provider.arrivals())
        return len(arrivals) >= len(due)

    deadline = due[-1].timestamp() + limit_s
    while not all_there():
        if time.time() > deadline:
            raise TimeoutError(f"{len(arrivals)} of {len(due)} arrived")
        time.sleep(0.5)
    time.sleep(1.5)  # what is still being written down belongs to the cost, and a doubled message would show
    arrivals.extend(provider.arrivals())
    if len(arrivals) != len(due) or len({text for _, text in arrivals}) != len(due):
        raise AssertionError(
            f"{len(arrivals)} arrivals of {len({t for _, t in arrivals})} texts for {len(due)} messages"
        )
    due_of = {int(text.rpartition(" ")[2]): at for at, text in arrivals}
    late = [due_of[n] - at.timestamp() for n, at in enumerate(due)]
    last = max(due_of.values())
    return Run(
        n=len(due),
        rate=len(due) / (last - due[0].timestamp()),
        flow=len(due) / (last - min(due_of.values())),
        p50=percentile(late, 0.5),
        p99=percentile(late, 0.99),
        last=max(late),
        earliest=min(late),
        cpu_ms=meter.each(len(due)),
    )


@contextmanager
def ours(bench: Stack, workers: int, **environment: str) -> Iterator[list[int]]:
    """Our processes, ready to work; yields the pids of the workers."""
    with bench.running("jobs.scheduler", *["jobs.worker"] * workers, **environment) as started:
        await_workers(bench, workers)
        yield [process.pid for process in started[1:]]


def burst_ours(provider: BenchProvider, n: int, *, database: str = "postgresql", waiting: int = 0) -> Run:
    """``n`` messages due at one instant, two workers, while so many others wait for the coming days."""
    with ExitStack() as resources:
        bench = resources.enter_context(stack(database, **provider.environment))
        if waiting:
            insert_rows(bench.app, waiting, first_in=timedelta(minutes=10))
        pids = resources.enter_context(ours(bench, 2))
        due = [datetime.now(UTC) + timedelta(seconds=3 + n / 4000)] * n
        schedule_ours(bench, due)
        return measure(provider, due, Meter(bench, workers=pids, provider=[provider.pid]), 60)


def sparse_ours(provider: BenchProvider, n: int = 60, seconds: float = 30, database: str = "postgresql") -> Run:
    """``n`` messages at random instants."""
    with stack(database, **provider.environment) as bench, ours(bench, 1) as pids:
        begin = datetime.now(UTC) + timedelta(seconds=2)
        due = sorted(begin + timedelta(seconds=random.random() * seconds) for _ in range(n))
        schedule_ours(bench, due)
        return measure(provider, due, Meter(bench, workers=pids), 30)


@contextmanager
def stock(bench: Stack, workers: int) -> Iterator[list[int]]:
    """rqscheduler polling each second, and SimpleWorkers."""
    url = ["--url", bench.redis_url]
    worker = [sys.executable, "-m", "rq.cli", "worker", *url, "-w", "rq.worker.SimpleWorker", "--quiet", "stock"]
    script = "from rq_scheduler.scripts.rqscheduler import main; main()"
    scheduler = [sys.executable, "-c", script, *url, "--interval", "1"]
    with processes([scheduler, *[worker] * workers], bench.environment) as started:
        await_workers(bench, workers)
        yield [process.pid for process in started[1:]]


def schedule_stock(bench: Stack, due: Sequence[datetime]) -> None:
    """One job for each due time, as a user of rq-scheduler plans it."""
    scheduler = StockScheduler("stock", connection=bench.redis)
    for n, at in enumerate(due):
        body = f"Your appointment is tomorrow at ten, number {n}"
        arguments = (f"+1555{n:07d}", f"+1666{n:07d}", body)
        scheduler.enqueue_at(at.replace(tzinfo=None), "tests.bench.stock_jobs.send", *arguments)


def burst_stock(provider: BenchProvider, n: int, workers: int = 8) -> Run:
    """The same burst through stock parts; no SQL."""
    with stack("sqlite", **provider.environment) as bench, stock(bench, workers) as pids:
        due = [(datetime.now(UTC) + timedelta(seconds=4 + n / 500)).replace(microsecond=0)] * n
        schedule_stock(bench, due)
        return measure(provider, due, Meter(bench, workers=pids, provider=[provider.pid]), 120)


def sparse_stock(provider: BenchProvider, n: int = 60, seconds: float = 30) -> Run:
    """The same through rqscheduler and 8 SimpleWorkers."""
    with stack("sqlite", **provider.environment) as bench, stock(bench, 8) as pids:
        begin = datetime.now(UTC) + timedelta(seconds=4)
        due = sorted(begin + timedelta(seconds=random.random() * seconds) for _ in range(n))
        schedule_stock(bench, due)
        return measure(provider, due, Meter(bench, workers=pids), 30)


def queued_stock(provider: BenchProvider, n: int, workers: int) -> Run:
    """Jobs that are queued already when the workers start: their plain throughput."""
    with stack("sqlite", **provider.environment) as bench:
        queue = Queue("stock", connection=bench.redis)
        with stock(bench, workers) as pids:
            begin = datetime.now(UTC)
            meter = Meter(bench, workers=pids)
            for number in range(n):
                body = f"Your appointment is tomorrow at ten, number {number}"
                queue.enqueue("tests.bench.stock_jobs.send", f"+1555{number:07d}", f"+1666{number:07d}", body)
            return measure(provider, [begin] * n, meter, 120)


def queued_ours(provider: BenchProvider, n: int, **environment: str) -> Run:
    """Messages that are due already when one worker starts: its plain throughput."""
    with stack("postgresql", **provider.environment) as bench:
        due = [datetime.now(UTC)] * n
        schedule_ours(bench, due)
        with bench.running("jobs.scheduler", "jobs.worker", **environment) as started:
            meter = Meter(bench, workers=[started[1].pid])
            await_workers(bench, 1)
            return measure(provider, due, meter, 60)


def promoted_ours(n: int) -> Run:
    """Due at one instant, without a worker: when the last one is in its queue."""
    with stack("sqlite") as bench, bench.running("jobs.scheduler"), bench.app.app_context():
        due = datetime.now(UTC) + timedelta(seconds=4)
        nudges = [queue.send_nudge(f"{number:032x}", 0, due) for number in range(n)]
        wait_for(lambda: bench.redis.get("rq:scheduler_lock") or bench.redis.keys("*lock*"), 30, "a scheduler leads")
        queue.add(nudges)
        return promoted(bench, "rq:queue:send", n, due.timestamp())


def promoted_stock(n: int) -> Run:
    """The same by rqscheduler, polling each second."""
    with stack("sqlite") as bench, stock(bench, 0):
        due = (datetime.now(UTC) + timedelta(seconds=4 + n / 800)).replace(microsecond=0)
        schedule_stock(bench, [due] * n)
        if datetime.now(UTC) >= due:
            raise AssertionError("scheduling took longer than was allowed for it")
        return promoted(bench, "rq:queue:stock", n, due.timestamp())


def promoted(bench: Stack, key: str, n: int, due: float) -> Run:
    """Watch a queue's list fill; the lateness of the median and of the last one."""
    connection = bench.redis
    seen: list[tuple[float, int]] = [(time.time(), 0)]
    while seen[-1][1] < n:
        if time.time() > due + 60:
            raise TimeoutError(f"{seen[-1][1]} of {n} promoted")
        time.sleep(0.001)
        seen.append((time.time(), int(connection.llen(key))))

    def late(share: float) -> float:
        return next(at for at, count in seen if count >= share * n) - due

    first = next(at for at, count in seen if count) - due
    return Run(n, n / late(1), n / max(late(1) - first, 1e-3), late(0.5), late(0.99), late(1), first, {})


def nothing_ours(n: int, workers: int) -> Run:
    """Jobs that do nothing, queued before the workers start."""
    with stack("sqlite") as bench:
        with bench.app.app_context():
            job = "tests.bench.stock_jobs.nothing_with"
            queue.add([queue.Nudge(job, "x", f"nothing-{number}", queue=queue.UPKEEP_QUEUE) for number in range(n)])
        with bench.running(*["jobs.worker"] * workers) as started:
            return emptied(bench, "upkeep", n, [process.pid for process in started])


def nothing_stock(n: int, workers: int) -> Run:
    """The same through SimpleWorkers."""
    with stack("sqlite") as bench:
        target = Queue("stock", connection=bench.redis)
        for _ in range(n):
            target.enqueue("tests.bench.stock_jobs.nothing")
        with stock(bench, workers) as pids:
            return emptied(bench, "stock", n, pids)


def emptied(bench: Stack, name: str, n: int, pids: Sequence[int]) -> Run:
    """From the first job that is gone to the last one that is done, counted by RQ itself."""
    connection = bench.redis

    def done() -> int:
        workers = [key for key in connection.scan_iter("rq:worker:*") if connection.type(key) == b"hash"]
        return sum(int(connection.hget(key, "successful_job_count") or 0) for key in workers)  # type: ignore[arg-type]

    begun = wait_for(lambda: time.time() if connection.llen(f"rq:queue:{name}") < n else 0, 60, "the work begins")
    wait_for(
        lambda: not connection.llen(f"rq:queue:{name}") and not connection.zcard(f"rq:wip:{name}"), 120, "all done"
    )
    took = time.time() - begun
    wait_for(lambda: done() >= n, 10, f"{n} jobs are counted")
    if done() != n:
        raise AssertionError(f"{done()} jobs were done, there were {n}")
    return Run(n, n / took, n / took, 0, 0, took, 0, {"workers": cpu_seconds(pids) * 1000 / n})
