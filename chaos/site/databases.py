"""Defines the database of a run, and makes one with SQLite; `postgres.py` makes one with PostgreSQL.

A database exists for one run, and leaves nothing behind. It has the environment variables of the nodes, and
opens stores for administrators.
"""

import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME, Keyring, new_keyring, write_keyring
from licet.store.contract import Store
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    import subprocess

    from support.store.postgres import Postgres


def tests_on_path() -> None:
    """Let `tests/support` be imported, whose servers the harness uses."""
    tests = str(Path(__file__).parents[2] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)


def tests_postgres() -> "type[Postgres]":
    """The class of the tests that runs a PostgreSQL."""
    tests_on_path()
    from support.store.postgres import Postgres  # noqa: PLC0415 - it is on the path only now

    return Postgres


def forking_popen() -> "type[subprocess.Popen[bytes]]":
    """A class like `Popen` that forks the program from a process which has imported its modules."""
    tests_on_path()
    from support.server.nursery import Program  # noqa: PLC0415 - it is on the path only now

    return Program


class Database(Protocol):
    """The database of one run."""

    name: str
    keyring: Keyring

    def start(self) -> None:
        """Make the database, without tables."""

    def make_tables(self) -> None:
        """Make the tables of this version.

        Raises StoreUnavailable.
        """

    def variables(self, node: int) -> Mapping[str, str]:
        """The environment of a node."""

    def open(self) -> Store:
        """Open the store, as an administrator does beside the nodes.

        Raises StoreUnavailable.
        """

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock that every change of the set-up needs, if it is free."""

    def close(self) -> None:
        """Remove the database."""


class SqliteDatabase:
    """A SQLite file that all nodes of this machine share. Its clock is that of each node."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        self.keyring = new_keyring(SystemClock().now_ms())
        write_keyring(self.data / FILE_NAME, self.keyring)

    def start(self) -> None:
        """Do nothing: SQLite has no server."""

    def make_tables(self) -> None:
        """Make the file, with the tables of this version."""
        SqliteStore(self.data / SQLITE_NAME, SystemClock(), create=True).close()

    def variables(self, node: int) -> Mapping[str, str]:
        """Every node has the same data directory."""
        del node
        return {"LICET_DATA": str(self.data)}

    def open(self) -> Store:
        """Open the same file again."""
        return SqliteStore(self.data / SQLITE_NAME, SystemClock())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock by a connection of the driver, and not by a second store.

        If a process opens and closes a SQLite file otherwise than by SQLite, it loses its locks on the file
        (sqlite.org, How To Corrupt An SQLite Database File, 2.2).
        """
        with closing(sqlite3.connect(self.data / SQLITE_NAME, timeout=2, isolation_level=None)) as raw:
            with suppress(sqlite3.OperationalError):  # A node that is paused has the lock.
                raw.execute("BEGIN IMMEDIATE")
            yield
            raw.rollback()

    def close(self) -> None:
        """Do nothing: the file is removed with the directory of the run."""
