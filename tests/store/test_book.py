"""What every store loads for a batch: a book with all that the ledger needs, and no more than that."""

import pytest
from msgspec.structs import replace

from licet.ledger.commands import Denied, Ended, Granted, Sweep, Swept
from licet.ledger.prefetch import SPARE
from licet.model import Seat, Session, TokenFormat
from licet.store import schema
from licet.store.contract import Store
from support.examples import (
    ALL,
    BY_USER,
    CLIENTS,
    FULL,
    REPORT,
    REPORTS,
    TWINS,
    VIEW,
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
    OTHER,
    SESSION_MS,
    SESSION_S,
    START_MS,
    begin,
    book_of,
    do,
    in_use,
    numbers,
    rows,
    stagger,
)


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

    def test_it_holds_the_seats_that_expire_first_where_grants_may_fill_a_pool(self, place: Place) -> None:
        """As many seats as the batch can move and one more, those that expire first; and some to spare."""
        many = tuple(client(key, f"Client{key}", f"C{key}") for key in range(1, 31))
        tenant = jim_test(pools=(replace(FULL, seats=25),), clients=many)
        store = begin(place, tenant)
        stagger(place, store, *(grant(key, key) for key in range(1, 26)))
        expected = [(1, f"client:Client{key}") for key in range(1, 4 + SPARE)]
        book = book_of(store, refresh(1, 1), refresh(2, 2), grant(26, 26))
        assert sorted(book.seats, key=lambda key: book.seats[key].expires_at_ms) == expected
        # However many clients are denied: none of them has a seat that may move.
        denied = book_of(store, *(grant(key, key) for key in range(26, 31)))
        assert len(denied.seats) == 1 + SPARE

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
