"""A recurring message ends with its count or its last date, and not a moment before its last run is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.answers import data_of
from tests.features.test_recurring import LIST, create, listed, pass_to, sent_at
from tests.world import World

FIVE = timedelta(minutes=5)


@pytest.mark.parametrize("end", [{"count": 2}, {"until": "2026-05-11T12:45:00Z"}], ids=str)
def test_it_is_completed_when_the_last_one_is_due_and_not_before(world: World, end: dict[str, Any]) -> None:
    answer = create(world, cron="5,40 12,13 * * *", **end)
    assert (answer["status"], len(answer["nextRuns"])) == ("active", 2)

    pass_to(world, datetime(2026, 5, 11, 12, 35, tzinfo=UTC), FIVE)
    assert (listed(world)[0]["status"], listed(world)[0]["nextRuns"]) == ("active", ["2026-05-11T12:40:00+00:00"])

    pass_to(world, datetime(2026, 5, 11, 14, tzinfo=UTC), FIVE)
    assert (listed(world)[0]["status"], listed(world)[0]["nextRuns"]) == ("completed", [])
    assert sent_at(world) == ["11 12:05", "11 12:40"]


def test_one_that_is_about_to_end_can_still_be_cancelled(world: World) -> None:
    answer = create(world, cron="5 12 * * *", count=1)
    assert (answer["status"], answer["nextRuns"]) == ("active", ["2026-05-11T12:05:00+00:00"])

    data_of(world.salon.post(f"{LIST}/{answer['recurringId']}/cancel", {}))

    pass_to(world, datetime(2026, 5, 11, 13, tzinfo=UTC))
    assert sent_at(world) == []
