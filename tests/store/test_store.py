"""What every store promises (`licet.store.contract`), tried on each kind of store there is.

A test that gets `place` or `store` runs on every kind; what only one kind can suffer, like the loss of a
file, comes last.
"""

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, FromClause, Table, delete, func, insert, select, update

from licet.clock import ManualClock
from licet.journal.folding import fold_journal
from licet.lanes.commit import apply_all, commit
from licet.ledger.book import Book, SeatTaken, SessionRenewed, SessionStarted
from licet.ledger.commands import (
    ClientRefused,
    Command,
    Denied,
    Ended,
    Granted,
    Outcome,
    SessionUnknown,
    Sweep,
    Swept,
)
from licet.ledger.rules import apply
from licet.model import Duplicates, EndReason, NoSeatReason, Pool, Scope, Seat, Session, Tenant, TokenFormat
from licet.store import migrate, schema
from licet.store.contract import Store, Transaction
from licet.store.errors import Contradiction, SchemaOutdated, SchemaUnknown, StoreUnavailable
from licet.store.sqlite.store import SqliteStore, _driver
from licet.units import HOUR_MS, MINUTE_MS
from support.examples import (
    ALL,
    CLIENTS,
    FULL,
    VIEW,
    add_tenant,
    bump,
    client,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.kinds import Opener, Place

SESSION_S = 1200
SESSION_MS = SESSION_S * 1000
START_MS = 472_223 * HOUR_MS  # a whole hour
SMALL = replace(FULL, seats=1)
BY_USER = replace(FULL, duplicates=Duplicates.USER)
EACH = replace(FULL, duplicates=Duplicates.NONE)
TWINS = (client(1, "Desktop", "TC"), client(2, "Phone", "TC"), client(3, "Other", "OT"))
REPORTS = Pool(id=2, name="reports", seats=1)
REPORT = Scope(name="report", licensed=True, read_only=True, pool="reports")
OTHER = jim_test(
    id=2,
    name="Other",
    pools=(Pool(id=9, name="full", seats=1),),
    clients=(client(50, "TestClientId", "TC"),),
)
JOURNALS = (schema.journal, schema.journal_entry, schema.usage_minute, schema.usage_hour)
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store without tenants, made once."""
    path = tmp_path_factory.mktemp("empty") / "licet.db"
    SqliteStore(path, ManualClock(), create=True).close()
    return path


@pytest.fixture
def sqlite_file(empty_file: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return Path(shutil.copy(empty_file, tmp_path))


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, empty."""
    place = make_place(START_MS)
    yield place
    place.close()


def begin(place: Place, *tenants: Tenant) -> Store:
    """The first store, with these tenants."""
    store = place.open()
    with store.transaction() as transaction:
        for tenant in tenants or (jim_test(),):
            add_tenant(transaction.connection, tenant)
    store.refresh_tenants()
    return store


@pytest.fixture
def store(place: Place) -> Store:
    """A store with the tenant `Jim_Test`."""
    return begin(place)


def do(store: Store, *commands: Command) -> list[Outcome]:
    """Commit these commands together; none of them may fail."""
    outcomes = []
    for outcome in commit(store, commands):
        assert not isinstance(outcome, Exception), outcome
        outcomes.append(outcome)
    return outcomes


def book_of(store: Store, *commands: Command) -> Book:
    """What a transaction loads for these commands."""
    with store.transaction() as transaction:
        return transaction.load(commands)


def rows(store: Store, table: FromClause, **columns: object) -> list[Any]:
    """The rows of a table, in the order of its primary key."""
    query = select(table).filter_by(**columns).order_by(*table.primary_key)
    with store.reading() as connection:
        return list(connection.execute(query))


def folded(store: Store) -> list[Any]:
    """The journal when all of it is folded."""
    while fold_journal(store):
        pass
    return rows(store, schema.journal)


def counts(store: Store) -> dict[str, int]:
    """How many rows each table has."""
    with store.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in schema.metadata.sorted_tables
        }


def numbers(sids: Iterator[bytes] | Sequence[bytes] | dict[bytes, Session]) -> list[int]:
    """The numbers of these sessions."""
    return sorted(int.from_bytes(it, "big") for it in sids)


def in_use(store: Store, pool_id: int = 1) -> int:
    """The seats of a pool that are in use or wait to be freed."""
    [pool] = rows(store, schema.pool, id=pool_id)
    assert pool.in_use == len(rows(store, schema.seat, pool_id=pool_id))
    return int(pool.in_use)


def stagger(place: Place, store: Store, *commands: Command) -> None:
    """Commit these commands one by one, a second apart."""
    for command in commands:
        do(store, command)
        place.clock.advance(seconds=1)


class Undone(Exception):
    """What a test raises to have a transaction rolled back."""


@contextmanager
def undone(store: Store) -> Iterator[Transaction]:
    """A transaction that is rolled back at the end of the block."""
    with suppress(Undone), store.transaction() as transaction:
        yield transaction
        raise Undone


@contextmanager
def saving(store: Store, *commands: Command) -> Iterator[tuple[Transaction, Book]]:
    """A transaction and its book, which is saved at the end of the block."""
    with store.transaction() as transaction:
        book = transaction.load(commands)
        yield transaction, book
        transaction.save(book)


def everything(store: Store) -> dict[Table, list[Any]]:
    """All rows of all tables."""
    return {table: rows(store, table) for table in schema.metadata.sorted_tables}


