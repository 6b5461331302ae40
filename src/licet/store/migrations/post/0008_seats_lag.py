"""Keeps out code that believes a seat's row without a look at its sessions, and sets no `writer`."""

from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    op.execute("UPDATE setup SET seats_lag = true")


def downgrade() -> None:
    op.execute("UPDATE setup SET seats_lag = false")
