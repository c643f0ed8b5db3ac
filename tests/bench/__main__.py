"""``./run bench``: everything in one run, one table; writes ``docs/benchmarks.md``.

    ./run bench                       all parts, medians of three, some twenty-five minutes
    ./run bench burst sparse --runs 5 only these, printed and not written down

Needs a PostgreSQL (TEST_DATABASE_URL, as the tests do); Redis servers and databases are its own. Ours and stock take
turns, so that a ratio compares neighbours in time: absolute figures say more about the machine.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.bench import accept, horizon, plans, recovery, sending, tracker
from tests.bench.provider import BenchProvider, bench_provider
from tests.bench.report import Figure, at_most, beside, machine, ratio, table
from tests.bench.sending import Run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
MILLION = 1_000_000
Part = Callable[[BenchProvider, int], list[Figure]]


def promotion(_provider: BenchProvider, runs: int) -> list[Figure]:
    """10,000 jobs due at one instant, from the schedule to the queue."""
    pairs = [(sending.promoted_ours(10_000), sending.promoted_stock(10_000)) for _ in range(runs)]
    ours, stock = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    last = f"{median(run.last for run in stock):.2g} s"
    return [
        beside("promotion of 10,000 due at one instant", _rates(ours), _rates(stock), "jobs/s", 50),
        at_most("… the last one is late by", [run.last for run in ours], 0.5, "s", last),
    ]


def sparse(provider: BenchProvider, runs: int) -> list[Figure]:
    """60 messages at random instants over 30 s, from due to the request's arrival."""
    ours = [sending.sparse_ours(provider) for _ in range(runs)]
    other = sending.sparse_stock(provider)
    p50, p99 = (f"{1000 * value:,.0f} ms" for value in (other.p50, other.p99))
    first = min(run.earliest for run in ours) * 1000
    return [
        at_most("60 sparse messages, lateness p50", [run.p50 * 1000 for run in ours], 6, "ms", p50),
        at_most("… p99 (of 60: the latest)", [run.p99 * 1000 for run in ours], 15, "ms", p99),
        Figure(
            "… the earliest of all runs", f"{first:.2f} ms", f"{other.earliest * 1000:,.0f} ms", "", "≥ 0", first >= 0
        ),
    ]


def burst(provider: BenchProvider, runs: int) -> list[Figure]:
    """2,000 messages due at one instant, two workers, default settings, SQL and all; beside 8 SimpleWorkers."""
    pairs = [(sending.burst_ours(provider, 2000), sending.burst_stock(provider, 600)) for _ in range(runs)]
    ours, stock = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    sqlite = [sending.burst_ours(provider, 2000, database="sqlite") for _ in range(runs)]
    cpu = {part: median(run.cpu_ms[part] for run in ours) for part in ours[0].cpu_ms}
    each = " + ".join(f"{ms:.2f} {part}" for part, ms in cpu.items())
    return [
        beside("burst of 2,000, two workers, PostgreSQL", _rates(ours), _rates(stock), "msg/s", 12),
        at_most("… lateness p99", [run.p99 for run in ours], 1.5, "s"),
        Figure("… processor time for each, ms", f"{each} = {sum(cpu.values()):.2f}", f"{sum(_cpu(stock)):.2f}"),
        beside("burst of 2,000, two workers, SQLite", _rates(sqlite), _rates(stock), "msg/s"),
    ]


