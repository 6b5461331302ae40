"""Options of a pool that licences sign: its effective seats decide what may be reserved (L13, L15, L17)."""

from collections.abc import Callable, Iterator

import pytest

from licet.model import InvalidValue
from licet.options import Share
from licet.setup.change import changing
from licet.setup.check import FindingCode, check
from licet.setup.licence_terms import LicenceKept
from support.licences.signed_site import licence, put, signed_site
from support.store.hold_site import set_pool
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Three clients, and a pool of ten seats whose vendor is trusted."""
    with signed_site(make_place(START_MS)) as made:
        yield made


def share(who: str, seats: int) -> tuple[Share, ...]:
    return (Share(who=who, seats=seats),)


def contradictions(site: Site) -> list[str]:
    site.store.refresh_tenants()
    with site.store.reading() as connection:
        found = check(connection, site.store.tenants(), site.clock.now_ms())
    return [it.problem for it in found if it.code is FindingCode.OPTIONS_CONTRADICT]


def test_no_more_is_reserved_or_named_than_licences_give_now(site: Site) -> None:
    """However many the administrator has set."""
    put(site, licence(seats=3))
    with pytest.raises(InvalidValue, match="reserve is 4 seats in all, and seats gives 3"):
        set_pool(site, reserve=share("user:U1", 4))
    set_pool(site, seats=None, reserve=share("user:U1", 3))
    with pytest.raises(InvalidValue, match="seats gives 2"):
        set_pool(site, seats=2)
    set_pool(site, seats=2, reserve=())
    with pytest.raises(InvalidValue, match="named has 3 users, and seats gives 2"):
        set_pool(site, named=("U1", "U2", "U3"))


def test_a_pool_that_waits_for_its_licence_may_have_reserves(site: Site) -> None:
    """A set-up file may be applied before the licence comes; how many seats it gives, nobody knows yet."""
    set_pool(site, seats=None, reserve=share("user:U1", 4))
    assert contradictions(site) == []


def test_a_licence_with_fewer_seats_than_are_reserved_is_installed_and_found(site: Site) -> None:
    """And no other change of the pool is refused for it."""
    put(site, licence(seats=3))
    set_pool(site, seats=None, reserve=share("user:U1", 3))
    put(site, licence(serial=2, seats=2))
    assert contradictions(site) == ["reserve is 3 seats in all, and seats gives 2"]
    set_pool(site, queue=5, alerts=("90",))
    set_pool(site, reserve=share("user:U1", 2))
    assert contradictions(site) == []


def test_an_owner_of_the_tenant_sets_options_and_no_part_of_the_licence(site: Site) -> None:
    with changing(site.store, "olga", keeps_licence=True) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", users=frozenset({"U1"}))
        tenant.set_pool(
            "full", reserve=share("group:sales", 1), queue=5, max_per_user=2, exclude=("user:U2",)
        )
    for changes in ({"overdraft": 0}, {"seats": 11}, {"reserve": (), "hold_s": 60}):
        with pytest.raises(LicenceKept), changing(site.store, "olga", keeps_licence=True) as change:
            change.tenant(JIM).set_pool("full", **changes)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_pool("more", seats=1)
    with (
        pytest.raises(LicenceKept, match="pools of scope all is part of the licence"),
        changing(site.store, "olga", keeps_licence=True) as change,
    ):
        change.tenant(JIM).set_scope("all", pools=("full", "more"))
