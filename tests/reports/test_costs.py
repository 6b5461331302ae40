"""Costs by group and by cost centre: the parts add up, whoever is in several, and whatever the price."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import insert

from licet.ledger.commands import Sweep
from licet.model import Pool, Tenant
from licet.options import Group
from licet.reports.costs import Costs, PoolCosts, costs, rows, split
from licet.reports.forms import SplitBy
from licet.setup.change import changing
from licet.store import schema
from support.examples import client, end, grant, jim_test
from support.store.kinds import Place
from support.store.report_site import HOUR_MS, NOON_MS, Site

CENTRE = SplitBy.COST_CENTRE


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """A pool of four seats, held for two hours by TC, for one by AB, and by CD not at all."""
    clients = (client(1, "One", "TC"), client(2, "Two", "AB"), client(3, "Three", "CD"))
    pool = Pool(id=1, name="full", seats=4)
    site = Site(place, jim_test(pools=(pool,), clients=clients, session_ttl_s=HOUR_MS // 1000 * 8))
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=3600)
    site.do(end(2))
    site.clock.advance(seconds=3600)
    site.do(end(1))
    return site


def tenant_of(site: Site, groups: dict[str, Group] | None = None, **centres: str) -> Tenant:
    """The tenant with these cost centres, by initials, and groups."""
    users = {
        initials: replace(user, cost_centre=centres.get(initials))
        for initials, user in site.tenant.users.items()
    }
    return replace(site.tenant, users=users, groups=groups or {})


def found(site: Site, tenant: Tenant, by: SplitBy = CENTRE, price_cents: int | None = None) -> Costs:
    """The costs since noon."""
    with site.store.reading() as connection:
        return costs(connection, tenant, by, NOON_MS, site.now_ms, price_cents, now_ms=site.now_ms)


def hours(pool: PoolCosts) -> dict[str | None, tuple[float, float]]:
    """For how many hours each part held seats, and its part of the hours in which nobody did."""
    return {part.name: (part.held_ms / HOUR_MS, part.unused_ms / HOUR_MS) for part in pool.parts}


def adds_up(pool: PoolCosts) -> None:
    """What is split is all there, to the millisecond and to the cent."""
    assert sum(part.held_ms for part in pool.parts) == pool.held_ms
    assert sum(part.unused_ms for part in pool.parts) == (pool.unused_ms if pool.parts else 0)
    assert pool.held_ms + pool.unused_ms >= pool.seats_ms
    if pool.cost is not None and pool.parts:
        assert sum(round((part.cost or 0) * 100) for part in pool.parts) == round(pool.cost * 100)


def test_what_nobody_held_is_shared_in_proportion_to_what_each_held(site: Site) -> None:
    """Eight seat-hours, three held, five left: two thirds of these for who held two of three."""
    [pool] = found(site, tenant_of(site, TC="4711", AB="0815")).pools
    adds_up(pool)
    assert (pool.seats_ms, pool.held_ms) == (8 * HOUR_MS, 3 * HOUR_MS)
    shown = hours(pool)
    assert [round(hours, 3) for hours in (*shown["4711"], *shown["0815"])] == [2, 3.333, 1, 1.667]
    assert [(part.clients, part.share) for part in pool.parts] == [(1, 0.6667), (1, 0.3333)]
    assert pool.cost is None


def test_seats_above_those_that_were_there_take_no_unused_time_away(place: Place) -> None:
    """Two hours of two seats of one, as when their number was lowered, and two of none: two hours unused."""
    clients = (client(1, "One", "TC"), client(2, "Two", "AB"))
    pool = Pool(id=1, name="full", seats=2)
    site = Site(place, jim_test(pools=(pool,), clients=clients, session_ttl_s=HOUR_MS // 1000 * 8))
    site.do(grant(1, 1), grant(2, 2))
    with changing(site.store, "ada") as change:
        change.tenant("Jim_Test").set_pool("full", seats=1)
    site.clock.advance(seconds=2 * 3600)
    site.do(end(1), end(2))
    site.clock.advance(seconds=2 * 3600)
    (costs_of,) = found(site, tenant_of(site, TC="4711", AB="4712")).pools
    assert (costs_of.seats_ms, costs_of.held_ms) == (4 * HOUR_MS, 4 * HOUR_MS)
    assert hours(costs_of) == {"4711": (2.0, 1.0), "4712": (2.0, 1.0)}


def test_a_price_is_that_of_one_seat_for_the_span_and_is_split_to_the_cent(site: Site) -> None:
    """Four seats of 100.00; what is left over by rounding is somebody's."""
    [pool] = found(site, tenant_of(site, TC="4711", AB="0815"), price_cents=10_000).pools
    adds_up(pool)
    assert pool.cost == 400.0
    assert [part.cost for part in pool.parts] == [266.67, 133.33]


