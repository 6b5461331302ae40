"""Copies a SQLite store into a file while servers use it, and puts such a copy in the place of a store.

The rules:

- The copy is the store at one instant. `VACUUM INTO` reads it in one transaction: the backup API of SQLite
  starts again at each commit of another process, so beside a busy server it might not end.
- A store is replaced only while nobody has it open, and never in part: its old file gets another name, and
  one rename puts the copy in its place. Windows cannot rename an open file: there the store is closed and
  renamed before the copy gets its name, and a server that starts in between finds no store.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from licet.platforms import files
from licet.store.contract import BUSY_S
from licet.store.errors import StoreUnavailable
from licet.store.sqlite.connecting import is_busy
from licet.store.sqlite.faults import BESIDE, naming_faults

_UNUSED_S = 0.5  # whoever has a store open keeps it open: to wait longer would not help
_HEADER = b"SQLite format 3\0"


class StoreInUse(Exception):
    """Another process has the store open."""


def copy_store(path: Path, into: Path) -> None:
    """Copy the store into a file that is empty.

    Raises StoreUnavailable, also where the copy is damaged.
    """
    with naming_faults(path), closing(_connected(path)) as connection:
        try:
            connection.execute("VACUUM INTO ?", (str(into),))
        except sqlite3.OperationalError as fault:
            # Nothing else is written.
            if fault.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise StoreUnavailable(
                    f"the copy cannot be written: the disk of {into.parent} is full"
                ) from fault
            raise
    must_be_sound(into)


def must_be_sound(path: Path) -> None:
    """Return if a file is a SQLite database without damage.

    Raises StoreUnavailable.
    """
    with naming_faults(path), path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise StoreUnavailable(f"{path} is not a database of SQLite")
    with naming_faults(path), closing(_connected(path)) as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise StoreUnavailable(f"{path} is damaged: {'; '.join(found)}")


@contextmanager
def replaced(path: Path, copy: Path, aside: Path) -> Iterator[None]:
    """Put a copy in the place of the store after the block; the store stays as the file `aside`.

    The store is locked during the block, so nobody can begin to use it. Where there is none, the copy is put
    there; one that is damaged is moved aside with what lies beside it. Raises StoreInUse, StoreUnavailable.
    """
    with _unused(path) as (is_whole, release):
        yield
        with naming_faults(path):
            if is_whole and files.MOVES_OPEN_FILES:
                files.keep_also_as(path, aside)  # Both names exist until the rename: there is always a store.
                files.place(copy, path, replacing=True)
                return
            release()
            _move_aside(path, aside)
            try:
                files.place(copy, path)
            except OSError:
                _move_aside(aside, path)
                raise


def _move_aside(path: Path, aside: Path) -> None:
    try:
        for end in ("", *BESIDE):
            with suppress(FileNotFoundError):
                files.rename(path.with_name(path.name + end), aside.with_name(aside.name + end))
    except PermissionError:
        if files.MOVES_OPEN_FILES:
            raise
        raise StoreInUse(str(path)) from None  # so Windows says it


@contextmanager
def _unused(path: Path) -> Iterator[tuple[bool, Callable[[], None]]]:
    """Keep others from a store until the function is called; False where there is none, or it is damaged.

    In the journal mode DELETE all of the store is in its file. SQLite changes to it only for the last
    connection (https://sqlite.org/pragma.html#pragma_journal_mode).
    """
    if not path.exists():
        yield False, lambda: None
        return
    connection = _connected(path, _UNUSED_S)
    try:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as fault:
            if is_busy(fault):
                raise StoreInUse(str(path)) from None
            if isinstance(fault, sqlite3.OperationalError):
                raise StoreUnavailable(str(fault)) from fault
            mode = None  # it is damaged: what is there to lock?
        if mode not in {"delete", None}:
            raise StoreInUse(str(path))
        yield mode is not None, connection.close
    finally:
        connection.close()


def _connected(path: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    path.stat()  # SQLite would make one
    return sqlite3.connect(path, timeout=busy_s, isolation_level=None)
