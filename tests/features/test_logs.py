"""What is in the log and what never is: no key, no whole phone number, no text of a message."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from app import logs
from app.cli import init_cli
from app.messages import service, sweep
from tests.answers import error_of
from tests.conftest import make_settings
from tests.features import lives, signing
from tests.world import PERSON, SENDER, World

TEXT = "Your results are in, Alex"


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Logging as a process sets it up, into what ``capsys`` captures."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield capsys
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(log: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    captured = log.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def whole_story(world: World) -> None:
    """Everything that leaves a line: acceptance, each kind of failure, a STOP, keys, refusals, a lost Redis."""
    for live in (
        lives.delivered,
        lives.refused,
        lives.exhausted,
        lives.unknown,
        lives.held,
        lives.throttled,
        lives.cancelled,
    ):
        live(world)
    world.salon.send(to=f"whatsapp:{PERSON}", fromNumber=f"whatsapp:{SENDER}")
    world.work()
    for path, body in (("send-sms", {"to": PERSON + "x", "body": TEXT}), ("cancel-job", {"jobId": PERSON})):
        error_of(world.salon.post(f"/api/trigger/{path}", body), 422)
    world.app.test_client().get(f"/api/nothing/{PERSON}?key={world.salon.key}")
    world.app.test_client().get("/api/trigger/recurring", headers={"Authorization": f"Bearer {world.salon.key}x"})
    signing.post(world, signing.INBOUND, signing.text_from(PERSON, "STOP"))
    world.app.test_client().post(signing.INBOUND, data=signing.text_from(PERSON, "STOP"))
    init_cli(world.app)
    world.app.test_cli_runner().invoke(args=["keys", "create", "ws_salon"])
    sweep.sweep()


@pytest.mark.parametrize("level", ["info", "debug"])
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_whole_story_names_nobody(make_world, log: pytest.CaptureFixture[str], form: str, level: str) -> None:
    world = make_world(twilio_auth_token=signing.TOKEN)
    world.salon.text = lambda text=world.salon.text, **changes: text(**{"body": TEXT} | changes)  # type: ignore[method-assign]
    logs.configure(make_settings(log_format=form, log_level=level))

    whole_story(world)

    written = log.readouterr().err
    assert "try failed" in written
    assert "inbound keyword" in written
    for secret in (PERSON, SENDER, PERSON[1:], SENDER[1:], PERSON[4:], TEXT, signing.TOKEN + '"', world.salon.key):
        assert secret not in written
    assert not re.search(r"\+\d{7,}", written)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_defect_s_traceback_names_nobody_either(make_world, log, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    world = make_world()
    logs.configure(make_settings(log_format=form))

    def fail(*_: object) -> None:
        raise RuntimeError(f"cannot write to {PERSON} as whatsapp:{SENDER}")

    monkeypatch.setattr(service, "store", fail)
    world.salon.post("/api/trigger/send-sms", world.salon.text(body=TEXT))

    written = log.readouterr().err
    assert "cannot write to +12" in written
    assert "RuntimeError" in written
    assert "Logging error" not in written
    for secret in (PERSON, SENDER, TEXT, world.salon.key):
        assert secret not in written


def test_a_500_has_an_id_that_is_in_the_log_and_no_internals(make_world, log, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    logs.configure(make_settings())
    monkeypatch.setattr(service, "store", lambda *_: {}["a secret place"])

    response = world.salon.post("/api/trigger/send-sms", world.salon.text())

    error = error_of(response, 500, "internal_error")
    [line] = [line for line in lines(log) if line["event"] == "request failed"]
    error_id = response.headers["X-Error-Id"]
    assert error_id in error["message"]
    assert line["error_id"] == error_id
    assert line["request_id"] == response.headers["X-Request-Id"]
    assert "KeyError: 'a secret place'" in line["exception"]
    for internal in ("secret", "KeyError", "Traceback", "app/", ".py", "sqlalchemy"):
        assert internal not in response.text
    assert world.messages() == []


def test_a_database_error_tells_neither_texts_nor_numbers(make_world, log, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    logs.configure(make_settings())
    job_id = world.salon.delay(5, body=TEXT)
    monkeypatch.setattr("app.ids.new_id", lambda: world.message(job_id).id)

    response = world.salon.post("/api/trigger/send-sms", world.salon.text(body=TEXT))

    error_of(response, 500)
    written = log.readouterr().err
    assert "IntegrityError" in written
    for secret in (TEXT, PERSON, SENDER):
        assert secret not in written
        assert secret not in response.text


def test_requests_carry_their_id_and_odd_ones_are_replaced(world: World) -> None:
    def answered(given: str) -> str:
        return world.app.test_client().get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]

    assert answered("abc-123.x_Y") == "abc-123.x_Y"
    for odd in ("", "a b", "x" * 65, "<b>", "\xff"):
        assert re.fullmatch(r"[0-9a-f]{32}", answered(odd))
