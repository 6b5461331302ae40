"""Adds overdraft, required licences, and the checks on signed pools that count what is signed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_FORMER = "in_use >= 0 AND in_use <= seats + overuse"
_IN_USE = "in_use >= 0 AND in_use <= coalesce(room, seats) + overuse"
_NUMBERS = "NOT is_signed OR in_use + numbers_free = numbers_used"
_BOTH = f"CHECK ({_IN_USE}), CONSTRAINT ck_pool_numbers CHECK ({_NUMBERS})"


def upgrade() -> None:
    op.add_column(
        "tenant", sa.Column("licence_required", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("pool", sa.Column("numbers_free", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "pool", sa.Column("all_signed", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("pool", sa.Column("overdraft", sa.Integer()))
    op.add_column("pool", sa.Column("room", sa.Integer()))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        _rewrite(f"CHECK ({_FORMER})", _BOTH)
    else:
        op.drop_constraint(op.f("ck_pool_in_use"), "pool")
    op.execute(
        "UPDATE pool SET numbers_free = (SELECT count(*) FROM seat_free WHERE pool_id = pool.id),"
        " room = seats + overuse, overuse = 0 WHERE is_signed"
    )
    if not is_sqlite:
        op.create_check_constraint(op.f("ck_pool_in_use"), "pool", _IN_USE)
        op.create_check_constraint(op.f("ck_pool_numbers"), "pool", _NUMBERS)


def _rewrite(before: str, after: str) -> None:
    """Replace a check in the text of the table: SQLite has no statement for that.

    To copy the table would delete what refers to it. https://www.sqlite.org/lang_altertable.html has this
    procedure, for changes that leave the content of a table as it is.
    """
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    done = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after)"
            " WHERE type = 'table' AND name = 'pool' AND instr(sql, :before) > 0"
        ),
        {"before": before, "after": after},
    )
    assert done.rowcount == 1, "the table pool has another check"
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rewrite(_BOTH, f"CHECK ({_FORMER})")
    else:
        op.drop_constraint(op.f("ck_pool_numbers"), "pool")
        op.drop_constraint(op.f("ck_pool_in_use"), "pool")
        op.create_check_constraint(op.f("ck_pool_in_use"), "pool", _FORMER)
    for column in ("room", "overdraft", "all_signed", "numbers_free"):
        op.drop_column("pool", column)
    op.drop_column("tenant", "licence_required")
