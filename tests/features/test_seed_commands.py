"""The curl commands that seed 001 prints, read from the seed itself, work as printed (001.51 to 001.56)."""

import json
import re
import shlex
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from app import clock
from tests.answers import data_of, error_of, fields_of
from tests.world import World

SEEDS = sorted((Path(__file__).parents[2] / "../shared/seeds").resolve().glob("001*.txt"))

pytestmark = pytest.mark.skipif(not SEEDS, reason="the seed's document is not in ../shared/seeds beside the repository")


@dataclass
class Command:
    """One curl command, taken apart as a shell and curl would."""

    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def fields(self) -> dict[str, object]:
        return dict(json.loads(self.body or "{}"))


def parse(text: str, *, quote_url: bool) -> Command:
    """An unquoted & ends the command for the shell: what follows it never reaches curl."""
    if quote_url:
        text = re.sub(r"(?<!['\"])(http://\S+&\S+)", r"'\1'", text)
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="&")
    lexer.whitespace_split = True
    words = [word for word in lexer if word.strip()]
    words = words[: words.index("&")] if "&" in words else words
    assert words.pop(0) == "curl"
    command = Command()
    while words:
        word = words.pop(0)
        if word == "-X":
            command.method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            command.headers[name] = value
        elif word == "-d":
            command.body = words.pop(0)
        else:
            assert not word.startswith("-"), word
            command.url = word
    return command


def commands(*, quote_url: bool) -> dict[str, Command]:
    """By the last part of their path, in the order of the document."""
    text = SEEDS[0].read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(curl .*?)```", text, flags=re.DOTALL)
    found = [parse(block, quote_url=quote_url) for block in blocks]
    return {command.path.rpartition("/")[2]: command for command in found}


def run(world: World, command: Command) -> TestResponse:
    assert not command.headers.keys() - {"Content-Type"}  # no key is printed
    return world.app.test_client().open(
        urlsplit(command.url)._replace(scheme="", netloc="").geturl(),
        base_url=f"http://{urlsplit(command.url).netloc}",
        method=command.method,
        headers=command.headers,
        data=command.body,
    )


@pytest.fixture
def world(make_world) -> World:
    """As `./run` starts it: the sandbox, and no key needed on this machine."""
    return make_world(auth_required=False, scripted=False)


def test_the_document_prints_these_five_routes() -> None:
    found = commands(quote_url=True)

    assert list(found) == ["send-sms", "schedule-delay", "schedule-until", "cancel-job", "job-status"]
    assert {urlsplit(command.url).netloc for command in found.values()} == {"localhost:3000"}
    assert [command.method for command in found.values()] == ["POST"] * 4 + ["GET"]
    assert parse_qs(urlsplit(found["job-status"].url).query) == {"jobId": ["job_xyz"], "workspaceId": ["ws_123"]}


def test_sent_now(world: World) -> None:
    data = data_of(run(world, commands(quote_url=True)["send-sms"]), 202)

    assert set(data) == {"jobId", "status", "messageId"}
    assert data["status"] == "processing"


def test_from_scheduling_to_delivery(world: World) -> None:
    found = commands(quote_url=True)
    delayed = data_of(run(world, found["schedule-delay"]), 202)
    assert set(delayed) == {"jobId", "status", "scheduledTime"}
    assert delayed["status"] == "scheduled"

    world.clock.advance(minutes=5, seconds=2)
    world.live(10)

    found["job-status"].url = found["job-status"].url.replace("job_xyz", delayed["jobId"])
    state = data_of(run(world, found["job-status"]))
    assert set(state) >= {"jobId", "status", "scheduledTime", "completedTime", "messageStatus"}
    assert (state["jobId"], state["scheduledTime"]) == (delayed["jobId"], delayed["scheduledTime"])
    assert (state["status"], state["messageStatus"]) == ("completed", "delivered")


def test_scheduled_for_a_time_and_cancelled(world: World) -> None:
    found = commands(quote_url=True)
    until, cancel = found["schedule-until"], found["cancel-job"]
    printed = str(until.fields["scheduledTime"])
    future = (clock.now() + timedelta(days=30)).strftime("%Y-%m-%d") + printed[10:]
    until.body = (until.body or "").replace(printed, future)

    scheduled = data_of(run(world, until), 202)
    assert set(scheduled) == {"jobId", "status", "scheduledTime"}
    assert (scheduled["status"], scheduled["scheduledTime"]) == ("scheduled", future)

    cancel.body = (cancel.body or "").replace("job_xyz", scheduled["jobId"])
    assert data_of(run(world, cancel)) == {"jobId": scheduled["jobId"], "status": "cancelled"}


def test_unchanged_each_says_what_to_change(world: World) -> None:
    found = commands(quote_url=False)

    assert fields_of(run(world, found["schedule-until"])) == {"scheduledTime"}
    error_of(run(world, found["cancel-job"]), 404, "not_found")
    assert fields_of(run(world, found["job-status"])) == {"workspaceId"}
    assert parse_qs(urlsplit(found["job-status"].url).query) == {"jobId": ["job_xyz"]}