def worker(provider: BenchProvider, runs: int) -> list[Figure]:
    """One worker process on what is due already; and jobs that do nothing."""
    turns = [
        (
            sending.queued_ours(provider, 2000),
            sending.queued_ours(provider, 3000, WORKER_CONCURRENCY="128"),
            sending.queued_stock(provider, 150, 1),
            sending.queued_stock(provider, 600, 8),
        )
        for _ in range(runs)
    ]
    default, wide, one, eight = ([run.flow for run in column] for column in zip(*turns, strict=True))
    nothing = [
        (sending.nothing_ours(20_000, 1), sending.nothing_ours(20_000, 2), sending.nothing_stock(2_000, 1))
        for _ in range(runs)
    ]
    single, double, stock = ([run.rate for run in column] for column in zip(*nothing, strict=True))
    return [
        beside("one worker, 64 threads, beside one SimpleWorker", default, one, "msg/s", 30),
        beside("… beside a pool of 8 SimpleWorkers", default, eight, "msg/s"),
        beside("one worker, WORKER_CONCURRENCY=128, beside the pool of 8", wide, eight, "msg/s", 12),
        beside("jobs that do nothing, one worker, beside one SimpleWorker", single, stock, "jobs/s"),
        beside("… two workers", double, stock, "jobs/s"),
    ]


def accepting(_provider: BenchProvider, runs: int) -> list[Figure]:
    """Requests a second through HTTP, two gunicorn workers; bulks are of 1,000 messages."""
    results = accept.run(runs=runs)
    sqlite = accept.run(runs=runs, sqlite=True)

    def rates(name: str, of: Mapping[str, Sequence[accept.Result]] = results) -> list[float]:
        return [run.messages_per_second for run in of.get(name, ())]

    figures = [
        beside("accept, single, PostgreSQL", rates("ours"), rates("stock"), "req/s", 2.5),
        beside("… due beyond the horizon", rates("ours, beyond the horizon"), rates("stock"), "req/s"),
        beside("… SQLite", rates("ours", sqlite), rates("stock", sqlite), "req/s"),
    ]
    if huey := rates("huey"):
        figures.append(beside("… beside Flask + Huey, which stores nothing in SQL", rates("ours"), huey, "req/s", 1))
    names = {"accept, bulk, within the horizon": "ours, bulk", "… beyond it": "ours, bulk beyond the horizon"}
    for what, name in names.items():
        rate = median(rates(name))
        figures.append(Figure(what, f"{rate:,.0f} msg/s", "", "", "≥ 30,000 msg/s", rate >= 30_000))
    figures.append(Figure("… SQLite", f"{median(rates('ours, bulk', sqlite)):,.0f} msg/s"))
    return figures


def memory(_provider: BenchProvider, runs: int) -> list[Figure]:
    """What Redis holds, and how soon it has it again."""
    return horizon.measure(runs).figures()


def growth(provider: BenchProvider, runs: int) -> list[Figure]:
    """The same work in an empty database and beside a million others that wait."""
    accepted = accept.growth(MILLION, runs=runs)
    bursts = [
        (sending.burst_ours(provider, 2000), sending.burst_ours(provider, 2000, waiting=MILLION)) for _ in range(runs)
    ]
    empty, full = ([run.messages_per_second for run in column] for column in zip(*accepted, strict=True))
    rate = ratio(full, empty)
    alone, beside_others = ([run.p99 for run in column] for column in zip(*bursts, strict=True))
    late = ratio(beside_others, alone)
    others = f"{MILLION:,} others waiting"
    return [
        Figure(f"accept rate with {others}, of that without", f"{rate:.0%}", "", "", "≥ 85%", rate >= 0.85),
        Figure(f"burst lateness p99 with {others}, of that without", f"{late:.0%}", "", "", "≤ 115%", late <= 1.15),
    ]


def losses(_provider: BenchProvider, runs: int) -> list[Figure]:
    """How long it takes after a loss: a worker with 64 messages in flight, the leading scheduler."""
    found = recovery.measure(rounds=runs)
    killed = found.worker
    what = f"lost / doubled at the provider, of {killed.held} in the killed worker's hands"
    return [
        at_most("worker killed with 64 in flight: detected after", [killed.detected_s], 15, "s"),
        at_most("… the last of them settled or sent again after", [killed.settled_last_s], 60, "s"),
        at_most("… what was not in flight is late by", [killed.others_went_on_s], 2, "s"),
        Figure(
            f"… {what}", f"{killed.lost} / {killed.doubled}", "", "", "0 / 0", (killed.lost, killed.doubled) == (0, 0)
        ),
        at_most("leading scheduler killed: next promotion after", [found.leader.killed_s], 4, "s"),
        at_most("… stopped by SIGTERM: next promotion after", [found.leader.handed_over_s], 0.3, "s"),
    ]


