"""Where a run keeps its data: the embedded store is here, PostgreSQL in `postgres`.

A database is made for one run and leaves nothing behind. It says with which variables nodes are started, and
gives administrators a store of their own.
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
    """Let what the tests share be imported: the harness has no other servers than theirs."""
    tests = str(Path(__file__).parents[2] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)


def tests_postgres() -> "type[Postgres]":
    """The PostgreSQL that the tests run on."""
    tests_on_path()
    from support.store.postgres import Postgres  # noqa: PLC0415 - it is on the path only now

    return Postgres


def forking_popen() -> "type[subprocess.Popen[bytes]]":
    """What starts a program as `Popen` does, but forked from a process that has imported what it needs."""
    tests_on_path()
    from support.server.nursery import Program  # noqa: PLC0415 - it is on the path only now

    return Program


class Database(Protocol):
    """Where a licence is kept during a run."""

    name: str
    keyring: Keyring

    def start(self) -> None:
        """Make it, without tables."""

    def make_tables(self) -> None:
        """Make the tables of this version.

        Raises StoreUnavailable.
        """

    def variables(self, node: int) -> Mapping[str, str]:
        """The environment of a node."""

    def open(self) -> Store:
        """The store, as an administrator beside the nodes has it.

        Raises StoreUnavailable.
        """

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock that every change of the set-up needs, if it can be had."""

    def close(self) -> None:
        """Leave nothing behind."""


class SqliteDatabase:
    """One file, that all nodes of this machine share. Its clock is that of each node."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        self.keyring = new_keyring(SystemClock().now_ms())
        write_keyring(self.data / FILE_NAME, self.keyring)

    def start(self) -> None:
        """There is nothing to start."""

    def make_tables(self) -> None:
        """Make the file, with those of this version."""
        SqliteStore(self.data / SQLITE_NAME, SystemClock(), create=True).close()

    def variables(self, node: int) -> Mapping[str, str]:
        """Every node has the same data directory."""
        del node
        return {"LICET_DATA": str(self.data)}

    def open(self) -> Store:
        """The same file, once more."""
        return SqliteStore(self.data / SQLITE_NAME, SystemClock())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """By a connection of the driver, and not by a second store.

        Whoever opens a file of SQLite once more in one process, and not by SQLite, takes the locks away that
        the process has (sqlite.org, How To Corrupt An SQLite Database File, 2.2).
        """
        with closing(sqlite3.connect(self.data / SQLITE_NAME, timeout=2, isolation_level=None)) as raw:
            with suppress(sqlite3.OperationalError):  # A node has it and stands still: nobody else gets it.
                raw.execute("BEGIN IMMEDIATE")
            yield
            raw.rollback()

    def close(self) -> None:
        """Its directory goes with that of the run."""
