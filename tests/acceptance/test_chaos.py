"""The chaos run in small: everything that can be killed is killed once, and the provider's log is counted."""

from pathlib import Path

import pytest

from tests import stores
from tests.chaos.plan import DISTURBANCES, MOODS, SMALL, draw
from tests.chaos.run import run

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

SEED = 303
"""One whose freezes begin early, so that they are over soon."""


def test_every_message_is_accepted_once_and_none_early_whatever_is_killed(tmp_path: Path) -> None:
    stores.need_postgres()
    told = [f"seed: {SEED}"]
    verdict = run(draw(SEED, *SMALL), "postgresql", tmp_path, told.append)
    assert verdict.good, "\n".join([*told, *verdict.lines()])


def test_the_same_seed_is_the_same_plan_and_no_disturbance_is_left_out() -> None:
    plan = draw(SEED, *SMALL)
    assert draw(SEED, *SMALL) == plan
    assert draw(SEED + 1, *SMALL) != plan
    assert {disturbance.kind for disturbance in plan.disturbances} == set(DISTURBANCES)
    assert {mood.kind for mood in plan.moods} == set(MOODS)
    assert sum(len(request.texts) for request in plan.requests) == SMALL[0]
