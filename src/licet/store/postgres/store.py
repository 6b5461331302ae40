"""Implements the store for many nodes: one PostgreSQL database, whose clock is the only clock.

The rules:

- A batch is one transaction in two round trips: begin, lock, load; then save and commit. Between them the
  ledger decides.
- A batch locks the tenants of its commands, by advisory locks taken in ascending order; row locks would make
  the nodes that meet there wait in a convoy. All batches share the lock of the set-up, which a change of the
  set-up takes exclusively: it waits for them and they wait for it, so there is no deadlock.
- READ COMMITTED: a statement sees what was committed before it began, and it begins when the locks are held.
- What is answered is committed, on the synchronous standby too where there is one: a warning at COMMIT, or no
  reply to it, is a fault and never an answer.
- Behind the locks the tables guard: a unique (pool, holder), and a check of the seats in use.

Rare statements go through SQLAlchemy, on the same connection. It is imported with the first of them:
a process that only commits has none.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from psycopg.pq import TransactionStatus

from licet.clock import FollowingClock
from licet.ledger.book import Book, Change
from licet.ledger.commands import Command
from licet.ledger.prefetch import Need
from licet.model import Tenant
from licet.store.contract import (
    BUSY_S,
    REPORT_S,
    REPORTS_MAX,
    Differences,
    LiveSessions,
    PoolLine,
    Purpose,
    Transaction,
)
from licet.store.counters import count
from licet.store.errors import Collided, Outdated
from licet.store.lines import lines_of
from licet.store.migrate import must_be_current, schema_of, upgrade
from licet.store.pool import ConnectionPool
from licet.store.postgres import load_statements
from licet.store.postgres.batch import BEGIN, SETUP_LOCK, Batch, must_hold, send_commit
from licet.store.postgres.book import Loaded, load_used, parameters
from licet.store.postgres.connection import DriverConnection, Link, Wire
from licet.store.postgres.reading import Reading, read_live, start_reading
from licet.store.postgres.saving import save
from licet.store.postgres.watcher import CHANNEL, Watcher
from licet.store.snapshots import Ask, Tenants, read_version
from licet.store.unfolded import Unfolded

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.ledger.denied_again import Repeated

ANSWER_S = 1.5  # a batch or a read that takes longer is a store out of reach; a caller waits for two at most
STEP_S = BUSY_S + ANSWER_S  # of a change of the set-up: it may have to wait for the batches
READ_S = 300.0  # of the whole store, or of a migration

_LOCKS: Mapping[Purpose, bytes] = {
    Purpose.SETUP: f"SELECT pg_advisory_xact_lock({SETUP_LOCK}, 0)".encode(),
    Purpose.UPKEEP: f"SELECT pg_advisory_xact_lock_shared({SETUP_LOCK}, 0)".encode(),
    Purpose.NOTE: f"SELECT pg_advisory_xact_lock_shared({SETUP_LOCK}, 0)".encode(),
}
_PATIENT = (
    f"SELECT set_config('lock_timeout', '{BUSY_S:.0f}s', true),"
    f" set_config('idle_in_transaction_session_timeout', '{BUSY_S:.0f}s', true)"
).encode()
_MOMENT = (
    b"SELECT greatest(%s::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint),"
    b" (SELECT version FROM setup)"
)
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
_NOTIFY = f"SELECT pg_notify('{CHANNEL}', '') FROM setup WHERE version <> %s::bigint".encode()

_WRITER = {
    # A batch that is one call says no BEGIN, and the default of a database or role may be another: then the
    # call would see what there was before it had its locks.
    "default_transaction_isolation": "read\\ committed",
    # One plan for all batches, made once; it must be good for any number of rows. So it is made of indexes
    # and loops, whatever the statistics say of tables that were empty when it was made.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    # Of two indexes that cost nearly the same it takes the one in the order asked for, however deep that is
    # and however the database is tuned: `seat_of` would read all seats of a pool by the other one.
    "cpu_operator_cost": "0.0001",
    "random_page_cost": "4",
    "enable_hashagg": "off",  # sized for the worst estimate, while few rows come
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_READER = {**_WRITER, "statement_timeout": "1400ms"}
# A report is limited by its time alone: vacuum cannot remove the rows that its snapshot sees.
_REPORTER = {
    "statement_timeout": f"{REPORT_S:.0f}s",
    "idle_in_transaction_session_timeout": f"{REPORT_S:.0f}s",
    "jit": "off",
}


def _waits(answer_s: float) -> dict[str, str]:
    """How long a transaction may be idle, and wait for the locks of another one.

    A node that stops in a transaction keeps others waiting, but for less than they wait at most.
    """
    return {
        "idle_in_transaction_session_timeout": f"{answer_s / ANSWER_S * 1000:.0f}ms",
        "lock_timeout": f"{answer_s / ANSWER_S * 1300:.0f}ms",
    }


class PostgresStore:
    """A store in a database. `create` makes the tables when there are none.

    `writes_soon`: connect for the first commit at once, beside the connection that reads the set-up.
    `answer_s` is how long a batch, and a read, may take before the store counts as out of reach.
    Raises StoreUnavailable, SchemaOutdated.
    """

    differences = Differences(
        many_machines=True, tenants_apart=True, answer_within_s=ANSWER_S + 0.3, notifies_changes=True
    )

    def __init__(
        self, url: str, *, create: bool = False, writes_soon: bool = False, answer_s: float = ANSWER_S
    ) -> None:
        self.clock = FollowingClock()
        self._answer_s = answer_s
        self.collisions: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self._tenants = Tenants()
        self._unfolded = Unfolded()
        waits = _waits(answer_s)
        self._writer = Link(url, "writer", _WRITER | waits, writes=True)
        self._reader = Link(url, "reader", _READER | waits)
        self._looker = Link(url, "looker")
        self._whole = Link(url, "whole")
        self._reporters = ConnectionPool(partial(Link, url, "reporter", _REPORTER), most=REPORTS_MAX)
        self._watcher = Watcher(url, self.refresh_tenants, ANSWER_S)
        self.place = self._writer.place
        if writes_soon:
            self._writer.begin()
        try:
            if create:
                with _alone(self._writer) as connection:
                    upgrade(connection)
            with _reading(self._looker, STEP_S) as wire:
                _must_be_current(wire.ask)
                self._refresh(wire.ask)
            self._hear()
        except BaseException:
            self.close()
            raise

    def tenant(self, name: str) -> Tenant | None:
        """The tenant as last read; no I/O."""
        return self._tenants.by_name.get(name)

    def tenants(self) -> Mapping[int, Tenant]:
        """All tenants by their id, as last read; no I/O."""
        return self._tenants.by_id

    @property
    def identity(self) -> str:
        """Always '': whatever answers at the URL is the store, also after a failover."""
        return ""

    @property
    def setup_version(self) -> int:
        """The version of the set-up that `tenants` are of; a later one is greater."""
        return self._tenants.version

    def refresh_tenants(self) -> None:
        """Read again what has changed of the set-up.

        Raises StoreUnavailable.
        """
        with self._looking() as wire:
            self._refresh(wire.ask)

    @contextmanager
    def reading(self) -> "Iterator[Connection]":
        """A connection that sees the store at one instant.

        Raises StoreUnavailable.
        """
        with _reading(self._whole, READ_S, wrap=True) as wire:
            yield wire.connection

    @contextmanager
    def looking(self) -> Iterator[Ask]:
        """As `reading`, by statements of the driver's own, without SQLAlchemy.

        Raises StoreUnavailable.
        """
        with _reading(self._looker, STEP_S) as wire:
            yield wire.ask

    @contextmanager
    def reporting(self) -> "Iterator[Connection]":
        """As `reading`, on a connection that no request waits for; several threads at once.

        Raises StoreUnavailable.
        """
        with (
            self._reporters.taken(BUSY_S) as link,
            _reading(link, math.inf, within_s=REPORT_S, wrap=True) as wire,
        ):
            yield wire.connection

    @contextmanager
    def transaction(self, purpose: Purpose = Purpose.SETUP) -> Iterator[Transaction]:
        """Begin; commit at the end of the block, roll back when it raises.

        Raises StoreUnavailable, Collided, Contradiction.
        """
        try:
            if purpose is Purpose.BATCH:
                with self._writer.using(self._answer_s) as wire, ExitStack() as pipelines:
                    batch = Batch(wire, pipelines, self._tenants, self._unfolded, self.clock)
                    try:
                        yield batch
                        batch.commit()
                    except Outdated:
                        raise
                    except BaseException:
                        batch.forget()
                        raise
                    count(self.counted, batch.changes, batch.repeated, batch.denied)
            else:
                with self._writer.using(math.inf, each_s=STEP_S) as wire:
                    change = _Change(wire, self._tenants, self._unfolded, self.clock, purpose)
                    yield change
                    change.commit()
                    count(self.counted, change.changes)
        except Collided as fault:
            self.collisions[fault.name] += 1
            raise

    def read_sessions(self, sids: Sequence[bytes]) -> LiveSessions:
        """Those of these sessions that live at the database's now, with the numbers of their seats.

        Raises StoreUnavailable.
        """
        with self._reader.using(self._answer_s) as wire:
            found = read_live(wire.raw, sids, self.clock.heard_ms, is_numbered=self._tenants.is_any_signed)
            self.clock.hear(found.now_ms)
            return found

    def start_reading(self, sids: Sequence[bytes]) -> Reading | None:
        """Ask for these sessions, and do not wait for the answer; None where `read_sessions` has to."""
        is_numbered = self._tenants.is_any_signed
        return start_reading(self._reader, self.clock, sids, is_numbered=is_numbered)

    def read_lines(self, pool_ids: Collection[int]) -> dict[int, PoolLine]:
        """Who waits for seats of these pools.

        Raises StoreUnavailable.
        """
        with self._looking() as wire:
            return lines_of(wire.ask, pool_ids, self.clock.now_ms())

    def probe(self) -> None:
        """Return if the store answers and its tables are of this version.

        Raises StoreUnavailable, SchemaOutdated.
        """
        with self._looking() as wire:
            _must_be_current(wire.ask)
        self._hear()

    def watch(self) -> None:
        """From now on listen for changes of the set-up, and stand for election as leader."""
        self._watcher.start()

    def is_leader(self) -> bool:
        """Whether this node is the leader, which removes what has expired or is too old; no I/O."""
        return self._watcher.is_leader

    def upkeep(self) -> None:
        """Nothing: the database maintains itself."""

    def settle(self) -> None:
        """Nothing: whoever folds is in no batch's way there."""

    def close(self) -> None:
        """Close the connections."""
        self._watcher.close()
        for link in (self._writer, self._reader, self._looker, self._whole, *self._reporters.close()):
            link.close()

    def _looking(self) -> AbstractContextManager[Wire]:
        # A set-up may be large: the limit is for each statement.
        return _reading(self._looker, self._answer_s)

    def _refresh(self, ask: Ask) -> None:
        before = self._tenants.version
        version = read_version(ask)
        if version != self._tenants.version:
            self._tenants.refresh(ask, version, before)

    def _hear(self) -> None:
        """Set the clock by the database's: that of an idle node must not drift."""
        with self._looker.using(self._answer_s) as wire:
            [row] = wire.raw.execute(_MOMENT, [self.clock.heard_ms])
            self.clock.hear(row[0])


