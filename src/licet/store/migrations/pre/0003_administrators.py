"""Adds administrators, API keys, webhooks, alerts, public keys, and the summaries that long reports read."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "admin",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_admin_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin")),
        sa.UniqueConstraint("name", name=op.f("uq_admin_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_api_key_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
    )
    op.create_table(
        "holding",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("freed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_holding_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "pool", "minute", "client_id", name=op.f("pk_holding")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_holding_tenant_id_pool_freed_at_ms_minute"),
        "holding",
        ["tenant_id", "pool", "freed_at_ms", "minute"],
        unique=False,
    )
    op.create_index(
        "ix_journal_denied",
        "journal",
        ["tenant_id", "minute"],
        unique=False,
        sqlite_where=sa.text("kind = 'denied'"),
        postgresql_where=sa.text("kind = 'denied'"),
    )
    op.create_table(
        "journal_entry",
        sa.Column("number", _KEY, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_journal_entry")),
    )
    op.create_table("summed", sa.Column("until_ms", sa.BigInteger(), nullable=False))
    op.create_table(
        "usage_summary",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("quarter", sa.BigInteger(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("in_use", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_usage_summary_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "pool", "quarter", name=op.f("pk_usage_summary")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_usage_summary_quarter"), "usage_summary", ["quarter"], unique=False)
    op.create_table(
        "denial_summary",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("quarter", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_denial_summary_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "quarter", "reason", "pool", "client_id", name=op.f("pk_denial_summary")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_denial_summary_quarter"), "denial_summary", ["quarter"], unique=False)
    op.create_table(
        "session_summary",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_session_summary_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "hour", "kind", "reason", "pool", name=op.f("pk_session_summary")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_session_summary_hour"), "session_summary", ["hour"], unique=False)
    op.create_table(
        "webhook",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret_number", sa.Integer(), server_default="1", nullable=False),
        sa.Column("rotated_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_why", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_webhook_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_table(
        "admin_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("admin_id", _KEY, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name=op.f("fk_admin_session_admin_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_admin_session")),
    )
    op.create_index(op.f("ix_admin_session_admin_id"), "admin_session", ["admin_id"], unique=False)
    op.create_index(op.f("ix_admin_session_seen_at_ms"), "admin_session", ["seen_at_ms"], unique=False)
    op.create_table(
        "alert",
        sa.Column("pool_id", _KEY, nullable=False),
        sa.Column("threshold", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("told_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("told_times", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_alert_pool_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_alert_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pool_id", "threshold", name=op.f("pk_alert")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name=op.f("fk_delivery_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index(op.f("ix_delivery_created_at_ms"), "delivery", ["created_at_ms"], unique=False)
    op.create_index(op.f("ix_delivery_next_at_ms"), "delivery", ["next_at_ms"], unique=False)
    op.create_index(op.f("ix_delivery_webhook_id"), "delivery", ["webhook_id"], unique=False)
    op.create_table(
        "public_key",
        sa.Column("client_key", _KEY, nullable=False),
        sa.Column("thumbprint", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=True),
        sa.Column("algorithm", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_key"], ["client.key"], name=op.f("fk_public_key_client_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_public_key_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("client_key", "thumbprint", name=op.f("pk_public_key")),
    )
    op.create_table(
        "assertion_used",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("jti", sa.LargeBinary(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "client_key", "jti", name=op.f("pk_assertion_used")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_assertion_used_until_ms"), "assertion_used", ["until_ms"], unique=False)
    op.add_column("client", sa.Column("barred_until_ms", sa.BigInteger(), nullable=True))
    op.add_column("tenant", sa.Column("token_format", sa.Text(), server_default="reference", nullable=False))
    op.add_column("tenant", sa.Column("removed_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("pool", sa.Column("alerts", sa.Text(), server_default="80 90 100 denied", nullable=False))
    op.add_column("usage_hour", sa.Column("idle_ms", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("usage_hour", "idle_ms")
    op.drop_column("pool", "alerts")
    op.drop_column("tenant", "removed_at_ms")
    op.drop_column("tenant", "token_format")
    op.drop_column("client", "barred_until_ms")
    op.drop_index(op.f("ix_assertion_used_until_ms"), table_name="assertion_used")
    op.drop_table("assertion_used")
    op.drop_table("public_key")
    op.drop_index(op.f("ix_delivery_webhook_id"), table_name="delivery")
    op.drop_index(op.f("ix_delivery_next_at_ms"), table_name="delivery")
    op.drop_index(op.f("ix_delivery_created_at_ms"), table_name="delivery")
    op.drop_table("delivery")
    op.drop_table("alert")
    op.drop_index(op.f("ix_admin_session_seen_at_ms"), table_name="admin_session")
    op.drop_index(op.f("ix_admin_session_admin_id"), table_name="admin_session")
    op.drop_table("admin_session")
    op.drop_table("webhook")
    op.drop_index(op.f("ix_session_summary_hour"), table_name="session_summary")
    op.drop_table("session_summary")
    op.drop_index(op.f("ix_denial_summary_quarter"), table_name="denial_summary")
    op.drop_table("denial_summary")
    op.drop_index(op.f("ix_usage_summary_quarter"), table_name="usage_summary")
    op.drop_table("usage_summary")
    op.drop_table("summed")
    op.drop_table("journal_entry")
    op.drop_index("ix_journal_denied", table_name="journal")
    op.drop_index(op.f("ix_holding_tenant_id_pool_freed_at_ms_minute"), table_name="holding")
    op.drop_table("holding")
    op.drop_table("api_key")
    op.drop_table("admin")
