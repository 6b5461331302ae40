"""For how long a seat is held after its last token; the zone in which a tenant's dates are meant."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "tenant",
        sa.Column("strict_assertions", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("tenant", sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False))
    op.add_column("pool", sa.Column("hold_s", sa.Integer(), server_default="0", nullable=False))
    op.add_column("seat", sa.Column("issued_at_ms", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("seat", "issued_at_ms")
    op.drop_column("pool", "hold_s")
    op.drop_column("tenant", "strict_assertions")
    op.drop_column("tenant", "time_zone")
