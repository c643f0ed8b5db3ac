"""Reports that make no sense: kept or refused, and harmless."""

import pytest

from tests.answers import error_of
from tests.features import signing
from tests.features.signing import STATUS, TOKEN
from tests.features.test_status_callback import report, sent
from tests.world import World


@pytest.fixture
def world(make_world) -> World:
    return make_world(twilio_auth_token=TOKEN)


def test_a_report_about_nothing_of_ours_is_kept_and_harmless(world: World) -> None:
    job_id, _ = sent(world)

    for number, attempt in enumerate(["", "0" * 32, "x", "%00", "%ff", "x" * 500]):
        report(world, f"SMunknown{number}", "delivered", attempt=attempt)

    assert [event.message_id for event in world.delivery_events()] == [None] * 6
    assert world.message(job_id).status == "sent"


def test_a_word_that_we_do_not_know_changes_nothing(world: World) -> None:
    job_id, sid = sent(world)

    for word in ("nonsense", "canceling", "\u0130" * 32, "a\0b", "' OR 1=1", "partially_delivered"):
        response = signing.post(world, STATUS, signing.status_of(sid, word))
        assert response.status_code in (204, 400), ascii(word)

    assert world.message(job_id).status == "sent"


def test_a_code_that_is_no_number_is_left_out(world: World) -> None:
    for code in ("", "x", "-1", "1e5", "9" * 50, "\u0663\u0660", "30005.5", "\0"):
        job_id, sid = sent(world)
        report(world, sid, "undelivered", ErrorCode=code)
        assert (world.message(job_id).status, world.message(job_id).error_code) == ("undelivered", None), ascii(code)


def test_without_a_usable_id_and_word_it_is_malformed(world: World) -> None:
    forms = [{}, {"MessageSid": "SM1"}, {"MessageStatus": "sent"}]
    for form in forms + [{"MessageSid": sid, "MessageStatus": "sent"} for sid in ("", "S" * 65, "S\0M", "\0")]:
        error_of(signing.post(world, STATUS, form), 400, "malformed")
    assert world.delivery_events() == []
