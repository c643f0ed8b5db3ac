"""The verdict on a chaos run, by the provider's own log: pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.client import Asked
from tests.twilio_server import Sent

GONE_OUT = ("sent", "delivered")
SHOWN = 20


@dataclass
class Verdict:
    """What went wrong, by kind, and how late the rest was."""

    expected: int
    accepted: int
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    lateness: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)
    """How many messages took how many tries."""

    @property
    def good(self) -> bool:
        """Whether everything that is promised was kept."""
        return not any(self.faults.values())

    def lines(self) -> list[str]:
        """For people to read."""
        late = sorted(self.lateness)
        shares = [f"{name} {late[min(int(share * len(late)), len(late) - 1)]:.3f} s" for name, share in SHARES if late]
        counts = {kind: len(self.faults.get(kind, ())) for kind in FAULTS}
        counts |= {kind: len(found) for kind, found in self.faults.items()}
        lines = [
            f"accepted by the provider: {self.accepted} of {self.expected}",
            "faults: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()),
            "states: " + ", ".join(f"{count} {state}" for state, count in sorted(self.states.items())),
            "tries: " + ", ".join(f"{count} messages took {tries}" for tries, count in sorted(self.tries.items())),
            "lateness: " + ", ".join(shares),
        ]
        lines += [f"  {kind}: {one}" for kind, found in self.faults.items() for one in found[:SHOWN]]
        return [*lines, "VERDICT: " + ("good" if self.good else "BAD")]


FAULTS = ("lost", "doubled", "early", "sent although cancelled", "wrongly shown")
SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def judge(asked: Sequence[Asked], accepted: Sequence[Sent], rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """Compare what was asked for, what the provider has, and what the API says.

    Equal texts to the same person are counted together: as many must be there as were asked for and not cancelled, and
    the n-th of them not before the n-th due time.
    """
    kept = [one for one in asked if one.fate != "cancelled"]
    verdict = Verdict(len(kept), len(accepted))
    wanted: dict[tuple[str, str], list[float]] = {(one.text.to, one.text.body): [] for one in asked}
    for one in kept:
        wanted[one.text.to, one.text.body].append(one.due)
    arrived: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sent in accepted:
        arrived[sent.to, sent.body].append(sent.at)
    for text, dues in wanted.items():
        times = sorted(arrived.pop(text, []))
        if len(times) < len(dues):
            verdict.faults["lost"].append(f"{text[1]!r}: {len(times)} of {len(dues)}")
        elif len(times) > len(dues):
            verdict.faults["doubled" if dues else "sent although cancelled"].append(f"{text[1]!r}: {times} for {dues}")
        late = [at - due for at, due in zip(times, sorted(dues), strict=False)]
        verdict.lateness += late
        verdict.faults["early"] += [f"{text[1]!r} by {-by:.6f} s" for by in late if by < 0]
    verdict.faults["sent and never asked for"] += [f"{text!r}" for text in arrived]
    _compare_rows(verdict, asked, accepted, rows)
    return verdict


def _compare_rows(
    verdict: Verdict, asked: Sequence[Asked], accepted: Sequence[Sent], rows: Sequence[Mapping[str, Any]]
) -> None:
    """What the API says of each message agrees with the provider's log, and with what it answered before."""
    verdict.states = Counter(" ".join(filter(None, (row["state"], row["reason"]))) for row in rows)
    verdict.tries = Counter(row["attempts"] for row in rows)
    by_job = {row["jobId"]: row for row in rows}
    texts = {sent.sid: (sent.to, sent.body) for sent in accepted}
    wrong = verdict.faults["wrongly shown"]
    if len(rows) != len(asked):
        wrong.append(f"{len(rows)} messages are stored, {len(asked)} were asked for")
    for one in asked:
        row = by_job.get(one.job_id)
        if row is None:
            wrong.append(f"{one.text.body!r} is not there")
        elif one.fate == "cancelled":
            if row["state"] != "cancelled":
                wrong.append(f"{one.text.body!r} was cancelled and is {row['state']}")
        elif row["state"] not in GONE_OUT:
            wrong.append(f"{one.text.body!r} is {row['state']} ({row['reason']})")
        elif texts.pop(row["providerMessageId"], None) != (one.text.to, one.text.body):
            wrong.append(f"{one.text.body!r} names a record of the provider that is not its own")
