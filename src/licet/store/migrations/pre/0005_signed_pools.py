"""Adds the numbers of seats in signed pools, trusted vendors and licences."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "pool", sa.Column("is_signed", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "pool",
        sa.Column(
            "numbers_used",
            sa.Integer(),
            sa.CheckConstraint(
                "numbers_used = 0 OR in_use <= numbers_used", name=op.f("ck_pool_numbers_used")
            ),
            server_default="0",
            nullable=False,
        ),
    )
    op.add_column("pool", sa.Column("numbers_from_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "seat",
        sa.Column(
            "number",
            sa.Integer(),
            sa.CheckConstraint("number >= 0", name=op.f("ck_seat_number")),
            server_default="0",
            nullable=False,
        ),
    )
    op.create_index(
        "uq_seat_number",
        "seat",
        ["pool_id", "number"],
        unique=True,
        sqlite_where=sa.text("number > 0"),
        postgresql_where=sa.text("number > 0"),
    )
    op.create_table(
        "seat_free",
        sa.Column("pool_id", _KEY, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["pool.id"], name=op.f("fk_seat_free_pool_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pool_id", "number", name=op.f("pk_seat_free")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vendor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "product", name=op.f("pk_vendor")),
    )
    op.create_table(
        "licence",
        sa.Column("tenant_id", _KEY, nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("serial", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("installed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_licence_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "vendor", "product", "licence", "serial", name=op.f("pk_licence")
        ),
    )


def downgrade() -> None:
    op.drop_table("licence")
    op.drop_table("vendor")
    op.drop_table("seat_free")
    op.drop_index("uq_seat_number", "seat")
    op.drop_column("seat", "number")
    op.drop_column("pool", "numbers_from_ms")
    op.drop_column("pool", "numbers_used")
    op.drop_column("pool", "is_signed")
