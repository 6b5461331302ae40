"""Implements the embedded store: SQLite in the data directory, WAL, `synchronous=FULL`.

A transaction takes the file's write lock before it reads (`BEGIN IMMEDIATE`), so that several processes
may work on one file: a server, a second server, the command line. Each sees what was committed before it.
The statements of a batch are the driver's own (`licet.store.sqlite.book`), for speed; rare statements
go through SQLAlchemy.
"""

import math
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from licet.clock import Clock
from licet.ledger.book import AssertionUsed, Book, Change, GrantDenied
from licet.ledger.commands import Command
from licet.model import Tenant
from licet.platforms import files
from licet.store.contract import BUSY_S, REPORT_S, REPORTS_MAX, Differences, LiveSessions, Purpose
from licet.store.counters import count
from licet.store.errors import Contradiction, StoreUnavailable
from licet.store.memory import Memory
from licet.store.migrate import check_current, upgrade
from licet.store.pool import ConnectionPool
from licet.store.snapshots import Tenants, read_version
from licet.store.sqlite.book import load_book, read_live, read_numbered, save_book
from licet.store.unfolded import Unfolded

if TYPE_CHECKING:
    from licet.store.rows import Row, Saving

_SETUP = "SELECT version, seats_lag, writer FROM setup"
_SIGN = "UPDATE setup SET writer = ?"
_OF_NO_SEAT = (GrantDenied, AssertionUsed)
_DATA_VERSION = "PRAGMA data_version"  # another number whenever another connection has written
_WAIT_S = 0.01
_STEPS = 100_000  # of SQLite's virtual machine, a millisecond or so

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # L9: a commit that was answered survives a loss of power.
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -16384",  # 16 MiB
    "PRAGMA temp_store = MEMORY",  # a statement keeps few rows for its rollback
    # Checkpoints are made beside the commits (`upkeep`). While commits never pause, only a checkpoint within
    # a commit, at 256 MiB, restarts the log: each delays a commit by some 10 ms, so they must be rare.
    "PRAGMA wal_autocheckpoint = 65536",
    # 384 MiB, more than it ever has: a log that is truncated and grows again is synced twice as slowly.
    "PRAGMA journal_size_limit = 402653184",
)


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
        self._memory = Memory()
        self._writer_id = secrets.randbits(62) + 1
        self._unfolded = Unfolded()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._look_lock = threading.Lock()
        with _faults(), ExitStack() as opened:
            _must_exist(path, create=create)
            engine = _engine(path)
            self._reporters = ConnectionPool(lambda: _Reporter(engine), most=REPORTS_MAX)
            self._writer, self._reader, self._looker = (
                opened.enter_context(engine.connect()) for _ in range(3)
            )
            self._looks = _Reads(self._looker)
            self._identity = _identity(path)
            if create:
                self._make_tables()
            check_current(self._writer)
            self.refresh_tenants()
            self._opened = opened.pop_all()

    def _make_tables(self) -> None:
        """Make all of the tables or none, even where another process makes them too."""
        raw = _driver(self._writer)
        raw.execute("BEGIN IMMEDIATE")
        try:
            upgrade(self._writer)
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
        with self.reading() as connection:
            version = read_version(connection)
            if version != self._tenants.version:
                self._tenants.refresh(connection, version)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees the store at one instant.

        Raises StoreUnavailable.
        """
        with self._look_lock, _faults():
            self._must_be_there()
            with self._looks.reading() as connection:
                yield connection

    @contextmanager
    def reporting(self) -> Iterator[Connection]:
        """As `reading`, on a connection that no request waits for; several threads at once.

        Raises StoreUnavailable.
        """
        with _faults(), self._reporters.taken(BUSY_S) as reporter:
            self._must_be_there()
            with reporter.reading() as connection:
                yield connection

    @contextmanager
    def transaction(self, purpose: Purpose = Purpose.SETUP) -> Iterator["SqliteTransaction"]:
        """Begin; commit at the end of the block, roll back when it raises. Each is alone in the file.

        Raises StoreUnavailable, Contradiction.
        """
        with self._write_lock, _faults():
            raw = _driver(self._writer)
            raw.execute("BEGIN IMMEDIATE")
            try:
                self._must_be_there()
                now_ms, row = self.clock.now_ms(), _SetupRow(*raw.execute(_SETUP).fetchone())
                memory = self._remembered(raw, row)
                transaction = SqliteTransaction(
                    self._writer, self._tenants, memory, self._unfolded, row, now_ms, purpose
                )
                yield transaction
                if transaction.writes_seats and row.writer != self._writer_id:
                    raw.execute(_SIGN, (self._writer_id,))
                raw.execute("COMMIT")
                transaction.remember()
                count(self.counted, transaction.changes)
            except BaseException:
                self._memory.forget()  # It may be committed all the same.
                raise
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")

    def _remembered(self, raw: sqlite3.Connection, row: "_SetupRow") -> Memory:
        """What is known of seats and sessions: nothing when another one has written of them since."""
        if row.seats_lag:
            if row.writer != self._writer_id:
                self._memory.forget()
        else:  # A process of the version before does not say that it wrote.
            data_version = raw.execute(_DATA_VERSION).fetchone()[0]
            if data_version != self._data_version:
                self._data_version = data_version
                self._memory.forget()
        return self._memory

    def read_sessions(self, sids: Sequence[bytes]) -> LiveSessions:
        """Those of these sessions that live at the store's now, with the numbers of their seats.

        Raises StoreUnavailable.
        """
        with self._read_lock, _faults():
            self._must_be_there()
            now_ms, raw = self.clock.now_ms(), _driver(self._reader)
            if self._tenants.is_any_signed:
                return read_numbered(raw, sids, now_ms)
            found = {session.sid: session for session in read_live(raw, sids, now_ms)}
            return LiveSessions(now_ms, found, {})

    def probe(self) -> None:
        """Return if the store answers and its tables are of this version.

        Raises StoreUnavailable, SchemaOutdated.
        """
        with self.reading() as connection:
            check_current(connection)

    def watch(self) -> None:
        """Nothing: nobody notifies, so `refresh_tenants` has to look."""

    def is_leader(self) -> bool:
        """True: several servers on one machine may do the upkeep, each only what is left to do."""
        return True

    def upkeep(self) -> None:
        """Move what was committed from the log into the file, without keeping a commit waiting.

        Raises StoreUnavailable.
        """
        with self._look_lock, _faults():
            _driver(self._looker).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        for reporter in self._reporters.close():
            reporter.close()
        with self._write_lock, self._read_lock, self._look_lock:
            self._opened.close()

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

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw = _driver(connection)
        self._queries: WeakSet[sqlite3.Cursor] = WeakSet()
        event.listen(connection, "after_cursor_execute", self._begun)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
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

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect()
        self._raw = _driver(self._connection)
        self._reads = _Reads(self._connection)
        self._until_s = 0.0
        self._raw.execute("PRAGMA query_only = ON")
        self._raw.set_progress_handler(self._is_late, _STEPS)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
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


class _SetupRow(NamedTuple):
    """The row of the set-up: its version, and what it says of seats."""

    version: int
    seats_lag: int
    writer: int


class SqliteTransaction:
    """One write transaction; see `contract.Transaction`."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        connection: Connection,
        tenants: Tenants,
        memory: Memory,
        unfolded: Unfolded,
        row: _SetupRow,
        now_ms: int,
        purpose: Purpose,
    ) -> None:
        self.now_ms = now_ms
        self.changes: list[Change] = []  # that were saved
        self._saved: tuple[Book, Saving[Sequence[Row]]] | None = None
        self._memory = memory
        self._row = row
        self._purpose = purpose
        self._connection = connection
        self._raw = _driver(connection)
        self._tenants = tenants
        self._version = row.version
        self._unfolded = unfolded
        self._changes_setup = False

    @property
    def connection(self) -> Connection:
        """For changes of the set-up that must hold together with what the ledger decides."""
        self._changes_setup = True
        return self._connection

    @property
    def writes_seats(self) -> bool:
        """Whether others must forget what they know of seats and sessions."""
        if self._changes_setup and self._purpose is not Purpose.UPKEEP:
            return True
        return not all(isinstance(change, _OF_NO_SEAT) for change in self.changes)

    def recall(self, commands: Sequence[Command]) -> Book | None:
        """The book of these commands where they only renew what is known; else None."""
        if self._purpose is not Purpose.BATCH or not self._row.seats_lag:
            return None
        sids = self._memory.renewing(commands)
        if sids is None:
            return None
        sessions = {it.sid: it for it in read_live(self._raw, sids, self.now_ms)} if sids else {}
        return self._memory.recall(commands, self._current_tenants(), sessions, self.now_ms)

    def load(self, commands: Sequence[Command]) -> Book:
        """Fill the book of these commands, as `licet.ledger.prefetch` says."""
        return load_book(
            self._raw,
            self._current_tenants(),
            self._memory.sessions_at_most,
            self.now_ms,
            commands,
            rows_lag=bool(self._row.seats_lag),
        )

    def save(self, book: Book) -> None:
        """Write the net effect of the book's changes, and the journal of them."""
        self._saved = (book, save_book(self._raw, book, self._unfolded))
        self.changes += book.changes

    def remember(self) -> None:
        """Keep in mind what this transaction has committed, or that more was changed than seats."""
        if self._purpose is Purpose.SETUP:
            if self.writes_seats:
                self._memory.forget()
        elif self._saved is not None and self._row.seats_lag:
            self._memory.learn(*self._saved)

    def _current_tenants(self) -> dict[int, Tenant]:
        if self._changes_setup:
            version = read_version(self._connection)
            if version != self._version:  # A set-up that is not committed yet is not cached.
                return Tenants().refresh(self._connection, version)
        if self._version == self._tenants.version:
            return self._tenants.by_id
        return self._tenants.refresh(self._connection, self._version)


