"""Adds who wrote sessions and seats last, and whether a seat's row may say less than its sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("setup", sa.Column("writer", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "setup", sa.Column("seats_lag", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("tenant", sa.Column("writer", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("tenant", "writer")
    op.drop_column("setup", "seats_lag")
    op.drop_column("setup", "writer")