class TestWhatABookHolds:
    """`licet.ledger.prefetch`, clause by clause; `test_prefetch.py` says that it is enough."""

    def test_it_holds_every_tenant_as_it_was_set_up(self, place: Place) -> None:
        """Every tenant."""
        jim = jim_test(
            pools=(replace(BY_USER, expires_at_ms=START_MS), REPORTS),
            scopes=(VIEW, ALL, REPORT),
            clients=(*TWINS, replace(CLIENTS[3], enabled=False, scopes=frozenset({"view", "all"}))),
            session_ttl_s=60,
            access_ttl_s=30,
            no_seat_status=429,
            token_format=TokenFormat.JWT,
        )
        store = begin(place, jim, OTHER)
        book = book_of(store)
        versions = {key: tenant.version for key, tenant in book.tenants.items()}
        assert book.tenants == {1: replace(jim, version=versions[1]), 2: replace(OTHER, version=versions[2])}
        assert versions[1] < versions[2]
        assert (book.sessions, book.seats, book.changes) == ({}, {}, [])

    def test_it_holds_the_sessions_that_a_refresh_and_an_end_name_if_they_live(
        self, place: Place, store: Store
    ) -> None:
        """Of each Refresh and End: its session, if it is alive."""
        do(store, grant(1, 1), grant(2, 2))
        place.clock.advance(seconds=1)
        do(store, grant(3, 3), view(4, 4), grant(5, 5))
        commands = refresh(1, 1), end(2), refresh(3, 3), end(4), end(404)
        place.clock.advance(seconds=SESSION_S - 1.001)
        assert numbers(book_of(store, *commands).sessions) == [1, 2, 3, 4]
        place.clock.advance(seconds=0.001)
        book = book_of(store, *commands)
        assert numbers(book.sessions) == [3, 4]
        assert book.sessions[sid(3)] == Session(
            sid=sid(3),
            tenant_id=1,
            client_key=3,
            scope="all",
            pool_id=1,
            holder="client:Client2",
            started_at_ms=START_MS + 1000,
            renewed_at_ms=START_MS + 1000,
            expires_at_ms=START_MS + 1000 + SESSION_MS,
            address="192.0.2.1",
        )

    def test_it_holds_as_many_of_the_oldest_sessions_of_a_client_as_its_grants_may_end(
        self, place: Place
    ) -> None:
        """Of each client with n grants: how many sessions live, and as many of the oldest as n may end."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=4), *CLIENTS[1:])))
        stagger(place, store, *(grant(1, number) for number in range(1, 5)), refresh(1, 1), grant(2, 9))
        one, three = grant(1, 5), [grant(1, number) for number in range(5, 8)]
        book = book_of(store, one)
        assert (book.live_sessions[1], numbers(list(book.started[1]))) == (4, [1])
        assert list(book_of(store, *three).started[1]) == [sid(1), sid(2), sid(3)]
        do(store, end(2))
        book = book_of(store, *three)
        assert (book.live_sessions[1], list(book.started[1])) == (3, [sid(1), sid(3)])
        assert set(book.started[1]) <= set(book.sessions)

    def test_sessions_that_expired_are_not_among_those_of_a_client(self, place: Place) -> None:
        """Of each client: how many sessions of it live."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=2), *CLIENTS[1:])))
        stagger(place, store, grant(1, 1), grant(1, 2))
        place.clock.advance(seconds=SESSION_S - 2)
        book = book_of(store, grant(1, 3))
        assert book.live_sessions[1] == 1
        do(store, grant(1, 3))
        assert numbers([row.sid for row in rows(store, schema.session)]) == [1, 2, 3]

    def test_it_holds_as_many_expired_sessions_as_a_sweep_asks_for_the_first_to_expire_first(
        self, place: Place, store: Store
    ) -> None:
        """Of each Sweep: that many expired sessions."""
        stagger(place, store, grant(1, 1), grant(2, 2), view(3, 3), grant(1, 4))
        place.clock.advance(seconds=SESSION_S - 2)
        assert numbers(book_of(store, Sweep(sessions_max=10)).expired) == [1, 2, 3]
        book = book_of(store, Sweep(sessions_max=2))
        assert numbers(book.expired) == [1, 2]
        assert book.in_use == {1: 2}
        assert do(store, Sweep(sessions_max=2)) == [Swept(sessions=2)]
        assert do(store, Sweep(sessions_max=2)) == [Swept(sessions=1)]
        assert do(store, Sweep(sessions_max=2)) == [Swept(sessions=0)]

    def test_it_holds_the_seats_of_its_sessions_and_of_the_holders_that_ask(self, place: Place) -> None:
        """Of every session so far: its seat; of each Grant: the seat of its holder."""
        store = begin(place, jim_test(pools=(BY_USER,), clients=(*TWINS, *CLIENTS[3:])))
        do(store, *(grant(key, key) for key in (1, 3, 4, 5)))
        book = book_of(store, refresh(3, 3), end(4), grant(2, 9))
        assert {(1, "user:OT"), (1, "user:C3"), (1, "user:TC")} <= set(book.seats)
        assert book.seats[1, "user:TC"] == Seat(
            pool_id=1,
            holder="user:TC",
            tenant_id=1,
            client_id="Desktop",
            initials="TC",
            taken_at_ms=START_MS,
            expires_at_ms=START_MS + SESSION_MS,
            issued_at_ms=START_MS,
            sources=f"{START_MS // 86_400_000}/0 192.0.2.1",
        )

    def test_it_holds_the_count_and_all_expired_seats_of_each_pool_that_it_may_change(
        self, place: Place
    ) -> None:
        """`Need.counted`: those that seats are asked of, or may be given back to; a refresh does neither."""
        store = begin(
            place, jim_test(pools=(FULL, replace(REPORTS, seats=7)), scopes=(VIEW, ALL, REPORT)), OTHER
        )
        do(store, *(grant(key, key) for key in range(1, 6)), grant(50, 50, pool_id=9, tenant_id=2))
        do(store, *(grant(key, key + 10, scope="report", pool_id=2) for key in range(1, 5)))
        place.clock.advance(seconds=1)
        do(store, refresh(5, 5), grant(6, 16, scope="report", pool_id=2))
        place.clock.advance(seconds=SESSION_S - 1)
        book = book_of(store, grant(7, 7))
        assert book.in_use == {1: 5}
        expired = {seat.holder for seat in book.seats.values() if seat.expires_at_ms <= place.clock.now_ms()}
        assert expired == {"client:TestClientId", *(f"client:Client{number}" for number in range(1, 4))}
        book = book_of(store, end(16))
        assert book.in_use == {2: 5}
        assert len(book.seats) == 5
        assert book_of(store, refresh(6, 16)).in_use == {}
        assert book_of(store, view(1, 20)).in_use == {}
        assert book_of(store, Sweep(sessions_max=100)).in_use == {1: 5, 2: 5, 9: 1}

    def test_it_holds_the_seats_that_expire_first_where_grants_may_fill_a_pool(
        self, place: Place, store: Store
    ) -> None:
        """As many seats as the batch can touch and one more, those that expire first."""
        stagger(place, store, *(grant(key, key) for key in (3, 1, 5, 2, 4)))
        earliest = ["Client2", "TestClientId", "Client4", "Client1", "Client3"]
        assert {(1, f"client:{name}") for name in earliest[:2]} <= set(book_of(store, grant(6, 6)).seats)
        book = book_of(store, refresh(3, 3), refresh(1, 1), grant(6, 6))
        assert {(1, f"client:{name}") for name in earliest[:4]} <= set(book.seats)

    def test_a_denied_client_learns_the_earliest_expiry_whatever_its_batch_renews_and_ends(
        self, place: Place, store: Store
    ) -> None:
        """As many seats as the batch can touch and one more."""
        stagger(place, store, *(grant(key, key) for key in (3, 1, 5, 2, 4)))
        outcomes = do(
            store, grant(6, 6), refresh(3, 3), grant(6, 7), refresh(1, 1), end(5), grant(7, 8), grant(6, 9)
        )
        waits = [it.retry_after_s for it in outcomes if isinstance(it, Denied)]
        assert waits == [SESSION_S - 5, SESSION_S - 4, SESSION_S - 2]

    @pytest.mark.parametrize("ended", [(4,), (4, 3), (3, 4), (4, 2), (4, 3, 2), (1, 4, 2, 3)])
    def test_ending_the_last_to_expire_leaves_the_seat_to_the_next_of_all_that_share_it(
        self, place: Place, ended: tuple[int, ...]
    ) -> None:
        """As many other sessions of that seat as the batch can end and one more, the last to expire."""
        store = begin(place, jim_test(pools=(BY_USER,), clients=TWINS))
        stagger(place, store, *(grant(number % 2 + 1, number) for number in range(1, 5)))
        left = sorted({1, 2, 3, 4} - set(ended))
        assert set(map(sid, left[-1:])) <= set(book_of(store, *map(end, ended)).sessions)
        outcomes = do(store, *map(end, ended))
        released = [isinstance(it, Ended) and it.seat_released for it in outcomes]
        assert released == [False] * (len(ended) - 1) + [not left]
        expiries = [row.expires_at_ms for row in rows(store, schema.seat)]
        assert expiries == [START_MS + (number - 1) * 1000 + SESSION_MS for number in left[-1:]]

    def test_a_session_that_is_renewed_and_ended_in_one_batch_leaves_the_seat_to_the_next(
        self, place: Place, store: Store
    ) -> None:
        """Where an ending session may be the last to expire on its seat."""
        stagger(place, store, *(grant(1, number) for number in range(1, 4)))
        do(store, refresh(1, 1), end(1))
        [seat] = rows(store, schema.seat)
        assert seat.expires_at_ms == START_MS + 2000 + SESSION_MS

    def test_a_session_that_is_renewed_and_superseded_in_one_batch_leaves_the_seat_to_the_next(
        self, place: Place
    ) -> None:
        """L4, L8. It was not the last to expire on its user's seat, until it was renewed."""
        limited = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        store = begin(place, jim_test(pools=(BY_USER,), clients=limited))
        stagger(place, store, grant(1, 1), grant(2, 2))
        do(store, refresh(1, 1), view(1, 3))
        assert in_use(store) == 1
        assert [row.expires_at_ms for row in rows(store, schema.seat)] == [START_MS + 1000 + SESSION_MS]


