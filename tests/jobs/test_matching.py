"""Which record of the provider's log is ours: the whole text decides, and that nobody else has it."""

import pytest

from app.channels.base import ProviderRecord
from tests.jobs.support import bodies, lose_quietly, outcomes
from tests.world import World


@pytest.mark.parametrize(("first", "second"), [("Hello", "Well, Hello"), ("Well, Hello", "Hello")])
def test_a_text_that_ends_like_another_one_is_not_taken_for_it(world: World, first: str, second: str) -> None:
    # The first is lost, the second is accepted, and neither is known.
    jobs = [world.salon.send(body=first), world.salon.send(body=second)]
    world.provider.script.extend([lose_quietly, world.provider.accept_then_lose])
    world.work()
    world.live(120, step=10)

    assert sorted(bodies(world)) == sorted([first, second])
    assert outcomes(world, jobs[0]) == ["not_accepted", "accepted"]
    assert outcomes(world, jobs[1]) == ["accepted"]


def test_a_picture_without_a_text_is_not_taken_for_any_other_message(world: World) -> None:
    picture = world.salon.send(body="", mediaUrl="https://example.com/a.png")
    text = world.salon.send(body="Hello")
    world.provider.script.extend([lose_quietly, world.provider.accept_then_lose])
    world.work()
    world.live(120, step=10)

    assert sorted(bodies(world)) == ["", "Hello"]
    assert outcomes(world, picture) == ["not_accepted", "accepted"]
    assert outcomes(world, text) == ["accepted"]


def test_the_words_before_a_trial_account_s_texts_are_known(world: World) -> None:
    job_id = world.salon.send()

    def with_prefix(message):
        failure = world.provider.accept_then_lose(message)
        record = world.provider.log.pop()
        world.provider.log.append(
            ProviderRecord(
                record.provider_message_id,
                record.status,
                record.to,
                record.sender,
                f"Sent from your Twilio trial account - {record.body}",
                record.created_at,
            )
        )
        return failure

    world.provider.script.append(with_prefix)
    world.work()
    world.live(120, step=10)
    assert len(world.provider.posted) == 1
    assert outcomes(world, job_id) == ["accepted"]


def test_an_older_message_of_the_same_text_proves_nothing(world: World) -> None:
    world.salon.send()
    world.work()
    job_id = world.salon.send()
    world.provider.script.append(lose_quietly)
    world.work()
    world.live(120, step=10)
    assert bodies(world) == ["Hello"] * 2
    assert outcomes(world, job_id) == ["not_accepted", "accepted"]
