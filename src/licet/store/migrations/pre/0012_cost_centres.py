"""Adds who pays for the seats of a user."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("user_account", sa.Column("cost_centre", sa.Text()))


def downgrade() -> None:
    op.drop_column("user_account", "cost_centre")
