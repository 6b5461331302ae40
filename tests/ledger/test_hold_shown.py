"""L18 in what an administrator sees: lists, figures, and what the check finds."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from licet.cli.run.check_advice import advice_of
from licet.ledger.commands import Sweep
from licet.model import Duplicates
from licet.reports.live import seats
from licet.reports.occupancy import occupancy
from licet.reports.overview import overview
from licet.reports.seats import free_at_ms, mark, seats_held, sessions_named, sessions_on_seats
from licet.reports.seats_on_hold import seats_on_hold
from licet.reports.usage import usage
from licet.setup.change import end_sessions
from licet.setup.check import check
from licet.store import schema
from licet.units import HOUR_MS
from support.store.hold_site import end, set_pool, site_with_hold, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A pool of one seat with a hold of a minute, and three clients."""
    with site_with_hold(make_place(START_MS)) as made:
        yield made


def test_a_seat_on_hold_is_in_use_for_the_figures_and_idle_since_its_last_token(site: Site) -> None:
    """Also while nothing has cleared it away."""
    first = site.grant("c1")
    wait(site, 50)
    site.refresh(first)
    wait(site, 20)
    end(site, first)
    wait(site, 600)
    for swept in (False, True):
        if swept:
            site.commit(Sweep(sessions_max=10))
        now_ms, tenant = site.clock.now_ms(), site.tenant
        with site.store.reading() as connection:
            found = usage(connection, tenant, START_MS - HOUR_MS, now_ms, now_ms=now_ms)
        [pool] = found.pools
        assert (pool.peak, pool.held_ms, pool.idle_ms) == (1, 110_000, 60_000)


def test_the_check_finds_nothing_wrong_with_a_seat_on_hold(site: Site) -> None:
    """And finds one that is held for another time than the rule says."""
    set_pool(site, seats=2)
    end(site, site.grant("c1"))
    site.grant("c2")
    site.check()
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            update(schema.seat).where(schema.seat.c.client_id == "c1").values(expires_at_ms=START_MS + 61_000)
        )
    with site.store.reading() as connection:
        found = check(connection, site.store.tenants(), site.clock.now_ms())
    assert any("seats that do not expire" in it.problem for it in found)
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            update(schema.seat).where(schema.seat.c.client_id == "c1").values(expires_at_ms=START_MS + 60_000)
        )


def findings(site: Site) -> list[str]:
    store, now_ms = site.store, site.clock.now_ms()
    store.refresh_tenants()
    with store.reading() as connection:
        return [
            f"{it.problem}: {advice_of(it, names_tenant=False)}"
            for it in check(connection, store.tenants(), now_ms)
        ]


def test_the_check_warns_where_a_client_in_a_loop_can_fill_a_pool(site: Site) -> None:
    """L8: sessions that are superseded leave their seats on hold, where each session has its own."""
    warning = "held for 1m: a client that asks again and again can fill the pool for that long"
    assert not any(warning in it for it in findings(site))
    set_pool(site, duplicates=Duplicates.NONE)
    [found] = [it for it in findings(site) if warning in it]
    assert found.endswith("licet pool set full --duplicates client")
    set_pool(site, hold_s=0)
    assert not any(warning in it for it in findings(site))


def holders(site: Site) -> list[tuple[str, int, bool]]:
    """Who holds seats, with so many sessions, and whether it is on hold."""
    tenant = site.tenant
    with site.store.reading() as connection:
        page = seats_held(connection, tenant, site.clock.now_ms())
    return [(it.client_id, it.sessions_count, it.on_hold) for it in page.seats]


def test_the_lists_show_a_seat_on_hold_as_such(site: Site) -> None:
    """Whose it is, when its last token was issued, and until when it is held; it has no session to end."""
    set_pool(site, seats=3)
    first = site.grant("c1")
    wait(site, 10)
    site.refresh(first)
    wait(site, 10)
    end(site, first)
    site.grant("c2")
    assert holders(site) == [("c1", 0, True), ("c2", 1, False)]
    tenant = site.tenant
    with site.store.reading() as connection:
        now_ms = site.clock.now_ms()
        [held, _] = seats_held(connection, tenant, now_ms).seats
        [pool] = seats(connection, tenant, now_ms).pools
        [shown] = overview(connection, now_ms, tenant_id=tenant.id).tenants
        [counted] = occupancy(connection, now_ms, tenants_max=10).pools
        to_end = sessions_on_seats(connection, tenant, now_ms, [("full", "client:c1")])
    assert (held.renewed_at_ms, held.expires_at_ms) == (START_MS + 10_000, START_MS + 70_000)
    assert [(it.client_id, it.issued_at_ms, len(it.sessions)) for it in pool.in_use_by] == [
        ("c1", START_MS + 10_000, 0),
        ("c2", START_MS + 20_000, 1),
    ]
    assert (shown.pools[0].in_use, shown.pools[0].on_hold) == (2, 1)
    assert (counted.in_use, counted.on_hold) == (2, 1)
    assert to_end == []


def test_without_a_hold_nothing_is_on_hold(site: Site) -> None:
    """Nor is a seat whose hold is over, swept or not."""
    end(site, site.grant("c1"))
    for seconds, expected in ((0, 1), (60, 0)):
        wait(site, seconds)
        with site.store.reading() as connection:
            assert list(seats_on_hold(connection, site.clock.now_ms()).values()) == [expected]
    set_pool(site, hold_s=0)
    with site.store.reading() as connection:
        assert seats_on_hold(connection, site.clock.now_ms()) == {}


def test_an_administrator_is_told_when_the_seats_of_ended_sessions_are_free(site: Site) -> None:
    """Before it is done, and after; the list that follows shows it when they are."""
    set_pool(site, seats=3)
    sids = [site.grant(client_id).session.sid for client_id in ("c1", "c1", "c2")]
    wait(site, 15)
    tenant = site.tenant
    with site.store.reading() as connection:
        now_ms = site.clock.now_ms()
        one, all_of_it = (sessions_named(connection, tenant, now_ms, it) for it in (sids[:1], sids))
        assert free_at_ms(connection, tenant, now_ms, one) is None  # another session lives on the seat
        assert free_at_ms(connection, tenant, now_ms, all_of_it) == START_MS + 60_000
        before = mark(connection, tenant.id, now_ms)
    done = end_sessions(site.store, ADA, JIM, sids)
    assert (done.sessions, done.seats, done.seats_on_hold) == (3, 0, 2)
    assert done.seats_free_at_ms == START_MS + 60_000
    with site.store.reading() as connection:
        held = mark(connection, tenant.id, site.clock.now_ms())
        free = mark(connection, tenant.id, START_MS + 60_000)
    assert len({before, held, free}) == 3
