"""A PostgreSQL with an empty store, to make others of: made once for each process of tests, and copied.

To make one takes a second and a half of the processor.
"""

from pathlib import Path

from licet.store.postgres.store import PostgresStore
from support.once.made_once import copied_from
from support.store.postgres import PATIENCE_S, Postgres

EMPTY = "empty"  # the database


def postgres_with_empty_store() -> Postgres:
    """One that runs."""
    return Postgres(like=copied_from("postgres", _make) / "data")


def _make(directory: Path) -> None:
    with Postgres() as running:
        PostgresStore(running.create_database(EMPTY), create=True, answer_s=PATIENCE_S).close()
        running.leave_to(directory / "data")
