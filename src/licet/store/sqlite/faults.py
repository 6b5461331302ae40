"""Says what is wrong with the file of a store, in words that an administrator can act on.

SQLite has one short text for many causes: if its log cannot be created, that is a "disk I/O error" on a full
disk, and "unable to open database file" in a directory of another user. The cause is determined only after a
failure, and without opening a file of the store: closing it would drop the locks that this process has on it
(https://sqlite.org/howtocorrupt.html, 2.2).
"""

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from licet.platforms import files
from licet.store.errors import Contradiction, StoreUnavailable

BESIDE: Final = ("-wal", "-shm", "-journal")  # what SQLite has beside a database
FULL_BYTES: Final = 64 * 1024  # less is left: SQLite cannot make the 32 KiB that it begins with

_OF_THE_FILES: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def naming_faults(path: Path) -> Iterator[None]:
    """Turn the driver's exceptions, for the store in this file, into those that a store may raise.

    Raises StoreUnavailable, Contradiction.
    """
    try:
        yield
    except sqlite3.IntegrityError as fault:
        raise Contradiction(str(fault)) from fault
    except (sqlite3.Error, OSError) as fault:
        raise StoreUnavailable(text_of(fault, path)) from fault
    except Exception as fault:
        kinds = sys.modules.get("sqlalchemy.exc")  # who has not imported it gets none of its exceptions
        if kinds is None or not isinstance(fault, kinds.SQLAlchemyError):
            raise
        # The driver's own message, without SQLAlchemy's wrapping.
        cause = getattr(fault, "orig", None) or fault
        kind = Contradiction if isinstance(fault, kinds.IntegrityError) else StoreUnavailable
        raise kind(text_of(cause, path)) from fault


def text_of(fault: BaseException, path: Path) -> str:
    """What has failed at this file, and where it can be said what to do."""
    if isinstance(fault, OSError) and fault.errno in _FULL:
        return _full(path)
    code = getattr(fault, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _OF_THE_FILES:
        return str(fault)
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if found := _looked_up(path):
        return found
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return f"the disk of {path} has failed ({fault}); the log of the system says more"
    return f"{path} cannot be used: {fault}"


def unwritable(path: Path) -> str:
    """Which file of a store cannot be written, and why; '' where all can be, as far as can be seen."""
    beside = (path.with_name(path.name + end) for end in BESIDE)
    for file in (path, *(it for it in beside if it.exists()), path.parent):
        if file.exists() and not os.access(file, os.W_OK):
            return f"{file} cannot be written: {_why(file)}"
    return ""


def _looked_up(path: Path) -> str:
    try:
        if found := unwritable(path):
            return found
        if files.free_bytes(path.parent) < FULL_BYTES:
            return _full(path)
        files.try_to_make_one_in(path.parent)
    except OSError as found_by_trying:
        if found_by_trying.errno in _FULL:
            return _full(path)
        return f"{path} cannot be written: {found_by_trying.strerror}"
    return ""


def _why(file: Path) -> str:
    if files.is_mounted_read_only(file):
        return "its file system is mounted read-only"
    if owner := files.owner_name(file):
        return f"it belongs to {owner}, with mode {files.mode_of(file):03o}, and this process may not"
    return "this account may not"


def _full(path: Path) -> str:
    return f"the disk of {path} is full; free some space; servers then go on by themselves"
