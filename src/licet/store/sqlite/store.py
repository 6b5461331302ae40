"""Implements the embedded store: SQLite in the data directory, WAL, `synchronous=FULL`.

A transaction takes the file's write lock before it reads (`BEGIN IMMEDIATE`), so that several processes
can work on one file: a server, a second server, the command line. Each sees what was committed before it.
For speed, the driver executes the statements of a batch (`licet.store.sqlite.book`); rare statements go
through SQLAlchemy, which is imported with the first of them, so never in a process that only commits.
"""

import math
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from licet.clock import Clock
from licet.model import Tenant
from licet.platforms import files
from licet.store.contract import BUSY_S, REPORT_S, REPORTS_MAX, Differences, LiveSessions, PoolLine, Purpose
from licet.store.counters import count
from licet.store.errors import Contradiction, StoreUnavailable
from licet.store.lines import lines_of
from licet.store.migrate import Schema, must_be_current, schema_of, upgrade
from licet.store.pool import ConnectionPool
from licet.store.snapshots import Ask, Tenants, read_version
from licet.store.sqlite.book import read_live, read_numbered
from licet.store.sqlite.connecting import Wrapping, asking, begin_alone, bound_log, connect, wait_for_locks
from licet.store.sqlite.faults import naming_faults
from licet.store.sqlite.folding import JournalFolder
from licet.store.sqlite.memory import Memory
from licet.store.sqlite.transaction import SetupRow, SqliteTransaction
from licet.store.unfolded import Unfolded

if TYPE_CHECKING:
    from sqlalchemy import Connection


MAKING_S = 60.0  # how long to wait for another process that makes the tables: on a slow disk it takes some
_SETUP = "SELECT version, seats_lag, writer FROM setup"
_SIGN = "UPDATE setup SET writer = ?"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_STEPS = 100_000  # of SQLite's virtual machine, a millisecond or so
_COMMITS_UNBOUNDED = 256  # with 32 commands each they write some 10 MB; then the disk is looked at again
_DATA_VERSION = "PRAGMA data_version"  # another number whenever another connection has written


