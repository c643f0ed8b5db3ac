"""The ledger's table: the seed's fields, its unique key, its indexes, and how little a row takes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from app import clock
from app.appointments.models import Appointment
from app.contacts.models import Contact
from app.database import db, reading, writing
from app.reminders.models import ReminderSent
from app.reminders.tracker import mark_reminder_as_sent
from app.workspaces.service import ensure_workspace
from tests.world import World

KEY = ["workspace_id", "entity_type", "entity_id", "reminder_type", "user_id", "channel", "occurrence"]


def test_it_has_the_seed_s_fields_its_unique_key_and_its_indexes(world: World) -> None:
    there = inspect(db.engine)
    columns = {column["name"] for column in there.get_columns("reminders_sent")}
    assert columns == {"id", "sent_at", *KEY}
    assert [one["column_names"] for one in there.get_unique_constraints("reminders_sent")] == [KEY]
    indexes = [one["column_names"] for one in there.get_indexes("reminders_sent")]
    assert ["workspace_id", "user_id"] in indexes
    assert ["sent_at"] in indexes
    assert ["starts_at", "status"] in [one["column_names"] for one in there.get_indexes("appointments")]


def test_the_database_itself_refuses_a_doublet(world: World) -> None:
    row = {"workspace_id": "ws_salon", "entity_type": "A", "entity_id": "1", "reminder_type": "24h", "user_id": "u"}
    with writing() as session:
        session.add(ReminderSent(**row))
    with pytest.raises(IntegrityError), writing() as session:
        session.add(ReminderSent(**row))


def meeting(number: int) -> dict[str, Any]:
    starts_at = clock.now() + timedelta(hours=number)
    named = {"workspace_id": "ws_salon", "public_id": str(number), "contact_id": "c"}
    return named | {"starts_at": starts_at, "starts_text": starts_at.isoformat()}


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            select(ReminderSent.id).where(
                ReminderSent.workspace_id == "ws_salon",
                ReminderSent.entity_type == "A",
                ReminderSent.entity_id == "1",
            ),
            "uq_reminders_sent_key",
        ),
        (select(ReminderSent.id).where(ReminderSent.sent_at < clock.now()), "ix_reminders_sent_sent_at"),
        (
            select(Appointment.id).where(
                Appointment.starts_at >= clock.now(),
                Appointment.starts_at <= clock.now() + timedelta(hours=2),
                Appointment.status.in_(("PENDING", "CONFIRMED")),
            ),
            "ix_appointments_start",
        ),
    ],
    ids=["an entity's", "the old ones", "a window of starts"],
)
def test_what_is_looked_for_is_found_by_an_index(world: World, query: Select[Any], index: str) -> None:
    entry = {"workspace_id": "ws_salon", "entity_type": "A", "reminder_type": "24h"}
    with writing() as session:
        rows = [entry | {"entity_id": str(number), "user_id": str(number % 9)} for number in range(2000)]
        session.execute(insert(ReminderSent), rows)
        session.execute(insert(Contact), [{"id": "c", "workspace_id": "ws_salon", "public_id": "c"}])
        session.execute(insert(Appointment), [meeting(number) for number in range(2000)])
        session.execute(text("ANALYZE"))
    sql = str(query.compile(db.engine, compile_kwargs={"literal_binds": True}))
    with reading() as session:
        if db.engine.dialect.name == "postgresql":
            session.execute(text("SET LOCAL enable_seqscan = off"))  # the tables are small: it would not need one
        explain = "EXPLAIN " if db.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        found = "\n".join(str(row) for row in session.execute(text(explain + sql.replace(":", "\\:"))))
    assert index in found or ("sqlite_autoindex_reminders_sent" in found and index.startswith("uq_"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_row_takes_about_two_hundred_bytes(world: World) -> None:
    with writing() as session:
        ensure_workspace(session, "default")
    for number in range(50):
        mark_reminder_as_sent(
            entity_type="MEETING", entity_id=f"{number:032x}", reminder_type="24h", user_id=f"{number:032x}"
        )
    with reading() as session:
        size = session.scalar(text("SELECT avg(pg_column_size(reminders_sent.*)) FROM reminders_sent"))
    assert 100 < size < 220
