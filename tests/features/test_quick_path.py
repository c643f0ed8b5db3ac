"""A key that was seen before takes the quick way in, and nobody can tell by anything but the time it takes."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from app import metrics
from app.api import idempotency
from app.database import db, reading, writing
from app.errors import Unavailable
from app.messages import quick
from app.messages.models import Message
from app.workspaces import service
from app.workspaces.models import ApiKey, Sender, Workspace
from tests.answers import data_of, error_of, fields_of
from tests.world import PERSON, SENDER, World

ROUTES = {
    "send-sms": {},
    "schedule-delay": {"delayMinutes": 5},
    "schedule-until": {"scheduledTime": "2026-05-12T16:00+10:00"},
}
TWILIO = {"sms_provider": "twilio", "twilio_account_sid": "ACtest", "twilio_auth_token": "token"}


def post(world: World, route: str = "send-sms", **changes: Any) -> Any:
    body = world.salon.text(**ROUTES[route], **changes)
    fields = {name: value for name, value in body.items() if value is not None}
    return world.salon.post(f"/api/trigger/{route}", fields)


@pytest.fixture
def met(world: World) -> World:
    """A world in which the salon has sent before."""
    world.salon.send(body="The first")
    return world


@pytest.fixture
def close_usual_way(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on only the quick way is open."""

    def closed(*_: Any) -> Any:
        raise AssertionError("the usual way was taken")

    return lambda: monkeypatch.setattr(idempotency, "once", closed)


@pytest.mark.parametrize("route", ROUTES)
def test_it_is_taken_by_whom_we_know(met: World, close_usual_way: Callable[[], None], route: str) -> None:
    close_usual_way()
    answer = data_of(post(met, route, body="The second"), 202)

    assert met.message(answer["jobId"]).body == "The second"


@pytest.mark.parametrize("route", ROUTES)
def test_it_answers_and_stores_what_the_usual_way_does(world: World, route: str) -> None:
    rich = {"metadata": {"a": [1, "ü", None]}, "mediaUrl": ["https://example.com/a.png"], "body": "Grüße [1] 😀"}
    rich |= {"validUntil": "2026-05-13T00:00:00.123456+02:00"}
    usual = data_of(post(world, route, **rich), 202)
    fast = data_of(post(world, route, **rich), 202)

    columns = ", ".join(
        f'"{column.name}"' for column in Message.__table__.columns if column.name not in ("id", "job_id")
    )
    with reading() as session:
        first, second = session.execute(text(f"SELECT {columns} FROM messages ORDER BY id")).all()
    assert first == second
    assert set(usual) == set(fast)
    assert {name for name in usual if usual[name] != fast[name]} <= {"jobId", "messageId"}
    assert [usual[name] for name in ("status",)] == [fast["status"]]


def test_its_message_is_nudged_and_sent(met: World, close_usual_way: Callable[[], None]) -> None:
    close_usual_way()
    post(met, body="The second")
    met.work()
    assert [record.body for record in met.provider.log] == ["The first", "The second"]


def test_a_revoked_key_is_refused_at_once(met: World) -> None:
    service.revoke_key("ws_salon", met.salon.key)

    error_of(post(met), 401, "unauthorized")
    assert len(met.messages()) == 1


def test_a_new_zone_holds_at_once(met: World) -> None:
    with writing() as session:
        session.execute(update(Workspace).values(timezone="Australia/Sydney"))

    assert data_of(post(met, "schedule-delay"), 202)["scheduledTime"] == "2026-05-11T22:05:00.000+10:00"


def test_a_new_default_sender_holds_at_once(met: World) -> None:
    def default(sender: str) -> None:
        with writing() as session:
            service.add_sender(session, "ws_salon", "sms", sender)
            session.execute(update(Workspace).where(Workspace.id == "ws_salon").values(default_sender=sender))

    for sender in ("+15550000001", "+15550000002", "+15550000003"):
        default(sender)
        for _ in range(2):
            job_id = data_of(post(met, fromNumber=None), 202)["jobId"]
            assert met.message(job_id).from_address == sender


def test_a_sender_that_was_taken_away_is_refused_at_once(make_world: Any) -> None:
    world = make_world(**TWILIO)
    data_of(post(world), 202)
    with writing() as session:
        session.execute(delete(Sender).where(Sender.workspace_id == "ws_salon"))

    assert fields_of(post(world)) == {"fromNumber"}
    assert len(world.messages()) == 1


