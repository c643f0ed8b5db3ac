"""POST /webhooks/twilio/inbound: STOP ends it, START begins it again, and everything else is only kept."""

import pytest
from sqlalchemy import select

from app.contacts.models import Suppression
from app.database import reading
from app.messages.models import InboundMessage
from tests.answers import error_of
from tests.features import signing
from tests.features.signing import INBOUND, TOKEN
from tests.world import PERSON, World

COUNT = iter(range(10**6))


@pytest.fixture
def world(make_world) -> World:
    return make_world(twilio_auth_token=TOKEN)


def hear(world: World, body: str, person: str = PERSON, **more: str) -> None:
    """Somebody writes to one of our numbers."""
    response = signing.post(world, INBOUND, signing.text_from(person, body, **{"sid": f"SMin{next(COUNT)}"} | more))
    assert response.mimetype == "text/xml"
    assert response.data.endswith(b"<Response/>")  # Twilio answers STOP and HELP itself; a second answer is unlawful


def suppressed() -> set[tuple[str, str, str]]:
    with reading() as session:
        return {(row.workspace_id, row.channel, row.address) for row in session.scalars(select(Suppression))}


def intents() -> list[str | None]:
    with reading() as session:
        return list(session.scalars(select(InboundMessage.intent).order_by(InboundMessage.id)))


STOPS = ["STOP", "stop", "Stop", " STOP ", "STOP.", "STOP!!!", "\n stop\r\n", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END"]
STOPS += [
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "OPT OUT",
    "opt-out",
    "STOP please",
    "Stop texting me",
    "unsubscribe me",
    "\u201cStop\u201d",
]


def test_stop_and_its_sisters_end_everything_to_that_person(world: World) -> None:
    other = world.salon.delay(60, to="+12345678902")
    for number, body in enumerate(STOPS):
        person = f"+4915100000{number:03}"
        waiting, due = world.salon.delay(60, to=person), world.salon.send(to=person)

        hear(world, body, person)

        for job_id in (waiting, due):
            state = world.salon.status(job_id)
            assert (state["status"], state["reason"]) == ("cancelled", "opted_out"), body
        later = world.salon.send(to=person)
        world.work()
        assert world.salon.status(later)["reason"] == "opted_out", body
    assert world.provider.posted == []
    assert world.salon.status(other)["status"] == "scheduled"


HARMLESS = [
    "",
    " ",
    "...",
    "Hello",
    "Don't stop",
    "I cannot stop by",
    "Cancel my 3 pm",
    "End of story",
    "Quit smoking?",
]
HARMLESS += ["YES please", "start at 9?", "stopped by yesterday", "\u505c\u6b62", "1", "x" * 5000, "a\0b"]


def test_what_only_sounds_like_it_is_kept_and_changes_nothing(world: World) -> None:
    job_id = world.salon.delay(60)

    for body in HARMLESS:
        hear(world, body)

    assert world.salon.status(job_id)["status"] == "scheduled"
    assert suppressed() == set()
    assert intents() == [None] * len(HARMLESS)


def test_help_is_left_to_twilio(world: World) -> None:
    job_id = world.salon.delay(60)

    for body in ("HELP", "help", "INFO", "Help!"):
        hear(world, body)

    assert world.salon.status(job_id)["status"] == "scheduled"
    assert intents() == ["help"] * 4


@pytest.mark.parametrize("body", ["START", "yes", "UNSTOP", "Start!"])
def test_start_lifts_it_for_what_comes_and_revives_nothing(world: World, body: str) -> None:
    before = world.salon.delay(1)
    hear(world, "STOP")

    hear(world, body)

    assert suppressed() == set()
    after = world.salon.delay(1)
    world.clock.advance(minutes=1)
    world.work()
    assert len(world.provider.log) == 1
    assert (world.salon.status(before)["status"], world.salon.status(after)["status"]) == ("cancelled", "completed")


@pytest.mark.parametrize(
    "body, opt_out_type, intent",
    [("BASTA", "STOP", "stop"), ("STOP", "HELP", "help"), ("hola", "START", "start"), ("STOP", "", "stop")],
)
def test_twilio_s_own_reading_comes_first(world: World, body: str, opt_out_type: str, intent: str) -> None:
    hear(world, body, OptOutType=opt_out_type)

    assert intents() == [intent]
    assert bool(suppressed()) == (intent == "stop")


def test_a_repeated_callback_acts_once(world: World) -> None:
    hear(world, "STOP", sid="SMsame")
    hear(world, "START")

    hear(world, "STOP", sid="SMsame")

    assert suppressed() == set()
    assert intents() == ["stop", "start"]


@pytest.mark.parametrize("missing", ["MessageSid", "From", "To"])
def test_without_an_id_a_sender_and_a_recipient_it_is_malformed(world: World, missing: str) -> None:
    for value in (None, "", "x" * 65, "a\0b"):
        form = signing.text_from(PERSON, "STOP", sid="SM1")
        names = ("MessageSid", "SmsMessageSid", "SmsSid") if missing == "MessageSid" else (missing,)
        form = {k: v for k, v in form.items() if k not in names} | ({missing: value} if value is not None else {})
        error_of(signing.post(world, INBOUND, form), 400, "malformed")
    assert intents() == []
