"""The embedded store: SQLite in the data directory, WAL, `synchronous=FULL`.

A transaction takes the file's write lock before it reads (`BEGIN IMMEDIATE`), so that several processes
may work on one file: a server, a second server, the command line. Each sees what was committed before it.
The statements of a batch are the driver's own, for speed; what is rare goes through SQLAlchemy.
"""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import astuple
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from licet.book import Book, SeatKey, Writes
from licet.clock import Clock
from licet.ledger import Command, End, Grant, Refresh, Sweep, holder_of
from licet.model import Client, Duplicates, Seat, Session, Tenant
from licet.store.contract import BUSY_S, Contradiction, StoreUnavailable
from licet.store.journal import Folded
from licet.store.migrate import check_current, upgrade
from licet.store.tenants import Tenants, read_version

_SESSION = (
    "sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address"
)
_SEAT = "pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms"

_SETUP_VERSION = "SELECT version FROM setup"
_SESSION_LIVE = f"SELECT {_SESSION} FROM session WHERE sid = ? AND expires_at_ms > ?"
_SESSIONS_EXPIRED = f"SELECT {_SESSION} FROM session WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?"
_SESSIONS_COUNT = "SELECT count(*) FROM session WHERE client_key = ? AND expires_at_ms > ?"
_SESSIONS_OLDEST = (
    f"SELECT {_SESSION} FROM session WHERE number IN"
    " (SELECT number FROM session WHERE client_key = ? AND expires_at_ms > ? ORDER BY number LIMIT ?)"
    " ORDER BY number"
)
_SESSIONS_OF_CLIENT_SEAT = (
    f"SELECT {_SESSION} FROM session"
    " WHERE client_key = ? AND pool_id = ? AND holder = ? AND expires_at_ms > ?"
    " ORDER BY expires_at_ms DESC LIMIT ?"
)
_SESSIONS_OF_USER_SEAT = (
    f"SELECT {_SESSION} FROM session WHERE pool_id = ? AND holder = ? AND expires_at_ms > ?"
    " AND substr(holder, 1, 5) = 'user:' ORDER BY expires_at_ms DESC LIMIT ?"
)
_SEAT_ONE = f"SELECT {_SEAT} FROM seat WHERE pool_id = ? AND holder = ?"
_SEATS_EXPIRED = f"SELECT {_SEAT} FROM seat WHERE pool_id = ? AND expires_at_ms <= ?"
_SEATS_EARLIEST = (
    f"SELECT {_SEAT} FROM seat WHERE pool_id = ? AND expires_at_ms > ? ORDER BY expires_at_ms LIMIT ?"
)
_POOL_IN_USE = "SELECT in_use FROM pool WHERE id = ?"

_SESSION_INSERT = f"INSERT INTO session ({_SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SESSION_RENEW = "UPDATE session SET renewed_at_ms = ?, expires_at_ms = ? WHERE sid = ?"
_SESSION_DELETE = "DELETE FROM session WHERE sid = ?"
_SEAT_INSERT = f"INSERT INTO seat ({_SEAT}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SEAT_UPDATE = (
    "UPDATE seat SET client_id = ?, initials = ?, taken_at_ms = ?, expires_at_ms = ?"
    " WHERE pool_id = ? AND holder = ?"
)
_SEAT_DELETE = "DELETE FROM seat WHERE pool_id = ? AND holder = ?"
# Added, not set, and overuse only shrinks: so the check `in_use <= seats + overuse` stands behind the
# ledger, whatever number it began with (L6).
_POOL_UPDATE = (
    "UPDATE pool SET in_use = in_use + ?1, overuse = max(0, min(overuse, in_use + ?1 - seats)) WHERE id = ?2"
)

_JOURNAL_ADD = """
INSERT INTO journal (tenant_id, minute, kind, reason, pool, client_id,
                     initials, times, first_at_ms, last_at_ms, seats, in_use, address)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
  times = times + excluded.times, initials = excluded.initials, address = excluded.address,
  first_at_ms = min(first_at_ms, excluded.first_at_ms), last_at_ms = max(last_at_ms, excluded.last_at_ms),
  seats = excluded.seats, in_use = excluded.in_use
"""
_MINUTE_ADD = """
INSERT INTO usage_minute (tenant_id, pool, minute, seats, peak, in_use) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
  seats = excluded.seats, peak = max(peak, excluded.peak), in_use = excluded.in_use
"""
_HOUR_ADD = """
INSERT INTO usage_hour (tenant_id, pool, hour, client_id, initials, held_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET held_ms = held_ms + excluded.held_ms, initials = excluded.initials
"""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # L9: a commit that was answered survives a loss of power.
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -16384",  # 16 MiB
    # Checkpoints are made beside the commits (`upkeep`); if that falls behind, by one at 64 MiB.
    "PRAGMA wal_autocheckpoint = 16384",
    "PRAGMA journal_size_limit = 67108864",
)


