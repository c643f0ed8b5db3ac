"""One chaos run, from the plan to the verdict."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from pathlib import Path

from tests.acceptance.processes import wait_until
from tests.chaos.client import Asked, Client
from tests.chaos.installation import Installation, installation
from tests.chaos.plan import Disturbance, Mood, Plan, Request
from tests.chaos.verdict import Verdict, judge

SETTLE_WITHIN_S = 240.0
CLIENTS, HANDS = 12, 8
OPEN_STATES = ("scheduled", "sending", "unknown")

Say = Callable[[str], None]


@dataclass
class Run:
    """A plan on its way. Times are in seconds after ``started``."""

    plan: Plan
    place: Installation
    say: Say
    client: Client = field(init=False)
    done: Counter[str] = field(default_factory=Counter)
    started: float = 0.0
    _agenda: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pending: int = 0
    _number: int = 0

    def __post_init__(self) -> None:
        self.client = Client(self.place.bellhop)

    def carry_out(self) -> None:
        """Everything that is planned, each at its time; returns when all of it is done."""
        with ThreadPoolExecutor(CLIENTS) as clients, ThreadPoolExecutor(HANDS) as hands:
            for number, request in enumerate(self.plan.requests):
                self._at(request.at, clients, partial(self._ask, number, request, clients))
            for disturbance in self.plan.disturbances:
                self._at(disturbance.at, hands, partial(self._disturb, disturbance))
            for mood in self.plan.moods:
                self._at(mood.at, hands, partial(self._change_mood, mood))
            self.started = time.time()
            self._go_through()

    def settle(self) -> list[dict[str, object]]:
        """Let everybody alone until nothing is open any more, or for too long; returns all rows."""
        self.place.calm()
        rows: list[dict[str, object]] = []

        def nothing_is_open() -> bool:
            self.place.tend()
            if self.client.rows("unknown"):  # these take longest, and are quickly asked for
                return False
            # In one pass, which sees each message once: one that changes its state cannot slip through.
            rows[:] = self.client.rows()
            return not any(row["state"] in OPEN_STATES for row in rows)

        try:
            wait_until(nothing_is_open, SETTLE_WITHIN_S, "every message is settled")
        except AssertionError as error:
            self.client.problems.append(str(error))
        return rows

    def _at(self, at: float, pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        with self._lock:
            self._number += 1
            self._pending += 1
            begin: Callable[[], object] = partial(pool.submit, self._guarded, work)
            heappush(self._agenda, (at, self._number, begin))

    def _go_through(self) -> None:
        told = 0.0
        while self._pending:
            now = time.time() - self.started
            with self._lock:
                due = heappop(self._agenda)[2] if self._agenda and self._agenda[0][0] <= now else None
            if due:
                due()
                continue
            if now - told >= 10:
                told = now
                self.tell(f"{len(self.client.asked)} asked for, {len(self.place.twilio.accepted)} accepted")
            self.place.tend()
            time.sleep(0.02)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  whatever goes wrong here is a part of the verdict
            self.client.problems.append(f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._pending -= 1

    def _ask(self, number: int, request: Request, clients: ThreadPoolExecutor) -> None:
        for asked in self.client.ask(request, f"chaos-{self.plan.seed}-{number}", self.started):
            if asked.text.change is not None:
                at = max(asked.text.change.after_s + request.at, time.time() - self.started)
                self._at(at, clients, partial(self._change, asked))

    def _change(self, asked: Asked) -> None:
        if asked.text.change is not None:
            self.client.change(asked, asked.text.change)

    def _disturb(self, planned: Disturbance) -> None:
        self.done[planned.kind] += 1
        self.tell(f"{planned.kind}: {self.place.disturb(planned)}")

    def _change_mood(self, mood: Mood) -> None:
        self.done[f"provider: {mood.kind}"] += mood.count
        self.place.be_in_mood(mood)

    def tell(self, what: str) -> None:
        """One line, with the time."""
        self.say(f"{time.time() - self.started:6.1f} s  {what}")


def run(plan: Plan, kind: str, folder: Path, say: Say) -> Verdict:
    """Carry a plan out on a fresh installation below a folder, and judge."""
    with installation(kind, folder) as place:
        say(f"database: {kind}; a restart of it: {place.database.what}")
        one = Run(plan, place, say)
        one.carry_out()
        one.tell("no more disturbances")
        rows = one.settle()
        one.tell("everything is settled")
        verdict = judge(one.client.asked, place.twilio.accepted, rows)
        verdict.faults["of the client"] = one.client.problems
        _tell_counts(one, say)
    return verdict


def _tell_counts(one: Run, say: Say) -> None:
    texts = [text for request in one.plan.requests for text in request.texts]
    fates = Counter(asked.fate for asked in one.client.asked)
    say(f"planned: {len(texts)} messages in {len(one.plan.requests)} requests; asked for: {len(one.client.asked)}")
    say("changed: " + ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items())))
    say("answers by status: " + ", ".join(f"{status}: {count}" for status, count in sorted(one.client.answers.items())))
    say("done: " + ", ".join(f"{count} {kind}" for kind, count in sorted(one.done.items())))
    say("errors in the log: " + ", ".join(f"{count} {event!r}" for event, count in _errors(one.place.bellhop.output)))


def _errors(log: str) -> list[tuple[str, int]]:
    """What is logged as an error, without the names of processes, the most frequent first."""
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}"))
    events = (str(line["event"]) for line in lines if line.get("level") == "error")
    return Counter(re.sub(r"\b[0-9a-f]{32}\b", "…", event)[:60] for event in events).most_common(10)
