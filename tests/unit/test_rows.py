"""Rows written past the ORM are the rows that SQLAlchemy writes."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text
from sqlalchemy.exc import IntegrityError

from app import ids
from app.database import reading, writing
from app.messages.models import Message
from app.rows import constants, insert_rows
from app.workspaces.service import ensure_workspace
from tests.world import World

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1), timezones=zones)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | texts
nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
ROW = st.fixed_dictionaries(
    {
        "to_address": st.just("+12345678901"),
        "from_address": texts,
        "body": texts,
        "media_urls": st.lists(texts, max_size=3),
        "extra": st.dictionaries(texts, nested, max_size=3),
        "reference": st.none() | texts,
        "segments": st.integers(1, 9),
        "due_at": instants,
        "scheduled_at": instants,
        "valid_until": instants,
        "finished_at": st.none() | instants,
        "status": st.sampled_from(["scheduled", "skipped"]),
        "created_at": instants,
    }
)
COLUMNS = ", ".join(f'"{column.name}"' for column in Message.__table__.columns if column.name not in ("id", "job_id"))


def whole(row: dict[str, Any]) -> dict[str, Any]:
    row_id = ids.new_id()
    fixed = {"workspace_id": "ws_salon", "channel": "sms", "content_hash": "x", "due_text": "2026-05-11T12:00:00Z"}
    return {"id": row_id, "job_id": row_id, **fixed, **row}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=3))
def test_they_are_equal_in_every_column(world: World, rows: list[dict[str, Any]]) -> None:
    usual, quick = [whole(row) for row in rows], [whole(row) for row in rows]
    with writing() as session:
        ensure_workspace(session, "ws_salon")
        session.execute(delete(Message))
        session.execute(insert(Message), usual)
        insert_rows(session, Message, quick)
    with reading() as session:
        found = {row[0]: tuple(row[1:]) for row in session.execute(text(f"SELECT id, {COLUMNS} FROM messages"))}
    assert [found[row["id"]] for row in quick] == [found[row["id"]] for row in usual]


def test_a_naive_time_is_refused(world: World) -> None:
    now = datetime.now(UTC)
    row = {"due_at": now, "scheduled_at": now.replace(tzinfo=None), "valid_until": now, "created_at": now}
    row |= {"to_address": "+1", "from_address": "+1", "body": "", "media_urls": [], "extra": {}}
    with pytest.raises(ValueError, match="naive"), writing() as session:
        insert_rows(session, Message, [whole(row)])
    assert world.messages() == []


def test_a_refusal_is_sqlalchemy_s_own_and_quotes_no_text(world: World) -> None:
    now = datetime.now(UTC)
    row = {"due_at": now, "scheduled_at": now, "valid_until": now, "created_at": now}
    row |= {"to_address": "+1", "from_address": "+1", "body": "the secret text", "media_urls": [], "extra": {}}
    twice = whole(row)
    with writing() as session:
        ensure_workspace(session, "ws_salon")
    for rows in ([twice, twice], [whole(row | {"segments": None})]):
        with pytest.raises(IntegrityError) as caught, writing() as session:
            insert_rows(session, Message, rows)
        assert "secret" not in str(caught.value)
    assert world.messages() == []


def test_what_a_row_must_bring_is_not_made_up() -> None:
    brings = ("id", "created_at", "media_urls", "extra")
    assert constants(Message, brings)["status"] == "scheduled"
    with pytest.raises(ValueError, match="created_at"):
        constants(Message, tuple(key for key in brings if key != "created_at"))


def test_ids_are_uuids_of_version_7_in_the_order_of_their_making() -> None:
    made = [ids.new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [row_id[:12] for row_id in made] == sorted(row_id[:12] for row_id in made)
    assert {(len(row_id), row_id[12], row_id[16] in "89ab") for row_id in made} == {(32, "7", True)}