class SqliteStore:
    """A store in one file. `create` makes the file, readable by its owner only, when there is none.

    Raises StoreUnavailable, SchemaOutdated.
    """

    # One wait for the lock, after a batch that waited for it in vain.
    differences = Differences(
        many_machines=False, tenants_apart=False, answer_within_s=2 * BUSY_S, notifies_changes=False
    )

    def __init__(self, path: Path, clock: Clock, *, create: bool = False) -> None:
        self.path = path
        self.clock = clock
        self.collisions: Counter[str] = Counter()  # Stays empty: a writer waits for its turn.
        self.counted: Counter[str] = Counter()
        self._tenants = Tenants()
        self._data_version = 0
        self._seats_lag = 0
        self._commits = 0
        self._memory = Memory()
        self._writer_id = _new_id()
        self._unfolded = Unfolded()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._look_lock = threading.Lock()
        self._keep_lock = threading.Lock()
        with naming_faults(path), ExitStack() as opened:
            _must_exist(path, create=create)
            self._wrapping = Wrapping(path)
            self._reporters = ConnectionPool(lambda: _Reporter(self._wrapping.connected()), most=REPORTS_MAX)
            self._writer, self._reader, self._looker, self._keeper = (
                opened.enter_context(closing(connect(path))) for _ in range(4)
            )
            self._writes: Connection | None = None  # the writer and the looker, where SQLAlchemy needs them
            self._looks: _Reads | None = None
            opened.callback(self._unwrap)
            self._folder = JournalFolder(self._writer)
            self._identity = _identity(path)
            if create:
                self._make_tables()
            must_be_current(_schema(asking(self._writer)))
            wait_for_locks(self._writer, 0)  # by itself, as `begin_alone` does
            self.refresh_tenants()
            self._opened = opened.pop_all()

    def _make_tables(self) -> None:
        """Make all of the tables or none, even where another process makes them too."""
        raw, connection = self._writer, self._wrapped_writer()
        wait_for_locks(raw, MAKING_S)
        raw.execute("BEGIN IMMEDIATE")
        try:
            upgrade(connection)
        except BaseException:
            raw.rollback()
            raise
        raw.commit()

    def tenant(self, name: str) -> Tenant | None:
        """The tenant as last read; no I/O."""
        return self._tenants.by_name.get(name)

    def tenants(self) -> Mapping[int, Tenant]:
        """All tenants by their id, as last read; no I/O."""
        return self._tenants.by_id

    @property
    def identity(self) -> str:
        """Identifies the file: another file at the same place is another store."""
        return "{}:{}".format(*self._identity)

    @property
    def setup_version(self) -> int:
        """The version of the set-up that `tenants` are of; a later one is greater."""
        return self._tenants.version

    def refresh_tenants(self) -> None:
        """Read again what has changed of the set-up.

        Raises StoreUnavailable.
        """
        with self.looking() as ask:
            before = self._tenants.version
            version = read_version(ask)
            if version != self._tenants.version:
                self._tenants.refresh(ask, version, before)

    @contextmanager
    def looking(self) -> Iterator[Ask]:
        """As `reading`, by statements of the driver's own, without SQLAlchemy.

        Raises StoreUnavailable.
        """
        with self._look_lock, naming_faults(self.path):
            self._must_be_there()
            self._looker.execute("BEGIN")
            try:
                yield asking(self._looker)
            finally:
                self._looker.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        """A connection that sees the store at one instant.

        Raises StoreUnavailable.
        """
        with self._look_lock, naming_faults(self.path):
            self._must_be_there()
            if self._looks is None:
                self._looks = _Reads(self._wrapping.of(self._looker))
            with self._looks.reading() as connection:
                yield connection

    @contextmanager
    def reporting(self) -> Iterator["Connection"]:
        """As `reading`, on a connection that no request waits for; several threads at once.

        Raises StoreUnavailable.
        """
        with naming_faults(self.path), self._reporters.taken(BUSY_S) as reporter:
            self._must_be_there()
            with reporter.reading() as connection:
                yield connection

    @contextmanager
    def transaction(self, purpose: Purpose = Purpose.SETUP) -> Iterator["SqliteTransaction"]:
        """Begin; commit at the end of the block, roll back when it raises. Each is alone in the file.

        Raises StoreUnavailable, Contradiction.
        """
        with self._write_lock, naming_faults(self.path):
            raw = self._writer
            is_plain = purpose in {Purpose.BATCH, Purpose.NOTE}
            connection = None if is_plain else self._wrapped_writer()
            if not self._commits % _COMMITS_UNBOUNDED:
                bound_log(raw, self.path)
            self._commits += 1
            begin_alone(raw)
            try:
                self._must_be_there()
                now_ms, row = self.clock.now_ms(), SetupRow(*raw.execute(_SETUP).fetchone())
                memory = self._remembered(raw, row)
                transaction = SqliteTransaction(
                    raw, connection, self._tenants, memory, self._unfolded, row, now_ms, purpose
                )
                yield transaction
                if transaction.writes_seats and row.writer != self._writer_id:
                    raw.execute(_SIGN, (self._writer_id,))
                raw.execute("COMMIT")
                transaction.remember()
                self._folder.has_appended(transaction.entries, transaction.denials)
                count(self.counted, transaction.changes, transaction.repeated)
            except BaseException:
                self._memory.forget()  # It may be committed all the same.
                raise
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")

    def _wrapped_writer(self) -> "Connection":
        if self._writes is None:
            self._writes = self._wrapping.of(self._writer)
        return self._writes

    def _remembered(self, raw: sqlite3.Connection, row: "SetupRow") -> Memory:
        """What is known of seats and sessions: nothing when another one has written of them since."""
        if row.seats_lag != self._seats_lag:  # Who wrote before that said so in another way.
            self._seats_lag = row.seats_lag
            self._memory.forget()
        if row.seats_lag:
            if row.writer != self._writer_id:
                self._memory.forget()
        else:  # A process of the version before does not say that it wrote.
            data_version = raw.execute(_DATA_VERSION).fetchone()[0]
            if data_version != self._data_version:
                self._data_version = data_version
                self._memory.forget()
        return self._memory

    def start_reading(self, sids: Sequence[bytes]) -> None:
        """None: a file is read by whoever asks."""

    def read_sessions(self, sids: Sequence[bytes]) -> LiveSessions:
        """Those of these sessions that live at the store's now, with the numbers of their seats.

        Raises StoreUnavailable.
        """
        with self._read_lock, naming_faults(self.path):
            self._must_be_there()
            now_ms, raw = self.clock.now_ms(), self._reader
            if self._tenants.is_any_signed:
                return read_numbered(raw, sids, now_ms)
            found = {session.sid: session for session in read_live(raw, sids, now_ms)}
            return LiveSessions(now_ms, found, {})

    def read_lines(self, pool_ids: Collection[int]) -> dict[int, PoolLine]:
        """Who waits for seats of these pools. Raises StoreUnavailable."""
        with self.looking() as ask:
            return lines_of(ask, pool_ids, self.clock.now_ms())

    def probe(self) -> None:
        """Return if the store answers and its tables are of this version.

        Raises StoreUnavailable, SchemaOutdated.
        """
        with self.looking() as ask:
            must_be_current(_schema(ask))

    def watch(self) -> None:
        """Nothing: nobody notifies, so `refresh_tenants` has to look."""

    def is_leader(self) -> bool:
        """True: several servers on one machine may do the upkeep, each only what is left to do."""
        return True

    def upkeep(self) -> None:
        """Move what was committed from the log into the file, without keeping a commit or a look waiting.

        Raises StoreUnavailable.
        """
        with self._keep_lock, naming_faults(self.path):
            self._keeper.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def settle(self) -> None:
        """Fold what the batches have appended to the journal, if it is much; nobody waits for that now."""
        if not self._folder.is_due:
            return
        # What fails, or meets a lock, is left to the housekeeping of a server.
        with suppress(StoreUnavailable, Contradiction), self._write_lock, naming_faults(self.path):
            self._must_be_there()
            self._folder.fold()

    def close(self) -> None:
        """Close the file."""
        for reporter in self._reporters.close():
            reporter.close()
        with self._write_lock, self._read_lock, self._look_lock, self._keep_lock:
            self._opened.close()

    def _unwrap(self) -> None:
        for wrapped in (self._writes, self._looks):
            if wrapped is not None:
                wrapped.close()

    def _must_be_there(self) -> None:
        # A file that was moved or replaced still exists for the process that has it open, and nobody else
        # would ever see what it writes there.
        if _identity(self.path) != self._identity:
            raise StoreUnavailable(f"{self.path} was moved or replaced while it was in use")


