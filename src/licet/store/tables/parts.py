"""Defines what the tables of the schema share: their metadata, and columns of one kind."""

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the type is exactly INTEGER.
KEY = BigInteger().with_variant(Integer, "sqlite")


def tenant_id(*, primary_key: bool = False) -> Column[int]:
    """The column of the tenant that a row belongs to."""
    return Column(
        "tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False
    )


def partial_index(name: str, *columns: Column[Any], where: str, unique: bool = False) -> Index:
    """An index of the rows that meet a condition."""
    # Of PostgreSQL's option nothing is said here: SQLAlchemy would import all of that dialect, which the
    # command line has no use for with a store in a file.
    return Index(name, *columns, unique=unique, sqlite_where=text(where))


def add_conditions_for_postgres() -> None:
    """Have the partial indexes be such on PostgreSQL too; to be called before tables are made or compared."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if (where := index.dialect_options["sqlite"]["where"]) is not None:
                index.dialect_options["postgresql"]["where"] = where
