"""The true-up and the harvest: overdraft hours are the integral of what the journal says, day by day."""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete

from licet.journal.folding import fold_journal
from licet.journal.summary import summarise
from licet.ledger.commands import Granted, Sweep
from licet.licences.armour import armoured
from licet.reports.harvest import HarvestPool, harvest
from licet.reports.true_up import TrueUpPool, true_up
from licet.setup.change import changing
from licet.setup.licences import install, trust
from licet.store import schema
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.store.hold_site import end, set_pool, site_with_hold, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

DAY_MS = 86_400_000
MINUTE_MS = 60_000
HOLD_S = 1


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Two seats are signed, with two of overdraft; a seat comes back a second after its last token."""
    with site_with_hold(make_place(START_MS)) as made:
        set_pool(made, hold_s=0, seats=10)
        text = text_of("full", "all", seats=2, overdraft=2, hold=HOLD_S)
        with changing(made.store, ADA) as change:
            trust(change, vendor_file(the_vendor()).encode())
            install(change, JIM, armoured(text).encode())
            for number in range(4, 7):
                change.tenant(JIM).add_user(f"U{number}", name=f"User {number}", password_hash="hash")
                change.tenant(JIM).add_client(f"c{number}", user=f"U{number}")
        made.store.refresh_tenants()
        yield made


def found(site: Site, from_ms: int, until_ms: int, zone: str = "UTC") -> TrueUpPool:
    """The only pool in a span."""
    tenant, now_ms = site.tenant, site.clock.now_ms()
    with site.store.reading() as connection:
        report = true_up(connection, tenant, from_ms, until_ms, now_ms=now_ms, zone=ZoneInfo(zone))
    (pool,) = report.pools
    return pool


def harvested(site: Site) -> HarvestPool:
    """The same, of what could be harvested."""
    tenant, now_ms = site.tenant, site.clock.now_ms()
    with site.store.reading() as connection:
        (pool,) = harvest(connection, tenant, START_MS - DAY_MS, now_ms, now_ms=now_ms).pools
    return pool


def use_at_random(site: Site, until_ms: int) -> list[tuple[int, int]]:
    """Take seats and give all back; from which instant on how many were in use."""
    dice = random.Random(54)  # noqa: S311 - no secret
    in_use: dict[str, Granted] = {}
    known: list[tuple[int, int]] = []
    while site.clock.now_ms() < until_ms:
        client_id = f"c{dice.randint(1, 6)}"
        if client_id in in_use:
            end(site, in_use.pop(client_id))
            wait(site, HOLD_S)  # the seat is free from the hold's end on, within the same minute
            site.commit(Sweep(sessions_max=10))
            wait(site, MINUTE_MS / 1000 - HOLD_S)
        elif len(in_use) < 4:
            granted = site.ask(client_id)
            assert isinstance(granted, Granted)
            in_use[client_id] = granted
        known.append((site.clock.now_ms(), len(in_use)))
        for _ in range(dice.randint(1, 2)):
            wait(site, 1080)
            for granted in in_use.values():
                site.refresh(granted)
    for granted in in_use.values():
        end(site, granted)
    wait(site, HOLD_S)
    site.commit(Sweep(sessions_max=10))
    return [*known, (site.clock.now_ms(), 0)]


@pytest.mark.wide
def test_overdraft_hours_are_an_integral_over_the_journal(site: Site) -> None:
    """Of random use over half a day, in days of two zones, folded and summed or not."""
    known = use_at_random(site, START_MS + DAY_MS // 2)
    now_ms = site.clock.now_ms()
    area = sum(
        max(0, seats - 2) * (until_ms - from_ms) for (from_ms, seats), (until_ms, _) in pairwise(known)
    )
    assert area
    tolerance = len(known) * MINUTE_MS  # use is known by the minute
    for _ in range(2):
        for zone in ("UTC", "Australia/Sydney"):
            pool = found(site, START_MS - DAY_MS, now_ms, zone)
            assert pool.is_signed
            assert abs(pool.overdraft_ms - area) <= tolerance
            assert pool.overdraft_ms == sum(day.overdraft_ms for day in pool.days)
            assert (pool.peak, pool.overdraft_peak) == (4, 2)
            assert {day.seats for day in pool.days[1:]} == {2}
        exact = found(site, START_MS - DAY_MS, now_ms)
        while fold_journal(site.store):
            pass
        while summarise(site.store, 400 * DAY_MS):
            pass
        assert found(site, START_MS - DAY_MS, now_ms) == exact


def test_overdraft_is_exact_where_use_changes_with_the_minute(site: Site) -> None:
    """Three seats of two for an hour, four for half an hour: two overdraft hours; somebody is turned away."""
    granted = [site.ask(f"c{number}") for number in (1, 2, 3)]
    for minute in range(0, 90, 10):
        if minute == 60:
            granted.append(site.ask("c4"))
            site.ask("c5")
        wait(site, 600)
        for one in granted:
            assert isinstance(one, Granted)
            site.refresh(one)
    pool = found(site, START_MS, site.clock.now_ms())
    assert (pool.overdraft_ms, pool.overdraft_peak, pool.true_denials) == (2 * 60 * MINUTE_MS, 2, 1)
    for one in granted:
        assert isinstance(one, Granted)
        end(site, one)


def test_a_client_that_never_logs_off_is_found_and_one_that_was_never_used(site: Site) -> None:
    """Its sessions expired; another's ended by a logoff."""
    for _ in range(3):
        site.ask("c1")
        tidy = site.ask("c2")
        assert isinstance(tidy, Granted)
        wait(site, 60)
        end(site, tidy)
        wait(site, 1300)
        site.commit(Sweep(sessions_max=10))
    pool = harvested(site)
    careless, tidy_one = pool.clients
    assert (careless.client_id, careless.logoffs, careless.expired) == ("c1", 0, 3)
    assert careless.never_logs_off
    assert careless.idle_share > 0.9
    assert (tidy_one.client_id, tidy_one.logoffs, tidy_one.never_logs_off) == ("c2", 3, False)
    assert pool.unused == ("c3", "c4", "c5", "c6")