class TestSupersedingWithinABatch:
    """L8, L4: a client that asks more than once in a batch may end a session that this very batch began.

    The seat of that session may be another client's as well, whose session no command of the batch names.
    """

    def test_a_view_session_that_supersedes_a_session_of_its_batch_leaves_the_seat_of_the_user(
        self, place: Place
    ) -> None:
        """L4. A seat is held while at least one of its sessions lives."""
        limited = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        store = begin(place, jim_test(pools=(replace(BY_USER, seats=1),), clients=limited))
        do(store, grant(2, 1))
        do(store, grant(1, 2), view(1, 3))
        assert in_use(store) == 1
        [renewed, denied] = do(store, refresh(2, 1), grant(3, 4))
        assert isinstance(renewed, Granted)
        assert isinstance(denied, Denied)

    def test_a_session_of_another_pool_that_supersedes_one_of_its_batch_leaves_the_seat_of_the_user(
        self, place: Place
    ) -> None:
        """L4. The seat lives on until the other client's session expires."""
        limited = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        tenant = jim_test(pools=(BY_USER, REPORTS), scopes=(VIEW, ALL, REPORT), clients=limited)
        store = begin(place, tenant)
        do(store, grant(2, 1))
        place.clock.advance(seconds=1)
        do(store, grant(1, 2), grant(1, 3, scope="report", pool_id=2))
        assert [row.expires_at_ms for row in rows(store, schema.seat, pool_id=1)] == [START_MS + SESSION_MS]


class TestSaving:
    """`Transaction.save`: the net effect, each row once."""

    def test_what_was_decided_is_there_for_every_other_store_at_once(
        self, place: Place, store: Store
    ) -> None:
        """L9."""
        other = place.open()
        do(store, grant(1, 1))
        do(other, refresh(1, 1), grant(1, 2))
        do(store, end(1))
        assert do(other, refresh(1, 1)) == [SessionUnknown()]
        assert isinstance(do(store, refresh(1, 2))[0], Granted)

    def test_a_session_that_began_and_was_superseded_in_one_batch_leaves_no_row(self, place: Place) -> None:
        """L8."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=1),)))
        do(store, *(grant(1, number) for number in range(1, 6)))
        assert numbers([row.sid for row in rows(store, schema.session)]) == [5]
        assert in_use(store) == 1
        assert sum(row.times for row in rows(store, schema.whole_journal)) == 9

    def test_a_seat_that_was_freed_and_taken_again_in_one_batch_is_the_new_holders(
        self, place: Place
    ) -> None:
        """L4."""
        store = begin(place, jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        do(store, grant(1, 1))
        place.clock.advance(seconds=1)
        do(store, end(1), grant(2, 2))
        [seat] = rows(store, schema.seat)
        assert (seat.client_id, seat.taken_at_ms) == ("Phone", START_MS + 1000)
        assert in_use(store) == 1

    def test_an_expired_seat_that_its_own_holder_takes_again_begins_anew(
        self, place: Place, store: Store
    ) -> None:
        """L4."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=SESSION_S)
        do(store, grant(1, 2))
        [seat] = rows(store, schema.seat)
        assert seat.taken_at_ms == START_MS + SESSION_MS
        assert in_use(store) == 1
        assert do(store, Sweep(sessions_max=10)) == [Swept(sessions=1)]
        assert in_use(store) == 1

    def test_a_sweep_frees_expired_seats_and_no_other(self, place: Place, store: Store) -> None:
        """L4."""
        stagger(place, store, grant(1, 1), grant(1, 2), grant(2, 3))
        place.clock.advance(seconds=SESSION_S - 2)
        assert do(store, Sweep(sessions_max=1)) == [Swept(sessions=1)]
        assert in_use(store) == 1
        assert numbers([row.sid for row in rows(store, schema.session)]) == [2, 3]

    def test_overuse_shrinks_with_use_and_never_grows_again(self, store: Store) -> None:
        """L6."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        with store.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=3, overuse=2))
            bump(transaction.connection, 1)
        overuse = []
        for number in range(1, 6):
            do(store, end(number))
            overuse += [row.overuse for row in rows(store, schema.pool)]
        assert overuse == [1, 0, 0, 0, 0]
        assert (
            len(
                [it for it in do(store, *(grant(key, key) for key in range(1, 6))) if isinstance(it, Granted)]
            )
            == 3
        )

    def test_the_same_name_in_two_tenants_is_two_of_everything(self, place: Place) -> None:
        """A tenant's rows are its own."""
        store = begin(place, jim_test(), OTHER)
        do(store, grant(1, 1), grant(50, 2, pool_id=9, tenant_id=2))
        assert (in_use(store, 1), in_use(store, 9)) == (1, 1)
        assert do(store, end(1, tenant_id=2)) == [Ended(session=None, seat_released=False)]
        assert [(row.tenant_id, row.pool, row.client_id) for row in folded(store)] == [
            (1, "full", "TestClientId"),
            (2, "full", "TestClientId"),
        ]


