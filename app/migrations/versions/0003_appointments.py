"""Appointments, contacts, templates, reminders and their ledger, batches, caps and the audit log; addresses of email.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OLD_TABLE = """
CREATE VIEW scheduled_sms_jobs AS
SELECT job_id AS id, to_address AS to_phone, body, workspace_id, due_at AS scheduled_time, status, metadata
FROM messages
"""

# Seed 000's table of planned reminders: one row for each and channel, in its words. The messages are its truth.
NOW = {"postgresql": "now()", "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}
REMINDERS = """
CREATE VIEW appointment_reminders AS
SELECT
    messages.id,
    messages.workspace_id,
    appointments.public_id AS appointment_id,
    CASE messages.reminder_type WHEN '24h' THEN '24hr' WHEN '1h' THEN '1hr' ELSE messages.reminder_type END
        AS reminder_type,
    messages.channel,
    CASE
        WHEN messages.status IN ('sent', 'delivered', 'undelivered', 'read') THEN 'sent'
        WHEN messages.status IN ('failed', 'skipped') THEN 'failed'
        WHEN messages.status = 'cancelled' THEN 'cancelled'
        WHEN messages.status = 'scheduled' AND messages.due_at > {now} THEN 'scheduled'
        ELSE 'pending'
    END AS status,
    messages.reason,
    messages.due_at AS scheduled_for,
    messages.sent_at,
    messages.provider,
    messages.provider_message_id,
    CASE WHEN messages.channel <> 'email' THEN messages.provider_message_id END AS twilio_sid,
    CASE WHEN messages.channel = 'email' THEN messages.provider_message_id END AS sendgrid_message_id,
    messages.plan_revision AS revision,
    messages.job_id
