"""What makes a licence hold at the API too: for how long a seat stays its holder's after its last token."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "tenant",
        sa.Column("strict_assertions", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("pool", sa.Column("hold_s", sa.Integer(), server_default="0", nullable=False))
    op.add_column("seat", sa.Column("issued_at_ms", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("seat", "issued_at_ms")
    op.drop_column("pool", "hold_s")
    op.drop_column("tenant", "strict_assertions")
