"""Keeps out code that knows no numbers of seats: it cannot give one in a signed pool."""

revision = "0006"
down_revision = "0001"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
