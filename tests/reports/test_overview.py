"""Every tenant at a glance: what is in use and what today was like, in a number of queries that stays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta, timezone

import pytest
from sqlalchemy import Connection, event, insert, update

from licet.journal.refusals import Failure, FailureKey, write_refusals
from licet.journal.retention import remove_aged
from licet.journal.summary import summarise
from licet.ledger.commands import Sweep
from licet.model import Pool, Scope
from licet.reports.overview import Overview, PoolOverview, TenantOverview, overview
from licet.store import schema
from licet.store.paging import InvalidCursor
from support.examples import ALL, VIEW, add_tenant, bump, client, end, grant, jim_test, view
from support.store.kinds import Place
from support.store.report_site import DAY_MS, HOUR_MS, HOUR_S, NOON_MS, Site

QUARTER_MS = 900_000


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """`Jim_Test`, nothing in use."""
    return Site(place, jim_test())


def look(site: Site, **how: object) -> Overview:
    """All tenants now."""
    with site.store.reporting() as connection:
        return overview(connection, site.now_ms, **how)  # type: ignore[arg-type]


def jim(site: Site, **how: object) -> TenantOverview:
    """`Jim_Test` now."""
    [tenant] = look(site, **how).tenants
    return tenant


def full(site: Site, **how: object) -> PoolOverview:
    """Its pool now."""
    [pool] = jim(site, **how).pools
    return pool


@contextmanager
def counting(connection: Connection) -> Iterator[list[str]]:
    """The statements of this connection."""
    statements: list[str] = []

    def count(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(connection, "before_cursor_execute", count)
    yield statements
    event.remove(connection, "before_cursor_execute", count)


def test_a_tenant_that_nobody_uses(site: Site) -> None:
    """It has its pools, and a day in which nothing was in use."""
    assert jim(site) == TenantOverview(
        id=1,
        tenant="Jim_Test",
        pools=(full(site),),
        sessions=(),
        unlicensed=0,
        denials=0,
        failures=0,
    )
    pool = full(site)
    assert (pool.seats, pool.in_use, pool.overuse, pool.peak, pool.peak_at_ms) == (5, 0, 0, 0, None)
    assert (pool.denials, pool.next_free_at_ms, pool.expires_at_ms) == (0, None, None)
    assert [it.at_ms for it in pool.points] == [NOON_MS + it * QUARTER_MS for it in range(-96, 1)]
    assert {(it.peak, it.seats) for it in pool.points} == {(0, 5)}


def test_what_is_in_use_and_what_today_was_like(site: Site) -> None:
    """In use, peak and when, denials, and when the next seat is free at the latest."""
    site.clock.advance(seconds=120)
    site.do(*(grant(key, key) for key in range(1, 6)))
    site.do(grant(6, 60), grant(6, 61))
    site.clock.advance(seconds=60)
    site.do(end(1), end(2), grant(6, 62))
    pool = full(site)
    assert (pool.in_use, pool.peak, pool.peak_at_ms) == (4, 5, NOON_MS + 120_000)
    assert (pool.denials, jim(site).denials) == (2, 2)
    assert pool.next_free_at_ms == NOON_MS + 120_000 + 1_200_000
    assert pool.points[-1].peak == 5


def test_an_expired_seat_is_free_at_its_moment_swept_or_not(site: Site) -> None:
    """L4."""
    site.do(grant(1, 1), grant(2, 2), view(3, 3))
    site.clock.advance(seconds=1199.999)
    assert (full(site).in_use, jim(site).unlicensed) == (2, 1)
    site.clock.advance(seconds=0.001)
    before = jim(site)
    assert (before.pools[0].in_use, before.unlicensed, before.sessions) == (0, 0, ())
    assert before.pools[0].next_free_at_ms is None
    site.clock.advance(seconds=2 * HOUR_S)
    before = jim(site)
    site.do(Sweep(sessions_max=10))
    assert jim(site) == before
    assert [it.peak for it in before.pools[0].points[-11:]] == [0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0]


def test_sessions_are_counted_by_scope(place: Place) -> None:
    """Those that need a seat first; sessions of `view` need none."""
    scopes = [VIEW, ALL, Scope(name="report", licensed=True, read_only=True, pool="full")]
    site = Site(place, jim_test(scopes=scopes))
    site.do(grant(1, 1), grant(1, 2), grant(2, 3, scope="report"), view(3, 4), view(4, 5), view(4, 6))
    found = [(it.scope, it.licensed, it.sessions) for it in jim(site).sessions]
    assert found == [("all", True, 2), ("report", True, 1), ("view", False, 3)]
    assert jim(site).unlicensed == 3
    assert full(site).in_use == 2


def test_overuse_is_shown(site: Site) -> None:
    """L6."""
    site.do(*(grant(key, key) for key in range(1, 6)))
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.pool).values(seats=3, overuse=2))
        bump(transaction.connection, 1)
    assert (full(site).in_use, full(site).seats, full(site).overuse) == (5, 3, 2)


def test_today_begins_at_midnight_of_the_reader(site: Site) -> None:
    """What was denied before is not of today, and what is held since yesterday is in use at midnight."""
    site.do(*(grant(key, key) for key in range(1, 6)), grant(6, 60))
    site.clock.advance(seconds=60)
    site.do(end(1), end(2))
    site.keep(3, 4, 5, hours=1)
    site.do(end(5))
    utc, east = full(site), full(site, zone=timezone(timedelta(hours=11, minutes=30)))
    assert (utc.peak, utc.peak_at_ms, utc.denials) == (5, NOON_MS, 1)
    assert (east.peak, east.peak_at_ms, east.denials) == (3, NOON_MS + HOUR_MS // 2, 0)


def test_a_line_of_24_hours_begins_with_what_was_in_use(site: Site) -> None:
    """From minutes, from what is summed, and where minutes are kept for a day only."""
    site.do(grant(1, 1))
    site.keep(1, hours=20)
    site.do(grant(2, 2), end(2))
    site.keep(1, hours=10)
    before = full(site)
    assert [it.peak for it in before.points] == [2 if it == 56 else 1 for it in range(97)]
    while summarise(site.store, DAY_MS):
        pass
    assert full(site) == before
    while remove_aged(site.store, DAY_MS, 7 * DAY_MS):
        pass
    assert full(site) == before


def test_pages_of_tenants_go_by_their_names(place: Place) -> None:
    """As far as an identity may see, and where a name fits."""
    site = Site(place, jim_test())
    names = ["Alpha", "Beta_1", "Beta_2", "Gamma"]
    with site.store.transaction() as transaction:
        for number, name in enumerate(names):
            key = 10 * (number + 2)
            other = jim_test(
                id=number + 2,
                name=name,
                pools=[Pool(id=number + 2, name="full", seats=number)],
                clients=[client(key, "TestClientId", "TC")],
            )
            add_tenant(transaction.connection, other)
    site.do(grant(30, 1, tenant_id=3, pool_id=3))

    def page(**how: object) -> tuple[list[str], str | None]:
        found = look(site, **how)
        return [it.tenant for it in found.tenants], found.next

    assert page() == ([*names, "Jim_Test"], None)
    first, after = page(limit=2)
    assert first == names[:2]
    second, after = page(limit=2, after=after)
    assert second == names[2:]
    assert page(limit=2, after=after) == (["Jim_Test"], None)
    assert page(tenant_id=3) == (["Beta_1"], None)
    assert page(matching="BETA_", limit=1)[0] == ["Beta_1"]
    assert page(matching="eta%") == ([], None)
    assert page(tenant_id=3, matching="alpha") == ([], None)
    used = {it.tenant: it.pools[0].in_use for it in look(site).tenants}
    assert used == dict.fromkeys([*names, "Jim_Test"], 0) | {"Beta_1": 1}
    for bad in ("?", "WzFd", "bm8"):
        with pytest.raises(InvalidCursor):
            look(site, after=bad)


def test_the_number_of_queries_is_the_same_for_one_tenant_and_for_many(site: Site) -> None:
    """Whatever their number, and that of their pools and sessions."""
    site.do(grant(1, 1), view(2, 2))
    with site.store.reporting() as connection, counting(connection) as few:
        overview(connection, site.now_ms)
    tenants = range(2, 302)
    defaults = {"session_ttl_s": 1200, "access_ttl_s": 600, "scope_default": "all", "no_seat_status": 400}
    with site.store.transaction() as transaction:
        connection = transaction.connection
        rows = [{"id": tenant, "name": f"T{tenant:04}", "version": 0, **defaults} for tenant in tenants]
        connection.execute(insert(schema.tenant), rows)
        pools = [
            {"id": number, "tenant_id": number // 2, "name": name, "seats": 5, "duplicates": "client"}
            for number, name in enumerate(("full", "extra") * len(tenants), 2 * tenants.start)
        ]
        connection.execute(insert(schema.pool), pools)
    with site.store.reporting() as connection, counting(connection) as many:
        found = overview(connection, site.now_ms, limit=500)
    assert len(found.tenants) == 301
    assert len(few) == len(many) <= 10


def test_todays_failed_authentications_are_counted(site: Site) -> None:
    """Those since midnight, of the tenant alone."""
    failed = {
        FailureKey(tenant_id, at_ms // 60_000, "client", cause, "C1"): Failure("C1", times, at_ms, at_ms, "")
        for tenant_id, at_ms, cause, times in (
            (1, site.now_ms, "wrong_secret", 2),
            (1, site.now_ms - HOUR_MS, "expired_secret", 3),
            (1, site.now_ms - DAY_MS, "wrong_secret", 5),
            (0, site.now_ms, "unknown_tenant", 7),
        )
    }
    write_refusals(site.store, failed, [])
    assert jim(site).failures == 5
