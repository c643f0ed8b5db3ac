"""What fits under the caps of a day and a month: pure functions of what is used, what is wanted and the limits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.workspaces.preferences import Caps, millionths


@dataclass(frozen=True, slots=True)
class Cost:
    """What messages use up: segments (of what is no SMS: messages), and money in millionths."""

    segments: int = 0
    spend: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.segments + other.segments, self.spend + other.spend)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.segments - other.segments, self.spend - other.spend)


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of a period; None is no limit."""

    segments: int | None = None
    spend: int | None = None

    def _pairs(self, used: Cost) -> Iterable[tuple[int, int]]:
        pairs = ((used.segments, self.segments), (used.spend, self.spend))
        return [(amount, most) for amount, most in pairs if most is not None]

    def allows(self, used: Cost) -> bool:
        """Whether so much may be used."""
        return all(amount <= most for amount, most in self._pairs(used))

    def percent(self, used: Cost) -> int | None:
        """How much of it is used, of what is nearest to its end; rounded down. None where there is no limit."""
        return max((100 * amount // most if most else 100 for amount, most in self._pairs(used)), default=None)


def limits_of(caps: Caps, day: str, month: str) -> dict[str, Limit]:
    """A workspace's limits by period."""

    def money(amount: str | None) -> int | None:
        return None if amount is None else millionths(amount)

    return {
        day: Limit(caps.daily_segments, money(caps.daily_spend)),
        month: Limit(caps.monthly_segments, money(caps.monthly_spend)),
    }


def periods(now: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """The day and the month of an instant in a zone: ``2026-05-11`` and ``2026-05``."""
    day = now.astimezone(zone).date().isoformat()
    return day, day[:7]


def next_start(period: str, zone: ZoneInfo, at: time = time(0)) -> datetime:
    """When the period after a day or a month begins, or at a wall time on its first day; in UTC."""
    if len(period) == len("2026-05"):
        first = date.fromisoformat(f"{period}-01")
        following = (first + timedelta(days=31)).replace(day=1)
    else:
        following = date.fromisoformat(period) + timedelta(days=1)
    return datetime.combine(following, at, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message that wants to go out: what it costs, and the day and cost that it has been counted with, if any."""

    id: str
    cost: Cost
    counted_on: str | None = None
    counted: Cost = Cost()


@dataclass(slots=True)
class Allocation:
    """Who may go (``going``; of them ``granted`` are newly counted), and who is kept back by which full period."""

    going: list[str] = field(default_factory=list)
    granted: dict[str, Cost] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)


def allocate(
    wanted: Sequence[Wanted], used: dict[str, Cost], limits: Mapping[str, Limit], day: str, month: str
) -> Allocation:
    """Give each message in turn its share if it fits; ``used``, by period, is brought up to date."""
    result = Allocation()
    for one in wanted:
        if one.counted_on == day and one.counted.segments == one.cost.segments:
            result.going.append(one.id)
            continue
        if one.counted_on is not None:  # it did not go out then
            for period in (one.counted_on, one.counted_on[:7]):
                used[period] -= one.counted
        # The month first: what does not fit into it need not be tried tomorrow.
        full = next((period for period in (month, day) if not limits[period].allows(used[period] + one.cost)), None)
        if full is not None:
            result.held[one.id] = full
            continue
        for period in (day, month):
            used[period] += one.cost
        result.going.append(one.id)
        result.granted[one.id] = one.cost
    return result