def test_a_client_of_a_scope_with_several_pools_has_used_none_of_them(site: Site) -> None:
    """L20: it may ask for a seat of each."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_pool("first", seats=1)
        change.tenant(JIM).set_scope("all", pools=("first", "full"))
    tenant, now_ms = site.tenant, site.clock.now_ms()
    with site.store.reading() as connection:
        pools = harvest(connection, tenant, START_MS - DAY_MS, now_ms, now_ms=now_ms).pools
    assert {pool.pool: pool.unused for pool in pools} == dict.fromkeys(
        ("first", "full"), ("c1", "c2", "c3", "c4", "c5", "c6")
    )


def test_before_a_pool_was_added_it_has_no_seats(site: Site) -> None:
    """The days before said the seats of today; the day on which it was added has those at its end."""
    wait(site, 3 * DAY_MS)
    midnight = START_MS - START_MS % DAY_MS
    pool = found(site, midnight - 2 * DAY_MS, midnight + 3 * DAY_MS)
    assert [day.seats for day in pool.days] == [0, 0, 2, 2, 2]
    assert pool.added_at_ms == START_MS
    assert found(site, START_MS, START_MS + DAY_MS).added_at_ms is None
    later = found(site, midnight - 2 * DAY_MS, midnight - DAY_MS)
    assert ([day.seats for day in later.days], later.added_at_ms) == ([0], START_MS)


def test_of_a_pool_whose_beginning_is_no_longer_kept_nothing_is_said(site: Site) -> None:
    """It was there, and as far as is known with the seats of today."""
    with site.store.transaction() as transaction:
        transaction.connection.execute(delete(schema.event))
    pool = found(site, START_MS - DAY_MS, START_MS)
    assert (pool.added_at_ms, pool.days[0].seats) == (None, 2)
