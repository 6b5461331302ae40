"""What is said of the files of a SQLite store that cannot be used."""

import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from licet.clock import ManualClock
from licet.store.errors import StoreUnavailable
from licet.store.sqlite.faults import naming_faults
from licet.store.sqlite.store import SqliteStore

NOBODY = 65534
MAY_NOT = "and this process may not"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has neither modes nor other users")


@pytest.fixture
def path() -> Iterator[Path]:
    """A store that is closed, of a user that is not root; not below the tests' files, which are root's."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "licet.db"
        SqliteStore(file, ManualClock(), create=True).close()
        if os.geteuid() == 0:
            os.chown(file, NOBODY, NOBODY)
            os.chown(directory, NOBODY, NOBODY)
        yield file


def told(path: Path) -> str:
    """What a user that is not root is told who writes to the store."""

    def write() -> str:
        try:
            with closing(sqlite3.connect(path)) as connection, naming_faults(path):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("UPDATE setup SET writer = writer")
                connection.commit()
        except StoreUnavailable as fault:
            return str(fault)
        return ""

    return _as_nobody(write)


def _as_nobody(work: Callable[[], str]) -> str:
    """What it returns in a process of its own, which is not root's."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: it only writes
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writes, work().encode())
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with os.fdopen(reads) as answer:
        return answer.read()


def test_nothing_is_told_of_a_store_that_can_be_written(path: Path) -> None:
    assert not told(path)


def test_a_file_that_may_not_be_written_is_named_with_its_owner_and_mode(path: Path) -> None:
    owner = path.owner()
    path.chmod(0o400)
    assert told(path) == f"{path} cannot be written: it belongs to {owner}, with mode 400, {MAY_NOT}"


def test_a_file_beside_the_store_counts_as_well(path: Path) -> None:
    """SQLite gives it the mode that the store has when it is made, and leaves it so."""
    left = path.with_name("left.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE setup SET writer = writer")
        connection.commit()
        for end in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{end}", f"{left}{end}")
            if os.geteuid() == 0:
                os.chown(f"{left}{end}", NOBODY, NOBODY)
    beside = path.with_name("left.db-shm")
    beside.chmod(0o400)
    owner = beside.owner()
    assert told(left) == f"{beside} cannot be written: it belongs to {owner}, with mode 400, {MAY_NOT}"


def test_a_directory_in_which_nothing_can_be_made_is_named(path: Path) -> None:
    path.parent.chmod(0o500)
    text = told(path)
    path.parent.chmod(0o700)
    assert text.startswith(f"{path.parent} cannot be written: it belongs to ")
