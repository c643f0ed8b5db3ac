"""What a bulk is told of senders that are too slow for it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.messages.forecast import Load, TooSlow, too_slow
from app.messages.rates import Rates

NOW = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)
SLOW, FAST, FREE = "+1", "+2", "+3"
RATES = Rates({"sms": 1}, {FAST: 100, FREE: 0})


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def loads(sender: str, count: int, *, due: float = 60, segments: int = 1, valid: float = 100) -> list[Load]:
    return [Load(sender, at(due), segments, at(due + valid)) for _ in range(count)]


def test_a_sender_that_is_fast_enough_is_not_warned_of() -> None:
    assert too_slow([*loads(SLOW, 100), *loads(FAST, 1000), *loads(FREE, 1000)], [], RATES, NOW) == []


def test_those_whose_turn_comes_after_their_validity_are_counted() -> None:
    assert too_slow(loads(SLOW, 130), [], RATES, NOW) == [TooSlow(SLOW, 1, 30, at(60 + 129))]


def test_segments_count_and_not_messages() -> None:
    assert too_slow(loads(SLOW, 60, segments=2), [], RATES, NOW) == [TooSlow(SLOW, 1, 10, at(60 + 118))]


def test_what_the_sender_has_to_carry_besides_comes_first() -> None:
    others = [Load(SLOW, at(60), 90)]
    assert too_slow(loads(SLOW, 20), others, RATES, NOW) == [TooSlow(SLOW, 1, 10, at(60 + 109))]


def test_what_is_due_later_or_by_another_sender_does_not_hold_it_up() -> None:
    assert too_slow(loads(SLOW, 20), [Load(SLOW, at(61), 500), Load(FAST, at(0), 9999)], RATES, NOW) == []


def test_one_that_will_not_go_out_leaves_its_turn_to_others() -> None:
    brief = Load(SLOW, at(60), 100, at(61))
    assert too_slow([*loads(SLOW, 50), brief, *loads(SLOW, 50)], [], RATES, NOW)[0].affected == 1


def test_what_was_due_before_waits_from_now_on() -> None:
    assert too_slow(loads(SLOW, 1, due=10, valid=20), [Load(SLOW, at(-500), 30)], RATES, NOW)[0].affected == 1


messages = st.builds(
    lambda due, segments, valid: Load(SLOW, at(due), segments, at(due + valid)),
    st.integers(0, 50),
    st.integers(1, 10),
    st.integers(1, 60),
)


@given(st.lists(messages, max_size=30), st.floats(0.1, 20))
def test_no_more_than_the_rate_is_planned(asked: list[Load], rate: float) -> None:
    affected = sum(one.affected for one in too_slow(asked, [], Rates({"sms": rate}, {}), NOW))
    assert 0 <= affected <= max(len(asked) - 1, 0)  # the first always has its turn at once
    # With everything due at its time and a rate that carries all at once, nothing is late.
    assert too_slow(asked, [], Rates({"sms": 10_000}, {}), NOW) == []
