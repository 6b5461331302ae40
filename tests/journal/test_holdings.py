"""Which seats a client or user held before, in pages; and how far back a page of one client reads."""

from collections.abc import Callable, Iterator

import pytest

from licet.journal.denials import DenialFilter, denials
from licet.journal.folding import fold_denials, fold_journal
from licet.journal.holdings import Held, HeldPage, seats_that_were_held
from licet.journal.reach import reach_of
from licet.ledger.commands import Sweep
from licet.model import Pool, Scope
from licet.reports.seats import HolderFilter, seats_held, sessions_without_seat
from licet.store.paging import InvalidCursor
from support.examples import ALL, VIEW, client, end, grant, jim_test
from support.store.kinds import Place
from support.store.report_site import NOON_MS, Site

MINUTE_MS = 60_000
POOLS = [Pool(id=1, name="full", seats=5), Pool(id=2, name="mobile", seats=1)]
SCOPES = [VIEW, ALL, Scope(name="phone", licensed=True, read_only=False, pool="mobile")]
CLIENTS = [client(1, "Desk", "AB"), client(2, "Phone", "AB"), client(3, "Robot", "RO")]


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A user of two clients, and another."""
    place = make_place(NOON_MS)
    yield Site(place, jim_test(pools=POOLS, scopes=SCOPES, clients=CLIENTS))
    place.close()


def held(
    site: Site, after: str | None = None, limit: int = 50, from_ms: int | None = None, **only: str
) -> HeldPage:
    """A page of what somebody held."""
    with site.store.reporting() as connection:
        return seats_that_were_held(
            connection, site.tenant, **only, from_ms=from_ms, after=after, limit=limit
        )


def minutes(page: HeldPage) -> list[tuple[str, str, int, int]]:
    """Who held what, from which minute after noon until which."""
    return [
        (
            it.client_id,
            it.pool,
            (it.taken_at_ms - NOON_MS) // MINUTE_MS,
            (it.freed_at_ms - NOON_MS) // MINUTE_MS,
        )
        for it in page.held
    ]


def happen(site: Site) -> None:
    """Desk held a seat from 0 to 1, Phone of another pool from 1 to 3, Robot from 1 to 21, Desk from 2 on."""
    site.do(grant(1, 1))
    site.clock.advance(seconds=60)
    site.do(end(1), grant(2, 2, scope="phone", pool_id=2), grant(3, 3))
    site.clock.advance(seconds=60)
    site.do(grant(1, 4))
    site.clock.advance(seconds=60)
    site.do(end(2))
    site.clock.advance(seconds=18 * 60)
    site.do(grant(1, 5, scope="view", pool_id=None))
    site.clock.advance(seconds=1)
    site.do(Sweep(sessions_max=10))


def test_the_seats_of_a_client_or_user_are_listed_the_last_one_first(site: Site) -> None:
    """Those that came back; a seat that is still held is not among them."""
    happen(site)
    assert minutes(held(site, client="Desk")) == [("Desk", "full", 0, 1)]
    assert minutes(held(site, user="AB")) == [("Phone", "mobile", 1, 3), ("Desk", "full", 0, 1)]
    assert minutes(held(site, client="Robot")) == [("Robot", "full", 1, 21)]
    assert held(site, client="Nobody").held == held(site, user="ZZ").held == ()
    assert held(site, client="Phone").held == (
        Held(
            pool="mobile",
            client_id="Phone",
            initials="AB",
            taken_at_ms=NOON_MS + MINUTE_MS,
            freed_at_ms=NOON_MS + 3 * MINUTE_MS,
            times=1,
            addresses=1,
        ),
    )
    assert minutes(held(site, user="AB", from_ms=NOON_MS + 2 * MINUTE_MS)) == [("Phone", "mobile", 1, 3)]


def test_pages_of_what_was_held_miss_nothing(site: Site) -> None:
    """Also where two came back at one instant."""
    for number in range(0, 12, 2):
        site.do(grant(1, number), grant(2, number + 1, scope="phone", pool_id=2))
        site.clock.advance(seconds=60)
        site.do(end(number), end(number + 1))
    whole = held(site, user="AB").held
    found: list[Held] = []
    after = None
    while True:
        page = held(site, user="AB", limit=5, after=after)
        found += page.held
        if (after := page.next) is None:
            break
    assert len(whole) == 12
    assert tuple(found) == whole


@pytest.mark.parametrize("cursor", ["x", "AAAA", "W10", "A" * 5000])
def test_what_is_no_cursor_of_what_was_held_is_refused(site: Site, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        held(site, client="Desk", after=cursor)


def test_a_client_s_seats_and_sessions_are_its_own(site: Site) -> None:
    """The filter is the whole name, whatever its case."""
    happen(site)

    def clients(**only: str) -> tuple[list[str], list[str]]:
        with site.store.reporting() as connection:
            wanted = HolderFilter(**only)
            seats = seats_held(connection, site.tenant, site.now_ms, only=wanted)
            without = sessions_without_seat(connection, site.tenant, site.now_ms, only=wanted)
        return [it.client_id for it in seats.seats], [it.client_id for it in without.sessions]

    assert clients(client="Desk") == (["Desk"], ["Desk"])
    assert clients(user="AB") == (["Desk"], ["Desk"])
    for only in ({"client": "Des"}, {"client": "desk"}, {"user": "A"}, {"user": "RO"}, {"client": "%"}):
        assert clients(**only) == ([], []), only


def test_a_page_reads_no_further_back_than_so_many_rows(site: Site) -> None:
    """Of a small tenant everything is read; of others the newest, and where that ends is known."""
    with site.store.reporting() as connection:
        assert reach_of(connection, site.tenant).latest_ms is None
    for number in range(20):
        for key in (1, 2, 3):  # the second and third are denied
            site.do(grant(key, 3 * number + key, scope="phone", pool_id=2))
        site.do(end(3 * number + 1))
        site.clock.advance(seconds=60)
    fold_journal(site.store)
    fold_denials(site.store)
    with site.store.reporting() as connection:
        assert not reach_of(connection, site.tenant).is_cut
        reach = reach_of(connection, site.tenant, rows_max=8)
        assert reach.denials_ms == NOON_MS + 15 * MINUTE_MS
        assert reach.journal_ms == NOON_MS + 17 * MINUTE_MS
        assert reach.failures_ms is None
        assert reach.latest_ms == reach.journal_ms
        only = DenialFilter(client="Phone", from_ms=reach.denials_ms)
        [range_] = denials(connection, site.tenant, only=only).ranges
    assert range_.times == 5
