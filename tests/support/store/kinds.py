"""Makes empty stores of each kind, with a clock that the test moves, for tests that run on all kinds.

A test or fixture that uses `make_place` (in conftest.py) runs once for each kind. A PostgreSQL store takes
the time from its database; there the test's clock is a function `manual.clock_timestamp()`, which the search
path finds before the real one.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import psycopg

from licet.clock import Clock, ManualClock
from licet.model import Tenant
from licet.store import schema
from licet.store.contract import Store
from licet.store.postgres import connection
from licet.store.postgres.store import PostgresStore
from licet.store.sqlite import store as sqlite
from licet.store.sqlite.store import SqliteStore
from support.examples import add_tenant
from support.once.kept_connections import KeptConnections
from support.once.made_once import empty_store
from support.store.postgres import Postgres
from support.store.with_empty_store import EMPTY

KINDS = ("sqlite", "postgres")
PATIENCE_S = 60.0
Opener = Callable[[Clock], Store]

_CLOCK = """
CREATE SCHEMA manual;
CREATE TABLE manual.clock (now_ms bigint NOT NULL);
INSERT INTO manual.clock VALUES (0);
CREATE FUNCTION manual.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  $$ SELECT timestamptz 'epoch' + now_ms * interval '1 millisecond' FROM manual.clock $$;
"""
_DATABASE = "places"
_SEARCH_PATH = "manual,pg_catalog,public"
_TABLES = [table.name for table in reversed(schema.metadata.sorted_tables) if table is not schema.setup]
_CLOCK_OF_CALLS = f"ALTER FUNCTION licet_commit SET search_path = {_SEARCH_PATH}"  # it has a fixed one
_EMPTY = ";".join(
    [
        *(f"DELETE FROM {name}" for name in _TABLES),  # noqa: S608 - names of our own
        "UPDATE setup SET version = 1, seats_lag = true, writer = 0",
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)


class TurnedClock(Clock, Protocol):
    """A clock that only a test moves."""

    def advance(self, *, seconds: float) -> None:
        """Move forward."""


class DatabaseClock:
    """The manual clock in a database."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self.advance(seconds=0)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._now_ms

    def advance(self, *, seconds: float) -> None:
        """Move forward."""
        self._now_ms += round(seconds * 1000)
        self._connection.execute("UPDATE manual.clock SET now_ms = %s", [self._now_ms])


class Place:
    """The data of a store, which can be opened several times with one clock; `url` is that of a database."""

    def __init__(self, opener: Opener, clock: TurnedClock, *, url: str = "") -> None:
        self.opener = opener
        self.clock = clock
        self.url = url
        self._opened: list[Store] = []

    def open(self) -> Store:
        """Open one more store on the same data, as another process would."""
        self._opened.append(self.opener(self.clock))
        return self._opened[-1]

    def close(self) -> None:
        """Close all stores that were opened."""
        for store in self._opened:
            store.close()


def begun_in_postgres(place: Place, *tenants: Tenant) -> PostgresStore:
    """The first store of a place in PostgreSQL, with these tenants."""
    store = opened_in_postgres(place)
    with store.transaction() as transaction:
        for tenant in tenants:
            add_tenant(transaction.connection, tenant)
    store.refresh_tenants()
    return store


def opened_in_postgres(place: Place) -> PostgresStore:
    """One more store of a place in PostgreSQL."""
    store = place.open()
    assert isinstance(store, PostgresStore)
    return store


class SqlitePlaces:
    """Makes places for SQLite, which are copies of an empty store."""

    def __init__(self, directory: Path) -> None:
        self._empty = empty_store(directory / "licet.db")

    def make(self, directory: Path, now_ms: int) -> Place:
        """A place with an empty store, in this directory."""
        path = Path(shutil.copy(self._empty, directory))
        return Place(partial(open_sqlite, path), ManualClock(now_ms))


class PostgresPlaces:
    """Makes places for PostgreSQL in one database, which is emptied each time; so one place at a time."""

    def __init__(self, postgres: Postgres) -> None:
        url = postgres.create_database(_DATABASE, template=EMPTY)
        self._kept = KeptConnections(_DATABASE)
        self.url = f"{url}?options={quote(f'-csearch_path={_SEARCH_PATH} -csynchronous_commit=on')}"
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_CLOCK)
        self._connection.execute(_CLOCK_OF_CALLS.encode())

    def make(self, now_ms: int) -> Place:
        """A place with an empty store."""
        self._connection.execute(_EMPTY.encode())
        return Place(partial(open_postgres, self.url), DatabaseClock(self._connection, now_ms), url=self.url)

    def close(self) -> None:
        """Close the connections to the database."""
        self._kept.close()
        self._connection.close()


def open_sqlite(path: Path, clock: Clock) -> Store:
    """Open a store in a file, with a long time-out for locks, because tests share the machine."""
    busy_s = vars(sqlite)["BUSY_S"]
    vars(sqlite)["BUSY_S"] = PATIENCE_S  # for the connections of this store
    try:
        return SqliteStore(path, clock)
    finally:
        vars(sqlite)["BUSY_S"] = busy_s


def open_postgres(url: str, _: Clock) -> Store:
    """Open a store in a database, with long time-outs, because tests share the machine."""
    waits = {"BUSY_S": PATIENCE_S, "CONNECT_S": PATIENCE_S}  # for the connections of this store
    before = {name: vars(connection)[name] for name in waits}
    vars(connection).update(waits)
    try:
        return PostgresStore(url, answer_s=PATIENCE_S)
    finally:
        vars(connection).update(before)