class TestReading:
    """What is read beside the transactions."""

    def test_sessions_are_read_as_long_as_they_live_and_not_a_millisecond_longer(
        self, place: Place, store: Store
    ) -> None:
        """L3."""
        [first] = do(store, grant(1, 1))
        assert isinstance(first, Granted)
        do(store, grant(2, 2), end(2))
        asked = [sid(2), sid(1), sid(404)]
        place.clock.advance(seconds=SESSION_S - 0.001)
        assert store.read_sessions(asked) == (place.clock.now_ms(), {sid(1): first.session})
        place.clock.advance(seconds=0.001)
        assert store.read_sessions(asked) == (place.clock.now_ms(), {})
        assert store.read_sessions([]) == (place.clock.now_ms(), {})

    def test_a_reader_sees_one_instant_while_others_write(self, place: Place, store: Store) -> None:
        """A report adds up."""
        other = place.open()
        query = select(func.count()).select_from(schema.session)
        with store.reading() as connection:
            assert connection.execute(query).scalar_one() == 0
            do(other, grant(1, 1))
            assert connection.execute(query).scalar_one() == 0
        with store.reading() as connection:
            assert connection.execute(query).scalar_one() == 1

    def test_a_reader_does_not_see_what_is_not_committed(self, store: Store) -> None:
        """L9."""
        with store.transaction() as transaction:
            apply_all(transaction, [grant(1, 1)])
            assert store.read_sessions([sid(1)])[1] == {}
        assert numbers(store.read_sessions([sid(1)])[1]) == [1]

    def test_a_store_that_is_well_says_so(self, store: Store) -> None:
        """`probe`."""
        store.probe()


class TestRollingBack:
    """All of a transaction, or nothing of it."""

    def test_a_transaction_that_raises_leaves_nothing(self, place: Place, store: Store) -> None:
        """L9."""
        do(store, grant(1, 1), grant(2, 2))
        before = everything(store)
        place.clock.advance(seconds=SESSION_S)
        with undone(store) as transaction:
            apply_all(transaction, [grant(3, 3), grant(1, 4), Sweep(sessions_max=10)])
            transaction.connection.execute(update(schema.user).values(name="Nobody"))
        assert everything(store) == before
        assert isinstance(do(store, grant(3, 3))[0], Granted)

    def test_a_change_of_the_set_up_that_was_rolled_back_is_not_remembered(
        self, place: Place, store: Store
    ) -> None:
        """The ledger decides on what is true. The version that was not committed is given again."""
        with undone(store) as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=50))
            bump(transaction.connection, 1)
            apply_all(transaction, [grant(1, 1)])
        assert store.tenants()[1].pools[1].seats == 5
        other = place.open()
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=1))
            bump(transaction.connection, 1)
        assert book_of(store).tenants[1].pools[1].seats == 1


class TestContradictions:
    """The tables refuse what cannot be: behind the ledger they are the last to count (L6)."""

    def seat(self, number: int) -> Seat:
        """A seat of a holder that is nobody's yet."""
        return Seat(
            pool_id=1,
            holder=f"client:Nobody{number}",
            tenant_id=1,
            client_id="TestClientId",
            initials="TC",
            taken_at_ms=START_MS,
            expires_at_ms=START_MS + SESSION_MS,
        )

    @contextmanager
    def refused(self, store: Store, *commands: Command) -> Iterator[tuple[Transaction, Book]]:
        """A book that is about to be broken; nothing of it must hold, and the store must go on working."""
        before = everything(store)
        with pytest.raises(Contradiction), saving(store, *commands) as broken:
            yield broken
        assert everything(store) == before
        assert do(store, end(1)) != [Ended(session=None, seat_released=False)]

    def test_a_seat_more_than_there_are_is_refused(self, store: Store) -> None:
        """L6. A check on the pool."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        with self.refused(store, grant(6, 6)) as (_, book):
            book.apply([SeatTaken(seat=self.seat(1))])

    def test_a_seat_that_was_counted_from_a_number_out_of_date_is_refused(self, store: Store) -> None:
        """L6. What a forgotten lock would do: the ledger is told of a seat that another took meanwhile."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        with self.refused(store, grant(6, 6)) as (transaction, book):
            book.in_use_before[1] = book.in_use[1] = 4
            assert isinstance(apply(book, grant(6, 6), transaction.now_ms), Granted)

    def test_a_second_seat_of_one_holder_is_refused(self, store: Store) -> None:
        """L2. A unique constraint on the seat."""
        do(store, grant(1, 1))
        with self.refused(store, grant(1, 2)) as (transaction, book):
            book.seats.clear()
            assert isinstance(apply(book, grant(1, 2), transaction.now_ms), Granted)

    def test_a_session_that_is_there_already_is_refused(self, store: Store) -> None:
        """L5. A unique constraint on the session."""
        [first] = do(store, grant(1, 1))
        assert isinstance(first, Granted)
        with self.refused(store) as (_, book):
            book.apply([SessionStarted(session=first.session)])

    def test_a_renewal_of_a_session_that_is_gone_is_refused(self, store: Store) -> None:
        """L5. As many rows as were decided, or none."""
        first, _ = do(store, grant(1, 1), grant(2, 2))
        assert isinstance(first, Granted)
        with self.refused(store) as (_, book):
            book.apply([SessionRenewed(session=replace(first.session, sid=sid(404)))])

    def test_an_end_of_a_session_that_is_gone_is_refused(self, store: Store) -> None:
        """L4. As many rows as were decided, or none."""
        do(store, grant(1, 1), grant(2, 2))
        with self.refused(store, end(2)) as (transaction, book):
            transaction.connection.execute(delete(schema.session).where(schema.session.c.sid == sid(2)))
            apply(book, end(2), transaction.now_ms)

    def test_a_seat_that_comes_back_twice_is_refused(self, store: Store) -> None:
        """L5. As many rows as were decided, or none."""
        do(store, grant(1, 1), grant(2, 2))
        with self.refused(store, end(2)) as (transaction, book):
            transaction.connection.execute(delete(schema.seat).filter_by(holder="client:Client1"))
            apply(book, end(2), transaction.now_ms)


class TestCommit:
    """One transaction for a batch, and for each command alone when that fails."""

    def test_a_faulty_command_fails_alone(self, store: Store) -> None:
        """One faulty command must not fail its batch."""
        do(store, grant(1, 1))
        answers = commit(store, [grant(2, 2), grant(3, 1), grant(4, 4), refresh(1, 1)])
        assert [type(answer) for answer in answers] == [Granted, Contradiction, Granted, Granted]
        assert numbers([row.sid for row in rows(store, schema.session)]) == [1, 2, 4]
        assert in_use(store) == 3
        assert sum(row.times for row in rows(store, schema.whole_journal, kind="granted")) == 3

    def test_a_lone_faulty_command_is_answered_with_its_fault(self, store: Store) -> None:
        """One faulty command must not fail its batch."""
        do(store, grant(1, 1))
        [answer] = commit(store, [grant(2, 1)])
        assert isinstance(answer, Contradiction)
        assert in_use(store) == 1

    def test_no_commands_are_no_outcomes(self, store: Store) -> None:
        """Nothing happens."""
        before = counts(store)
        assert commit(store, []) == []
        assert counts(store) == before

    def test_commands_are_decided_in_their_order(self, place: Place) -> None:
        """Who comes first is served first."""
        store = begin(place, jim_test(pools=(SMALL,)))
        for first, second in (1, 2), (2, 1):
            outcomes = do(store, grant(first, 10), grant(second, 11), end(10))
            assert [type(outcome) for outcome in outcomes] == [Granted, Denied, Ended]

    def test_a_batch_of_every_client_of_two_tenants_is_decided_as_one_by_one(self, place: Place) -> None:
        """A batch changes when things are done, and not what."""
        commands: list[Command] = [
            *(grant(key, key) for key in range(1, 7)), grant(50, 50, pool_id=9, tenant_id=2), refresh(2, 2),
            grant(50, 51, tenant_id=2, pool_id=9), end(3), grant(6, 8), grant(7, 9), view(7, 10),
        ]  # fmt: skip
        together = begin(place, jim_test(), OTHER)
        one_by_one = do(together, *commands)
        with together.transaction() as transaction:
            for table in (schema.session, schema.seat, *JOURNALS):
                transaction.connection.execute(delete(table))
            transaction.connection.execute(update(schema.pool).values(in_use=0))
        assert one_by_one == [do(together, command)[0] for command in commands]


