"""What every store does with a transaction: saves all of it or nothing, and refuses what cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, update

from licet.lanes.commit import apply_all, commit
from licet.ledger.book import Book, SeatTaken, SessionRenewed, SessionStarted
from licet.ledger.commands import Command, Denied, Ended, Granted, SessionUnknown, Sweep, Swept
from licet.ledger.rules import apply
from licet.model import Pool, Scope, Seat
from licet.options import Share
from licet.store import schema
from licet.store.contract import Store, Transaction
from licet.store.errors import Contradiction
from support.examples import (
    BY_USER,
    CLIENTS,
    SMALL,
    TWINS,
    VIEW,
    bump,
    client,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.store.kinds import Place
from support.store.store_site import (
    JOURNALS,
    OTHER,
    SESSION_MS,
    SESSION_S,
    START_MS,
    begin,
    book_of,
    counts,
    do,
    everything,
    folded,
    in_use,
    numbers,
    rows,
    saving,
    stagger,
    undone,
)


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

    def test_counts_that_shrink_by_different_numbers_in_one_batch_shrink_each_by_its_own(
        self, place: Place
    ) -> None:
        """L16: of two pools."""
        first, second = (
            Pool(id=number, name=name, seats=9, max_per_client=2, max=(Share(who="user:TC", seats=9),))
            for number, name in ((1, "first"), (2, "second"))
        )
        scopes = tuple(
            Scope(name=it.name, licensed=True, read_only=False, pool=it.name) for it in (first, second)
        )
        clients = tuple(client(number, f"Desk{number}", "TC") for number in (1, 2, 3))
        store = begin(place, jim_test(pools=(first, second), scopes=(VIEW, *scopes), clients=clients))
        of_first = [grant(number, number, scope="first") for number in (1, 2, 3)]
        of_second = [grant(number, 3 + number, scope="second", pool_id=2) for number in (1, 2)]
        granted = do(store, *of_first, *of_second)
        assert all(isinstance(it, Granted) for it in granted)
        with store.transaction() as transaction:  # where nothing is tried again one by one
            apply_all(transaction, [end(1), end(2), end(4)])
        left = {(it.pool_id, it.what): it.in_use for it in rows(store, schema.seat_count)}
        assert left == {
            (1, "max=user:TC"): 1,
            **{(1, f"each=client:Desk{number}"): int(number == 3) for number in (1, 2, 3)},
            (2, "max=user:TC"): 1,
            **{(2, f"each=client:Desk{number}"): int(number == 2) for number in (1, 2)},
        }

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
