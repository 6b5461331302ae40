"""Keeps out code that does not count seats by the options of their pool."""

from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    op.execute("UPDATE setup SET options_allowed = true")


def downgrade() -> None:
    op.execute("UPDATE setup SET options_allowed = false")
