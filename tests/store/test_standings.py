"""What is granted again without a book answers and writes what the ledger would have decided on one."""

from contextlib import suppress

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from licet.ledger.commands import ClientRefused, Command, Denied, Granted, Refresh, SessionUnknown
from licet.ledger.holders import holder_of
from licet.model import NoSeatReason, Pool
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.rows import SESSION, to_session
from licet.store.standings import Standings
from licet.units import DAY_MS
from support.examples import (
    BY_USER,
    CLIENTS,
    EACH,
    FULL,
    TWINS,
    bump,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.ledger.asking import NOW_MS, Case
from support.ledger.repeating import counted_again
from support.store.kinds import Place
from support.store.store_site import SESSION_S, START_MS, Undone, begin, do, everything, in_use, numbers, rows

ONE = replace(FULL, seats=1)


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sessions are granted or renewed again from now on, of each commit in which some are."""
    return counted_again(monkeypatch)


@pytest.fixture
def store(place: Place, repeated: list[int]) -> Store:
    """A pool of one seat, whose holder has asked twice: the next time it is granted again."""
    del repeated  # before anything is asked
    store = begin(place, jim_test(pools=(ONE,)))
    do(store, grant(1, 1))
    do(store, grant(1, 2))
    return store


class TestAgain:
    """What is granted again, and what comes of it."""

    def test_a_session_and_its_entry_are_all_that_is_written(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L2, L9, L11. It is a moment later."""
        place.clock.advance(seconds=30)
        before = everything(store)
        [granted] = do(store, grant(1, 3))
        assert repeated == [1]
        assert isinstance(granted, Granted)
        now_ms = START_MS + 30_000
        assert granted.at_ms == granted.session.started_at_ms == granted.session.renewed_at_ms == now_ms
        assert granted.session.expires_at_ms == now_ms + SESSION_S * 1000
        assert granted.session.holder == holder_of(ONE, CLIENTS[0], sid(3))
        row = rows(store, schema.session)[-1]
        assert to_session([getattr(row, name) for name in SESSION.split(", ")]) == granted.session
        entry = rows(store, schema.journal_entry)[-1]
        assert (entry.at_ms, entry.kind, entry.client_id, entry.pool) == (
            now_ms,
            "granted",
            "TestClientId",
            "full",
        )
        after = everything(store)
        changed = {table.name for table in after if after[table] != before[table]}
        assert changed - {"setup", "tenant"} == {"session", "journal_entry"}
        assert store.counted == {"granted": 3}

    def test_a_grant_without_a_seat_is_too(self, place: Place, repeated: list[int]) -> None:
        """L1."""
        store = begin(place)
        do(store, view(1, 1))
        do(store, view(1, 2), view(1, 3))
        assert repeated == [2]
        assert len(rows(store, schema.session)) == 3

    @pytest.mark.parametrize(
        "asked", [replace(grant(1, 3), address="192.0.2.9"), view(1, 3), refresh(1, 1), end(1)]
    )
    def test_whatever_else_is_asked_is_decided_on_a_book(
        self, store: Store, repeated: list[int], asked: Command
    ) -> None:
        """An address, for example, is written with the seat."""
        do(store, asked)
        assert repeated == []

    @pytest.mark.parametrize("pool", [replace(ONE, queue=5), replace(ONE, max_per_client=1), EACH])
    def test_where_more_than_a_session_matters_each_grant_is_decided_on_a_book(
        self, place: Place, repeated: list[int], pool: Pool
    ) -> None:
        """L2, L16, L19."""
        store = begin(place, jim_test(pools=(replace(pool, seats=5),)))
        for number in range(1, 5):
            do(store, grant(1, number))
        assert repeated == []

    def test_in_a_pool_with_a_hold_the_row_of_the_seat_is_written_each_time(
        self, place: Place, repeated: list[int]
    ) -> None:
        """L18. Also where a refresh beside it writes the same row, and two grants do."""
        store = begin(place, jim_test(pools=(replace(ONE, hold_s=60),)))
        for number in (1, 2, 3):
            do(store, grant(1, number))
            place.clock.advance(seconds=1)
        do(store, grant(1, 4), grant(1, 5))
        place.clock.advance(seconds=1)
        do(store, refresh(1, 1), grant(1, 6))
        [seat] = rows(store, schema.seat)
        assert seat.issued_at_ms == START_MS + 4000
        assert seat.expires_at_ms == START_MS + 4000 + SESSION_S * 1000
        assert sum(repeated) == 4
        do(store, *(end(number) for number in range(1, 7)))
        assert rows(store, schema.seat)[0].expires_at_ms == START_MS + 4000 + 60_000

    def test_half_a_life_after_its_row_was_written_a_seat_is_written_again(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L4. What stands is not decided anew for that, however often."""
        for number in (3, 5):
            written_ms = place.clock.now_ms()
            place.clock.advance(seconds=SESSION_S / 2)
            do(store, grant(1, number))
            assert rows(store, schema.seat)[0].issued_at_ms == written_ms
            place.clock.advance(seconds=0.001)
            do(store, grant(1, number + 1))
            [seat] = rows(store, schema.seat)
            assert seat.issued_at_ms == written_ms + SESSION_S * 500 + 1
            assert seat.expires_at_ms == written_ms + SESSION_S * 1500 + 1
        # An idle node of many learns only from the database that it is later.
        assert sum(repeated) >= (2 if store.differences.many_machines else 4)

    def test_on_another_day_it_is_decided_anew(self, place: Place, store: Store, repeated: list[int]) -> None:
        """From where a seat is used is counted by day."""
        place.clock.advance(seconds=(DAY_MS - START_MS % DAY_MS) / 1000 - 60)
        do(store, grant(1, 3))
        do(store, grant(1, 4))
        do(store, grant(1, 5))
        before = len(repeated)
        assert before
        place.clock.advance(seconds=60)
        do(store, grant(1, 6))
        assert len(repeated) == before

    def test_one_session_too_many_ends_the_oldest(self, place: Place, repeated: list[int]) -> None:
        """L8. Within a batch as well."""
        store = begin(place, jim_test(pools=(ONE,), clients=(replace(CLIENTS[0], sessions_max=4),)))
        do(store, grant(1, 1))
        do(store, grant(1, 2))
        do(store, grant(1, 3), grant(1, 4), grant(1, 5), grant(1, 6))
        assert sum(repeated) <= 2
        assert numbers([row.sid for row in rows(store, schema.session)]) == [3, 4, 5, 6]
        assert in_use(store) == 1

    def test_among_others_the_answers_are_in_order(self, store: Store) -> None:
        """Some are granted again, others decided on a book."""
        [third, denied, renewed, fourth] = do(store, grant(1, 3), grant(2, 50), refresh(1, 1), grant(1, 4))
        assert isinstance(third, Granted)
        assert isinstance(denied, Denied)
        assert isinstance(renewed, Granted)
        assert isinstance(fourth, Granted)
        assert [it.session.sid for it in (third, renewed, fourth)] == [sid(3), sid(1), sid(4)]
        assert [row.sid for row in rows(store, schema.session)] == [sid(it) for it in (1, 2, 3, 4)]

    def test_a_session_that_was_granted_again_can_be_refreshed_and_ended(self, store: Store) -> None:
        """L5."""
        do(store, grant(1, 3))
        [renewed] = do(store, refresh(1, 3))
        assert isinstance(renewed, Granted)
        do(store, end(1), end(2), end(3))
        assert in_use(store) == 0


class TestRenewed:
    """A session that was refreshed is refreshed again without a book."""

    def test_the_times_of_the_session_are_all_that_is_written(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L5, L9, L11. Another session of the client, which was not refreshed before, needs a book once."""
        do(store, refresh(1, 2))
        assert repeated == []
        place.clock.advance(seconds=30)
        before = everything(store)
        [renewed] = do(store, refresh(1, 2))
        assert repeated == [1]
        assert isinstance(renewed, Granted)
        now_ms = START_MS + 30_000
        assert renewed.at_ms == renewed.session.renewed_at_ms == now_ms
        assert renewed.session.started_at_ms == START_MS
        assert renewed.access_expires_at_ms == now_ms + 600_000
        found = {row.sid: row for row in rows(store, schema.session)}[sid(2)]
        assert to_session([getattr(found, name) for name in SESSION.split(", ")]) == renewed.session
        after = everything(store)
        changed = {table.name for table in after if after[table] != before[table]}
        assert changed - {"setup", "tenant"} == {"session"}
        assert store.counted == {"granted": 2, "renewed": 2}

    def test_one_without_a_seat_is_too(self, place: Place, repeated: list[int]) -> None:
        """L1."""
        store = begin(place)
        do(store, view(1, 1))
        do(store, refresh(1, 1))
        do(store, refresh(1, 1), refresh(1, 1))
        assert sum(repeated) == 2
        assert len(rows(store, schema.session)) == 1

    @pytest.mark.parametrize("pool", [replace(ONE, queue=5), replace(ONE, max_per_client=1)])
    def test_in_a_pool_with_options_a_refresh_is_and_a_grant_is_not(
        self, place: Place, repeated: list[int], pool: Pool
    ) -> None:
        """L5. No option touches a refresh; each of them may matter to a grant."""
        store = begin(place, jim_test(pools=(replace(pool, seats=5),)))
        do(store, grant(1, 1))
        do(store, refresh(1, 1))
        do(store, refresh(1, 1))
        assert repeated == [1]
        do(store, grant(1, 2))
        assert repeated == [1]

    @pytest.mark.parametrize(
        "asked",
        [replace(refresh(1, 1), address="192.0.2.9"), refresh(1, 1, "all"), refresh(2, 1), refresh(1, 9)],
    )
    def test_whatever_else_is_asked_is_decided_on_a_book(
        self, store: Store, repeated: list[int], asked: Refresh
    ) -> None:
        """Another address, a narrower scope, another's session, one that is not there."""
        do(store, refresh(1, 1))
        do(store, asked)
        assert repeated == []

    def test_a_session_of_another_scope_is_decided_on_a_book(self, store: Store, repeated: list[int]) -> None:
        """L1. What one session is granted says nothing of one that needs no seat."""
        do(store, view(1, 3))
        do(store, refresh(1, 1), refresh(1, 3))
        repeated.clear()
        [seated, viewer] = do(store, refresh(1, 1), refresh(1, 3))
        assert isinstance(seated, Granted)
        assert isinstance(viewer, Granted)
        assert (seated.scope, viewer.scope) == ("all", "view")
        assert sum(repeated) <= 1

    def test_by_what_a_refresh_was_granted_no_session_begins(self, place: Place, repeated: list[int]) -> None:
        """L12. A client that is suspended refreshes, and is not granted another session."""
        store = begin(place, jim_test(pools=(ONE,)))
        do(store, grant(1, 1))
        with store.transaction() as transaction:
            statement = update(schema.client).filter_by(key=1).values(barred_until_ms=2 * START_MS)
            transaction.connection.execute(statement)
            bump(transaction.connection, 1)
        for _ in range(3):
            assert isinstance(do(store, refresh(1, 1))[0], Granted)
        assert repeated == [1, 1]
        assert isinstance(do(store, grant(1, 2))[0], Denied)

    def test_in_a_pool_with_a_hold_the_row_of_the_seat_is_written_each_time(
        self, place: Place, repeated: list[int]
    ) -> None:
        """L18. Two sessions of a seat write it once."""
        store = begin(place, jim_test(pools=(replace(ONE, hold_s=60),)))
        do(store, grant(1, 1), grant(1, 2))
        do(store, refresh(1, 1), refresh(1, 2))
        place.clock.advance(seconds=5)
        do(store, refresh(1, 1), refresh(1, 2))
        assert repeated == [2]
        [seat] = rows(store, schema.seat)
        assert (seat.issued_at_ms, seat.expires_at_ms) == (
            START_MS + 5000,
            START_MS + 5000 + SESSION_S * 1000,
        )

    def test_where_two_clients_of_a_user_share_a_seat_the_addresses_of_both_count(
        self, place: Place, repeated: list[int]
    ) -> None:
        """L2, L18. What stands for one of them does not undo what the other has written."""
        store = begin(place, jim_test(pools=(replace(BY_USER, seats=1, hold_s=60),), clients=TWINS))
        first, second = TWINS[0].key, TWINS[1].key
        do(store, grant(first, 1))
        for _ in range(3):
            do(store, replace(refresh(first, 1), address="192.0.2.1"))
        do(store, replace(grant(second, 2), address="192.0.2.2"))
        do(store, replace(refresh(first, 1), address="192.0.2.1"))
        do(store, replace(grant(second, 3), address="192.0.2.2"))
        [seat] = rows(store, schema.seat)
        assert seat.sources.split(" ")[1:] == ["192.0.2.1", "192.0.2.2"]
        do(store, replace(refresh(first, 1), address="192.0.2.1"))
        assert rows(store, schema.seat)[0].sources == seat.sources
        assert repeated

    def test_a_session_is_renewed_until_the_moment_before_it_expires(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L4. To the millisecond."""
        do(store, grant(1, 3))
        do(store, refresh(1, 1))
        place.clock.advance(seconds=SESSION_S - 0.001)
        assert isinstance(do(store, refresh(1, 1))[0], Granted)
        place.clock.advance(seconds=SESSION_S)
        assert do(store, refresh(1, 1)) == [SessionUnknown()]
        assert isinstance(do(store, grant(2, 50))[0], Granted)
        del repeated

    def test_a_seat_whose_row_is_behind_is_held_while_a_session_that_was_renewed_again_lives(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L4. To the millisecond: the row has expired long before."""
        do(store, refresh(1, 1))
        place.clock.advance(seconds=SESSION_S / 2)
        do(store, refresh(1, 1))
        assert repeated == [1]
        assert rows(store, schema.seat)[0].expires_at_ms == START_MS + SESSION_S * 1000
        place.clock.advance(seconds=SESSION_S - 0.001)
        assert isinstance(do(store, grant(2, 50))[0], Denied)
        place.clock.advance(seconds=0.001)
        assert isinstance(do(store, grant(2, 51))[0], Granted)

    def test_a_client_that_refreshes_in_time_needs_no_book_for_hours(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L4, L5. Its seat is held to the millisecond at which its session expires, whatever its row says."""
        do(store, refresh(1, 1))
        for _ in range(5):
            place.clock.advance(seconds=SESSION_S * 0.49)
            assert isinstance(do(store, refresh(1, 1))[0], Granted)
        # An idle node of many learns only from the database that it is later.
        assert sum(repeated) >= (2 if store.differences.many_machines else 5)
        place.clock.advance(seconds=SESSION_S - 0.001)
        assert isinstance(do(store, grant(2, 50))[0], Denied)
        place.clock.advance(seconds=0.001)
        assert isinstance(do(store, grant(2, 51))[0], Granted)

    def test_a_refresh_behind_an_end_of_its_session_is_refused(self, store: Store) -> None:
        """L5. In the order of the batch, whoever ends it, and also where a grant does (L8)."""
        do(store, refresh(1, 1))
        do(store, refresh(1, 2))
        assert do(store, end(1), refresh(1, 1))[1] == SessionUnknown()
        assert do(store, end(2, client_key=1), refresh(1, 2))[1] == SessionUnknown()

    def test_a_refresh_behind_a_grant_that_ends_its_session_is_refused(self, place: Place) -> None:
        """L8. In the order of the batch."""
        store = begin(place, jim_test(pools=(ONE,), clients=(replace(CLIENTS[0], sessions_max=1),)))
        do(store, grant(1, 1))
        do(store, refresh(1, 1))
        assert do(store, grant(1, 2), refresh(1, 1))[1] == SessionUnknown()
        assert do(store, refresh(1, 1)) == [SessionUnknown()]

    def test_what_failed_was_never_renewed(self, place: Place, store: Store, repeated: list[int]) -> None:
        """L9."""
        do(store, refresh(1, 1))
        before = rows(store, schema.session)
        place.clock.advance(seconds=5)
        with suppress(Undone), store.transaction(Purpose.BATCH) as transaction:
            [kept] = transaction.repeat([refresh(1, 1)])
            assert kept is not None
            raise Undone
        assert rows(store, schema.session) == before
        do(store, refresh(1, 1))
        assert repeated == []

    @pytest.mark.parametrize("by", ["end", "another store", "disabled"])
    def test_it_is_forgotten(self, place: Place, store: Store, repeated: list[int], by: str) -> None:
        """L4, L6. With an end, another that writes, and the set-up."""
        do(store, refresh(1, 1))
        if by == "end":
            do(store, end(1))
        elif by == "another store":
            do(place.open(), end(1), end(2), grant(2, 50))
        else:
            with store.transaction() as transaction:
                transaction.connection.execute(update(schema.client).filter_by(key=1).values(enabled=False))
                bump(transaction.connection, 1)
        [answer] = do(store, refresh(1, 1))
        assert answer == (ClientRefused() if by == "disabled" else SessionUnknown())
        assert repeated == []


class TestForgotten:
    """What stands falls with what it stood on."""

    def test_a_seat_that_comes_back_in_the_same_batch_is_free_for_another(
        self, store: Store, repeated: list[int]
    ) -> None:
        """L4. In the order of the batch."""
        answers = do(store, end(1), end(2), grant(2, 50), grant(1, 3))
        assert [type(it) for it in answers[2:]] == [Granted, Denied]
        assert repeated == []

    def test_an_end_takes_it_away(self, store: Store, repeated: list[int]) -> None:
        """L4. Another client has the seat by then."""
        do(store, end(1), end(2))
        do(store, grant(2, 50))
        assert isinstance(do(store, grant(1, 3))[0], Denied)
        assert repeated == []

    def test_another_store_that_writes_takes_it_away(
        self, place: Place, store: Store, repeated: list[int]
    ) -> None:
        """L6. Another client has the seat by then."""
        do(place.open(), end(1), end(2), grant(2, 50))
        assert isinstance(do(store, grant(1, 3))[0], Denied)
        assert repeated == []

    def test_a_change_of_the_set_up_takes_it_away(self, store: Store, repeated: list[int]) -> None:
        """L12."""
        with store.transaction() as transaction:
            statement = update(schema.client).filter_by(key=1).values(barred_until_ms=2 * START_MS)
            transaction.connection.execute(statement)
            bump(transaction.connection, 1)
        [denied] = do(store, grant(1, 3))
        assert isinstance(denied, Denied)
        assert denied.reason is NoSeatReason.SUSPENDED
        assert len(rows(store, schema.session)) == 2
        del repeated

    def test_what_failed_was_never_granted(self, store: Store, repeated: list[int]) -> None:
        """L9. Nothing that was known counts any more."""
        with suppress(Undone), store.transaction(Purpose.BATCH) as transaction:
            [kept] = transaction.repeat([grant(1, 3)])
            assert kept is not None
            raise Undone
        do(store, grant(1, 3))
        assert [row.sid for row in rows(store, schema.session)] == [sid(1), sid(2), sid(3)]
        assert repeated == []

    def test_they_are_bounded(self) -> None:
        """A full one is emptied."""
        kept, most = Standings(most=2), 0
        for seed in range(30):
            book, _ = Case(seed).decided(NOW_MS, behind_ms=1)
            kept.learn(book, lambda tenant_id: tenant_id, NOW_MS)
            most = max(most, len(kept._kept))
        assert most == 2
