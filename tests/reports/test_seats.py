"""Who holds what, in pages that may be long: seats with their sessions, and sessions without a seat."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from licet.lanes.commit import commit
from licet.ledger.commands import Command
from licet.model import Duplicates, Pool, Scope, Tenant
from licet.reports.seats import (
    SESSIONS_SHOWN_MAX,
    HolderFilter,
    SeatPage,
    SessionPage,
    SessionToEnd,
    seats_held,
    sessions_named,
    sessions_on_seats,
    sessions_that_fit,
    sessions_without_seat,
)
from licet.store.paging import InvalidCursor
from support.examples import ALL, FULL, VIEW, add_tenant, client, end, grant, jim_test, refresh, sid, view
from support.store.kinds import Place

NOW_MS = 1_700_000_040_000
MANY = Pool(id=1, name="full", seats=1000)
BY_USER = Pool(id=1, name="full", seats=5, duplicates=Duplicates.USER)
BY_SESSION = Pool(id=1, name="full", seats=500, duplicates=Duplicates.NONE)
SHARERS = (client(1, "Desk", "AB"), client(2, "Phone", "AB"), client(3, "Other", "CD"))


class Site:
    """A store with one tenant."""

    def __init__(self, place: Place, tenant: Tenant) -> None:
        self.clock = place.clock
        self.store = place.open()
        with self.store.transaction() as transaction:
            add_tenant(transaction.connection, tenant)
        self.store.refresh_tenants()
        self.tenant = tenant

    def do(self, *commands: Command) -> None:
        """Commit these commands together."""
        for outcome in commit(self.store, commands):
            assert not isinstance(outcome, Exception), outcome

    def read(self, read: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """What one of these functions finds now."""
        with self.store.reading() as connection:
            return read(connection, self.tenant, self.clock.now_ms(), *arguments, **more)

    def seats(self, after: str | None = None, limit: int = 50, **only: str) -> SeatPage:
        """A page of seats."""
        page = self.read(seats_held, only=HolderFilter(**only), after=after, limit=limit)
        assert isinstance(page, SeatPage)
        return page

    def without(self, after: str | None = None, limit: int = 50, **only: str) -> SessionPage:
        """A page of sessions without a seat."""
        page = self.read(sessions_without_seat, only=HolderFilter(**only), after=after, limit=limit)
        assert isinstance(page, SessionPage)
        return page

    def clients(self, **only: str) -> list[str]:
        """Whose seats fit, in the order of the list."""
        return [seat.client_id for seat in self.read(seats_held, only=HolderFilter(**only)).seats]


@pytest.fixture
def make_site(make_place: Callable[[int], Place]) -> Iterator[Callable[[Tenant], Site]]:
    """Makes a store with a tenant."""
    places = []

    def make(tenant: Tenant) -> Site:
        places.append(make_place(NOW_MS))
        return Site(places[-1], tenant)

    yield make
    for place in places:
        place.close()


@pytest.fixture
def site(make_site: Callable[[Tenant], Site]) -> Site:
    """`Jim_Test`, nothing in use."""
    return make_site(jim_test())


def numbers(found: list[SessionToEnd]) -> list[int]:
    """Which sessions they are."""
    return sorted(int.from_bytes(it.sid, "big") for it in found)


def test_a_seat_tells_who_took_it_when_and_when_its_last_token_was_given(site: Site) -> None:
    """One row a holder."""
    site.do(grant(1, 1))
    site.clock.advance(seconds=300)
    site.do(refresh(1, 1))
    page = site.seats()
    (seat,) = page.seats
    assert (page.count, page.next, page.at_ms) == (1, None, NOW_MS + 300_000)
    assert (seat.pool, seat.holder) == ("full", "client:TestClientId")
    assert (seat.client_id, seat.initials, seat.name) == ("TestClientId", "TC", "User TC")
    assert (seat.taken_at_ms, seat.renewed_at_ms) == (NOW_MS, NOW_MS + 300_000)
    assert seat.expires_at_ms == NOW_MS + 1_500_000
    assert [it.sid for it in seat.sessions] == [sid(1).hex()]


def test_sessions_that_share_a_seat_are_counted_and_the_oldest_listed(site: Site) -> None:
    """A client may have 100,000 of them (L8)."""
    for number in range(1, SESSIONS_SHOWN_MAX + 4):
        site.do(grant(1, number))
        site.clock.advance(seconds=1)
    (seat,) = site.seats().seats
    assert seat.sessions_count == SESSIONS_SHOWN_MAX + 3
    assert [it.sid for it in seat.sessions] == [sid(it + 1).hex() for it in range(SESSIONS_SHOWN_MAX)]
    assert seat.renewed_at_ms == NOW_MS + (SESSIONS_SHOWN_MAX + 2) * 1000


def test_a_seat_of_a_user_shows_the_sessions_of_all_his_clients(make_site: Callable[[Tenant], Site]) -> None:
    """L2."""
    site = make_site(jim_test(pools=[BY_USER], clients=SHARERS))
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    first, second = site.seats().seats
    assert {it.client_id for it in first.sessions} | {it.client_id for it in second.sessions} == {
        "Desk",
        "Phone",
        "Other",
    }
    assert sorted([first.sessions_count, second.sessions_count]) == [1, 2]


def test_each_session_is_a_row_where_each_takes_a_seat(make_site: Callable[[Tenant], Site]) -> None:
    """L2."""
    site = make_site(jim_test(pools=[BY_SESSION]))
    site.do(grant(1, 1), grant(1, 2), grant(2, 3))
    assert [(it.client_id, it.sessions_count) for it in site.seats().seats] == [
        ("TestClientId", 1),
        ("TestClientId", 1),
        ("Client1", 1),
    ]


def test_what_has_expired_or_ended_is_not_listed_though_no_sweep_came(site: Site) -> None:
    """L4."""
    site.do(grant(1, 1), view(2, 2), grant(3, 3), view(4, 4))
    site.do(end(3), end(4))
    assert (site.seats().count, site.without().count) == (1, 1)
    site.clock.advance(seconds=1200)
    assert (site.seats().count, site.without().count) == (0, 0)
    assert (site.seats().seats, site.without().sessions) == ((), ())


def test_pages_follow_one_another_and_miss_nothing_while_the_list_changes(
    make_site: Callable[[Tenant], Site],
) -> None:
    """A cursor names a place, not a number."""
    site = make_site(jim_test(pools=[BY_SESSION]))
    for number in range(10):
        site.do(grant(1, number + 1), view(2, number + 101))
        site.clock.advance(seconds=1)
    first = site.seats(limit=4)
    site.do(end(1), end(4))  # one of the page that was read, and the one that its cursor names
    second = site.seats(limit=4, after=first.next)
    last = site.seats(limit=4, after=second.next)
    rows = [it for page in (first, second, last) for it in page.seats]
    assert [it.sessions[0].sid for it in rows] == [sid(it + 1).hex() for it in range(10)]
    assert (first.count, second.count, last.next) == (10, 8, None)
    begun = site.without(limit=7)
    rest = site.without(limit=7, after=begun.next)
    assert [it.sid for it in (*begun.sessions, *rest.sessions)] == [sid(it + 101).hex() for it in range(10)]
    assert rest.next is None


@pytest.mark.parametrize("after", ["", "nonsense", "W10", "WzEsMiwzXQ", "é"])
def test_what_is_no_cursor_of_the_list_is_refused(site: Site, after: str) -> None:
    """Somebody may send anything."""
    with pytest.raises(InvalidCursor):
        site.seats(after=after)
    with pytest.raises(InvalidCursor):
        site.without(after=after)


def test_seats_are_found_by_client_user_name_and_address_whatever_the_case(site: Site) -> None:
    """One field searches all of them."""
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    assert site.clients(text="testcl") == ["TestClientId"]
    assert site.clients(text="c2") == ["Client2"]
    assert site.clients(text="USER TC") == ["TestClientId"]
    assert len(site.clients(text="192.0.2.")) == 3
    assert site.clients(text="198.51.100.7") == []


def test_a_seat_is_found_by_any_client_that_shares_it(make_site: Callable[[Tenant], Site]) -> None:
    """Also when another one took it."""
    site = make_site(jim_test(pools=[BY_USER], clients=SHARERS))
    site.do(grant(1, 1), grant(3, 3))
    site.do(grant(2, 2))
    assert site.clients(text="phone") == ["Desk"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "c%1", "_lient1"])
def test_what_a_store_takes_for_a_pattern_is_searched_for_as_it_stands(site: Site, text: str) -> None:
    """LIKE has characters of its own."""
    site.do(grant(2, 1), view(2, 2))
    assert site.clients(text=text) == []
    assert site.without(text=text).count == 0


def test_names_in_other_scripts_are_found(make_site: Callable[[Tenant], Site]) -> None:
    """A client_id may be in any."""
    site = make_site(jim_test(clients=[client(1, "عميل-القاهرة", "A1"), client(2, "לקוח", "H1")]))
    site.do(grant(1, 1), grant(2, 2))
    assert site.clients(text="القاهرة") == ["عميل-القاهرة"]


def test_the_list_is_narrowed_by_pool_and_by_scope(make_site: Callable[[Tenant], Site]) -> None:
    """A scope is a whole word."""
    mobile = Pool(id=2, name="mobile", seats=5)
    al = Scope(name="al", licensed=True, read_only=False, pool="mobile")
    site = make_site(jim_test(pools=[FULL, mobile], scopes=[VIEW, ALL, al]))
    site.do(
        grant(1, 1, scope="view all"),
        grant(2, 2, pool_id=2, scope="al"),
        view(3, 3),
    )
    assert site.clients(pool="mobile") == ["Client1"]
    assert site.clients(scope="all") == ["TestClientId"]
    assert site.clients(scope="al") == ["Client1"]
    assert site.clients(pool="nowhere") == []
    assert site.without(scope="view").count == 1
    assert site.without(scope="all").count == 0
    assert site.without(pool="full").count == 0


def test_a_page_costs_as_many_queries_whatever_it_shows(make_site: Callable[[Tenant], Site]) -> None:
    """Three: how many, which, and their sessions."""
    site = make_site(jim_test(pools=[MANY]))
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    costs = []
    for key in range(1, 4):
        site.do(grant(key, key), grant(key, 10 + key))
        with site.store.reading() as connection:
            event.listen(connection, "before_cursor_execute", note)
            seats_held(connection, site.tenant, NOW_MS)
            event.remove(connection, "before_cursor_execute", note)
        costs.append(len(asked))
        asked.clear()
    assert costs == [3, 3, 3]


def test_all_sessions_on_chosen_seats_are_found_to_end_them(make_site: Callable[[Tenant], Site]) -> None:
    """Those of clients that share it as well; a seat that is none is nothing."""
    site = make_site(jim_test(pools=[BY_USER], clients=SHARERS))
    site.do(grant(1, 1), grant(2, 2), grant(3, 3), view(1, 4))
    found = site.read(sessions_on_seats, [("full", "user:AB"), ("full", "user:XX"), ("gone", "user:CD")])
    assert numbers(found) == [1, 2]
    assert all(it.frees_seat for it in found)
    assert site.read(sessions_on_seats, [("gone", "user:CD")]) == []


def test_a_chosen_session_frees_its_seat_only_when_none_is_left_on_it(site: Site) -> None:
    """L4."""
    site.do(grant(1, 1), grant(1, 2), grant(2, 3), view(3, 4))
    freed = {it.sid: it.frees_seat for it in site.read(sessions_named, [sid(1), sid(3), sid(4), sid(99)])}
    assert freed == {sid(1): False, sid(3): True, sid(4): False}
    both = site.read(sessions_named, [sid(1), sid(2)])
    assert [it.frees_seat for it in both] == [True, True]


def test_a_chosen_session_does_not_free_a_seat_that_another_client_is_on(
    make_site: Callable[[Tenant], Site],
) -> None:
    """L2, L4."""
    site = make_site(jim_test(pools=[BY_USER], clients=SHARERS))
    site.do(grant(1, 1), grant(2, 2))
    (found,) = site.read(sessions_named, [sid(1)])
    assert not found.frees_seat


def test_all_that_fit_a_search_are_found_to_end_them(site: Site) -> None:
    """More than a page has."""
    site.do(grant(1, 1), grant(2, 2), grant(2, 3), view(2, 4))
    only = HolderFilter(text="client1")
    assert numbers(site.read(sessions_that_fit, only, have_seat=True)) == [2, 3]
    assert numbers(site.read(sessions_that_fit, only, have_seat=False)) == [4]
    assert numbers(site.read(sessions_that_fit, HolderFilter(), have_seat=True)) == [1, 2, 3]