@contextmanager
def migrating(path: Path) -> Iterator[Connection]:
    """A connection in a transaction of its own, of whatever version the tables are: for `migrate`.

    Raises StoreUnavailable.
    """
    with _faults():
        _must_exist(path, create=False)
        with _engine(path).connect() as connection:
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


def _engine(path: Path) -> Engine:
    def connect() -> sqlite3.Connection:
        # No isolation level: this module begins and ends transactions itself.
        raw = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=1024
        )
        try:
            _prepare(raw)
        except sqlite3.Error:
            raw.close()
            raise
        return raw

    return create_engine(
        "sqlite://",
        creator=connect,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # of a failed statement: they may contain a password hash
    )


def _prepare(raw: sqlite3.Connection) -> None:
    # Two connections that switch a new file to WAL at once do not wait for each other by themselves.
    for _ in range(round(BUSY_S / _WAIT_S)):
        try:
            raw.execute(_PRAGMAS[0])
            break
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_WAIT_S)
    for pragma in _PRAGMAS:
        raw.execute(pragma)


def _driver(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


@contextmanager
def _faults() -> Iterator[None]:
    """Turn the driver's exceptions into those that a store may raise."""
    try:
        yield
    except (sqlite3.IntegrityError, IntegrityError) as fault:
        raise Contradiction(_message(fault)) from fault
    except (sqlite3.Error, SQLAlchemyError, OSError) as fault:
        raise StoreUnavailable(_message(fault)) from fault


def _message(fault: Exception) -> str:
    """The driver's own message, without SQLAlchemy's wrapping."""
    return str(getattr(fault, "orig", None) or fault)
