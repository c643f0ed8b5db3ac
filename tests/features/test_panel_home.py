"""Home: the numbers of the day, and what needs a person."""

import re

from sqlalchemy import update

from app import clock, queue
from app.channels import accounts
from app.channels.base import Failure, FailureKind
from app.database import writing
from app.messages.models import Message
from app.workspaces.models import Workspace
from tests.features.panel import Browser, Panel

NUMBER = re.compile(r'<span class="number[^"]*">([0-9,]+)</span> <span>([^<]+)</span>')


def numbers(browser: Browser) -> dict[str, int]:
    """What the cards say."""
    return {words: int(number) for number, words in NUMBER.findall(browser.get("/admin/").text)}


def test_the_cards_count_the_last_and_the_next_day(panel: Panel) -> None:
    salon, provider = panel.world.salon, panel.world.provider
    salon.delay(60)
    salon.delay(23 * 60)
    salon.delay(25 * 60)
    delivered = salon.send(body="Arrives")
    salon.send(body="Is on its way")
    panel.world.work()
    panel.world.redis.flushdb()
    provider.script.append(Failure(FailureKind.PERMANENT, "no", code=21211))
    salon.send(body="Is refused")
    panel.world.work()
    _set(delivered, status="delivered")

    assert numbers(panel.salon) == {
        "due in the next 24 hours": 2,
        "sent in the last 24 hours": 2,
        "of them delivered": 1,
        "did not arrive": 1,
    }
    page = panel.logged_in("rosa@salon.test").get("/admin/").text
    assert "The recipient&#39;s number is not a valid phone number." in page
    assert "Nothing is late." in page


def _set(job_id: str, **values: object) -> None:
    with writing() as session:
        session.execute(update(Message).where(Message.job_id == job_id).values(**values))


def test_what_was_due_the_day_before_yesterday_does_not_count(panel: Panel) -> None:
    panel.world.salon.send()
    panel.world.work()
    panel.world.clock.advance(hours=25)

    assert numbers(panel.salon)["sent in the last 24 hours"] == 0


def test_it_says_since_when_the_oldest_message_waits(panel: Panel) -> None:
    panel.world.salon.send()
    panel.world.clock.advance(minutes=7)

    page = panel.salon.get("/admin/").text

    assert "has waited since" in page
    assert "7 min ago" in page


def test_a_refused_password_is_said_in_plain_words_on_the_clock_of_the_workspace(panel: Panel) -> None:
    with writing() as session:
        session.execute(update(Workspace).values(timezone="Europe/Berlin"))
        refused = Failure(FailureKind.CONFIGURATION, "Authenticate", code=20003, http_status=401)
        accounts.pause(session, panel.world.provider.account, refused, clock.now())
    panel.world.salon.send()
    panel.world.salon.send(body="Another")
    panel.world.outsider.send()
    panel.world.salon.delay(60)
    panel.world.clock.advance(minutes=5)

    assert "Twilio refuses our password since 14:00: 2 messages wait." in panel.salon.get("/admin/").text
    assert "1 message waits." in panel.outsider.get("/admin/").text
    assert "3 messages wait." in panel.operator.get("/admin/").text


def test_messages_without_a_clear_answer_are_mentioned(panel: Panel) -> None:
    salon = panel.salon
    assert "no clear answer" not in salon.get("/admin/").text

    panel.world.provider.script.append(Failure(FailureKind.AMBIGUOUS, "no answer in time"))
    panel.world.salon.send()
    panel.world.work()

    assert "For one message there was no clear answer." in " ".join(salon.get("/admin/").text.split())


def test_it_says_when_nobody_sends(panel: Panel) -> None:
    salon = panel.salon
    page = salon.get("/admin/").text
    assert "No worker is running" in page
    assert "The scheduler is not running" in page

    panel.world.redis.set(queue.HEARTBEAT_KEY, panel.world.clock.now().timestamp())

    assert "The scheduler is not running" not in salon.get("/admin/").text


def test_it_answers_while_redis_is_away(make_panel) -> None:
    panel = make_panel(redis_url="redis://127.0.0.1:1/0")

    assert "The queue (Redis) does not answer" in panel.salon.get("/admin/").text
