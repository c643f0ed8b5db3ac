"""The state machine, and the outside words that are projections of it."""

from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.messages.states import (
    ACCEPTED,
    FINAL,
    IN_FLIGHT,
    PROVIDER_FINAL,
    PROVIDER_RANK,
    TRANSITIONS,
    Status,
    from_provider,
    job_status,
    may,
    message_status,
    reminder_state,
    sources,
)

NOW = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ARROWS = [(source, target) for source, arrows in TRANSITIONS.items() for target in arrows]


def reachable(start: Status) -> set[Status]:
    found: set[Status] = set()
    to_visit = [start]
    while to_visit:
        for target in TRANSITIONS[to_visit.pop()]:
            if target not in found:
                found.add(target)
                to_visit.append(target)
    return found


def test_every_state_is_listed_and_reached_from_the_first() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert reachable(Status.SCHEDULED) == set(Status)


def test_every_arrow_starts_where_a_message_can_be_and_has_a_sentence() -> None:
    for source, target in ARROWS:
        assert source != target
        assert source is Status.SCHEDULED or source in reachable(Status.SCHEDULED)
        assert len(TRANSITIONS[source][target].split()) >= 3


def test_sources_is_the_table_read_backwards() -> None:
    for target in Status:
        assert sources(target) == {source for source in Status if may(source, target)}
    assert sources(Status.SENDING) == {Status.SCHEDULED}
    assert sources(Status.SENT) == {Status.SCHEDULED, Status.SENDING, Status.UNKNOWN}
    assert sources(Status.CANCELLED) == {Status.SCHEDULED}
    assert sources(Status.UNKNOWN) == {Status.SENDING}


def test_what_is_over_stays_over() -> None:
    left = {state: set(TRANSITIONS[state]) for state in FINAL if TRANSITIONS[state]}
    # Resuming a recurrence brings back what its own pause had called off.
    assert left == {Status.CANCELLED: {Status.SCHEDULED}}


def test_what_was_accepted_is_never_sent_again() -> None:
    for state in ACCEPTED:
        assert reachable(state) <= ACCEPTED


def test_only_what_waits_can_be_called_off() -> None:
    for state in IN_FLIGHT | ACCEPTED:
        assert not may(state, Status.CANCELLED)


@pytest.mark.parametrize(
    ("state", "due_at", "job", "message"),
    [
        (Status.SCHEDULED, LATER, "scheduled", "pending"),
        (Status.SCHEDULED, NOW, "processing", "pending"),
        (Status.SCHEDULED, NOW - timedelta(hours=1), "processing", "pending"),
        (Status.SENDING, NOW, "processing", "pending"),
        (Status.UNKNOWN, NOW, "processing", "pending"),
        (Status.SENT, NOW, "completed", "sent"),
        (Status.DELIVERED, NOW, "completed", "delivered"),
        (Status.UNDELIVERED, NOW, "completed", "undelivered"),
        (Status.READ, NOW, "completed", "read"),
        (Status.FAILED, NOW, "failed", "failed"),
        (Status.SKIPPED, NOW, "failed", "failed"),
        (Status.CANCELLED, LATER, "cancelled", "pending"),
    ],
)
def test_the_words_of_seed_001(state: Status, due_at: datetime, job: str, message: str) -> None:
    assert job_status(state, due_at, NOW) == job
    assert message_status(state) == message


def test_every_state_has_its_words() -> None:
    jobs = {job_status(state, due_at, NOW) for state in Status for due_at in (NOW, LATER)}
    assert jobs == {"scheduled", "processing", "completed", "cancelled", "failed"}
    assert {message_status(state) for state in Status} == {
        "pending",
        "sent",
        "delivered",
        "undelivered",
        "read",
        "failed",
    }


def test_the_provider_s_words_are_ranked_as_they_can_follow_each_other() -> None:
    way = ["scheduled", "accepted", "queued", "sending", "sent", "delivered", "read"]
    assert sorted(way, key=PROVIDER_RANK.__getitem__) == way
    assert len({PROVIDER_RANK[word] for word in way}) == len(way)
    assert {PROVIDER_RANK[word] for word in ("delivered", "undelivered", "failed", "canceled")} == {5}
    assert {word for word, rank in PROVIDER_RANK.items() if rank >= 5} == PROVIDER_FINAL


@pytest.mark.parametrize("word", ["accepted", "queued", "sending", "sent", "receiving", "partially_delivered", "new"])
def test_a_word_before_the_receipt_or_an_unknown_one_means_sent(word: str) -> None:
    assert from_provider(word) is Status.SENT


def follow(words: list[str]) -> list[tuple[Status, str]]:
    """The rule of `app.messages.status`: a report that ranks higher may move along an arrow."""
    state, known = Status.SENT, "queued"
    trail = [(state, known)]
    for word in words:
        target = from_provider(word)
        if PROVIDER_RANK[word] > PROVIDER_RANK[known] and (target is state or may(state, target)):
            state, known = target, word
        trail.append((state, known))
    return trail


ORDER = {Status.SENT: 0, Status.DELIVERED: 1, Status.UNDELIVERED: 1, Status.READ: 2}
reports = st.lists(st.sampled_from(sorted(PROVIDER_RANK)), max_size=20)


@given(reports)
def test_no_order_of_reports_moves_a_status_backwards(words: list[str]) -> None:
    trail = follow(words)
    for (before, known), (after, word) in pairwise(trail):
        assert PROVIDER_RANK[word] >= PROVIDER_RANK[known]
        assert after is before or ORDER[after] > ORDER[before]


@given(reports, st.randoms(use_true_random=False))
def test_repeated_reports_change_nothing(words: list[str], random) -> None:
    repeated = list(chain.from_iterable([word] * random.randint(1, 3) for word in words))
    assert follow(repeated)[-1] == follow(words)[-1]


@given(st.permutations(["queued", "sending", "sent", "delivered"]), reports)
def test_a_delivered_message_ends_delivered_in_whatever_order_its_reports_come(
    words: list[str], repeats: list[str]
) -> None:
    again = [word for word in repeats if word in words]
    assert follow(words + again)[-1][0] is Status.DELIVERED


@pytest.mark.parametrize(
    ("status", "due_in_s", "word"),
    [
        (Status.SCHEDULED, 60, "delayed"),
        (Status.SCHEDULED, 0, "waiting"),
        (Status.SENDING, 0, "active"),
        (Status.UNKNOWN, 0, "active"),
        (Status.SENT, 0, "completed"),
        (Status.DELIVERED, 0, "completed"),
        (Status.UNDELIVERED, 0, "completed"),
        (Status.READ, 0, "completed"),
        (Status.FAILED, 0, "failed"),
        (Status.SKIPPED, 0, "failed"),
    ],
)
def test_the_words_of_seed_004(status: Status, due_in_s: int, word: str) -> None:
    now = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)
    assert reminder_state(status, now + timedelta(seconds=due_in_s), now) == word