def test_the_installation_s_own_number_is_everybody_s(make_world: Any, close_usual_way: Callable[[], None]) -> None:
    world = make_world(**TWILIO, twilio_from_number="+15550000009")
    data_of(post(world), 202)
    close_usual_way()

    data_of(post(world, fromNumber="+15550000009"), 202)


def test_a_key_s_last_use_is_still_noted(met: World) -> None:
    for _ in range(3):
        met.clock.advance(seconds=61)
        data_of(post(met), 202)
        with reading() as session:
            used = session.execute(text("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL")).scalar()
            latest = session.query(ApiKey.last_used_at).filter(ApiKey.workspace_id == "ws_salon").scalar()
        assert (used, latest) == (1, met.clock.now())


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "1"},
        {"body": ""},
        {"surprise": 1},
        {"workspaceId": "ws_outsider"},
        {"workspaceId": None},
        {"fromNumber": "whatsapp:+15550000001"},
        {"validUntil": "2026-05-11T11:00:00Z"},
    ],
    ids=str,
)
def test_every_refusal_is_worded_as_ever(world: World, changes: dict[str, Any]) -> None:
    unknown = post(world, **changes)
    data_of(post(world), 202)
    known = post(world, **changes)

    assert unknown.status_code >= 400
    assert (known.status_code, known.json) == (unknown.status_code, unknown.json)
    assert len(world.messages()) == 1


def test_it_knows_no_workspace_but_the_key_s(met: World) -> None:
    data_of(met.outsider.post("/api/trigger/send-sms", met.outsider.text()), 202)

    error_of(met.outsider.post("/api/trigger/send-sms", met.salon.text()), 403, "forbidden")
    assert [message.workspace_id for message in met.messages()] == ["ws_salon", "ws_outsider"]


def test_a_dry_run_and_an_idempotency_key_go_the_usual_way(met: World) -> None:
    path, body = "/api/trigger/send-sms", met.salon.text()

    assert data_of(met.salon.post(path, body, X_Dry_Run="true"))["jobId"] is None
    first = data_of(met.salon.post(path, body, Idempotency_Key="k"), 202)
    assert data_of(met.salon.post(path, body, Idempotency_Key="k"), 202) == first
    assert len(met.messages()) == 2


def test_a_connection_that_the_server_closed_meanwhile_costs_nobody_an_error(met: World) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("a file has no server")
    for _ in range(2):
        data_of(post(met), 202)
        with reading() as session:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            session.execute(text(f"{others} AND pid <> pg_backend_pid()"))
        data_of(post(met), 202)
        data_of(post(met), 202)


def test_statements_that_the_server_was_told_to_forget_are_prepared_again(
    met: World, close_usual_way: Callable[[], None]
) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("a file has no server")
    data_of(post(met), 202)
    close_usual_way()
    with reading() as session:
        session.execute(text("DEALLOCATE ALL"))
    data_of(post(met), 202)
    assert not [field for field in metrics._buffer if "prepared" in " ".join(field)]


def test_a_connection_that_breaks_in_the_middle_is_an_error_and_not_a_second_message(met: World) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("a file has no server")
    data_of(post(met), 202)  # prepared on its connection by now
    # The server ends the connection when the row is in place and the commit is not yet answered.
    with writing() as session:
        session.execute(
            text(
                "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
            )
        )
        session.execute(text("CREATE TRIGGER hang_up AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION hang_up()"))
    try:
        error_of(post(met), 503, "unavailable")
    finally:
        with writing() as session:
            session.execute(text("DROP TRIGGER hang_up ON messages"))
            session.execute(text("DROP FUNCTION hang_up"))
    assert len(met.messages()) == 2
    data_of(post(met), 202)


def test_where_nobody_knows_whether_it_was_stored_nothing_else_is_tried(
    met: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsure(*_: Any, **__: Any) -> bool:
        raise Unavailable("A store does not answer.")

    monkeypatch.setattr(quick, "insert_if", unsure)
    error_of(post(met), 503, "unavailable")
    assert len(met.messages()) == 1


def test_what_the_server_refuses_the_usual_way_explains(met: World, monkeypatch: pytest.MonkeyPatch) -> None:
    message = met.messages()[0]
    monkeypatch.setattr("app.ids.new_id", lambda: message.id)

    error_of(post(met), 500, "internal_error")
    assert len(met.messages()) == 1
    assert met.message(message.job_id).to_address == PERSON
    assert met.message(message.job_id).from_address == SENDER