class _Change:
    """A transaction of the set-up, alone in the store, or of upkeep; see `contract.Transaction`."""

    def __init__(
        self, wire: Wire, tenants: Tenants, unfolded: Unfolded, clock: FollowingClock, purpose: Purpose
    ) -> None:
        self._raw, self._ask = wire.raw, wire.ask
        self._connection = None if purpose is Purpose.NOTE else wire.wrap()
        self._tenants = tenants
        self._unfolded = unfolded
        self._changes_setup = False
        self.changes: list[Change] = []  # that were saved
        self._is_alone = purpose is Purpose.SETUP
        _begin(self._raw, purpose)
        [(self.now_ms, self._version)] = self._raw.execute(_MOMENT, [clock.heard_ms])
        clock.hear(self.now_ms)

    @property
    def connection(self) -> "Connection":
        """For changes of the set-up that must hold together with what the ledger decides."""
        assert self._connection is not None, "a note changes no set-up"
        self._changes_setup = True
        return self._connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Execute a statement of the driver's own, with a `?` for each value."""
        self._raw.execute(statement.replace("?", "%s").encode(), values)

    def repeat(self, commands: Sequence[Command]) -> "Sequence[Repeated | None]":
        """Nothing is remembered."""
        return [None] * len(commands)

    def recall(self, commands: Sequence[Command]) -> Book | None:
        """None: nothing is remembered."""

    def load(self, commands: Sequence[Command]) -> Book:
        """Fill the book of these commands, as `licet.ledger.prefetch` says."""
        assert self._is_alone, "upkeep touches no seat"
        tenants = self._current_tenants()
        need = Need(commands, tenants)
        asked = parameters(need, locked=None, least_ms=0, now_ms=self.now_ms)
        loaded = Loaded(load_statements.WHOLE.ask(self._raw, asked), load_used(self._raw, need))
        loaded.add_options(self._raw, need, None)
        return loaded.book(tenants, need)

    def save(self, book: Book) -> None:
        """Write the net effect of the book's changes, and the journal of them."""
        with self._raw.pipeline():
            save(self._raw, book, self._unfolded)
        self.changes += book.changes

    def commit(self) -> None:
        """Commit, and notify the other nodes when the set-up changed."""
        with self._raw.pipeline():
            if self._changes_setup:
                self._raw.execute(_NOTIFY, [self._version])
            commit = send_commit(self._raw)
        must_hold(self._raw, commit)

    def _current_tenants(self) -> dict[int, Tenant]:
        if self._changes_setup:
            version = read_version(self._ask)
            if version != self._version:  # A set-up that is not committed yet is not cached.
                return Tenants().refresh(self._ask, version)
        if self._version == self._tenants.version:
            return self._tenants.by_id
        return self._tenants.refresh(self._ask, self._version)


