"""``./run bench``: everything in one run, one table; writes ``docs/benchmarks.md``.

    ./run bench                       all parts, medians of three, some twenty minutes
    ./run bench burst sparse --runs 5 only these, printed and not written down

Needs a PostgreSQL (TEST_DATABASE_URL, as the tests do); Redis servers and databases are its own. Ours and stock take
turns, so that a ratio compares neighbours in time: absolute figures say more about the machine.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench import sending
from tests.bench.provider import BenchProvider, bench_provider
from tests.bench.report import Figure, at_most, beside, machine, table
from tests.bench.sending import Run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
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


def _rates(runs: Sequence[Run]) -> list[float]:
    return [run.rate for run in runs]


def _cpu(runs: Sequence[Run]) -> list[float]:
    return [median(run.cpu_ms[part] for run in runs) for part in runs[0].cpu_ms]


PARTS: dict[str, Part] = {
    "promotion": promotion,
    "sparse": sparse,
    "burst": burst,
    "worker": worker,
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
            figures += PARTS[name](provider, arguments.runs)
    text = f"Measured {where}.\n\n{table(figures)}\n"
    print(text)
    if not arguments.parts:
        PAGE.write_text(FIGURES.sub(lambda found: found[1] + text + found[2], PAGE.read_text()))
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