class TestTheSetUp:
    """A change of the set-up counts from the next transaction on, wherever it was made."""

    def test_a_transaction_sees_what_another_store_changed(self, place: Place, store: Store) -> None:
        """The ledger decides on what is true at its own instant."""
        other = place.open()
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=0))
            bump(transaction.connection, 1)
        assert store.tenants()[1].pools[1].seats == 5
        [denied] = do(store, grant(1, 1))
        assert isinstance(denied, Denied)
        assert denied.reason is NoSeatReason.NO_SEATS
        assert store.tenants()[1].pools[1].seats == 0

    def test_looking_for_changes_finds_them_and_reads_only_what_changed(self, place: Place) -> None:
        """A snapshot of a tenant is one value until the tenant changes."""
        store = begin(place, jim_test(), OTHER)
        jim, other_tenant = store.tenants()[1], store.tenants()[2]
        other = place.open()
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).filter_by(tenant_id=1).values(seats=7))
            bump(transaction.connection, 1)
        assert store.tenant("Jim_Test") is jim
        store.refresh_tenants()
        changed = store.tenant("Jim_Test")
        assert changed is not None
        assert changed.pools[1].seats == 7
        assert store.tenant("Other") is other_tenant
        store.refresh_tenants()
        assert store.tenant("Jim_Test") is changed

    def test_a_client_that_was_disabled_elsewhere_is_refused_at_once(
        self, place: Place, store: Store
    ) -> None:
        """L4. Its sessions are ended in the transaction that disables it."""
        do(store, grant(1, 1), grant(2, 2))
        other = place.open()
        with other.transaction() as transaction:
            apply_all(transaction, [end(1, EndReason.DISABLED)])
            transaction.connection.execute(update(schema.client).filter_by(key=1).values(enabled=False))
            bump(transaction.connection, 1)
        assert do(store, grant(1, 3), refresh(1, 1)) == [ClientRefused(), SessionUnknown()]
        assert in_use(store) == 1

    def test_a_tenant_that_was_removed_is_gone_and_one_that_was_added_is_there(
        self, place: Place, store: Store
    ) -> None:
        """Every tenant."""
        other = place.open()
        with other.transaction() as transaction:
            for table in (schema.scope, schema.client, schema.user, schema.pool):
                transaction.connection.execute(delete(table))
            bump(transaction.connection, 1)
            transaction.connection.execute(delete(schema.tenant))
            add_tenant(transaction.connection, OTHER)
        assert do(store, grant(1, 1)) == [ClientRefused()]
        assert store.tenant("Jim_Test") is None
        assert list(store.tenants()) == [2]
        assert isinstance(do(store, grant(50, 2, pool_id=9, tenant_id=2))[0], Granted)

    def test_a_client_secret_belongs_to_its_client(self, store: Store) -> None:
        """Several secrets per client, each with expiry and last use."""
        with store.transaction() as transaction:
            for name, key in ("a", 1), ("b", 2), ("c", 1):
                transaction.connection.execute(
                    insert(schema.client_secret).values(
                        secret_id=name, tenant_id=1, client_key=key, hash=name.encode(), created_at_ms=1
                    )
                )
            bump(transaction.connection, 1)
        store.refresh_tenants()
        clients = store.tenants()[1].clients
        assert [it.secret_id for it in clients["TestClientId"].secrets] == ["a", "c"]
        assert [it.hash for it in clients["Client1"].secrets] == [b"b"]


class TestTheJournal:
    """L11: what happened is folded by minute, and every time is counted."""

    def test_a_client_in_a_loop_makes_one_row_a_minute(self, place: Place) -> None:
        """L11. However often it is denied."""
        store = begin(place, jim_test(pools=(SMALL,)))
        do(store, grant(1, 1))
        before = counts(store)
        for attempt in range(50):
            place.clock.advance(seconds=1)
            do(store, *(grant(2, 100 * attempt + number) for number in range(4)))
        assert counts(store) == before | {"journal": before["journal"] + 1}
        [denied] = rows(store, schema.journal, kind="denied")
        assert denied.times == 200
        assert (denied.reason, denied.pool, denied.client_id, denied.initials) == (
            "all_in_use", "full", "Client1", "C1",
        )  # fmt: skip
        assert (denied.minute, denied.first_at_ms, denied.last_at_ms) == (
            START_MS // MINUTE_MS, START_MS + 1000, START_MS + 50_000,
        )  # fmt: skip
        assert (denied.seats, denied.in_use, denied.address) == (1, 1, "192.0.2.1")

    def test_each_minute_pool_client_and_reason_has_a_row_of_its_own(self, place: Place) -> None:
        """L11."""
        pools = (SMALL, replace(REPORTS, expires_at_ms=START_MS))
        store = begin(place, jim_test(pools=pools, scopes=(VIEW, ALL, REPORT)))
        do(store, grant(1, 1))
        for _ in range(2):
            do(store, grant(2, 2), grant(3, 3), grant(2, 4, scope="report", pool_id=2), grant(2, 5))
            place.clock.advance(seconds=60)
        minute = START_MS // MINUTE_MS
        found = rows(store, schema.journal, kind="denied")
        assert [(row.minute - minute, row.reason, row.pool, row.client_id, row.times) for row in found] == [
            (at, *rest)
            for at in (0, 1)
            for rest in [
                ("all_in_use", "full", "Client1", 2),
                ("all_in_use", "full", "Client2", 1),
                ("licence_expired", "reports", "Client1", 1),
            ]
        ]

    def test_a_row_shows_the_pool_as_the_last_denial_found_it_and_where_that_came_from(
        self, store: Store
    ) -> None:
        """L11."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        do(store, grant(6, 6))
        with store.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=4, overuse=1))
            bump(transaction.connection, 1)
        do(store, end(1), replace(grant(6, 7), address="192.0.2.9"))
        [denied] = rows(store, schema.journal, kind="denied")
        assert (denied.times, denied.seats, denied.in_use, denied.address) == (2, 4, 4, "192.0.2.9")

    def test_grants_and_endings_are_counted_with_their_reason(self, place: Place) -> None:
        """L11."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=2), *CLIENTS[1:])))
        do(store, *(grant(1, number) for number in range(1, 5)), view(2, 5), refresh(2, 5))
        do(store, end(4), end(5, EndReason.REVOKED), end(5, EndReason.REVOKED))
        found = [(row.kind, row.reason, row.pool, row.client_id, row.times) for row in folded(store)]
        assert sorted(found) == [
            ("ended", "logoff", "full", "TestClientId", 1),
            ("ended", "revoked", "", "Client1", 1),
            ("ended", "superseded", "full", "TestClientId", 2),
            ("granted", "", "", "Client1", 1),
            ("granted", "", "full", "TestClientId", 4),
        ]

    def test_an_expiry_is_counted_in_the_minute_in_which_it_fell_and_not_in_that_of_the_sweep(
        self, place: Place, store: Store
    ) -> None:
        """L11, L4."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=5000)
        do(store, Sweep(sessions_max=10))
        [ended] = [it for it in folded(store) if it.kind == "ended"]
        assert (ended.reason, ended.times) == ("expired", 1)
        assert ended.minute * MINUTE_MS == ended.first_at_ms == ended.last_at_ms == START_MS + SESSION_MS

    def test_rows_never_grow_with_the_number_of_tokens(self, place: Place) -> None:
        """L8, L11. A client that asks for a token at every call."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=5), *CLIENTS[1:])))
        do(store, *(grant(1, number) for number in range(1, 21)))
        folded(store)
        before = counts(store)
        for number in range(1000, 2000, 25):
            do(store, *(grant(1, it) for it in range(number, number + 25)), refresh(1, number + 24))
            place.clock.advance(seconds=1)
        folded(store)
        assert counts(store) == before
        assert before["session"] == 5
        assert before["seat"] == 1
        assert sum(row.times for row in rows(store, schema.whole_journal, kind="granted")) == 1020
        assert sum(row.times for row in rows(store, schema.whole_journal, reason="superseded")) == 1015