class SqliteStore:
    """A store in one file. `create` makes the file, readable by its owner only, when there is none.

    Raises StoreUnavailable, SchemaOutdated.
    """

    def __init__(self, path: Path, clock: Clock, *, create: bool = False) -> None:
        self.path = path
        self._clock = clock
        self._tenants = Tenants()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._look_lock = threading.Lock()
        with _faults(), ExitStack() as opened:
            os.close(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600))
            engine = _engine(path)
            self._writer, self._reader, self._looker = (
                opened.enter_context(engine.connect()) for _ in range(3)
            )
            self._identity = _identity(path)
            if create:
                self._make_tables()
            check_current(self._writer)
            self.refresh_tenants()
            self._opened = opened.pop_all()

    def _make_tables(self) -> None:
        """All of the tables or none, whoever else is about to make them."""
        raw = _driver(self._writer)
        raw.execute("BEGIN IMMEDIATE")
        try:
            upgrade(self._writer)
        except BaseException:
            raw.rollback()
            raise
        raw.commit()

    def tenant(self, name: str) -> Tenant | None:
        """The tenant as it was when last looked at; no I/O."""
        return self._tenants.by_name.get(name)

    def tenants(self) -> Mapping[int, Tenant]:
        """All tenants by their id, as they were when last looked at; no I/O."""
        return self._tenants.by_id

    def refresh_tenants(self) -> None:
        """Look whether the set-up changed, and read what did.

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
            raw = _driver(self._looker)
            raw.execute("BEGIN")
            try:
                yield self._looker
            finally:
                raw.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator["SqliteTransaction"]:
        """Begin; commit at the end of the block, roll back when it raises.

        Raises StoreUnavailable, Contradiction.
        """
        with self._write_lock, _faults():
            raw = _driver(self._writer)
            raw.execute("BEGIN IMMEDIATE")
            try:
                self._must_be_there()
                version: int = raw.execute(_SETUP_VERSION).fetchone()[0]
                yield SqliteTransaction(self._writer, self._tenants, version, self._clock.now_ms())
                raw.execute("COMMIT")
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")

    def read_sessions(self, sids: Sequence[bytes]) -> tuple[int, dict[bytes, Session]]:
        """The store's now in milliseconds, and those of these sessions that live at it.

        Raises StoreUnavailable.
        """
        with self._read_lock, _faults():
            self._must_be_there()
            raw, now_ms = _driver(self._reader), self._clock.now_ms()
            rows = (raw.execute(_SESSION_LIVE, (sid, now_ms)).fetchone() for sid in sids)
            return now_ms, {row[0]: _session(row) for row in rows if row is not None}

    def probe(self) -> None:
        """Return if the store answers and its tables are of this version.

        Raises StoreUnavailable, SchemaOutdated.
        """
        with self.reading() as connection:
            check_current(connection)

    def upkeep(self) -> None:
        """Bring what was committed from the log into the file, without keeping a commit waiting.

        Raises StoreUnavailable.
        """
        with self._look_lock, _faults():
            _driver(self._looker).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Let go of the file."""
        with self._write_lock, self._read_lock, self._look_lock:
            self._opened.close()

    def _must_be_there(self) -> None:
        # A file that was moved or replaced goes on living for who has it open, and nobody else would
        # ever see what is written to it.
        if _identity(self.path) != self._identity:
            raise StoreUnavailable(f"{self.path} was moved or replaced while it was in use")


