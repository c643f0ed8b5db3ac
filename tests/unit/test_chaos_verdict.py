"""The judge of a chaos run sees each thing that must not happen."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.client import Asked
from tests.chaos.plan import Text
from tests.chaos.verdict import judge
from tests.twilio_server import Sent

PERSON = "+12345678901"
DUE = 1000.0


def asked(body: str, job: str = "", **changes: Any) -> Asked:
    return replace(Asked(Text(PERSON, body, 0), job or f"job of {body}", DUE), **changes)


def sent(body: str, at: float = DUE, sid: str = "") -> Sent:
    return Sent(sid or f"SM {body}", PERSON, None, body, None, at, "queued", [])


def row(body: str, state: str = "sent", job: str = "", sid: str = "") -> dict[str, Any]:
    sid = "" if state == "cancelled" else sid or f"SM {body}"
    return {"jobId": job or f"job of {body}", "state": state, "reason": None, "attempts": 1, "providerMessageId": sid}


def faults(*arguments: Any) -> set[str]:
    return {kind for kind, found in judge(*arguments).faults.items() if found}


def test_a_run_in_which_everything_went_well_is_good() -> None:
    off = asked("Off", fate="cancelled")
    verdict = judge([asked("A"), off], [sent("A", DUE + 0.5)], [row("A", "delivered"), row("Off", "cancelled")])
    assert verdict.good
    assert verdict.lateness == [0.5]
    assert verdict.lines()[-1] == "VERDICT: good"


def test_equal_twins_are_counted_together_and_in_the_order_of_their_times() -> None:
    twins = [asked("A", "first"), asked("A", "second", due=DUE + 10)]
    rows = [row("A", job="first", sid="SM1"), row("A", job="second", sid="SM2")]
    assert faults(twins, [sent("A", DUE + 10, "SM1"), sent("A", DUE, "SM2")], rows) == set()
    assert faults(twins, [sent("A", DUE + 9, "SM1"), sent("A", DUE, "SM2")], rows) == {"early"}
    assert faults(twins, [sent("A", DUE, "SM1")], rows) == {"lost", "wrongly shown"}


@pytest.mark.parametrize(
    ("kind", "accepted", "rows"),
    [
        ("lost", [], [row("A")]),
        ("doubled", [sent("A"), sent("A", sid="SM2")], [row("A")]),
        ("early", [sent("A", DUE - 1e-6)], [row("A")]),
        ("sent and never asked for", [sent("A"), sent("B")], [row("A")]),
        ("wrongly shown", [sent("A")], [row("A", "failed")]),
        ("wrongly shown", [sent("A")], [row("A", sid="SM of another")]),
        ("wrongly shown", [sent("A")], [row("A"), row("B")]),
        ("wrongly shown", [sent("A")], []),
    ],
)
def test_each_fault_is_seen(kind: str, accepted: list[Sent], rows: list[dict[str, Any]]) -> None:
    assert kind in faults([asked("A")], accepted, rows)


def test_a_cancelled_message_that_went_out_is_seen() -> None:
    off = asked("A", fate="cancelled")
    assert faults([off], [sent("A")], [row("A")]) == {"sent although cancelled", "wrongly shown"}
    assert faults([off], [], [row("A", "sent")]) == {"wrongly shown"}
