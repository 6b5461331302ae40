"""Defines what the tables of the schema share: their metadata, and columns of one kind."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData

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