class TestUsage:
    """L11: how many seats were in use, minute by minute, and how long each client held them."""

    def minutes(self, store: Store) -> list[tuple[int, int, int, int]]:
        """Since the start: the minute, the seats, the peak, and those in use at its end."""
        found = rows(store, schema.usage_minute)
        return [(row.minute - START_MS // MINUTE_MS, row.seats, row.peak, row.in_use) for row in found]

    def hours(self, store: Store) -> list[tuple[int, str, int]]:
        """Since the start: the hour, the client, and how long it held seats."""
        found = rows(store, schema.usage_hour)
        return [(row.hour - START_MS // HOUR_MS, row.client_id, row.held_ms) for row in found]

    def test_a_minute_has_the_most_in_use_at_once_and_those_in_use_at_its_end(
        self, place: Place, store: Store
    ) -> None:
        """L11. Within a batch as well, and over several."""
        do(store, grant(1, 1), grant(2, 2), end(1), end(2), grant(3, 3))
        assert self.minutes(store) == [(0, 5, 2, 1)]
        place.clock.advance(seconds=59.999)
        do(store, grant(1, 4), grant(2, 5), end(4))
        do(store, end(3))
        assert self.minutes(store) == [(0, 5, 3, 1)]
        place.clock.advance(seconds=0.001)
        do(store, end(5))
        assert self.minutes(store) == [(0, 5, 3, 1), (1, 5, 1, 0)]

    def test_a_minute_in_which_nothing_changed_has_no_row(self, place: Place, store: Store) -> None:
        """L11. Refreshes, shared seats, views and denials change no use."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        place.clock.advance(seconds=60)
        do(store, refresh(1, 1), grant(1, 6), view(7, 7), grant(6, 8), end(6))
        assert self.minutes(store) == [(0, 5, 5, 5)]

    def test_seats_that_expired_come_back_in_the_minute_of_their_expiry(
        self, place: Place, store: Store
    ) -> None:
        """L4, L11. When that was noticed does not matter."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=100)
        do(store, grant(2, 2))
        place.clock.advance(seconds=4000)
        do(store, grant(3, 3))
        assert self.minutes(store) == [
            (0, 5, 1, 1),
            (1, 5, 2, 2),
            (20, 5, 2, 1),
            (21, 5, 1, 0),
            (68, 5, 1, 1),
        ]
        assert self.hours(store) == [(0, "Client1", SESSION_MS), (0, "TestClientId", SESSION_MS)]

    @pytest.mark.parametrize("noticed_by", ["grant", "sweep", "refresh"])
    def test_a_seat_is_held_until_it_expired_and_not_until_that_was_noticed(
        self, place: Place, store: Store, noticed_by: str
    ) -> None:
        """L4, L11."""
        place.clock.advance(seconds=3000)
        do(store, grant(1, 1))
        place.clock.advance(seconds=600)
        do(store, grant(2, 2))
        for _ in range(10):
            place.clock.advance(seconds=1000)
            do(store, view(3, 3), refresh(3, 3), end(3))
        by: dict[str, Command] = {
            "grant": grant(3, 4),
            "sweep": Sweep(sessions_max=1),
            "refresh": refresh(3, 5),
        }
        if noticed_by == "refresh":
            do(store, grant(3, 5))
        do(store, by[noticed_by])
        assert self.hours(store) == [
            (0, "TestClientId", 600_000),
            (1, "Client1", SESSION_MS),
            (1, "TestClientId", 600_000),
        ]

    def test_a_seat_held_over_several_hours_counts_in_each_of_them_to_the_millisecond(
        self, place: Place, store: Store
    ) -> None:
        """L11."""
        place.clock.advance(seconds=3599.999)
        do(store, grant(1, 1))
        for _ in range(8):
            place.clock.advance(seconds=900)
            do(store, refresh(1, 1))
        place.clock.advance(seconds=0.002)
        assert self.hours(store) == []
        do(store, end(1))
        assert self.hours(store) == [
            (0, "TestClientId", 1),
            (1, "TestClientId", HOUR_MS),
            (2, "TestClientId", HOUR_MS),
            (3, "TestClientId", 1),
        ]

    def test_a_seat_that_is_given_back_at_the_full_hour_counts_nothing_in_the_next(
        self, place: Place, store: Store
    ) -> None:
        """L11."""
        place.clock.advance(seconds=3000)
        do(store, grant(1, 1))
        place.clock.advance(seconds=600)
        do(store, end(1))
        assert self.hours(store) == [(0, "TestClientId", 600_000)]

    def test_a_shared_seat_is_held_once_by_whoever_took_it(self, place: Place) -> None:
        """L2, L11."""
        store = begin(place, jim_test(pools=(BY_USER,), clients=TWINS))
        do(store, grant(1, 1))
        place.clock.advance(seconds=10)
        do(store, grant(2, 2), end(1))
        place.clock.advance(seconds=10)
        do(store, end(2), grant(2, 3))
        place.clock.advance(seconds=5)
        do(store, end(3))
        assert self.hours(store) == [(0, "Desktop", 20_000), (0, "Phone", 5000)]

    def test_several_seats_of_one_client_add_up(self, place: Place) -> None:
        """L11."""
        store = begin(place, jim_test(pools=(EACH,)))
        do(store, grant(1, 1), grant(1, 2))
        place.clock.advance(seconds=10)
        do(store, end(1))
        place.clock.advance(seconds=10)
        do(store, end(2), grant(1, 3), end(3))
        assert self.hours(store) == [(0, "TestClientId", 30_000)]

    def test_pools_of_one_name_in_two_tenants_are_counted_apart(self, place: Place) -> None:
        """L11."""
        store = begin(place, jim_test(), OTHER)
        do(store, grant(1, 1), grant(2, 2), grant(50, 3, pool_id=9, tenant_id=2))
        found = rows(store, schema.usage_minute)
        assert [(row.tenant_id, row.pool, row.seats, row.peak) for row in found] == [
            (1, "full", 5, 2),
            (2, "full", 1, 1),
        ]


class TestManyWriters:
    """Two stores on one place: threads, and processes."""

    def test_threads_of_two_stores_never_give_a_seat_too_many_nor_lose_one(self, place: Place) -> None:
        """L6."""
        first = begin(place, jim_test(pools=(replace(EACH, seats=3),)))
        stores = [first, place.open()]
        granted: list[int] = []
        faults: list[object] = []
        barrier = threading.Barrier(4)

        def take_and_give_back(thread: int) -> None:
            store = stores[thread % 2]
            barrier.wait()
            for number in range(1000 * thread, 1000 * thread + 60, 2):
                answers = commit(store, [grant(thread + 1, number), grant(thread + 1, number + 1)])
                mine = [number + at for at, answer in enumerate(answers) if isinstance(answer, Granted)]
                granted.extend(mine)
                answers = [*answers, *commit(store, [end(it) for it in mine])]
                faults.extend(answer for answer in answers if isinstance(answer, Exception))

        threads = [threading.Thread(target=take_and_give_back, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert in_use(first) == 0
        times: Counter[str] = Counter()
        for row in rows(first, schema.whole_journal):
            times[row.kind] += row.times
        assert times["granted"] == times["ended"] == len(granted)
        assert times["granted"] + times["denied"] == 240
        assert max(row.peak for row in rows(first, schema.usage_minute)) <= 3

    def test_two_processes_give_five_seats_five_times(self, place: Place) -> None:
        """L6, L9. Both are killed as soon as they are done; what they were answered holds."""
        store = begin(place, jim_test(pools=(EACH,)))
        barrier = SPAWN.Barrier(2)
        run_processes(partial(_take_seats, place.opener, barrier, first) for first in (1000, 2000))
        assert in_use(store) == 5
        assert len(rows(store, schema.session)) == 5
        assert sum(row.times for row in rows(store, schema.whole_journal, kind="granted")) == 5
        assert sum(row.times for row in rows(store, schema.journal, kind="denied")) == 2 * GRANTS - 5
        first, *_ = numbers([row.sid for row in rows(store, schema.session)])
        [ended] = do(store, end(first))
        assert isinstance(ended, Ended)
        assert ended.seat_released


GRANTS = 40


def run_processes(targets: Iterator[Callable[[], None]]) -> None:
    """Run these beside each other in processes of their own, and wait for their good end."""
    processes = [SPAWN.Process(target=target) for target in targets]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def _take_seats(opener: Opener, barrier: Barrier, first: int) -> None:
    store = opener(ManualClock(START_MS))
    barrier.wait()
    for number in range(first, first + GRANTS):
        [answer] = commit(store, [grant(1, number)])
        assert isinstance(answer, Granted | Denied), answer
    os._exit(0)  # Nothing is closed or flushed, as if it was killed.


class TestAFile:
    """What only a store in one file can meet: SQLite."""

    @pytest.fixture
    def store(self, sqlite_file: Path) -> Iterator[SqliteStore]:
        """A store with the tenant `Jim_Test`, in the file."""
        store = SqliteStore(sqlite_file, ManualClock())
        with store.transaction() as transaction:
            add_tenant(transaction.connection, jim_test())
        yield store
        store.close()

    def fails(self, store: SqliteStore) -> None:
        """Nothing can be done with this store, and it says so in the one way there is."""
        attempts: list[Callable[[], object]] = [
            store.probe,
            store.refresh_tenants,
            partial(store.read_sessions, [sid(1)]),
            partial(commit, store, [grant(1, 1)]),
            partial(commit, store, [grant(1, 1), grant(2, 2)]),
        ]
        for attempt in attempts:
            with pytest.raises(StoreUnavailable):
                attempt()

    def test_a_file_that_is_not_there_is_not_made_unless_asked_for(self, tmp_path: Path) -> None:
        """A mistyped directory is an error, and no empty licence."""
        with pytest.raises(StoreUnavailable):
            SqliteStore(tmp_path / "licet.db", ManualClock())
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(StoreUnavailable):
            SqliteStore(tmp_path / "nowhere" / "licet.db", ManualClock(), create=True)

    def test_a_file_that_is_made_is_readable_by_its_owner_only(self, tmp_path: Path) -> None:
        """It has hashes of passwords. What SQLite puts beside it is no more open."""
        before = os.umask(0)
        try:
            store = SqliteStore(tmp_path / "licet.db", ManualClock(), create=True)
            with store.transaction() as transaction:
                add_tenant(transaction.connection, jim_test())
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        store.close()
        assert set(modes) == {"licet.db", "licet.db-wal", "licet.db-shm"}
        assert set(modes.values()) == {0o600}

    def test_making_a_store_that_is_there_changes_nothing(self, store: SqliteStore) -> None:
        """`create` again, by a second server."""
        commit(store, [grant(1, 1)])
        before = everything(store)
        again = SqliteStore(store.path, ManualClock(), create=True)
        assert everything(again) == before
        again.close()

    @pytest.mark.parametrize("lost", [slice(0, 4096), slice(4096, None)], ids=["head", "body"])
    def test_a_file_that_is_damaged_is_not_opened(self, sqlite_file: Path, lost: slice) -> None:
        """No driver's exception leaves a store."""
        content = bytearray(sqlite_file.read_bytes())
        content[lost] = b"?" * len(content[lost])
        sqlite_file.write_bytes(content)
        with pytest.raises(StoreUnavailable):
            SqliteStore(sqlite_file, ManualClock())

    def test_a_file_of_something_else_is_not_opened(self, tmp_path: Path) -> None:
        """Neither a directory, nor a text, nor another program's tables."""
        with pytest.raises(StoreUnavailable):
            SqliteStore(tmp_path, ManualClock())
        text_file = tmp_path / "text"
        text = "This is not a store.\n" * 1000
        text_file.write_text(text, encoding="utf-8")
        with pytest.raises(StoreUnavailable):
            SqliteStore(text_file, ManualClock(), create=True)
        assert text_file.read_text(encoding="utf-8") == text
        empty = tmp_path / "empty"
        empty.touch()
        with pytest.raises(SchemaOutdated):
            SqliteStore(empty, ManualClock())

    def test_a_file_that_is_damaged_while_it_is_in_use_is_unavailable(self, sqlite_file: Path) -> None:
        """No driver's exception leaves a store."""
        store = SqliteStore(sqlite_file, ManualClock())
        with sqlite_file.open("r+b") as file:
            file.seek(4096)
            file.write(b"?" * (sqlite_file.stat().st_size - 4096))
        with pytest.raises(StoreUnavailable):
            commit(store, [Sweep(sessions_max=1)])
        with pytest.raises(StoreUnavailable):
            store.read_sessions([sid(1)])
        store.close()

    def test_a_file_that_is_moved_away_while_it_is_in_use_is_unavailable_until_it_is_back(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        """L9. Nothing is written where nobody would find it."""
        commit(store, [grant(1, 1)])
        elsewhere = tmp_path / "elsewhere"
        store.path.rename(elsewhere)
        self.fails(store)
        elsewhere.rename(store.path)
        store.probe()
        assert [type(answer) for answer in commit(store, [refresh(1, 1)])] == [Granted]

    def test_a_file_that_is_replaced_while_it_is_in_use_is_unavailable(
        self, store: SqliteStore, empty_file: Path, tmp_path: Path
    ) -> None:
        """L9. Not even by one that is as good."""
        shutil.copy(empty_file, tmp_path / "new")
        (tmp_path / "new").replace(store.path)
        self.fails(store)

    def test_a_file_that_another_process_keeps_locked_is_unavailable_and_can_be_read(
        self, store: SqliteStore
    ) -> None:
        """A wait has a limit. It is set to none here."""
        commit(store, [grant(1, 1)])
        _driver(store._writer).execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            commit(store, [grant(2, 2)])
        store.probe()
        assert numbers(store.read_sessions([sid(1), sid(2)])[1]) == [1]
        other.execute("ROLLBACK")
        other.close()
        assert [type(answer) for answer in commit(store, [grant(2, 2)])] == [Granted]

    def test_a_disk_that_is_full_is_unavailable_and_what_was_answered_holds(self, store: SqliteStore) -> None:
        """L9. There is room for as many pages as there are, and no more."""
        commit(store, [grant(1, 1)])
        raw = _driver(store._writer)
        [pages] = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {pages}")
        before = everything(store)
        with pytest.raises(StoreUnavailable):
            commit(store, [grant(2, number) for number in range(1000, 1100)])
        assert everything(store) == before
        raw.execute("PRAGMA max_page_count = 1000000")
        assert [type(it) for it in commit(store, [refresh(1, 1), grant(2, 2)])] == [Granted, Granted]

    def test_a_disk_that_became_read_only_is_unavailable(self, store: SqliteStore) -> None:
        """No driver's exception leaves a store."""
        commit(store, [grant(1, 1)])
        _driver(store._writer).execute("PRAGMA query_only = ON")
        with pytest.raises(StoreUnavailable):
            commit(store, [refresh(1, 1)])
        assert numbers(store.read_sessions([sid(1)])[1]) == [1]

    @pytest.mark.parametrize(("directory_mode", "file_mode"), [(0o755, 0o444), (0o555, 0o666)])
    def test_a_file_that_may_not_be_written_is_not_opened(
        self, empty_file: Path, directory_mode: int, file_mode: int
    ) -> None:
        """Neither one that is read-only, nor one in a directory that is."""
        with TemporaryDirectory() as directory:
            path = Path(shutil.copy(empty_file, directory))
            path.chmod(file_mode)
            Path(directory).chmod(directory_mode)
            with nobody(), pytest.raises(StoreUnavailable):
                SqliteStore(path, ManualClock())
            Path(directory).chmod(0o755)

    def test_a_store_that_is_opened_beside_another_leaves_it_its_locks(self, store: SqliteStore) -> None:
        """sqlite.org, How To Corrupt, 2.2: a close of the file by hand would take the process's locks away.

        Another process would then take itself for the last, and remove the log that the first still writes.
        """
        SqliteStore(store.path, ManualClock()).close()
        look = (
            "import sys, sqlite3; it = sqlite3.connect(sys.argv[1]);"
            "print(it.execute('SELECT count(*) FROM session').fetchone()[0]); it.close()"
        )
        for count in (0, 1):
            seen = subprocess.run([sys.executable, "-c", look, store.path], capture_output=True, check=True)
            assert int(seen.stdout) == count
            do(store, grant(1, count + 1))

    def test_no_statement_of_a_batch_walks_through_a_table(self, store: SqliteStore) -> None:
        """What a batch costs must not grow with the seats and sessions that it has nothing to do with."""
        raw, said = _driver(store._writer), dict[str, None]()
        raw.set_trace_callback(said.setdefault)
        do(store, grant(1, 1), grant(2, 2), grant(3, 3))
        do(store, refresh(1, 1), refresh(2, 2))
        do(store, end(1), end(2), end(3))
        raw.set_trace_callback(None)
        statements = [it for it in said if it.startswith(("SELECT", "UPDATE", "DELETE"))]
        plans = {it: [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {it}")] for it in statements}
        tables = {"session", "seat", "journal", "journal_entry", "usage_minute", "usage_hour"}
        walks = {(it, step) for it, plan in plans.items() for step in plan if _walked(step) in tables}
        assert len(plans) > 10
        assert not walks

    def test_a_closed_store_is_unavailable(self, store: SqliteStore) -> None:
        """A request that comes late is a fault and no crash."""
        store.close()
        self.fails(store)
        store.close()

    def test_tables_of_another_version_are_not_touched(self, store: SqliteStore) -> None:
        """`licet migrate` mends it; a newer one is not an older server's."""
        with store.transaction() as transaction:
            transaction.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaUnknown):
            store.probe()
        with pytest.raises(SchemaUnknown):
            SqliteStore(store.path, ManualClock())
        with pytest.raises(SchemaUnknown):
            SqliteStore(store.path, ManualClock(), create=True)

    def test_making_a_store_that_was_interrupted_is_finished_the_next_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A migration is one transaction, or is taken up where it stopped."""

        def refuse(action: int, name: str | None, *_: object) -> int:
            is_there = action == sqlite3.SQLITE_CREATE_TABLE and name == "journal"
            return sqlite3.SQLITE_DENY if is_there else sqlite3.SQLITE_OK

        def upgrade_half(connection: Connection) -> None:
            _driver(connection).set_authorizer(refuse)
            migrate.upgrade(connection)

        path = tmp_path / "licet.db"
        with monkeypatch.context() as patch:
            patch.setattr("licet.store.sqlite.store.upgrade", upgrade_half)
            with pytest.raises(StoreUnavailable):
                SqliteStore(path, ManualClock(), create=True)
        SqliteStore(path, ManualClock(), create=True).close()

    def test_two_processes_that_make_a_store_at_once_make_one(self, tmp_path: Path) -> None:
        """A server and a command line that are started together, for the first time."""
        barrier = SPAWN.Barrier(2)
        run_processes(partial(_make, tmp_path / "licet.db", barrier) for _ in range(2))
        SqliteStore(tmp_path / "licet.db", ManualClock()).close()

    def test_what_was_committed_is_brought_into_the_file_while_another_writes(
        self, store: SqliteStore
    ) -> None:
        """`upkeep` keeps no commit waiting, and none keeps it."""
        commit(store, [grant(1, 1)])
        with store.transaction() as transaction:
            apply_all(transaction, [grant(2, 2)])
            store.upkeep()
        store.upkeep()
        copy = Path(shutil.copy(store.path, store.path.with_suffix(".copy")))
        alone = SqliteStore(copy, ManualClock())
        assert numbers(alone.read_sessions([sid(1), sid(2)])[1]) == [1, 2]
        alone.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody who may write only what all may: root may write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _make(path: Path, barrier: Barrier) -> None:
    barrier.wait()
    SqliteStore(path, ManualClock(), create=True).close()


def _walked(step: str) -> str:
    """The table that a step of SQLite's plan reads from one end to the other."""
    return step.split()[1] if step.startswith("SCAN ") else ""
