"""Starts a PostgreSQL with an empty store, which is made once for each run of the tests and then copied.

Making one takes a second and a half of processor time.
"""

from pathlib import Path

from licet.store.postgres.store import PostgresStore
from support.once.made_once import copied_from
from support.store.postgres import PATIENCE_S, Postgres

EMPTY = "empty"  # the name of its database


def postgres_with_empty_store() -> Postgres:
    """A running server with an empty store."""
    return Postgres(like=copied_from("postgres", _make) / "data")


def _make(directory: Path) -> None:
    with Postgres() as running:
        PostgresStore(running.create_database(EMPTY), create=True, answer_s=PATIENCE_S).close()
        running.leave_to(directory / "data")
