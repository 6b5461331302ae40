"""What `licet check` finds in the options of pools: what arose later, what has no effect, wrong counts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from licet.cli.run.check_advice import advice_of
from licet.model import Duplicates
from licet.options import Priority, Share
from licet.setup.change import changing
from licet.setup.check import check
from licet.store import schema
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

OF_A_USER = "each user has one seat for all of its sessions"


@pytest.fixture
def empty(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A store without tenants."""
    site = Site(make_place(START_MS))
    yield site
    site.close()


@pytest.fixture
def site(empty: Site) -> Site:
    """A tenant in which nothing is to be found."""
    empty.begin(clients=2)
    with changing(empty.store, ADA) as change:
        change.tenant(JIM).set_client("c1", introspects=True)
    return empty


def found(site: Site) -> list[tuple[str, str, str]]:
    site.store.refresh_tenants()
    with site.store.reading() as connection:
        every = check(connection, site.store.tenants(), site.clock.now_ms())
    return [
        ("wrong" if it.is_wrong else "hint", f"{it.target}: {it.problem}", advice_of(it, names_tenant=False))
        for it in every
    ]


def set_pool(site: Site, **changes: Any) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", **changes)


def by_hand(site: Site, statement: Any) -> None:
    """A change that no verb makes; the servers are told of it."""
    with site.store.transaction() as transaction:
        transaction.connection.execute(statement)
        for versioned in (schema.setup, schema.tenant):
            transaction.connection.execute(update(versioned).values(version=versioned.c.version + 1))


def share(who: str, seats: int) -> tuple[Share, ...]:
    return (Share(who=who, seats=seats),)


def test_options_in_order_are_nothing_to_tell(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", users=frozenset({"U1"}))
        tenant.set_pool(
            "full",
            exclude=("user:U2",),
            reserve=share("group:sales", 2),
            max=share("group:sales", 3),
            priority=(Priority(who="group:sales", level=2),),
            max_per_user=2,
            queue=5,
        )
    site.grant("c1")
    assert found(site) == []


def test_seats_that_became_fewer_than_are_reserved_are_wrong(site: Site) -> None:
    """As by a licence: no change of the pool was refused."""
    set_pool(site, reserve=share("user:U1", 1), max=())
    by_hand(site, update(schema.pool_rule).values(number=6))
    [contradiction] = found(site)
    assert contradiction == (
        "wrong",
        "pool full: reserve is 6 seats in all, and seats gives 5",
        "licet pool set full; licet pool show full shows them",
    )


def test_reserved_seats_that_a_group_keeps_idle_are_wrong(site: Site) -> None:
    """Each change by itself was in order: who is in a group is no option of the pool."""
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", users=["U1"], clients=["c2"])
        tenant.add_group("staff", users=["U1", "U2"])
    told = ("wrong", "licet pool set full; licet pool show full shows them")

    def problems(**options: Any) -> list[str]:
        set_pool(site, **{"reserve": (), "exclude": (), "max": (), **options})
        assert all((kind, advice) == told for kind, _, advice in found(site))
        return [problem.removeprefix("pool full: ") for _, problem, _ in found(site)]

    for_sales = share("group:sales", 2)
    assert problems(reserve=for_sales, exclude=("group:staff",)) == [
        "reserve keeps 2 seats for group:sales, all of whom exclude keeps out"  # client c2 is of user U2
    ]
    assert problems(reserve=for_sales, exclude=("user:U1",)) == []
    assert problems(reserve=share("client:c1", 1), exclude=("group:sales",)) == [
        "reserve keeps 1 seat for client:c1, whom exclude keeps out"
    ]
    limit = "and max lets group:staff, which includes them, have 1 at most"
    assert problems(reserve=for_sales, max=share("group:staff", 1)) == [
        f"reserve has 2 seats for group:sales, {limit}"
    ]
    assert problems(reserve=for_sales, max=share("user:U1", 1)) == []


def test_a_group_without_members_is_told_with_what_names_it(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_group("sales")
    told = "licet group set sales --user INITIALS, or group remove"
    assert found(site) == [("hint", "group sales: nobody is in it", told)]
    set_pool(site, include=("group:sales",), reserve=share("group:sales", 1))
    [(_, problem, _)] = found(site)
    assert problem == "group sales: nobody is in it; named by include of pool full, reserve of pool full"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"priority": (Priority(who="user:U1", level=3),)}, "priority has no effect: the pool has no queue"),
        ({"queue_hold_s": 60}, "queue_hold has no effect: the pool has no queue"),
        (
            {"max_per_client": 2},
            "max_per_client has no effect: each client has one seat for all of its sessions",
        ),
        (
            {"max": share("client:c1", 2)},
            "max for client:c1 has no effect: each client has one seat for all of its sessions",
        ),
        (
            {"reserve": share("user:U1", 2), "duplicates": Duplicates.USER},
            f"reserve of more than 1 seat for user:U1 has no effect: {OF_A_USER}",
        ),
        (
            {"max_per_user": 2, "duplicates": Duplicates.USER},
            "max_per_user has no effect: each user has one seat for all of its sessions",
        ),
    ],
)
def test_an_option_without_effect_is_told(site: Site, changes: dict[str, Any], told: str) -> None:
    set_pool(site, **changes)
    advice = "nothing, or take it away with: licet pool set full"
    assert found(site) == [("hint", f"pool full: {told}", advice)]


def test_what_no_change_of_the_set_up_makes_is_wrong(site: Site) -> None:
    set_pool(site, exclude=("user:U2",), max=share("user:U1", 3), queue=5)
    site.grant("c1")
    assert found(site) == []
    by_hand(site, update(schema.seat_count).values(in_use=2))
    by_hand(site, update(schema.pool_rule).filter_by(who="user:U2").values(who="user:XX"))
    pool = site.tenant.pool_named("full")
    assert pool is not None
    place = {"pool_id": pool.id, "holder": "client:99", "tenant_id": site.tenant.id, "client_key": 99}
    place |= {"level": 0, "number": 1, "since_ms": 0, "until_ms": site.clock.now_ms() + 5000}
    by_hand(site, insert(schema.queue_place).values(place))
    assert [problem for kind, problem, _ in found(site) if kind == "wrong"] == [
        "pool full: its count of seats for max=user:U1 is 2, and there are 1",
        "pool full: places in its queue are of clients that are no more: 1",
        "pool full: exclude has a rule for user:XX, who is not there",
    ]
    site.clock.advance(seconds=5)
    assert not any("places" in problem for _, problem, _ in found(site))  # it lapsed
    by_hand(site, delete(schema.seat_count))
    assert any("for max=user:U1 is 0, and there are 1" in problem for _, problem, _ in found(site))
