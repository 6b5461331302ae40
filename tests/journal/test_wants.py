"""Wants and true denials: planted ones are found exactly, in every span, whether or not hours are summed."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from licet.journal.folding import fold_journal
from licet.journal.summary import summarise
from licet.journal.wants import Want, wants
from licet.ledger.commands import Sweep
from licet.model import Duplicates, Pool, Scope
from support.examples import SMALL, VIEW, client, end, grant, jim_test, refresh
from support.store.kinds import Place
from support.store.report_site import DAY_MS, HOUR_MS, MINUTE_S, NOON_MS, Site

TTL_MS = 1_200_000


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """A tenant with one seat; a session lives for 20 minutes, so that is how far apart denials may be."""
    return Site(place, jim_test(pools=[SMALL]))


def found(site: Site, from_ms: int = 0, until_ms: int | None = None) -> list[Want]:
    """The wants of a span."""
    with site.store.reading() as connection:
        until_ms = site.now_ms + 1 if until_ms is None else until_ms
        return wants(connection, site.tenant, from_ms, until_ms, now_ms=site.now_ms)


def keep(site: Site, minutes: float, number: int = 1) -> None:
    """Let time pass, while client 1 keeps the seat by this session."""
    left_s = minutes * 60
    while left_s > 0:
        step_s = min(left_s, 600)
        site.clock.advance(seconds=step_s)
        site.do(refresh(1, number))
        left_s -= step_s


def test_attempts_are_one_want_and_served_when_a_grant_follows(site: Site) -> None:
    """It waited from its first denial to the grant."""
    site.do(grant(1, 1))
    for _ in range(5):
        site.do(grant(2, 2))
        site.clock.advance(seconds=MINUTE_S)
    site.do(end(1), grant(2, 3))
    (want,) = found(site)
    assert (want.client_id, want.initials, want.attempts) == ("Client1", "C1", 5)
    assert (want.served_at_ms, want.wait_ms) == (site.now_ms, 5 * 60_000)
    assert want.is_over
    assert not want.is_turned_away


def test_a_want_waits_until_session_ttl_has_passed_and_is_turned_away_then(site: Site) -> None:
    """To the millisecond."""
    site.do(grant(1, 1))
    site.do(grant(2, 2))
    site.clock.advance(seconds=1199.999)
    assert [want.is_over for want in found(site)] == [False]
    site.clock.advance(seconds=0.001)
    (want,) = found(site)
    assert (want.is_over, want.is_turned_away, want.wait_ms) == (True, True, None)


def test_denials_less_than_session_ttl_apart_are_one_want_and_others_two(site: Site) -> None:
    """A gap of exactly that length is too long."""
    site.do(grant(1, 1), grant(2, 2))
    keep(site, 19.99)
    site.do(grant(2, 3))
    keep(site, 20)
    site.do(grant(2, 4))
    assert [want.attempts for want in found(site)] == [2, 1]


def test_a_grant_ends_a_want_though_the_next_denial_is_soon(site: Site) -> None:
    """Also within one minute, which is one row of the journal."""
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=5)
    site.do(end(1), grant(2, 3))
    site.clock.advance(seconds=5)
    site.do(end(3), grant(1, 4))
    site.clock.advance(seconds=5)
    site.do(grant(2, 5))
    assert [(want.attempts, want.wait_ms) for want in found(site)] == [(1, 5000), (1, None)]
    fold_journal(site.store)
    assert [(want.attempts, want.wait_ms) for want in found(site)] == [(1, 5000), (1, None)]


def test_clients_of_one_user_want_one_seat_where_they_would_share_it(place: Place) -> None:
    """L2."""
    pool = Pool(id=1, name="full", seats=1, duplicates=Duplicates.USER)
    clients = (client(1, "Other", "CD"), client(2, "Desk", "AB"), client(3, "Phone", "AB"))
    site = Site(place, jim_test(pools=[pool], clients=clients))
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    site.clock.advance(seconds=60)
    site.do(end(1), grant(3, 4))
    (want,) = found(site)
    assert (want.client_id, want.attempts, want.served_at_ms) == ("Desk", 2, site.now_ms)


def test_who_gets_a_seat_of_another_pool_of_the_scope_is_served(place: Place) -> None:
    """L20: it works, whichever pool denied it before; and it is one that wants a seat, and not one a pool."""
    pools = [Pool(id=1, name="named", seats=1), Pool(id=2, name="full", seats=1, queue=3)]
    scope = Scope(name="all", licensed=True, read_only=False, pool="named", other_pools=("full",))
    site = Site(place, jim_test(pools=pools, scopes=(VIEW, scope)))

    def asks(key: int, number: int, *, queue: bool = False) -> None:
        site.do(grant(key, number, other_pool_ids=(2,), queue=queue))

    asks(1, 1)
    asks(2, 2)
    asks(3, 3)  # is denied by named
    site.clock.advance(seconds=60)
    asks(3, 4, queue=True)  # by full, where it waits
    asks(4, 5, queue=True)
    site.clock.advance(seconds=60)
    site.do(end(1))
    asks(3, 6)
    served, waiting = found(site)
    assert (served.pool, served.client_id, served.attempts, served.wait_ms) == (
        "named",
        "Client2",
        2,
        120_000,
    )
    assert (waiting.pool, waiting.client_id, waiting.served_at_ms) == ("full", "Client3", None)
    site.clock.advance(seconds=1200)
    assert [want.client_id for want in found(site) if want.is_turned_away] == ["Client3"]


def test_planted_wants_are_found_in_every_span_whether_or_not_hours_are_summed(site: Site) -> None:
    """Each belongs to where it began, so parts add up; the report of usage has the same figures."""
    site.do(grant(1, 1))
    planted, held = [], 1
    for number in range(20):  # over most of a day, so that some cross an hour, and one midnight
        begun_ms, attempts = site.now_ms, 1 + number % 4
        for _ in range(attempts):
            site.do(grant(2, 100 + number))
            keep(site, 7, held)
        if is_served := number % 3 == 0:
            site.do(end(held), grant(2, 5000 + number), end(5000 + number), grant(1, 9000 + number))
            held = 9000 + number
        planted.append((begun_ms, attempts, is_served))
        keep(site, 41, held)
    keep(site, 20, held)
    expected = [(begun_ms, attempts) for begun_ms, attempts, _ in planted]
    served = {begun_ms for begun_ms, _, is_served in planted if is_served}

    def check() -> None:
        every = found(site)
        assert [(want.first_at_ms, want.attempts) for want in every] == expected
        assert {want.first_at_ms for want in every if want.served_at_ms is not None} == served
        assert all(want.is_over for want in every)
        edges = [NOON_MS, *range(NOON_MS + 1_234_567, site.now_ms, 3 * HOUR_MS), site.now_ms + 1]
        assert [want for part in pairwise(edges) for want in found(site, *part)] == every
        (pool,) = site.usage(NOON_MS, site.now_ms).pools
        told = pool.true_denials
        assert (told.wants, told.served, told.turned_away) == (20, len(served), 20 - len(served))
        assert (told.attempts, told.waiting) == (sum(attempts for _, attempts in expected), 0)
        for parts in (pool.hours, pool.days):
            assert sum(part.turned_away for part in parts) == told.turned_away
        (turned_away,) = told.clients
        assert (turned_away.client_id, turned_away.times) == ("Client1", told.turned_away)

    check()
    while fold_journal(site.store):
        pass
    check()
    site.clock.advance(seconds=7200)
    site.do(Sweep(sessions_max=1000))
    while summarise(site.store, 400 * DAY_MS):
        pass
    check()


def test_denials_that_no_seat_avoids_are_no_wants(place: Place) -> None:
    """The licence had expired."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=5, expires_at_ms=NOON_MS)]))
    site.do(grant(1, 1))
    assert found(site) == []
    (pool,) = site.usage(NOON_MS - HOUR_MS, site.now_ms).pools
    assert (pool.denied, pool.true_denials.attempts) == (1, 0)
