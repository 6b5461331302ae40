"""Adds when an API last asked about a token of each session, and what that means for idle times."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "session_use",
        sa.Column("sid", sa.LargeBinary(), nullable=False),
        sa.Column("pool_id", sa.BigInteger()),
        sa.Column("holder", sa.Text()),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_session_use")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_session_use_pool_id_holder_used_at_ms"), "session_use", ["pool_id", "holder", "used_at_ms"]
    )
    op.add_column("holding", sa.Column("idle_from_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "idle_hour",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("more_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_idle_hour_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "pool", "hour", "client_id", name=op.f("pk_idle_hour")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idle_hour_hour"), "idle_hour", ["hour"])


def downgrade() -> None:
    op.drop_index(op.f("ix_idle_hour_hour"), table_name="idle_hour")
    op.drop_table("idle_hour")
    op.drop_column("holding", "idle_from_ms")
    op.drop_index(op.f("ix_session_use_pool_id_holder_used_at_ms"), table_name="session_use")
    op.drop_table("session_use")