@contextmanager
def migrating(url: str) -> "Iterator[Connection]":
    """A connection in a transaction of its own, of whatever version the tables are: for `migrate`.

    Raises StoreUnavailable.
    """
    link = Link(url, "migration")
    try:
        with _alone(link) as connection:
            yield connection
    finally:
        link.close()


@contextmanager
def _reading(link: Link, each_s: float, within_s: float = math.inf, *, wrap: bool = False) -> Iterator[Wire]:
    """A connection that sees everything at one instant; wrapped, it is SQLAlchemy's as well."""
    with link.using(within_s, each_s=each_s) as wire:
        if wrap:
            wire.wrap()
        wire.raw.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield wire
        wire.raw.execute(b"ROLLBACK")


@contextmanager
def _alone(link: Link) -> "Iterator[Connection]":
    """In a transaction for which every batch of every node waits."""
    with link.using(math.inf, each_s=READ_S) as wire:
        connection = wire.wrap()
        _begin(wire.raw, Purpose.SETUP)
        yield connection
        if wire.raw.info.transaction_status == TransactionStatus.INTRANS:  # Alembic may have committed.
            wire.raw.execute(b"COMMIT")


def _must_be_current(ask: Ask) -> None:
    must_be_current(schema_of({name for (name,) in ask(_TABLES)}, ask))


def _begin(raw: DriverConnection, purpose: Purpose) -> None:
    raw.execute(b"; ".join((BEGIN, _PATIENT, _LOCKS[purpose])))
