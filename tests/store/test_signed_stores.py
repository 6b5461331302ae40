"""Signed pools in every store: numbers that the tables keep, and licences that are verified when read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, select, update

from licet.ledger.book import Book, SeatTaken
from licet.ledger.commands import Command, Denied, Granted
from licet.ledger.rules import apply
from licet.store import schema
from licet.store.contract import Purpose, Store, Transaction
from licet.store.errors import Contradiction
from licet.store.rows import rows_of
from support.examples import FULL, bump, end, grant, jim_test, refresh, sid, view
from support.licences.signed_pools import put_licences, text_of, trust
from support.licences.vendors import TestVendor
from support.store.kinds import Place
from support.store.store_site import begin, do, everything, rows, saving

START_S = 1_700_000_000


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, empty."""
    place = make_place(START_S * 1000)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """Its pool has three seats, of which two are signed, and one of overdraft."""
    store = begin(place, jim_test(pools=(replace(FULL, seats=2),)))
    with store.transaction() as transaction:
        trust(transaction.connection)
    install(store, ("C-1", 1, text_of("full", "all", seats=2, overdraft=1, hold=1)))
    return store


def install(store: Store, *licences: tuple[str, int, str]) -> None:
    """These licences, and no others."""
    with store.transaction() as transaction:
        put_licences(transaction.connection, [1], licences)
    store.refresh_tenants()


def seats(store: Store) -> dict[str, int]:
    """Who has which number."""
    return {row.holder.partition(":")[2]: row.number for row in rows(store, schema.seat)}


def why(store: Store, key: int = 7) -> str:
    """Why a client gets no seat."""
    [outcome] = do(store, grant(key, 100 + key))
    assert isinstance(outcome, Denied)
    return outcome.reason.value


def pool(store: Store) -> tuple[int, int, int, int]:
    """Seats in use, overuse, the highest number that was ever used, and how many are free."""
    [row] = rows(store, schema.pool, id=1)
    return row.in_use, row.overuse, row.numbers_used, len(rows(store, schema.seat_free))


class TestNumbers:
    """L13: what the tables keep of them."""

    def test_each_seat_keeps_its_number_and_a_free_one_its_moment(self, place: Place, store: Store) -> None:
        """In one batch and in several."""
        do(store, grant(1, 1), grant(2, 2))
        do(store, grant(3, 3))
        assert seats(store) == {"TestClientId": 1, "Client1": 2, "Client2": 3}
        assert pool(store) == (3, 0, 3, 0)
        place.clock.advance(seconds=1)
        do(store, end(1), refresh(2, 2))
        assert [(row.number, row.from_ms) for row in rows(store, schema.seat_free)] == [
            (1, START_S * 1000 + 1000)
        ]
        assert pool(store) == (2, 0, 3, 1)
        do(store, grant(4, 4))
        assert seats(store) == {"Client3": 1, "Client1": 2, "Client2": 3}
        assert pool(store) == (3, 0, 3, 0)

    def test_two_holders_swap_numbers_in_one_batch(self, place: Place, store: Store) -> None:
        """The index knows each number once at every moment."""
        do(store, grant(1, 1), grant(2, 2))
        place.clock.advance(seconds=1)
        do(store, end(1), end(2), grant(2, 12), grant(1, 11))
        assert seats(store) == {"TestClientId": 2, "Client1": 1}
        assert pool(store) == (2, 0, 2, 0)

    def test_another_process_goes_on_with_the_numbers(self, place: Place, store: Store) -> None:
        """They are nowhere else than in the tables."""
        do(store, grant(1, 1))
        other = place.open()
        other.refresh_tenants()
        do(other, grant(2, 2))
        assert seats(other) == {"TestClientId": 1, "Client1": 2}

    def test_sessions_are_read_with_the_numbers_of_their_seats(self, place: Place, store: Store) -> None:
        """Those that have one; another process reads the same, and one session that ended is gone."""
        do(store, grant(1, 1), grant(2, 2), grant(1, 11), view(3, 3))
        other = place.open()
        asked = [sid(number) for number in (1, 2, 3, 11, 404)]
        for reading in (store, other):
            read = reading.read_sessions(asked)
            assert read.sessions.keys() == {sid(1), sid(2), sid(3), sid(11)}
            assert read.numbers == {sid(1): 1, sid(2): 2, sid(11): 1}
        do(store, end(2))
        assert store.read_sessions(asked).numbers == {sid(1): 1, sid(11): 1}

    def test_free_numbers_go_with_their_pool(self, place: Place, store: Store) -> None:
        """A pool that is removed leaves none behind."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=1)
        do(store, end(1))
        with store.transaction() as transaction:
            connection = transaction.connection
            connection.execute(delete(schema.scope).filter_by(name="all"))
            connection.execute(delete(schema.pool).filter_by(id=1))
        assert rows(store, schema.seat_free) == []


class TestContradictions:
    """The tables refuse what cannot be, behind the ledger."""

    @contextmanager
    def refused(self, store: Store, command: Command) -> Iterator[tuple[Transaction, Book]]:
        """A book that is about to be broken; nothing of it must hold."""
        before = everything(store)
        with pytest.raises(Contradiction), saving(store, command) as broken:
            yield broken
        assert everything(store) == before

    @pytest.mark.parametrize(
        "number",
        [
            pytest.param(0, id="forgotten: a seat without one is one more in use than numbers are"),
            pytest.param(1, id="of another: it is unique in its pool"),
            pytest.param(-1, id="below nought"),
        ],
    )
    def test_a_number_that_cannot_be_is_refused(self, store: Store, number: int) -> None:
        """Whoever wrote another one than the ledger decided."""
        do(store, grant(1, 1))
        with self.refused(store, grant(2, 2)) as (transaction, book):
            apply(book, grant(2, 2), transaction.now_ms)
            book.changes = [
                replace(it, seat=replace(it.seat, number=number)) if isinstance(it, SeatTaken) else it
                for it in book.changes
            ]

    def test_a_free_number_that_another_took_meanwhile_is_refused(self, place: Place, store: Store) -> None:
        """As many rows as were decided, or none: what a forgotten lock would do."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=1)
        do(store, end(1))
        with self.refused(store, grant(2, 2)) as (transaction, book):
            apply(book, grant(2, 2), transaction.now_ms)
            transaction.connection.execute(delete(schema.seat_free))

    def test_a_seat_beyond_the_overdraft_is_refused(self, store: Store) -> None:
        """L6, L14. A check on the pool."""
        do(store, *(grant(key, key) for key in (1, 2, 3)))
        with self.refused(store, grant(4, 4)) as (transaction, book):
            book.in_use_before[1] = book.in_use[1] = 2
            assert isinstance(apply(book, grant(4, 4), transaction.now_ms), Denied)
            book.numbers[1].used, room = 3, book.tenants[1].pools[1]
            seat = next(iter(book.seats.values()))
            assert room.seats == 2
            book.apply([SeatTaken(seat=replace(seat, holder="client:Nobody", number=4), is_new_number=True)])