class SqliteTransaction:
    """One write transaction; see `contract.Transaction`."""

    def __init__(self, connection: Connection, tenants: Tenants, version: int, now_ms: int) -> None:
        self.now_ms = now_ms
        self._connection = connection
        self._raw = _driver(connection)
        self._tenants = tenants
        self._version = version
        self._changes_setup = False

    @property
    def connection(self) -> Connection:
        """For changes of the set-up that must hold together with what the ledger decides."""
        self._changes_setup = True
        return self._connection

    def load(self, commands: Sequence[Command]) -> Book:
        """Fill the book of these commands, as `contract.Transaction.load` says."""
        return _Loading(self._raw, self._current_tenants(), self.now_ms, commands).book()

    def save(self, book: Book) -> None:
        """Write the net effect of the book's changes, and the journal of them."""
        writes = Writes(book.changes)
        self._write_sessions(writes)
        self._write_seats(writes)
        before = book.in_use_before
        changed = [(it - before[key], key) for key, it in book.in_use.items() if it != before[key]]
        self._many(_POOL_UPDATE, changed)
        folded = Folded(book)
        self._many(_JOURNAL_ADD, [key + entry for key, entry in folded.entries.items()])
        self._many(_MINUTE_ADD, [key + minute for key, minute in folded.minutes.items()])
        self._many(_HOUR_ADD, [key + hour for key, hour in folded.hours.items()])

    def _write_sessions(self, writes: Writes) -> None:
        self._many(_SESSION_DELETE, [(sid,) for sid in writes.sessions_gone])
        self._many(_SESSION_INSERT, [astuple(session) for session in writes.sessions_new.values()])
        self._many(
            _SESSION_RENEW,
            [(it.renewed_at_ms, it.expires_at_ms, it.sid) for it in writes.sessions_renewed.values()],
        )

    def _write_seats(self, writes: Writes) -> None:
        self._many(_SEAT_DELETE, list(writes.seats_gone))
        self._many(_SEAT_INSERT, [astuple(seat) for seat in writes.seats_new.values()])
        self._many(
            _SEAT_UPDATE,
            [
                (it.client_id, it.initials, it.taken_at_ms, it.expires_at_ms, it.pool_id, it.holder)
                for it in writes.seats_kept.values()
            ],
        )

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows and (count := self._raw.executemany(statement, rows).rowcount) != len(rows):
            raise Contradiction(f"{count} rows instead of {len(rows)}: {statement}")

    def _current_tenants(self) -> dict[int, Tenant]:
        if self._changes_setup:
            version: int = self._raw.execute(_SETUP_VERSION).fetchone()[0]
            if version != self._version:  # What is not committed yet is remembered by nobody.
                return Tenants().refresh(self._connection, version)
        if self._version == self._tenants.version:
            return self._tenants.by_id
        return self._tenants.refresh(self._connection, self._version)


