"""Adds the options of pools: rules, what they count, queues, groups, and more pools for a scope."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column(
        "setup", sa.Column("options_allowed", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("seat", sa.Column("counted", sa.Text(), server_default="", nullable=False))
    op.add_column("pool", sa.Column("max_per_user", sa.Integer()))
    op.add_column("pool", sa.Column("max_per_client", sa.Integer()))
    op.add_column("pool", sa.Column("queue", sa.Integer(), server_default="0", nullable=False))
    op.add_column("pool", sa.Column("queue_hold_s", sa.Integer(), server_default="30", nullable=False))
    op.create_table(
        "pool_rule",
        _pool(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        _tenant(),
        sa.Column("number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("until_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("pool_id", "kind", "who", name=op.f("pk_pool_rule")),
        *_references("pool_rule"),
    )
    op.create_table(
        "seat_count",
        _pool(),
        sa.Column("what", sa.Text(), nullable=False),
        _tenant(),
        sa.Column("in_use", sa.Integer(), nullable=False),
        sa.Column("at_most", sa.Integer(), nullable=False),
        sa.Column("over", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "what", name=op.f("pk_seat_count")),
        sa.CheckConstraint("in_use >= 0 AND in_use <= at_most + over", name=op.f("ck_seat_count_in_use")),
        *_references("seat_count"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "queue_place",
        _pool(),
        sa.Column("holder", sa.Text(), nullable=False),
        _tenant(),
        sa.Column("client_key", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "holder", name=op.f("pk_queue_place")),
        *_references("queue_place"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_queue_place_until_ms"), "queue_place", ["until_ms"])
    op.create_table(
        "scope_pool",
        _tenant(),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pool_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "place", name=op.f("pk_scope_pool")),
        _tenant_reference("scope_pool"),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_scope_pool_pool_id")),
    )
    op.create_table(
        "group_member",
        _tenant(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "member", name=op.f("pk_group_member")),
        _tenant_reference("group_member"),
    )


def _pool() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("pool_id", kind, autoincrement=False, nullable=False)


def _tenant() -> sa.Column[int]:
    return sa.Column("tenant_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False)


def _tenant_reference(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_tenant_id")
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=name, ondelete="CASCADE")


def _references(table: str) -> tuple[sa.ForeignKeyConstraint, sa.ForeignKeyConstraint]:
    name = op.f(f"fk_{table}_pool_id")
    return (
        _tenant_reference(table),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=name, ondelete="CASCADE"),
    )


def downgrade() -> None:
    for table in ("group_member", "scope_pool", "queue_place", "seat_count", "pool_rule"):
        op.drop_table(table)
    for column in ("queue_hold_s", "queue", "max_per_client", "max_per_user"):
        op.drop_column("pool", column)
    op.drop_column("seat", "counted")
    op.drop_column("setup", "options_allowed")
