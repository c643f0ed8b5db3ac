"""The express lane answers as the usual way does, and hands on whatever is not plain."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.api import express
from app.messages import quick
from tests.answers import data_of, error_of
from tests.world import Tenant, World

PATH = "/api/trigger/send-sms"


@pytest.fixture
def met(world: World) -> World:
    """A world in which the salon has sent before."""
    world.salon.send(body="The first")
    return world


@pytest.fixture
def usual(met: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that took the usual way from now on."""
    lane = met.app.wsgi_app
    assert isinstance(lane, express.Express)
    taken: list[str] = []
    way = lane._usual_way

    def watched(environ: Any, start_response: Any) -> Any:
        taken.append(environ["PATH_INFO"])
        return way(environ, start_response)

    monkeypatch.setattr(lane, "_usual_way", watched)
    return taken


def test_a_plain_request_never_gets_as_far_as_flask(met: World, usual: list[str]) -> None:
    answer = met.salon.post(PATH, met.salon.text(body="The second"), X_Request_Id="mine-1")
    job_id = data_of(answer, 202)["jobId"]
    assert usual == []
    assert answer.headers["X-Request-Id"] == "mine-1"
    assert met.message(job_id).body == "The second"
    met.work()
    assert [record.body for record in met.provider.log] == ["The first", "The second"]


def test_its_answer_has_the_headers_and_the_form_of_the_usual_way(make_world: Callable[..., World]) -> None:
    def ask(world: World) -> tuple[set[str], list[str], str]:
        world.salon.send()
        answer = world.salon.post(PATH, world.salon.text())
        assert answer.status == "202 ACCEPTED"
        names = {name for name in dict(answer.headers) if not name.startswith("RateLimit")}
        return names, list(answer.json["data"]), answer.text[-2:]

    assert ask(make_world()) == ask(make_world(rate_limit=1000))


@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency_Key": "key-1"},
        {"X_Dry_Run": "true"},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer unknown-key-that-nobody-has-ever-seen"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/json; charset=latin-1"},
        {"Content_Encoding": "gzip"},
    ],
)
def test_what_is_not_plain_goes_the_usual_way(met: World, usual: list[str], headers: dict[str, str]) -> None:
    met.salon.post(PATH, met.salon.text(), **headers)
    assert usual == [PATH]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"to": 1}', b"null", b'{"a": NaN}'])
def test_what_cannot_be_read_is_refused_by_the_usual_way_with_the_same_body(
    met: World, usual: list[str], raw: bytes
) -> None:
    before = met.salon.post_raw(PATH, raw)
    assert before.status_code in (400, 422)
    assert usual == [PATH]
    assert before.json["error"]["code"] in ("malformed", "invalid")


@pytest.mark.parametrize(
    ("name", "value"), [("CONTENT_LENGTH", ""), ("CONTENT_LENGTH", "x"), ("CONTENT_LENGTH", "9" * 12)]
)
def test_a_length_that_is_no_length_is_not_its_business(met: World, usual: list[str], name: str, value: str) -> None:
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": PATH, "CONTENT_TYPE": "application/json", name: value}
    assert express._known_key({**environ, "HTTP_AUTHORIZATION": f"Bearer {met.salon.key}"}, 1000) is None
    known = express._known_key({**environ, name: "2", "HTTP_AUTHORIZATION": f"Bearer {met.salon.key}"}, 1000)
    assert known is not None


def test_a_body_that_ends_too_soon_is_not_taken_for_a_whole_one(met: World) -> None:
    body = json.dumps(met.salon.text()).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body) + 10),
        "HTTP_AUTHORIZATION": f"Bearer {met.salon.key}",
        "wsgi.input": io.BytesIO(body),
    }
    lane = met.app.wsgi_app
    assert isinstance(lane, express.Express)
    route, key = express.QUICK[PATH], express._known_key(environ, 1000)
    assert key is not None
    assert lane._answer(route, key, environ) is None
    assert environ["wsgi.input"].read() == body


def test_a_defect_in_the_lane_is_answered_and_logged_as_any_other(met: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> bool:
        raise LookupError("a defect")

    monkeypatch.setattr(quick, "insert_if", broken)
    met.app.config["PROPAGATE_EXCEPTIONS"] = False
    error_of(met.salon.post(PATH, met.salon.text()), 500)
    assert len(met.messages()) == 1


def test_a_database_that_is_away_is_503_and_nothing_is_stored(met: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> bool:
        raise OperationalError("INSERT", None, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(quick, "insert_if", away)
    error_of(met.salon.post(PATH, met.salon.text()), 503)
    assert len(met.messages()) == 1


def test_another_workspace_s_key_creates_nothing_here(met: World, usual: list[str]) -> None:
    outsider: Tenant = met.outsider
    outsider.send()
    refused = outsider.post(PATH, met.salon.text())
    assert refused.status_code == 403
    assert {message.workspace_id for message in met.messages()} == {"ws_salon", "ws_outsider"}
    assert len(met.messages()) == 2


def test_where_requests_are_counted_the_lane_is_closed(make_world: Callable[..., World]) -> None:
    world = make_world(rate_limit=3)
    assert not isinstance(world.app.wsgi_app, express.Express)
