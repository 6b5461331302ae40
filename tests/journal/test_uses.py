"""Last uses: what servers note of a session, what goes with what, and what it means for idle times."""

from collections.abc import Callable, Iterator
from threading import Thread

import pytest
from sqlalchemy import insert, update

from licet.journal import uses
from licet.journal.uses import note_uses, remove_uses
from licet.ledger.commands import Sweep
from licet.model import Duplicates, EndReason, Pool, TokenFormat
from licet.reports.seats import seats_held, sessions_without_seat
from licet.store import schema
from licet.web.sessions_read import Read
from support.examples import client, end, grant, jim_test, refresh, sid, view
from support.store.kinds import Place
from support.store.report_site import HOUR_MS, NOON_MS, Site
from support.store.store_site import rows

SESSION_MS = 1_200_000


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """A tenant with references, and with a pool of clients."""
    return Site(place, jim_test())


def use(site: Site, *numbers: int, at_ms: int | None = None) -> None:
    """Have an API ask about these sessions, and write that down."""
    read = site.store.read_sessions([sid(number) for number in numbers])
    at_ms = read.now_ms if at_ms is None else at_ms
    note_uses(site.store, [Read(at_ms, session) for session in read.sessions.values()])


def last_uses(site: Site) -> dict[str, int]:
    """When each seat was last used, in seconds from noon, by its client."""
    with site.store.reading() as connection:
        found = seats_held(connection, site.tenant, site.now_ms).seats
    return {seat.client_id: (seat.last_used_at_ms - NOON_MS) // 1000 for seat in found}


def wait(site: Site, seconds: float) -> None:
    """Let time pass."""
    site.clock.advance(seconds=seconds)


def kept(site: Site) -> set[bytes]:
    """The sessions whose last use is kept, after all that is over was removed."""
    after = remove_uses(site.store, b"")
    while after:
        after = remove_uses(site.store, after)
    return {row.sid for row in rows(site.store, schema.session_use)}


def idle_s(site: Site) -> float:
    """For how long seats of the pool were idle, by the report of usage."""
    found = site.use_of_full()
    assert found.idle_ms == sum(held.idle_ms for held in found.held) == sum(it.idle_ms for it in found.users)
    assert 0 <= found.idle_ms <= found.held_ms
    seconds: float = found.idle_ms / 1000
    return seconds


def end_of_wait(site: Site) -> None:
    """Until no server can write a use late any more."""
    wait(site, uses.LATE_MS / 1000)


class TestShown:
    """What is said to be the last use."""

    def test_a_seat_that_nobody_asked_about_was_last_used_with_its_last_token(self, site: Site) -> None:
        """There is nothing better to say."""
        site.do(grant(1, 1))
        wait(site, 60)
        site.do(refresh(1, 1))
        assert last_uses(site) == {"TestClientId": 60}

    def test_tokens_that_are_renewed_and_used_by_nobody_do_not_count_as_a_use(self, site: Site) -> None:
        """A client that renews its token all night long is idle."""
        site.do(grant(1, 1))
        wait(site, 10)
        use(site, 1)
        for _ in range(3):
            wait(site, 600)
            site.do(refresh(1, 1))
        assert last_uses(site) == {"TestClientId": 10}

    def test_of_jwts_the_later_of_token_and_question_counts(self, place: Place) -> None:
        """An API need not ask about a JWT, so that no question means nothing."""
        site = Site(place, jim_test(token_format=TokenFormat.JWT))
        site.do(grant(1, 1))
        wait(site, 10)
        use(site, 1)
        assert last_uses(site) == {"TestClientId": 10}
        wait(site, 50)
        site.do(refresh(1, 1))
        assert last_uses(site) == {"TestClientId": 60}

    def test_the_latest_of_what_servers_note_counts_whoever_comes_first(self, site: Site) -> None:
        """A server that was paused writes what is known better by now."""
        site.do(grant(1, 1), grant(2, 2))
        for order in ((1, 2), (2, 1)):
            for at in order:
                use(site, order[0], at_ms=NOON_MS + at * 1000)
        assert last_uses(site) == {"TestClientId": 2, "Client1": 2}

    def test_servers_that_note_the_same_sessions_at_once_do_not_keep_each_other_from_it(
        self, place: Place, site: Site
    ) -> None:
        """They write in one order, whatever the order in which they were asked."""
        numbers = range(1, 41)
        site.do(*(view(1, number) for number in numbers))
        sessions = site.store.read_sessions([sid(number) for number in numbers]).sessions
        given = [Read(NOON_MS + 1000, session) for session in sessions.values()]
        stores, faults = [place.open(), place.open()], []

        def note(at: int) -> None:
            try:
                for _ in range(10):
                    note_uses(stores[at], given if at else reversed(given))
            except Exception as fault:  # noqa: BLE001 - whatever it is, the test fails with it
                faults.append(fault)

        threads = [Thread(target=note, args=[at]) for at in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        with site.store.reading() as connection:
            found = sessions_without_seat(connection, site.tenant, site.now_ms).sessions
        assert {session.last_used_at_ms for session in found} == {NOON_MS + 1000}

    def test_a_seat_was_used_when_a_session_was_that_is_over_by_now(self, site: Site) -> None:
        """Some libraries begin a session for each token."""
        site.do(grant(1, 1))
        wait(site, 5)
        use(site, 1)
        wait(site, 5)
        site.do(grant(1, 2), end(1))
        assert kept(site) == {sid(1)}
        assert last_uses(site) == {"TestClientId": 5}


class TestKept:
    """How many rows there are."""

    def test_a_row_goes_with_its_session_and_its_seat(self, site: Site) -> None:
        """Ended, or expired and swept; what lives stays."""
        site.do(grant(1, 1), grant(2, 2), view(3, 3), view(3, 4))
        use(site, 1, 2, 3, 4)
        site.do(end(1), end(3))
        end_of_wait(site)
        assert kept(site) == {sid(2), sid(4)}
        wait(site, 1200)
        site.do(Sweep(sessions_max=100))
        end_of_wait(site)
        assert kept(site) == set()

    def test_of_a_seat_that_is_used_by_session_after_session_the_last_use_is_kept(self, site: Site) -> None:
        """Else a client that holds its seat for months would have a row for each of its tokens."""
        for number in range(1, 12):
            site.do(grant(1, number))
            wait(site, 1)
            use(site, number)
            if number > 1:
                site.do(end(number - 1))
        assert kept(site) == {sid(11)}

    def test_they_are_removed_in_pieces_that_go_on_where_the_last_one_ended(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No piece is long, however many there are."""
        monkeypatch.setattr(uses, "ROWS_MAX", 2)
        site.do(*(view(1, number) for number in range(1, 8)))
        use(site, *range(1, 8))
        site.do(*(end(number) for number in range(1, 8) if number != 4))
        assert len(rows(site.store, schema.session_use)) == 7
        after, pieces = remove_uses(site.store, b""), 1
        while after:
            after, pieces = remove_uses(site.store, after), pieces + 1
        assert pieces >= 4
        assert [row.sid for row in rows(site.store, schema.session_use)] == [sid(4)]

    def test_a_use_that_is_noted_when_all_is_over_does_no_harm(self, site: Site) -> None:
        """Of a server that could not write for a while."""
        site.do(grant(1, 1))
        read = site.store.read_sessions([sid(1)])
        site.do(end(1))
        end_of_wait(site)
        note_uses(site.store, [Read(read.now_ms, read.sessions[sid(1)])])
        before = idle_s(site)
        assert kept(site) == set()
        assert idle_s(site) == before


class TestIdle:
    """What the last use means for the idle times of a report."""

    def test_a_seat_that_was_used_after_its_last_token_was_idle_from_then_on(self, site: Site) -> None:
        """Taken at noon, used until 12:09, expired at 12:20."""
        site.do(grant(1, 1))
        wait(site, 540)
        use(site, 1)
        wait(site, 660)
        site.do(Sweep(sessions_max=10))
        assert idle_s(site) == 1200
        assert kept(site) == {sid(1)}  # another server may still write a later use
        end_of_wait(site)
        assert kept(site) == set()
        assert idle_s(site) == 660
        assert kept(site) == set()
        assert idle_s(site) == 660

    def test_a_seat_whose_tokens_were_renewed_for_nothing_was_idle_all_that_time(self, site: Site) -> None:
        """Over hours: each has its part, and none is idle for longer than it was held."""
        site.do(grant(1, 1))
        wait(site, 60)
        use(site, 1)
        for _ in range(12):
            wait(site, 600)
            site.do(refresh(1, 1))
        site.do(end(1))
        end_of_wait(site)
        assert idle_s(site) == 0
        kept(site)
        assert idle_s(site) == 12 * 600
        found = {row.hour * HOUR_MS - NOON_MS: row.more_ms for row in rows(site.store, schema.idle_hour)}
        assert found == {0: 59 * 60_000, HOUR_MS: HOUR_MS, 2 * HOUR_MS: 60_000}

    def test_of_jwts_what_was_renewed_was_used(self, place: Place) -> None:
        """Nobody knows that it was not."""
        site = Site(place, jim_test(token_format=TokenFormat.JWT, access_ttl_s=60))
        site.do(grant(1, 1))
        use(site, 1)
        wait(site, 600)
        site.do(refresh(1, 1))
        wait(site, 1)
        site.do(end(1))
        wait(site, 60)  # A seat is held for as long as its JWTs live.
        site.do(Sweep(sessions_max=10))
        end_of_wait(site)
        before = idle_s(site)
        assert kept(site) == set()
        assert idle_s(site) == before

    def test_a_user_seat_counts_for_the_client_that_took_it(self, place: Place) -> None:
        """Another client of the user used it last."""
        pool = Pool(id=1, name="full", seats=5, duplicates=Duplicates.USER)
        clients = (client(1, "One", "TC"), client(2, "Two", "TC"))
        site = Site(place, jim_test(pools=(pool,), clients=clients))
        site.do(grant(1, 1))
        wait(site, 60)
        site.do(grant(2, 2))
        wait(site, 30)
        use(site, 2)
        wait(site, 30)
        site.do(end(1), end(2))
        end_of_wait(site)
        assert idle_s(site) == 60
        kept(site)
        assert idle_s(site) == 30

    def test_of_a_seat_that_its_holder_took_again_each_life_counts_for_itself(self, site: Site) -> None:
        """The second one is used while the first one is still to be settled."""
        site.do(grant(1, 1))
        wait(site, 60)
        use(site, 1)
        wait(site, 40)
        site.do(end(1))
        wait(site, 60)
        site.do(grant(1, 2))
        wait(site, 30)
        use(site, 2)
        end_of_wait(site)
        assert kept(site) == {sid(2)}
        assert idle_s(site) == 40
        site.do(end(2))
        end_of_wait(site)
        assert kept(site) == set()
        assert idle_s(site) == 40 + 120

    def test_several_seats_of_one_minute_stay_at_their_last_tokens(self, place: Place) -> None:
        """They are one row of the journal, which does not say whose last token it has."""
        site = Site(place, jim_test(pools=(Pool(id=1, name="full", seats=5, duplicates=Duplicates.NONE),)))
        site.do(grant(1, 1), grant(1, 2))
        wait(site, 60)
        use(site, 1)
        site.do(end(1), end(2))
        end_of_wait(site)
        assert kept(site) == set()
        assert idle_s(site) == 120

    def test_what_a_server_of_the_version_before_wrote_stays_as_it_is(self, site: Site) -> None:
        """It does not say since when a seat counts as idle."""
        site.do(grant(1, 1))
        wait(site, 60)
        use(site, 1)
        site.do(end(1))
        with site.store.transaction() as transaction:
            transaction.connection.execute(update(schema.holding).values(idle_from_ms=0))
        end_of_wait(site)
        assert kept(site) == set()
        assert rows(site.store, schema.idle_hour) == []

    def test_a_leader_and_the_one_before_it_do_not_count_it_twice(self, place: Place, site: Site) -> None:
        """Both have read the row when one of them removes it."""
        site.do(grant(1, 1))
        wait(site, 60)
        use(site, 1)
        site.do(end(1))
        end_of_wait(site)
        with site.store.reporting() as connection:
            [row] = connection.execute(uses._over()).all()
        for store in (site.store, place.open()):
            with store.transaction() as transaction:
                uses._settle(transaction, row)
        [found] = rows(site.store, schema.idle_hour)
        assert found.more_ms == -60_000

    def test_it_goes_with_its_tenant_and_its_pool(self, site: Site) -> None:
        """A pool that was removed has nothing to be settled."""
        site.do(grant(1, 1))
        wait(site, 60)
        use(site, 1)
        site.do(end(1, reason=EndReason.REMOVED))
        with site.store.transaction() as transaction:
            connection = transaction.connection
            connection.execute(update(schema.scope).values(pool_id=None))
            connection.execute(schema.pool.delete())
            connection.execute(
                insert(schema.idle_hour).values(tenant_id=1, pool="x", hour=1, client_id="x", more_ms=1)
            )
            connection.execute(update(schema.tenant).values(removed_at_ms=1))
        end_of_wait(site)
        assert kept(site) == set()
