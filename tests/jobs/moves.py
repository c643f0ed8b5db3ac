"""A witness in the database itself of every change of a message's status, whoever makes it."""

from sqlalchemy import text

from app.database import reading, writing
from app.messages.states import Status

TABLE = "CREATE TABLE moves (message_id TEXT, source TEXT, target TEXT)"
TRIGGER = """
CREATE TRIGGER witness AFTER UPDATE OF status ON messages WHEN OLD.status <> NEW.status
BEGIN INSERT INTO moves VALUES (NEW.id, OLD.status, NEW.status); END
"""


def watch() -> None:
    """Begin to note moves; SQLite only."""
    with writing() as session:
        session.execute(text(TABLE))
        session.execute(text(TRIGGER))


def seen() -> set[tuple[Status, Status]]:
    """All moves so far, each once."""
    with reading() as session:
        rows = session.execute(text("SELECT DISTINCT source, target FROM moves"))
        return {(Status(source), Status(target)) for source, target in rows}
