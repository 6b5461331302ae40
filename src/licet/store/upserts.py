"""Builds `INSERT ... ON CONFLICT`, which SQLAlchemy spells in two ways for the two stores."""

from typing import Any

from sqlalchemy import Connection, Table


def insert_into(connection: Connection, table: Table) -> Any:
    """An insert that can say what to do when the row exists already."""
    # What the other kind of store needs is not imported: it would take a fifth of a second.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as for_postgres  # noqa: PLC0415

        return for_postgres(table)
    from sqlalchemy.dialects.sqlite import insert as for_sqlite  # noqa: PLC0415

    return for_sqlite(table)
