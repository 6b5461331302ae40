"""A seat's row may say less than its sessions, and nobody notices (`licet.ledger.seat_rows`)."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from sqlalchemy import text, update

from licet.journal.denials import holders_at
from licet.ledger.commands import Command, Denied, Ended, Granted, Sweep
from licet.model import Pool
from licet.reports.live import seats
from licet.reports.seats import seats_held
from licet.setup.change import changing
from licet.setup.check import check
from licet.setup.holds import recount
from licet.store import schema
from licet.store.contract import Store
from support.examples import ALL, BY_USER, FULL, TWINS, bump, client, end, grant, jim_test, refresh
from support.store.kinds import Place
from support.store.store_site import SESSION_MS, SESSION_S, START_MS, begin, do, in_use, rows

RENEWED_S = 500  # less than half of a session's life: the row is not written again
Renewal = Callable[[], Command]


@pytest.fixture(params=["client", "user"])
def pool(request: pytest.FixtureRequest) -> Pool:
    """A pool of one seat, of each kind of which a row may be behind."""
    return replace(FULL if request.param == "client" else BY_USER, seats=1)


@pytest.fixture(params=["grant", "refresh"])
def store(request: pytest.FixtureRequest, place: Place, pool: Pool) -> Store:
    """The first client has the seat, and renewed it after `RENEWED_S`; its row was not written again."""
    opened = begin(place, jim_test(pools=(pool,), clients=TWINS))
    do(opened, grant(1, 1))
    place.clock.advance(seconds=RENEWED_S)
    do(opened, grant(1, 2) if request.param == "grant" else refresh(1, 1))
    assert expiry_of_row(opened) == START_MS + SESSION_MS
    return opened


def expiry_of_row(store: Store) -> int:
    [row] = rows(store, schema.seat)
    expires_at_ms: int = row.expires_at_ms
    return expires_at_ms


def held_ms(store: Store) -> int:
    return sum(row.held_ms for row in rows(store, schema.usage_hour))


def idle_ms(store: Store) -> int:
    """For how long a seat was held after its newest token."""
    return sum(row.idle_ms for row in rows(store, schema.usage_hour))


class TestASeatWhoseRowHasExpired:
    """L4: a seat whose bound has passed is still held while a session of it lives."""

    def test_it_is_nobody_elses(self, place: Place, store: Store) -> None:
        """To the millisecond at which its last session expires, whether that is swept or not."""
        place.clock.advance(seconds=SESSION_S - 1)
        [denied] = do(store, grant(3, 3))
        assert isinstance(denied, Denied)
        assert (denied.in_use, denied.retry_after_s) == (1, 1)
        place.clock.advance(seconds=0.999)
        assert isinstance(do(store, grant(3, 4))[0], Denied)
        place.clock.advance(seconds=0.001)
        assert isinstance(do(store, grant(3, 5))[0], Granted)
        assert held_ms(store) == RENEWED_S * 1000 + SESSION_MS

    def test_its_row_is_written_by_who_finds_it(self, place: Place, store: Store) -> None:
        """So it is not found again and again."""
        place.clock.advance(seconds=SESSION_S - 1)
        do(store, grant(3, 3))
        assert expiry_of_row(store) == START_MS + RENEWED_S * 1000 + SESSION_MS

    def test_its_holder_goes_on(self, place: Place, store: Store) -> None:
        """By a refresh, and by another session."""
        place.clock.advance(seconds=SESSION_S - 1)
        renewed, granted = do(
            store, refresh(1, 1 if len(rows(store, schema.session)) == 1 else 2), grant(1, 9)
        )
        assert isinstance(renewed, Granted)
        assert isinstance(granted, Granted)
        assert in_use(store) == 1

    def test_a_sweep_leaves_it(self, place: Place, store: Store) -> None:
        """And the sweep that clears its last session gives it back as of the moment at which that expired."""
        place.clock.advance(seconds=SESSION_S - 1)
        do(store, Sweep(sessions_max=10))
        assert in_use(store) == 1
        place.clock.advance(seconds=100)
        do(store, Sweep(sessions_max=10))
        assert in_use(store) == 0
        assert held_ms(store) == RENEWED_S * 1000 + SESSION_MS

    def test_a_sweep_of_one_session_forgets_nothing(self, place: Place, store: Store) -> None:
        """Its seat comes back in the same transaction, also where other pools have more to clear."""
        place.clock.advance(seconds=SESSION_S + 100)
        while rows(store, schema.session):
            do(store, Sweep(sessions_max=1))
        assert in_use(store) == 0
        assert held_ms(store) == RENEWED_S * 1000 + SESSION_MS

    def test_its_last_session_ends_and_it_is_free(self, place: Place, store: Store) -> None:
        """At once, as always."""
        place.clock.advance(seconds=SESSION_S - 1)
        for row in rows(store, schema.session):
            [ended] = do(store, end(int.from_bytes(row.sid)))
            assert isinstance(ended, Ended)
        assert in_use(store) == 0
        assert sum(row.idle_ms for row in rows(store, schema.usage_hour)) == (SESSION_S - 1) * 1000

    def test_reports_show_what_is_true(self, place: Place, store: Store) -> None:
        """Until when it is in use, its newest token, and who held it; and the check finds nothing wrong."""
        place.clock.advance(seconds=SESSION_S - 1)
        now_ms, tenant = place.clock.now_ms(), store.tenants()[1]
        until_ms = START_MS + RENEWED_S * 1000 + SESSION_MS
        with store.reading() as connection:
            [of_pool] = seats(connection, tenant, now_ms).pools
            assert (of_pool.in_use, of_pool.next_free_at_ms) == (1, until_ms)
            assert [(it.issued_at_ms, it.expires_at_ms) for it in of_pool.in_use_by] == [
                (START_MS + RENEWED_S * 1000, until_ms)
            ]
            assert [it.expires_at_ms for it in seats_held(connection, tenant, now_ms).seats] == [until_ms]
            assert len(holders_at(connection, tenant, "full", now_ms, now_ms=now_ms)) == 1
            assert [
                it for it in check(connection, store.tenants(), now_ms) if "bug of Licet" in it.advice
            ] == []

    def test_a_hold_counts_from_its_newest_token(self, place: Place, store: Store, pool: Pool) -> None:
        """L18, where the pool gets one only now."""
        place.clock.advance(seconds=SESSION_S - 1)
        with store.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(hold_s=SESSION_S + 60))
            bump(transaction.connection, 1)
            recount(transaction, store.tenants()[1], replace(pool, hold_s=SESSION_S + 60))
        assert expiry_of_row(store) == START_MS + (RENEWED_S + SESSION_S + 60) * 1000


class TestWhenARowIsWritten:
    """A renewal writes the row of its seat only where that matters."""

    def test_past_half_of_a_life(self, place: Place, store: Store) -> None:
        """The row is never behind by more."""
        place.clock.advance(seconds=101)
        do(store, grant(1, 3))
        assert expiry_of_row(store) == START_MS + (RENEWED_S + 101) * 1000 + SESSION_MS

    def test_for_another_address(self, store: Store) -> None:
        """What says from where a seat is used is in no session."""
        do(store, replace(grant(1, 3), address="192.0.2.99"))
        assert expiry_of_row(store) == START_MS + RENEWED_S * 1000 + SESSION_MS

    def test_when_a_session_ends(self, place: Place, store: Store) -> None:
        """Nothing else says when its tokens were issued."""
        place.clock.advance(seconds=10)
        do(store, grant(1, 3))
        do(store, end(3))
        [row] = rows(store, schema.seat)
        assert row.issued_at_ms == START_MS + (RENEWED_S + 10) * 1000
        assert row.expires_at_ms == START_MS + RENEWED_S * 1000 + SESSION_MS

    def test_when_the_pool_ends_and_a_newer_token_makes_no_session_live_longer(
        self, place: Place, pool: Pool
    ) -> None:
        """L7. Another session would say when the newest token was issued, and usage count more as idle."""
        ends_at_ms = START_MS + SESSION_MS + 1000
        opened = begin(place, jim_test(pools=(replace(pool, expires_at_ms=ends_at_ms),), clients=TWINS))
        do(opened, grant(1, 1))
        place.clock.advance(seconds=1)
        do(opened, grant(1, 2))
        place.clock.advance(seconds=RENEWED_S)
        do(opened, refresh(1, 1))
        place.clock.advance(seconds=SESSION_S - RENEWED_S)
        do(opened, Sweep(sessions_max=10))
        assert idle_ms(opened) == ends_at_ms - (START_MS + (1 + RENEWED_S) * 1000)

    def test_when_sessions_live_for_less_time_than_before(self, place: Place, pool: Pool) -> None:
        """The same: an older session lives longer than the one of the newest token."""
        opened = begin(place, jim_test(session_ttl_s=2 * SESSION_S, pools=(pool,), clients=TWINS))
        do(opened, grant(1, 1))
        place.clock.advance(seconds=100)
        do(opened, refresh(1, 1))
        with changing(opened, "administrator") as change:
            change.tenant("Jim_Test").set(session_ttl_s=SESSION_S)
        place.clock.advance(seconds=RENEWED_S)
        do(opened, grant(1, 2))
        place.clock.advance(seconds=2 * SESSION_S - RENEWED_S)
        do(opened, Sweep(sessions_max=10))
        assert idle_ms(opened) == (2 * SESSION_S - RENEWED_S) * 1000

    def test_each_time_in_a_pool_with_a_hold(self, place: Place, pool: Pool) -> None:
        """L18 counts from the row."""
        opened = begin(place, jim_test(pools=(replace(pool, hold_s=60),), clients=TWINS))
        do(opened, grant(1, 1))
        place.clock.advance(seconds=RENEWED_S)
        do(opened, grant(1, 2))
        assert expiry_of_row(opened) == START_MS + RENEWED_S * 1000 + SESSION_MS

    def test_each_time_while_an_upgrade_is_unfinished(self, place: Place, pool: Pool) -> None:
        """A server of an older version believes the row."""
        opened = begin(place, jim_test(pools=(pool,), clients=TWINS))
        with opened.transaction() as transaction:
            transaction.connection.execute(text("UPDATE setup SET seats_lag = false"))
        do(opened, grant(1, 1))
        place.clock.advance(seconds=RENEWED_S)
        do(opened, grant(1, 2))
        assert expiry_of_row(opened) == START_MS + RENEWED_S * 1000 + SESSION_MS


def test_a_denied_client_is_told_no_later_than_the_first_seat_is_free(place: Place) -> None:
    """Where more rows are behind than are looked at: the moment before which none of the others expires."""
    many = tuple(client(key, f"Client{key}", f"C{key}") for key in range(1, 22))
    opened = begin(
        place, jim_test(pools=(replace(FULL, seats=20),), scopes=(ALL,), scope_default="all", clients=many)
    )
    do(opened, *(grant(key, key) for key in range(1, 21)))
    place.clock.advance(seconds=RENEWED_S)
    do(opened, *(grant(key, 100 + key) for key in range(1, 21)))
    assert {row.expires_at_ms for row in rows(opened, schema.seat)} == {START_MS + SESSION_MS}
    [denied] = do(opened, grant(21, 21))
    assert isinstance(denied, Denied)
    assert denied.retry_after_s == SESSION_S - RENEWED_S


def test_a_session_that_begins_and_ends_in_one_batch_leaves_its_seat_to_the_others(place: Place) -> None:
    """L4: whoever ends it has not been told of it yet, but the seat must not depend on that."""
    opened = begin(place, jim_test(clients=TWINS))
    do(opened, grant(1, 1))
    place.clock.advance(seconds=RENEWED_S)
    do(opened, grant(1, 2), end(2))
    [row] = rows(opened, schema.seat)
    assert row.expires_at_ms == START_MS + SESSION_MS