class _Loading:
    """Gathers the rows of a book, step by step; each step adds to what the next one looks up."""

    def __init__(
        self, raw: sqlite3.Connection, tenants: dict[int, Tenant], now_ms: int, commands: Sequence[Command]
    ) -> None:
        self._raw = raw
        self._tenants = tenants
        self._now_ms = now_ms
        self._commands = commands
        self._grants = [command for command in commands if isinstance(command, Grant)]
        self._tenant_of_client = {grant.client_key: grant.tenant_id for grant in self._grants}
        self._sessions: dict[bytes, Session] = {}
        self._expired: list[Session] = []
        self._live_sessions: dict[int, int] = {}
        self._started: dict[int, list[bytes]] = {}
        self._crowded: set[int] = set()  # clients of which a session may begin and end in this batch
        self._in_use: dict[int, int] = {}
        self._seats: dict[SeatKey, Seat] = {}

    def book(self) -> Book:
        self._load_named_sessions()
        self._load_oldest_sessions()
        self._load_seats()
        self._load_pools()
        self._load_earliest_seats()
        self._load_sharing_sessions()
        return Book(
            tenants=self._tenants,
            in_use=self._in_use,
            seats=self._seats.values(),
            sessions=self._sessions.values(),
            expired=self._expired,
            live_sessions=self._live_sessions,
            started=self._started,
        )

    def _load_named_sessions(self) -> None:
        for command in self._commands:
            match command:
                case Refresh(sid=sid) | End(sid=sid):
                    self._add(self._all(_SESSION_LIVE, sid, self._now_ms))
                case Sweep(sessions_max=sessions_max):
                    self._expired += map(_session, self._all(_SESSIONS_EXPIRED, self._now_ms, sessions_max))
                case Grant():
                    pass

    def _load_oldest_sessions(self) -> None:
        for key, grants in Counter(grant.client_key for grant in self._grants).items():
            client = self._client(key)
            if client is None:
                continue
            live = self._live_sessions[key] = self._all(_SESSIONS_COUNT, key, self._now_ms)[0][0]
            if grants > client.sessions_max:
                self._crowded.add(key)
            excess = live + grants - client.sessions_max
            if excess > 0:
                oldest = self._all(_SESSIONS_OLDEST, key, self._now_ms, excess)
                self._started[key] = [row[0] for row in oldest]
                self._add(oldest)

    def _load_seats(self) -> None:
        keys = {session.seat_key for session in self._sessions.values()}
        keys |= {self._seat_key(grant) for grant in self._grants}
        for key in keys:
            if key is not None:
                self._add_seats(self._all(_SEAT_ONE, *key))

    def _seat_key(self, grant: Grant) -> SeatKey | None:
        client = self._client(grant.client_key)
        pool = self._tenants[grant.tenant_id].pools.get(grant.pool_id or 0) if client else None
        if client is None or pool is None or pool.duplicates is Duplicates.NONE:
            return None  # Of a session that is still to be made there is no seat.
        return (pool.id, holder_of(pool, client, grant.sid))

    def _load_pools(self) -> None:
        pool_ids = {grant.pool_id for grant in self._grants}
        pool_ids |= {session.pool_id for session in (*self._sessions.values(), *self._expired)}
        for pool_id in pool_ids:
            if pool_id is not None and (found := self._all(_POOL_IN_USE, pool_id)):
                self._in_use[pool_id] = found[0][0]
                self._add_seats(self._all(_SEATS_EXPIRED, pool_id, self._now_ms))

    def _load_earliest_seats(self) -> None:
        touched = len(self._commands) + len(self._sessions)
        wanted = Counter((grant.tenant_id, grant.pool_id) for grant in self._grants)
        for (tenant_id, pool_id), grants in wanted.items():
            if pool_id is None or pool_id not in self._in_use:
                continue
            if self._in_use[pool_id] + grants > self._tenants[tenant_id].pools[pool_id].seats:
                self._add_seats(self._all(_SEATS_EARLIEST, pool_id, self._now_ms, touched + 1))

    def _load_sharing_sessions(self) -> None:
        touched = len(self._sessions)
        renewed = {command.sid for command in self._commands if isinstance(command, Refresh)}
        for session in list(self._sessions.values()):
            if (key := session.seat_key) is None:
                continue
            seat = self._seats.get(key)
            if seat is None:
                continue
            if session.sid in renewed or session.expires_at_ms >= seat.expires_at_ms:
                self._load_sharing(session.client_key, key, touched + 1)
        for grant in self._grants:
            if grant.client_key in self._crowded and (key := self._seat_key(grant)) is not None:
                self._load_sharing(grant.client_key, key, touched + 1)

    def _load_sharing(self, client_key: int, key: SeatKey, limit: int) -> None:
        match key[1].partition(":")[0]:
            case Duplicates.CLIENT:
                of_client = (client_key, *key, self._now_ms, limit)
                self._add(self._all(_SESSIONS_OF_CLIENT_SEAT, *of_client))
            case Duplicates.USER:
                self._add(self._all(_SESSIONS_OF_USER_SEAT, *key, self._now_ms, limit))
            case _:
                pass  # A session that shares with nobody.

    def _client(self, key: int) -> Client | None:
        tenant = self._tenants.get(self._tenant_of_client[key])
        return tenant.clients_by_key.get(key) if tenant else None

    def _all(self, statement: str, *parameters: object) -> list[Any]:
        return self._raw.execute(statement, parameters).fetchall()

    def _add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._sessions.update((row[0], _session(row)) for row in rows)

    def _add_seats(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._seats.update(((row[0], row[1]), _seat(row)) for row in rows)


def _engine(path: Path) -> Engine:
    def connect() -> sqlite3.Connection:
        # No isolation level: a transaction begins and ends where this file says so.
        raw = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            for pragma in _PRAGMAS:
                raw.execute(pragma)
        except sqlite3.Error:
            raw.close()
            raise
        return raw

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def _driver(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what the driver raises into what a store may raise."""
    try:
        yield
    except (sqlite3.IntegrityError, IntegrityError) as fault:
        raise Contradiction(_told(fault)) from fault
    except (sqlite3.Error, SQLAlchemyError, OSError) as fault:
        raise StoreUnavailable(_told(fault)) from fault


def _told(fault: Exception) -> str:
    """What the driver said, without what SQLAlchemy wraps it in."""
    return str(getattr(fault, "orig", None) or fault)


def _session(row: tuple[Any, ...]) -> Session:
    sid, tenant_id, client_key, scope, pool_id, holder, started, renewed, expires, address = row
    return Session(
        sid=sid,
        tenant_id=tenant_id,
        client_key=client_key,
        scope=scope,
        pool_id=pool_id,
        holder=holder,
        started_at_ms=started,
        renewed_at_ms=renewed,
        expires_at_ms=expires,
        address=address,
    )


def _seat(row: tuple[Any, ...]) -> Seat:
    pool_id, holder, tenant_id, client_id, initials, taken, expires = row
    return Seat(
        pool_id=pool_id,
        holder=holder,
        tenant_id=tenant_id,
        client_id=client_id,
        initials=initials,
        taken_at_ms=taken,
        expires_at_ms=expires,
    )