class TestWhatCounts:
    """Licences are verified again whenever the set-up is read."""

    def edit(self, store: Store, statement: object) -> None:
        """Change the tables by hand, so that every server reads them again."""
        with store.transaction() as transaction:
            transaction.connection.execute(statement)  # type: ignore[call-overload]
            bump(transaction.connection, 1)
        store.refresh_tenants()

    def test_a_number_of_seats_edited_in_the_database_gives_none(self, store: Store) -> None:
        """Nor an overuse that somebody typed."""
        do(store, *(grant(key, key) for key in (1, 2, 3)))
        self.edit(store, update(schema.pool).values(seats=1000, overuse=1000))
        assert why(store) == "all_in_use"

    def test_a_licence_that_was_edited_gives_none(self, store: Store) -> None:
        """Another number under the signature of the first; the pool stays signed."""
        [row] = rows(store, schema.licence)
        more = text_of("full", "all", seats=1000)
        payload, signature = more.split(".")[1], row.text.split(".")[2]
        edited = ".".join([row.text.split(".")[0], payload, signature])
        self.edit(store, update(schema.licence).values(text=edited))
        assert why(store) == "licence_expired"
        self.edit(store, update(schema.licence).values(text="x"))
        assert why(store) == "licence_expired"

    def test_a_licence_of_nobody_who_is_trusted_gives_none(self, store: Store) -> None:
        """Trust that was taken away, and a key of one's own."""
        self.edit(store, delete(schema.vendor))
        assert why(store) == "licence_expired"
        with store.transaction() as transaction:
            trust(transaction.connection, TestVendor())
        self.edit(store, update(schema.tenant).values(scope_default="all"))
        assert why(store) == "licence_expired"

    def test_a_row_that_calls_a_licence_otherwise_gives_none(self, store: Store) -> None:
        """Else one text could be there twice, and add up."""
        for column, value in (("serial", 2), ("licence", "C-2"), ("product", "other")):
            text = text_of("full", "all", seats=2)
            install(store, ("C-1", 1, text))
            do(store, grant(1, 1), end(1))
            self.edit(store, update(schema.licence).values({column: value}))
            assert why(store) == "licence_expired"

    def test_a_licence_of_another_tenant_gives_none(self, store: Store) -> None:
        """To the letter."""
        install(store, ("C-1", 1, text_of("full", "all", seats=2, tenant="jim_test")))
        assert why(store) == "licence_expired"

    def test_a_licence_that_was_removed_gives_none(self, store: Store) -> None:
        """Its row stays, so that it is not installed again."""
        self.edit(store, update(schema.licence).values(removed_at_ms=1))
        assert why(store) == "licence_expired"

    def test_a_pool_that_is_not_signed_has_the_seats_that_were_set(self, store: Store) -> None:
        """Whatever licences there were."""
        self.edit(store, update(schema.licence).values(removed_at_ms=1))
        self.edit(store, update(schema.pool).values(is_signed=False, seats=5))
        outcomes = do(store, *(grant(key, key) for key in range(1, 6)))
        assert [it.seat_number for it in outcomes if isinstance(it, Granted)] == [0] * 5
        assert why(store) == "all_in_use"


def test_a_batch_of_a_pool_without_a_licence_reads_and_writes_nothing_of_numbers(place: Place) -> None:
    """Statement for statement as before; each kind of row that is written is one statement."""
    store = begin(place)
    do(store, grant(1, 1), grant(2, 2))
    commands: list[Command] = [end(1), grant(3, 3), refresh(2, 2), grant(1, 4)]
    with store.transaction(Purpose.BATCH) as transaction:
        book = transaction.load(commands)
        assert not book.numbers
        for command in commands:
            apply(book, command, transaction.now_ms)
        written = {kind for kind, those in rows_of(book)._asdict().items() if those}
        transaction.save(book)
    assert not {kind for kind in written if kind.startswith("numbers")}
    assert {"sessions_gone", "sessions_new", "sessions_renewed", "seats_new", "seats_kept"} <= written
    with store.reading() as connection:
        assert connection.execute(select(schema.pool.c.numbers_used)).scalars().all() == [0]