FROM messages JOIN appointments ON appointments.id = messages.appointment_id
WHERE messages.reminder_type IS NOT NULL
"""

# SQLite keeps no lengths, and to change a type it would copy the table.
ADDRESSES = (
    ("inbound_messages", "from_address", False),
    ("inbound_messages", "to_address", False),
    ("messages", "from_address", False),
    ("messages", "to_address", False),
    ("recurrences", "from_address", False),
    ("recurrences", "to_address", False),
    ("sandbox_messages", "from_address", False),
    ("sandbox_messages", "to_address", False),
    ("senders", "address", False),
    ("suppressions", "address", False),
    ("workspaces", "default_sender", True),
)

# In SQL, because Alembic would copy the table on SQLite for the sake of the references.
COLUMNS = {
    "subject": "TEXT",
    "content_sid": "VARCHAR(40)",
    "content_variables": "{json}",
    "kind": "VARCHAR(64)",
    "template_id": "VARCHAR(32)",
    "contact_id": "VARCHAR(32) CONSTRAINT fk_messages_contact_id REFERENCES contacts (id) ON DELETE SET NULL",
    "appointment_id": "VARCHAR(32) CONSTRAINT fk_messages_appointment_id REFERENCES appointments (id) ON DELETE CASCADE",
    "plan_revision": "INTEGER",
    "reminder_type": "VARCHAR(64)",
    "plan": "{json}",
    "fallback": "VARCHAR(48)",
    "batch_id": "VARCHAR(32) CONSTRAINT fk_messages_batch_id REFERENCES batches (id)",
    "counted_on": "VARCHAR(10)",
    "counted_segments": "INTEGER",
    "counted_spend": "BIGINT",
}
INDEXES = {
    "ix_messages_appointment": (["appointment_id"], "appointment_id IS NOT NULL"),
    "ix_messages_batch": (["batch_id"], "batch_id IS NOT NULL"),
    "ix_messages_contact": (["contact_id", "due_at"], "contact_id IS NOT NULL"),
    "ix_messages_fallback": (
        ["due_at"],
        "fallback IS NOT NULL AND (status IN ('failed', 'undelivered')"
        " OR (status = 'skipped' AND reason IN ('channel_unavailable', 'whatsapp_window')))",
    ),
    "ix_messages_refund": (["id"], "counted_on IS NOT NULL AND status IN ('failed', 'skipped', 'cancelled')"),
}
TABLES = (
    "consents",
    "replans",
    "appointments",
    "usage",
    "reminders_sent",
    "message_templates",
    "contacts",
    "batches",
    "audit_log",
    "appointment_reminder_settings",
)


def upgrade() -> None:
    op.create_table(
        "appointment_reminder_settings",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("send_confirmation", sa.Boolean(), nullable=False),
        sa.Column("send_24hr_reminder", sa.Boolean(), nullable=False),
        sa.Column("send_1hr_reminder", sa.Boolean(), nullable=False),
        sa.Column("sms_enabled", sa.Boolean(), nullable=False),
        sa.Column("email_enabled", sa.Boolean(), nullable=False),
        sa.Column("whatsapp_enabled", sa.Boolean(), nullable=False),
        sa.Column("policy", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("event_policies", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("quiet_start", sa.String(length=5), nullable=True),
        sa.Column("quiet_end", sa.String(length=5), nullable=True),
        sa.Column("quiet_mode", sa.String(length=8), nullable=False),
        sa.Column("late_booking", sa.String(length=8), nullable=False),
        sa.Column("send_cancellation", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_appointment_reminder_settings_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_appointment_reminder_settings")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("before", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("after", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_audit_log_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_workspace", "audit_log", ["workspace_id", "id"], unique=False)
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("template_id", sa.String(length=32), nullable=True),
        sa.Column("segment", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_batches_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index("ix_batches_workspace", "batches", ["workspace_id", "id"], unique=False)
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("public_id", sa.String(length=128), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=False),
        sa.Column("last_name", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=64), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("tags", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("fields", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_contacts_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("workspace_id", "public_id", name=op.f("uq_contacts_workspace_id_public_id")),
    )
    op.create_index(
        "ix_contacts_email",
        "contacts",
        ["workspace_id", "email"],
        unique=True,
        postgresql_where=sa.text("email IS NOT NULL"),
        sqlite_where=sa.text("email IS NOT NULL"),
    )
    op.create_index("ix_contacts_name", "contacts", ["workspace_id", "last_name", "first_name", "id"], unique=False)
    op.create_index(
        "ix_contacts_phone",
        "contacts",
        ["workspace_id", "phone"],
        unique=True,
        postgresql_where=sa.text("phone IS NOT NULL"),
        sqlite_where=sa.text("phone IS NOT NULL"),
    )
    op.create_index("ix_contacts_workspace", "contacts", ["workspace_id", "id"], unique=False)
    op.create_table(
        "message_templates",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("event_type", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("content_sid", sa.String(length=40), nullable=True),
        sa.Column("content_variables", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("missing_field", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_message_templates_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_templates")),
        sa.UniqueConstraint("workspace_id", "kind", "channel", "event_type", name="uq_message_templates_key"),
    )
    op.create_table(
        "reminders_sent",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("entity_type", sa.String(length=64), nullable=False),
        sa.Column("entity_id", sa.String(length=128), nullable=False),
        sa.Column("reminder_type", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("occurrence", sa.String(length=64), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_reminders_sent_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders_sent")),
        sa.UniqueConstraint(
            "workspace_id",
            "entity_type",
            "entity_id",
            "reminder_type",
            "user_id",
            "channel",
            "occurrence",
            name="uq_reminders_sent_key",
        ),
    )
    op.create_index("ix_reminders_sent_sent_at", "reminders_sent", ["sent_at"], unique=False)
    op.create_index("ix_reminders_sent_user", "reminders_sent", ["workspace_id", "user_id"], unique=False)
    op.create_table(
        "replans",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.String(length=32), nullable=False),
        sa.Column("place_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place_id", sa.String(length=32), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_replans_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "contact_id", name=op.f("pk_replans")),
    )
    op.create_table(
        "usage",
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("spend", sa.BigInteger(), nullable=False),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_usage_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "period", name=op.f("pk_usage")),
    )
    op.create_table(
        "appointments",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("public_id", sa.String(length=80), nullable=False),
        sa.Column("contact_id", sa.String(length=32), nullable=False),
        sa.Column("phone", sa.String(length=64), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_text", sa.String(length=40), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("event_type", sa.String(length=100), nullable=True),
        sa.Column("event_name", sa.String(length=200), nullable=True),
        sa.Column("service", sa.String(length=200), nullable=True),
        sa.Column("staff", sa.String(length=200), nullable=True),
        sa.Column("location", sa.String(length=300), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("metadata", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_appointments_contact_id")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_appointments_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointments")),
        sa.UniqueConstraint("workspace_id", "public_id", name=op.f("uq_appointments_workspace_id_public_id")),
    )
    op.create_index("ix_appointments_contact", "appointments", ["contact_id", "starts_at"], unique=False)
    op.create_index(
        "ix_appointments_form",
        "appointments",
        ["workspace_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("source = 'form'"),
        sqlite_where=sa.text("source = 'form'"),
    )
    op.create_index("ix_appointments_phone", "appointments", ["phone", "starts_at"], unique=False)
    op.create_index("ix_appointments_start", "appointments", ["starts_at", "status"], unique=False)
    op.create_index("ix_appointments_workspace", "appointments", ["workspace_id", "starts_at", "id"], unique=False)
    op.create_table(
        "consents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=True),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_consents_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_consents_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_contact", "consents", ["contact_id", "kind"], unique=False)
    op.create_index(
        "ix_consents_expiry",
        "consents",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL AND revoked_at IS NULL"),
        sqlite_where=sa.text("expires_at IS NOT NULL AND revoked_at IS NULL"),
    )
    dialect = op.get_bind().dialect.name
    op.execute("DROP VIEW scheduled_sms_jobs")
    if dialect == "postgresql":
        for table, column, nullable in ADDRESSES:
            op.alter_column(table, column, type_=sa.String(length=320), existing_nullable=nullable)
    for name, kind in COLUMNS.items():
        op.execute(
            f"ALTER TABLE messages ADD COLUMN {name} {kind.format(json='JSONB' if dialect == 'postgresql' else 'JSON')}"
        )
    for name, (columns, condition) in INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "messages", columns, unique=False, postgresql_where=where, sqlite_where=where)
    op.add_column("sandbox_messages", sa.Column("channel", sa.String(length=16), nullable=False, server_default="sms"))
    op.add_column("sandbox_messages", sa.Column("subject", sa.Text(), nullable=True))
    op.add_column("inbound_messages", sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True))
    replies = sa.text("handled_at IS NULL AND intent IN ('confirm', 'cancel')")
    op.create_index(
        "ix_inbound_messages_waiting",
        "inbound_messages",
        ["received_at"],
        unique=False,
        postgresql_where=replies,
        sqlite_where=replies,
    )
    op.execute(OLD_TABLE)
    op.execute(REMINDERS.format(now=NOW[dialect]))


def downgrade() -> None:
    """Addresses keep their new length: an email address would not fit into the old one."""
    op.execute("DROP VIEW appointment_reminders")
    op.execute("DROP VIEW scheduled_sms_jobs")
    op.drop_index("ix_inbound_messages_waiting", table_name="inbound_messages")
    op.drop_column("inbound_messages", "handled_at")
    op.drop_column("sandbox_messages", "subject")
    op.drop_column("sandbox_messages", "channel")
    for name in INDEXES:
        op.drop_index(name, table_name="messages")
    for name in reversed(COLUMNS):
        op.drop_column("messages", name)
    for table in TABLES:
        op.drop_table(table)
    op.execute(OLD_TABLE)
