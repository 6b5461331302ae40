"""Adds the first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_at_ms"), "event", ["at_ms"], unique=False)
    op.create_table(
        "seat",
        sa.Column("pool_id", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "holder", name=op.f("pk_seat")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_seat_pool_id_expires_at_ms"), "seat", ["pool_id", "expires_at_ms"], unique=False)
    op.create_table(
        "session",
        sa.Column("number", _KEY, nullable=False),
        sa.Column("sid", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("client_key", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("pool_id", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("renewed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_session")),
        sa.UniqueConstraint("sid", name=op.f("uq_session_sid")),
    )
    op.create_index(
        op.f("ix_session_client_key_expires_at_ms"), "session", ["client_key", "expires_at_ms"], unique=False
    )
    op.create_index(op.f("ix_session_expires_at_ms"), "session", ["expires_at_ms"], unique=False)
    op.create_index(
        "ix_session_user_seat",
        "session",
        ["pool_id", "holder", "expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("substr(holder, 1, 5) = 'user:'"),
        postgresql_where=sa.text("substr(holder, 1, 5) = 'user:'"),
    )
    op.create_table("setup", sa.Column("version", sa.BigInteger(), nullable=False))
    op.create_table(
        "tenant",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("session_ttl_s", sa.Integer(), nullable=False),
        sa.Column("access_ttl_s", sa.Integer(), nullable=False),
        sa.Column("scope_default", sa.Text(), nullable=False),
        sa.Column("no_seat_status", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant")),
        sa.UniqueConstraint("name", name=op.f("uq_tenant_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "journal",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.Column("in_use", sa.Integer(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_journal_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "minute", "kind", "reason", "pool", "client_id", name=op.f("pk_journal")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_journal_minute"), "journal", ["minute"], unique=False)
    op.create_table(
        "pool",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Text(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("in_use", sa.Integer(), server_default="0", nullable=False),
        sa.Column("overuse", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("in_use >= 0 AND in_use <= seats + overuse", name=op.f("ck_pool_in_use")),
        sa.CheckConstraint("seats >= 0", name=op.f("ck_pool_seats")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_pool_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_pool_tenant_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "usage_hour",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("held_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_usage_hour_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "pool", "hour", "client_id", name=op.f("pk_usage_hour")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_usage_hour_hour"), "usage_hour", ["hour"], unique=False)
    op.create_table(
        "usage_minute",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("in_use", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_usage_minute_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "pool", "minute", name=op.f("pk_usage_minute")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_usage_minute_minute"), "usage_minute", ["minute"], unique=False)
    op.create_table(
        "user_account",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_user_account_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "initials", name=op.f("pk_user_account")),
    )
    op.create_table(
        "client",
        sa.Column("key", _KEY, nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("sessions_max", sa.Integer(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=True),
        sa.Column("grant_types", sa.Text(), nullable=False),
        sa.Column("introspects", sa.Boolean(), nullable=False),
        sa.Column("password_allowed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "initials"],
            ["user_account.tenant_id", "user_account.initials"],
            name=op.f("fk_client_tenant_id_initials"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_client_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_client")),
        sa.UniqueConstraint("tenant_id", "client_id", name=op.f("uq_client_tenant_id_client_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "scope",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("pool_id", _KEY, nullable=True),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_scope_pool_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_scope_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_scope")),
    )
    op.create_table(
        "client_secret",
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("client_key", _KEY, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_key"], ["client.key"], name=op.f("fk_client_secret_client_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_client_secret_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("secret_id", name=op.f("pk_client_secret")),
    )
    op.execute("INSERT INTO setup (version) VALUES (1)")


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first tables")
