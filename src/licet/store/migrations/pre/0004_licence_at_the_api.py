"""Adds seat holds, time zones of tenants, failed authentications, refused requests, and two alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


# What is called suspended was called barred; what a node of the version before still writes is read as well.
_REASONS = ("journal", "journal_entry", "denial_summary")
_WORDS = (("barred", "suspended"), ("bar", "suspend"), ("unbar", "resume"))


def _rename(old: str, new: str) -> None:
    for table in _REASONS:
        rows = sa.table(table, sa.column("reason"))
        op.execute(rows.update().where(rows.c.reason == old).values(reason=new))
    events = sa.table("event", sa.column("action"))
    op.execute(events.update().where(events.c.action == old).values(action=new))


def upgrade() -> None:
    for old, new in _WORDS:
        _rename(old, new)
    op.add_column(
        "tenant",
        sa.Column("strict_assertions", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("tenant", sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False))
    op.add_column("pool", sa.Column("hold_s", sa.Integer(), server_default="0", nullable=False))
    op.add_column("seat", sa.Column("issued_at_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("seat", sa.Column("sources", sa.Text(), server_default="", nullable=False))
    op.add_column("holding", sa.Column("addresses", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "webhook", sa.Column("private_allowed", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "authentication_failure",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "minute", "who", "cause", "name", name=op.f("pk_authentication_failure")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_authentication_failure_minute"), "authentication_failure", ["minute"], unique=False
    )
    op.create_table(
        "refused_request",
        sa.Column("number", _KEY, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("initials", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_refused_request")),
        sa.UniqueConstraint("request_id", name=op.f("uq_refused_request_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_refused_request_tenant_id"), "refused_request", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_refused_request_at_ms"), "refused_request", ["at_ms"], unique=False)
    op.add_column("pool", sa.Column("alerts_more", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "licence_notice",
        sa.Column("pool_id", _KEY, nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["pool.id"], name=op.f("fk_licence_notice_pool_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_licence_notice_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pool_id", name=op.f("pk_licence_notice")),
    )
    op.create_table(
        "shared_seat",
        sa.Column("pool_id", _KEY, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("addresses", sa.Integer(), nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["pool.id"], name=op.f("fk_shared_seat_pool_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_shared_seat_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pool_id", "holder", name=op.f("pk_shared_seat")),
    )


def downgrade() -> None:
    for old, new in _WORDS:
        _rename(new, old)
    op.drop_table("shared_seat")
    op.drop_table("licence_notice")
    op.drop_column("pool", "alerts_more")
    op.drop_table("refused_request")
    op.drop_table("authentication_failure")
    op.drop_column("webhook", "private_allowed")
    op.drop_column("holding", "addresses")
    op.drop_column("seat", "sources")
    op.drop_column("seat", "issued_at_ms")
    op.drop_column("pool", "hold_s")
    op.drop_column("tenant", "strict_assertions")
    op.drop_column("tenant", "time_zone")
