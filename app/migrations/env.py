"""How Alembic reaches the database: through the app, on either database, one transaction per migration."""

from alembic import context
from flask import current_app
from sqlalchemy.sql import sqltypes

# Every table must be known when a migration is generated.
import app.api.models
import app.appointments.models
import app.channels.models
import app.contacts.models
import app.message_templates.models
import app.messages.models
import app.reminders.models
import app.workspaces.models  # noqa: F401
from app.database import UtcDateTime, db


def render_item(kind, item, autogen_context):
    """Write our own types as what they are in the database: a migration must not import today's code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, sqltypes.JSON):
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def include_object(item, name, kind, reflected, compare_to):
    """Compare tables of ours only; a view is not one."""
    return not (kind == "table" and reflected and compare_to is None)


def run() -> None:
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
            render_item=render_item,
            include_object=include_object,
            transaction_per_migration=True,
        )
        if connection.dialect.name == "postgresql":
            # Two dynos that release at once: one migrates, the other waits and finds nothing to do.
            connection.exec_driver_sql("SELECT pg_advisory_lock(7235410)")
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.commit()
        with context.begin_transaction():
            context.run_migrations()


with current_app.app_context():
    run()