def planning(_provider: BenchProvider, runs: int) -> list[Figure]:
    """A booking with three rules on two channels beside one message; the cron over 10,000 meetings, twice."""
    figures = []
    for database in ("postgresql", "sqlite"):
        found = [plans.costs(database) for _ in range(runs)]
        keyed = ratio([one.known for one in found], [one.keyed for one in found])
        quick = ratio([one.known for one in found], [one.quick for one in found])
        ms = {name: median(getattr(one, name) for one in found) for name in ("quick", "keyed", "booking", "known")}
        figures += [
            Figure(
                f"a booking with six reminders, {database}, beside a message with an Idempotency-Key",
                f"{ms['known']:.2f} ms (new person: {ms['booking']:.2f})",
                f"{ms['keyed']:.2f} ms",
                f"{keyed:.1f}x",
                "≤ 3x",
                keyed <= 3,
            ),
            Figure("… beside one on the quick path", "", f"{ms['quick']:.2f} ms", f"{quick:.1f}x", "≤ 3x", quick <= 3),
        ]
    crons = [plans.cron_over(10_000) for _ in range(runs)]
    again = max(one.second_rows for one in crons)
    return [
        *figures,
        at_most("cron over 10,000 meetings that nobody planned", [one.first_s for one in crons], 10, "s"),
        at_most("… again", [one.second_s for one in crons], 10, "s"),
        Figure("… reminders made: first, again", f"{crons[0].first_rows:,}, {again:,}", "", "", "…, 0", again == 0),
    ]


def ledger(_provider: BenchProvider, runs: int) -> list[Figure]:
    """A mark in the reminder ledger, empty and beside a million others."""
    figures = []
    for database in ("postgresql", "sqlite"):
        rounds = tracker.measure(database, runs, MILLION)
        empty, full = ([getattr(one, name) for one in rounds] for name in ("empty", "full"))
        times = ratio(full, empty)
        figures += [
            Figure(
                f"mark a reminder beside {MILLION:,} others, {database}, of that in an empty ledger",
                f"{median(full):.2f} ms ({median(empty):.2f} empty)",
                "",
                f"{times:.2f}x",
                "≤ 2x",
                times <= 2,
            ),
            at_most("… one that was marked already", [one.doublet for one in rounds], 5, "ms"),
            at_most("… whether it was sent", [one.look for one in rounds], 5, "ms"),
        ]
    return figures


def _rates(runs: Sequence[Run]) -> list[float]:
    return [run.rate for run in runs]


def _cpu(runs: Sequence[Run]) -> list[float]:
    return [median(run.cpu_ms[part] for run in runs) for part in runs[0].cpu_ms]


PARTS: dict[str, Part] = {
    "promotion": promotion,
    "sparse": sparse,
    "burst": burst,
    "worker": worker,
    "accept": accepting,
    "memory": memory,
    "growth": growth,
    "recovery": losses,
    "plans": planning,
    "tracker": ledger,
}


def main() -> int:
    """Measure, print, and write the page where everything was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    where = machine(os.getloadavg()[0])
    figures: list[Figure] = []
    with bench_provider() as provider:
        for name in arguments.parts or PARTS:
            print(f"measuring {name}", file=sys.stderr, flush=True)
            figures += (part := PARTS[name](provider, arguments.runs))
            print(table(part), file=sys.stderr, flush=True)
    text = f"Measured {where}.\n\n{table(figures)}\n"
    print(text)
    if not arguments.parts:
        PAGE.write_text(FIGURES.sub(lambda found: found[1] + text + found[2], PAGE.read_text()))
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
