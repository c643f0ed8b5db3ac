"""What to do after a try: pure functions of (what happened, where the message stands, now)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.channels.base import Failure, FailureKind, Hindsight
from app.messages.states import Reason
from app.retry import UNCOUNTED, RetryPolicy

FIRST_LOOK = timedelta(seconds=10)
"""After an ambiguous answer; Twilio itself may need some time until its list has the message."""
LOOK_INTERVAL = timedelta(seconds=10)
MIN_LOOKS = 2
MIN_AGE = timedelta(seconds=30)
"""Twilio can take about 26 s before it answers a POST: "not found" means nothing before that."""
GIVE_UP_LOOKING = timedelta(days=7)
REPEATABLE_FOR = timedelta(hours=23)
"""Since the first doubtful try; Resend keeps an idempotency key for 24 hours."""
SETTLED_REFUSALS = (
    "permanent",
    "opted_out",
    "transient",
    "throttled",
    "unreachable",
    "configuration",
    "given_back",
)
"""Outcomes after which the provider cannot have the message."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a message stands when a try ends."""

    attempts_used: int
    attempts_uncounted: int
    policy: RetryPolicy
    due_at: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again at ``at``; ``counted`` if the try used up an attempt."""

    at: datetime
    counted: bool
    uncounted: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """It is over; ``counted`` if the try used up an attempt."""

    reason: Reason
    counted: bool = False


@dataclass(frozen=True, slots=True)
class LookUp:
    """Nobody knows: read the provider's log at ``at``."""

    at: datetime


@dataclass(frozen=True, slots=True)
class PauseAccount:
    """Our account is refused: nothing goes out through it; the message waits and nothing is used up."""


Decision = Retry | Fail | LookUp | PauseAccount


def after_failure(failure: Failure, standing: Standing, now: datetime) -> Decision:
    """Only an answer of the provider uses up an attempt; what is worthless by its next try fails at once."""
    match failure.kind:
        case FailureKind.PERMANENT:
            return Fail(Reason.REJECTED, counted=True)
        case FailureKind.OPTED_OUT:
            return Fail(Reason.OPTED_OUT, counted=True)
        case FailureKind.CONFIGURATION:
            return PauseAccount()
        case FailureKind.AMBIGUOUS:
            return LookUp(now + FIRST_LOOK)
        case FailureKind.TRANSIENT:
            policy, used = standing.policy, standing.attempts_used + 1
            if used >= policy.max_attempts:
                return Fail(Reason.ATTEMPTS_EXHAUSTED, counted=True)
            delay = max(policy.delay_s(used), failure.min_delay_s)
            return _retry(now + timedelta(seconds=delay), standing, counted=True)
        case FailureKind.THROTTLED:
            tries = standing.attempts_uncounted + 1
            if tries > UNCOUNTED.max_attempts:
                return Fail(Reason.THROTTLED)
            delay = UNCOUNTED.delay_s(tries) if failure.retry_after_s is None else failure.retry_after_s
            return _retry(now + timedelta(seconds=max(delay, failure.min_delay_s)), standing, uncounted=True)
        case FailureKind.UNREACHABLE:
            # Nothing left the house, however often we try: only the message's validity ends this.
            return _retry(now + _patience(standing, now), standing)


def _patience(standing: Standing, now: datetime) -> timedelta:
    """A gap that grows with the time that the message is late already: that an outage is over is noticed within half a
    minute.
    """
    late = (now - standing.due_at).total_seconds()
    return timedelta(seconds=min(max(late / 2, 1), UNCOUNTED.max_delay_s))


def _retry(at: datetime, standing: Standing, *, counted: bool = False, uncounted: bool = False) -> Decision:
    return Fail(Reason.EXPIRED, counted) if at >= standing.valid_until else Retry(at, counted, uncounted)


def after_lookup(standing: Standing, *, looks: int, tried_at: datetime, hold: bool, now: datetime) -> Decision:
    """The log does not have the message, seen for the ``looks``-th time since the try of ``tried_at``."""
    if looks < MIN_LOOKS or now - tried_at < MIN_AGE:
        return LookUp(max(now + LOOK_INTERVAL, tried_at + MIN_AGE if looks >= MIN_LOOKS else now))
    if hold:
        return Fail(Reason.HELD_UNKNOWN)
    if standing.attempts_uncounted + 1 > UNCOUNTED.max_attempts:
        return Fail(Reason.ATTEMPTS_EXHAUSTED)
    return _retry(now, standing, uncounted=True)


def without_log(
    standing: Standing,
    hindsight: Hindsight,
    *,
    tried_at: datetime,
    in_doubt_since: datetime,
    repeat_refused: bool,
    hold: bool,
    now: datetime,
) -> Decision:
    """The provider has no log in which a doubtful try could be looked up.

    Where the same request cannot have a second effect it is repeated. Else its own reports are waited for, and then the
    workspace's ``on_unknown`` decides. What has lost its use meanwhile is not called expired: perhaps it arrived.
    ``repeat_refused``: the provider said that it knows another text of this message.
    """
    if hindsight.repeatable and not repeat_refused and now - in_doubt_since < REPEATABLE_FOR:
        at = now + _patience(standing, now)
        return Retry(at, counted=False) if at < standing.valid_until else Fail(Reason.HELD_UNKNOWN)
    if now < tried_at + hindsight.reports_within:
        return LookUp(tried_at + hindsight.reports_within)
    spent = standing.attempts_uncounted + 1 > UNCOUNTED.max_attempts
    if hold or repeat_refused or spent or now >= standing.valid_until:
        return Fail(Reason.HELD_UNKNOWN)
    return Retry(now, counted=False, uncounted=True)


def after_failed_lookup(*, tried_at: datetime, now: datetime) -> Decision:
    """The log could not be read: look again soon, so that the message is settled within a minute of the provider's
    return.
    """
    return LookUp(now + LOOK_INTERVAL) if now - tried_at < GIVE_UP_LOOKING else Fail(Reason.HELD_UNKNOWN)


_PULLS = (10, 20, 30, 60, 120, 300, 900, 3600, 6 * 3600)
PULL_FOR = timedelta(hours=48)
"""Some carriers never report; a message that stays ``sent`` that long is taken as a success."""


def next_pull(checks: int, sent_at: datetime, now: datetime, *, callbacks: bool) -> datetime | None:
    """When to ask for the status of a message that was accepted; None when it is no longer worth asking.

    With callbacks the first question comes after five minutes: it only replaces reports that were lost.
    """
    if now - sent_at >= PULL_FOR:
        return None
    step = checks + (_PULLS.index(300) if callbacks else 0)
    return now + timedelta(seconds=_PULLS[min(step, len(_PULLS) - 1)])
