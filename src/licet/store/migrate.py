"""Migrations: are the tables those of this version, and make them so.

The head revision is a constant, so that a server starts without reading the migrations; a test keeps it true.
"""

import contextlib
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from licet.store.contract import SchemaOutdated, SchemaUnknown

HEAD = "0001"


def check_current(connection: Connection) -> None:
    """Return if the tables are of this version.

    Raises SchemaOutdated, SchemaUnknown.
    """
    revision = current(connection)
    if revision is None:
        raise SchemaOutdated("the store has no tables yet")
    if revision > HEAD:
        raise SchemaUnknown(f"it is at schema {revision}, which only a later version of Licet knows")
    if revision != HEAD:
        raise SchemaOutdated(f"the store is at schema {revision}, this version needs {HEAD}")


def current(connection: Connection) -> str | None:
    """The revision of the tables; None when there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def upgrade(connection: Connection) -> None:
    """Bring the tables to this version.

    Raises SchemaUnknown when they are a later version's.
    """
    from alembic import command  # noqa: PLC0415 - a fifth of a second that only a migration should cost
    from alembic.config import Config  # noqa: PLC0415

    with contextlib.suppress(SchemaOutdated):
        check_current(connection)
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
