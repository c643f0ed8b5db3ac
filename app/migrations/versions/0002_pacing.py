"""A message can wait for its sender's turn.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WAITING = "status = 'scheduled' AND slot_at IS NOT NULL"


def upgrade() -> None:
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(
            "ix_messages_turn",
            ["from_address", "slot_at"],
            unique=False,
            postgresql_where=sa.text(WAITING),
            sqlite_where=sa.text(WAITING),
        )


def downgrade() -> None:
    # Not in a batch: SQLite drops a column in place, and copying the table would leave the view without it.
    op.drop_index("ix_messages_turn", table_name="messages")
    op.drop_column("messages", "slot_at")
