"""Counters and histograms that survive many processes and many machines.

Each process adds up locally and hands its sums to one Redis hash every second; `/metrics`, on whatever machine, reads
the hash. So web, worker and scheduler dynos show as one, and a lost Redis only delays (or, after a flush, resets) the
figures, as Prometheus expects of counters. A process that is killed loses at most its last second of counts: figures
are for watching, the truth is in SQL. Labels never hold workspaces or phone numbers.
"""

import atexit
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from app.logs import get_logger

KEY = "bellhop:metrics"
FLUSH_INTERVAL_S = 1.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Counter:
    """Something that happens; ``labels`` are the names of its dimensions."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def inc(self, *values: str, by: float = 1) -> None:
        """Add to the count of these label values."""
        _add(by, self.name, *values)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A distribution in seconds; ``buckets`` are upper bounds."""

    name: str
    help: str
    buckets: tuple[float, ...]

    def observe(self, value: float) -> None:
        """Record one value."""
        bound = next((b for b in self.buckets if value <= b), float("inf"))
        _add(1, self.name, "le", str(bound))
        _add(value, self.name, "sum")


accepted = Counter("bellhop_messages_accepted", "Messages accepted by the API", ("channel",))
sent = Counter("bellhop_messages_sent", "Messages that the provider took", ("channel", "provider"))
failed = Counter("bellhop_messages_failed", "Messages that will not go out", ("reason", "code"))
deferred = Counter(
    "bellhop_messages_deferred", "Times that a message was given a later time, to suit its sender's rate"
)
attempts = Counter("bellhop_attempts", "Tries by outcome", ("provider", "outcome"))
reports = Counter("bellhop_delivery_reports", "Delivery reports by status", ("provider", "status"))
lateness = Histogram(
    "bellhop_lateness_seconds",
    "Sent minus due, for first tries",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600),
)
errors = Counter("bellhop_background_errors", "Failures of background work", ("where",))
fed = Counter("bellhop_nudges_fed", "Nudges put into Redis by the feeder", ("source",))
refills = Counter("bellhop_redis_refills", "Times the feeder began with what is due first", ("reason",))
refilled = Histogram(
    "bellhop_redis_refilled_seconds", "From such a beginning until all was audited", (0.1, 0.5, 1, 2, 5, 15, 60, 300)
)
left_out = Counter("bellhop_nudges_left_out", "Jobs left to the feeder without asking a Redis that had just failed", ())
duplicates = Counter("bellhop_duplicate_acceptances", "A provider accepted a second try of one message", ())

caps = Counter("bellhop_caps", "Caps that came near or were reached, and messages that they kept back", ("event",))

METRICS: tuple[Counter | Histogram, ...] = (
    accepted,
    sent,
    failed,
    deferred,
    attempts,
    reports,
    lateness,
    errors,
    fed,
    refills,
    refilled,
    left_out,
    duplicates,
    caps,
)

Gauge = tuple[str, str, float]
"""Name, help, value."""
_gauges: list[Callable[[], Iterable[Gauge]]] = []
_buffer: defaultdict[tuple[str, ...], float] = defaultdict(float)
_lock = threading.Lock()


def gauges(read: Callable[[], Iterable[Gauge]]) -> Callable[[], Iterable[Gauge]]:
    """Register a function that reads gauges at scrape time, inside an app context."""
    if read not in _gauges:
        _gauges.append(read)
    return read


def _add(by: float, *field: str) -> None:
    with _lock:
        _buffer[field] += by


def flush(connection: redis.Redis) -> None:
    """Hand the local sums to Redis; they are kept for the next time if it does not answer."""
    with _lock:
        sums = dict(_buffer)
        _buffer.clear()
    if not sums:
        return
    try:
        with connection.pipeline(transaction=True) as pipe:
            for field, by in sums.items():
                pipe.hincrbyfloat(KEY, json.dumps(field), by)
            pipe.execute()
    except redis.RedisError:
        with _lock:
            for field, by in sums.items():
                _buffer[field] += by


def discard() -> None:
    """Forget what has not been flushed; for tests."""
    with _lock:
        _buffer.clear()


def start_flusher(connection: redis.Redis) -> None:
    """Flush each second from a daemon thread, and once more at exit. Call it after any fork."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(FLUSH_INTERVAL_S):
            flush(connection)

    threading.Thread(target=run, name="metrics", daemon=True).start()

    @atexit.register
    def _last_flush() -> None:
        stop.set()
        flush(connection)


class _Collector:
    def __init__(self, stored: dict[str, float]) -> None:
        self._values: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        for field, value in stored.items():
            name, *labels = json.loads(field)
            self._values[name][tuple(labels)] = value

    def collect(self) -> Iterator[Metric]:
        for metric in METRICS:
            values = self._values[metric.name]
            yield _counter(metric, values) if isinstance(metric, Counter) else _histogram(metric, values)
        for read in _gauges:
            for name, text, value in read():
                yield GaugeMetricFamily(name, text, value=value)


def _counter(metric: Counter, values: dict[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    if not metric.labels and not values:
        family.add_metric((), 0)
    return family


def _histogram(metric: Histogram, values: dict[tuple[str, ...], float]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.help)
    total, buckets = 0.0, []
    for bound in (*metric.buckets, float("inf")):
        total += values.get(("le", str(bound)), 0)
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    family.add_metric((), buckets, sum_value=values.get(("sum",), 0))
    return family


def render(connection: redis.Redis) -> bytes:
    """All metrics in Prometheus' text format. Without Redis, what this process has counted since."""
    flush(connection)
    stored: dict[str, float] = {}
    try:
        raw = cast(dict[bytes, bytes], connection.hgetall(KEY))
        stored = {field.decode(): float(value) for field, value in raw.items()}
    except redis.RedisError:
        with _lock:
            stored = {json.dumps(field): by for field, by in _buffer.items()}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(stored))
    return generate_latest(registry)
