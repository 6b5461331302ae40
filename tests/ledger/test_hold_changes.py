"""L18 when the set-up changes: seats on hold where a hold, a pool, a client or a tenant changes or goes."""

from collections.abc import Callable, Iterator

import pytest

from licet.model import Duplicates, TokenFormat
from licet.setup.change import changing
from licet.store import schema
from support.store.hold_site import answered, denied, end, set_pool, site_with_hold, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A pool of one seat with a hold of a minute, and three clients."""
    with site_with_hold(make_place(START_MS)) as made:
        yield made


def test_a_longer_hold_counts_for_seats_that_are_in_use(site: Site) -> None:
    """On hold already, and with a session; its instant is written with the change."""
    end(site, site.grant("c1"))
    set_pool(site, hold_s=1500)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [1_500_000]
    assert denied(site).retry_after_s == 1500
    again = site.grant("c1")
    set_pool(site, hold_s=3000)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [3_000_000]
    assert answered(end(site, again)) == (False, 3000)


def test_a_change_of_the_token_format_or_of_the_life_counts_at_once(site: Site) -> None:
    """The effective hold is what changes."""
    end(site, site.grant("c1"))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT, access_ttl_s=90)
    assert denied(site).retry_after_s == 90
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(access_ttl_s=120)
    assert denied(site).retry_after_s == 120


def test_a_shorter_hold_frees_what_is_not_held_any_more(site: Site) -> None:
    """As of now, and not of when it would have been free: so long it was held."""
    end(site, site.grant("c1"))
    wait(site, 40)
    set_pool(site, hold_s=50)
    assert denied(site).retry_after_s == 10
    set_pool(site, hold_s=30)
    assert site.pool().in_use == 0
    assert sum(row.held_ms for row in site.rows(schema.usage_hour)) == 40_000
    site.grant("c2")


def test_a_shorter_hold_ends_no_session(site: Site) -> None:
    """The seat is in use until the last of them expires."""
    set_pool(site, hold_s=1500)
    first = site.grant("c1")
    set_pool(site, hold_s=0)
    assert site.lives(first)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [1_200_000]


def test_a_hold_ends_with_its_pool_and_goes_on_where_that_is_extended(site: Site) -> None:
    """L7: no seat of a licence that is over is in use."""
    set_pool(site, expires_at_ms=START_MS + 40_000)
    assert answered(end(site, site.grant("c1"))) == (False, 40)
    set_pool(site, expires_at_ms=START_MS + 50_000)
    assert denied(site).retry_after_s == 50
    set_pool(site, expires_at_ms=None)
    assert denied(site).retry_after_s == 60


def test_a_licence_that_is_over_holds_nothing(site: Site) -> None:
    """L7. Neither the seats of sessions that end with it, nor those on hold before."""
    set_pool(site, seats=2)
    end(site, site.grant("c1"))
    site.grant("c2")
    set_pool(site, expires_at_ms=START_MS)
    assert site.pool().in_use == 0
    assert site.rows(schema.seat) == []


def test_another_rule_of_sharing_leaves_a_seat_on_hold_to_who_had_it(site: Site) -> None:
    """Who had it as a client has none as a user: denied for as long as the hold at most."""
    end(site, site.grant("c1"))
    set_pool(site, duplicates=Duplicates.USER)
    assert denied(site, "c1").retry_after_s == 60
    set_pool(site, duplicates=Duplicates.CLIENT)
    site.grant("c1")


def test_a_client_that_is_removed_leaves_its_seat_on_hold(site: Site) -> None:
    """Its last token may still be believed. Whoever has its name shares the seat."""
    site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_client("c1")
    assert denied(site).retry_after_s == 60
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_client("c1", user="U1")
    site.grant("c1")


def test_a_pool_that_is_removed_leaves_no_seat_behind(site: Site) -> None:
    """What was in use is written as free now."""
    end(site, site.grant("c1"))
    wait(site, 10)
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_pool("other", seats=1)
        tenant.set_scope("all", pool="other")
        tenant.remove_pool("full")
    assert site.rows(schema.seat) == []
    assert [row.in_use for row in site.rows(schema.usage_minute) if row.pool == "full"] == [0]


def test_a_tenant_that_is_removed_leaves_no_seat_behind(site: Site) -> None:
    """Nor anything else that is in use."""
    end(site, site.grant("c1"))
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    assert site.rows(schema.seat) == []
