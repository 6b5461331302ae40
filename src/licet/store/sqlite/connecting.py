"""Opens connections to the file of a store: those of the driver, and those of SQLAlchemy where needed.

SQLAlchemy is imported when the first connection is wrapped. A process that only commits never does that.
"""

import sqlite3
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from licet.platforms import files
from licet.store.contract import BUSY_S
from licet.store.snapshots import Ask

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_WAIT_S = 0.01
_AGAIN_S = 0.0003
_PAGE: Final = 4096  # bytes; what SQLite takes for a new file
LOG_PAGES_MAX: Final = 65536
_LOG_PAGES_MIN: Final = 250  # a megabyte
_SHARE_OF_LOG: Final = 4  # the log may have a quarter of what is free: it grows on while somebody reads

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # L9: a commit that was answered survives a loss of power.
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -16384",  # 16 MiB
    "PRAGMA temp_store = MEMORY",  # a statement keeps few rows for its rollback
    # Checkpoints are made beside the commits (`upkeep`). While commits never pause, only a checkpoint within
    # a commit, at 256 MiB, restarts the log: each delays a commit by some 10 ms, so they must be rare.
    f"PRAGMA wal_autocheckpoint = {LOG_PAGES_MAX}",
    # 384 MiB, more than it ever has: a log that is truncated and grows again is synced twice as slowly.
    "PRAGMA journal_size_limit = 402653184",
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection of the driver; whoever has it begins and ends its transactions.

    Raises sqlite3.Error.
    """
    raw = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=1024
    )
    try:
        _prepare(raw)
    except sqlite3.Error:
        raw.close()
        raise
    return raw


def _prepare(raw: sqlite3.Connection) -> None:
    # Two connections that switch a new file to WAL at once do not wait for each other by themselves.
    for _ in range(round(BUSY_S / _WAIT_S)):
        try:
            raw.execute(PRAGMAS[0])
            break
        except sqlite3.OperationalError as fault:
            if not is_busy(fault):
                raise
            sleep(_WAIT_S)
    for pragma in PRAGMAS:
        raw.execute(pragma)


def is_busy(fault: sqlite3.DatabaseError) -> bool:
    """Whether another connection has the lock, for whatever it needs it (SQLITE_BUSY_RECOVERY and more)."""
    code: int = getattr(fault, "sqlite_errorcode", 0)
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def wait_for_locks(raw: sqlite3.Connection, within_s: float) -> None:
    """Have statements of this connection wait for so long for another one's lock."""
    raw.execute(f"PRAGMA busy_timeout = {round(within_s * 1000)}")


def bound_log(raw: sqlite3.Connection, path: Path) -> None:
    """Have commits on this connection end the log before it fills the disk.

    A log that takes the last byte could never become part of the file, which has to grow for that: then
    nobody could free the space. With a gigabyte free it may become as long as it does anywhere.
    Raises OSError, sqlite3.Error.
    """
    log = path.with_name(path.name + "-wal")
    room = files.free_bytes(path.parent) + (log.stat().st_size if log.exists() else 0)
    pages = min(LOG_PAGES_MAX, max(_LOG_PAGES_MIN, room // _PAGE // _SHARE_OF_LOG))
    raw.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    if pages < LOG_PAGES_MAX:  # what it has had before is given back
        raw.execute(f"PRAGMA journal_size_limit = {2 * pages * _PAGE}")


def begin_alone(raw: sqlite3.Connection) -> None:
    """Begin a transaction that writes, which waits for its turn.

    SQLite itself would look again after 1 ms, then after 2, 5, 10 and more: longer than most have the lock.
    So it must not wait by itself on this connection (`wait_for_locks` of 0).
    Raises sqlite3.OperationalError where the lock is not free within `BUSY_S`.
    """
    began_s = None
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as fault:
            now_s = monotonic()
            began_s = began_s or now_s
            if not is_busy(fault) or now_s - began_s > BUSY_S:
                raise
            # Who has waited for long may wait a tenth longer.
            sleep(max(_AGAIN_S, (now_s - began_s) / 10))
        else:
            return


class Wrapping:
    """Makes connections of SQLAlchemy, of one engine: what it compiles once is compiled for all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._given = threading.local()

    def connected(self) -> "Connection":
        """A connection of its own."""
        return self.of(connect(self._path))

    def of(self, raw: sqlite3.Connection) -> "Connection":
        """The same connection for SQLAlchemy. It must not be in a transaction: a first one is rolled back."""
        assert not raw.in_transaction, "a connection is wrapped between transactions"
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
        self._given.raw = raw
        return self._engine.connect()

    def _make(self) -> "Engine":
        from sqlalchemy import create_engine  # noqa: PLC0415 - see above
        from sqlalchemy.pool import NullPool  # noqa: PLC0415 - see above

        return create_engine(
            "sqlite://",
            creator=lambda: vars(self._given).pop("raw"),  # once: it never connects again by itself
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # of a failed statement: they may contain a password hash
        )


def asking(raw: sqlite3.Connection) -> Ask:
    """Statements of the driver's own; a query that is half read would keep the connection at its instant."""
    return lambda statement: raw.execute(statement).fetchall()