class _Reads:
    """Read transactions of a connection, one after the other.

    Queries that the caller left half read are closed with their transaction. SQLite keeps a connection at the
    instant of its oldest open query: the next reader would miss what was committed since.
    """

    def __init__(self, connection: "Connection") -> None:
        from sqlalchemy import event  # noqa: PLC0415 - who has a connection of it has imported it

        self._connection = connection
        self._raw = _driver(connection)
        self._queries: WeakSet[sqlite3.Cursor] = WeakSet()
        event.listen(connection, "after_cursor_execute", self._begun)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        self._raw.execute("BEGIN")
        try:
            yield self._connection
        finally:
            while self._queries:
                self._queries.pop().close()
            self._raw.execute("ROLLBACK")

    def _begun(self, _: object, query: sqlite3.Cursor, *_more: object) -> None:
        self._queries.add(query)


class _Reporter:
    """A connection that only reads, and for `REPORT_S` at most."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._raw = _driver(self._connection)
        self._reads = _Reads(self._connection)
        self._until_s = 0.0
        self._raw.execute("PRAGMA query_only = ON")
        self._raw.set_progress_handler(self._is_late, _STEPS)

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        self._until_s = time.monotonic() + REPORT_S
        try:
            with self._reads.reading() as connection:
                yield connection
        finally:
            self._until_s = math.inf

    def close(self) -> None:
        self._connection.close()

    def _is_late(self) -> bool:
        return time.monotonic() > self._until_s


@contextmanager
def migrating(path: Path) -> Iterator["Connection"]:
    """A connection in a transaction of its own, of whatever version the tables are: for `migrate`.

    Raises StoreUnavailable.
    """
    with naming_faults(path):
        _must_exist(path, create=False)
        with Wrapping(path).connected() as connection:
            raw = _driver(connection)
            raw.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                raw.execute("COMMIT")
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")


def _must_exist(path: Path, *, create: bool) -> None:
    """Make the file, readable by its owner only, or check that it exists.

    An existing file is not opened: closing it would drop the locks that this process may have on it
    (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    if create:
        with suppress(FileExistsError):
            files.create_closed(path)
    path.stat()


def _new_id() -> int:
    """A number that no other process has; not by `secrets`, which imports all of OpenSSL."""
    return (int.from_bytes(os.urandom(8)) >> 2) + 1


def _driver(connection: "Connection") -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _schema(ask: Ask) -> Schema | None:
    return schema_of({name for (name,) in ask(_TABLES)}, ask)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