def test_who_has_no_cost_centre_and_who_was_removed_are_a_part_without_a_name(site: Site) -> None:
    """Its time does not vanish."""
    tenant = tenant_of(site, TC="4711")
    gone = replace(tenant, users={name: user for name, user in tenant.users.items() if name != "AB"})
    for one in (tenant, gone):
        result = found(site, one)
        assert hours(result.pools[0])[None][0] == 1
        adds_up(result.pools[0])
        assert rows(result)[1][:4] == ("full", "", 1, "1.00")


def test_somebody_in_two_groups_counts_for_each_of_them_in_equal_parts(site: Site) -> None:
    """By its client or by its user; once in a group that names both."""
    groups = {
        "sales": Group(name="sales", users=frozenset({"TC"}), clients=frozenset({"One"})),
        "support": Group(name="support", clients=frozenset({"One", "Two"})),
    }
    [pool] = found(site, tenant_of(site, groups), SplitBy.GROUP, 10_000).pools
    adds_up(pool)
    assert {name: held for name, (held, _) in hours(pool).items()} == {"sales": 1, "support": 2}
    assert {part.name: part.clients for part in pool.parts} == {"sales": 1, "support": 2}


def test_groups_do_not_matter_to_cost_centres_nor_the_other_way_round(site: Site) -> None:
    """Who is in none is a part of its own."""
    groups = {"sales": Group(name="sales", users=frozenset({"CD"}))}
    tenant = tenant_of(site, groups, TC="4711", AB="4711")
    assert list(hours(found(site, tenant, SplitBy.GROUP).pools[0])) == [None]
    assert list(hours(found(site, tenant).pools[0])) == ["4711"]


def test_a_pool_that_nobody_held_has_a_cost_and_no_parts(place: Place) -> None:
    """The seats were there, and somebody paid for them."""
    site = Site(place, jim_test())
    site.clock.advance(seconds=7200)
    [pool] = found(site, site.tenant, price_cents=5000).pools
    assert (pool.parts, pool.held_ms, pool.cost) == ((), 0, 250.0)


def test_a_seat_that_is_held_now_counts_until_now_and_an_expired_one_until_it_did(site: Site) -> None:
    """Swept or not."""
    site.do(grant(3, 3))
    site.clock.advance(seconds=3600)
    tenant = tenant_of(site, CD="new")
    assert hours(found(site, tenant).pools[0])["new"][0] == 1
    site.clock.advance(seconds=3600 * 24)
    assert hours(found(site, tenant).pools[0])["new"][0] == 8
    site.do(Sweep(sessions_max=10))
    assert hours(found(site, tenant).pools[0])["new"][0] == 8


def test_before_its_tenant_was_made_no_seat_was_there(site: Site) -> None:
    """Made at one: what was there for half of the span costs half of its price."""
    made = {"actor": "ada", "tenant": "Jim_Test", "action": "add", "target": "tenant Jim_Test", "detail": ""}
    with site.store.transaction() as transaction:
        transaction.connection.execute(insert(schema.event).values(at_ms=NOON_MS + HOUR_MS, **made))
    [pool] = found(site, tenant_of(site, TC="4711"), price_cents=10_000).pools
    adds_up(pool)
    assert (pool.seats_ms, pool.cost) == (4 * HOUR_MS, 200.0)


def test_a_span_of_no_time_costs_nothing(site: Site) -> None:
    """And divides by nothing."""
    with site.store.reading() as connection:
        result = costs(connection, site.tenant, CENTRE, NOON_MS, NOON_MS, 5000, now_ms=site.now_ms)
    assert [(pool.seats_ms, pool.cost, pool.parts) for pool in result.pools] == [(0, 0.0, ())]


@given(st.integers(0, 10**15), st.dictionaries(st.text(max_size=2) | st.none(), st.integers(0, 10**12)))
def test_parts_add_up_to_the_whole_and_none_is_off_by_more_than_one(whole: int, weights: Any) -> None:
    """Whatever is split by whatever weights."""
    parts = split(whole, weights)
    total = sum(weights.values())
    if not total:
        assert parts == {}
        return
    assert sum(parts.values()) == whole
    assert all(abs(parts[name] * total - whole * weight) < total for name, weight in weights.items())
