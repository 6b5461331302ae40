"""Options of pools as an administrator sets them: what is kept, what is refused, and what an event says."""

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, insert, select, update

from licet.ledger.commands import Denied, Granted
from licet.model import InvalidValue, NoSeatReason, Pool
from licet.options import RULES_MAX, Group, Priority, Share
from licet.refusal import Code, Refusal
from licet.setup.change import changing
from licet.setup.tenant import TenantSetup
from licet.store import schema
from licet.store.errors import NotFound, StillInUse
from licet.units import DAY_MS
from support.store.setup_site import ADA, JIM, Site

SALES: dict[str, Any] = {"users": frozenset({"U1"}), "clients": frozenset({"c2"})}
RULES: dict[str, Any] = {
    "exclude": ("client:c3",),
    "include": ("group:sales", "user:U2"),
    "reserve": (Share(who="group:sales", seats=1),),
    "max": (Share(who="user:U1", seats=1),),
    "priority": (Priority(who="group:sales", level=5),),
    "max_per_user": 2,
    "max_per_client": 3,
    "queue": 20,
    "queue_hold_s": 60,
}


def share(who: str, seats: int) -> tuple[Share, ...]:
    return (Share(who=who, seats=seats),)


def pool_of(site: Site, name: str = "full") -> Pool:
    pool = site.tenant.pool_named(name)
    assert pool is not None
    return pool


def set_pool(site: Site, **changes: Any) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", **changes)


def details(site: Site) -> list[str]:
    return [f"{event.action} {event.target}: {event.detail}" for event in site.rows(schema.event)]


def test_rules_and_groups_are_kept_as_they_were_set(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.set_pool("full", **RULES)  # which name a group that comes only now
        tenant.add_group("sales", **SALES)
    pool = pool_of(site)
    assert {field: getattr(pool, field) for field in RULES} == RULES
    assert site.tenant.groups == {"sales": Group(name="sales", **SALES)}
    assert "add group sales: users U1, clients c2" in details(site)
    assert any("include none -> group:sales+user:U2" in detail for detail in details(site))
    set_pool(site, **{field: type(value)() for field, value in RULES.items() if isinstance(value, tuple)})
    assert site.rows(schema.pool_rule) == []
    with changing(site.store, ADA) as change:
        assert not change.tenant(JIM).set_pool("full", exclude=())


def test_a_pool_is_added_with_its_rules_and_takes_them_with_it(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_pool("named", seats=2, named=("U1", "U2"), queue=5)
    assert (pool_of(site, "named").named, pool_of(site, "named").queue) == (("U1", "U2"), 5)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_pool("named")
    assert site.rows(schema.pool_rule) == []


def test_an_option_counts_for_the_next_grant(site: Site) -> None:
    """L15, and L5: who has a seat keeps it."""
    granted = site.grant("c1")
    set_pool(site, exclude=("user:U1", "client:c2"))
    assert isinstance(site.refresh(granted), Granted)
    denied = site.ask("c2")
    assert isinstance(denied, Denied)
    assert denied.reason is NoSeatReason.EXCLUDED


@pytest.mark.parametrize(
    ("rules", "fields", "told"),
    [
        (
            {"reserve": share("user:U1", 3), "max": share("user:U1", 2)},
            ("reserve", "max"),
            "reserve has 3 seats for user:U1, and max lets it have 2 at most",
        ),
        (
            {"reserve": share("user:U1", 3), "max_per_user": 2},
            ("reserve", "max_per_user"),
            "reserve has 3 seats for user:U1, and max_per_user lets it have 2 at most",
        ),
        (
            {"reserve": share("client:c1", 1) + share("user:U1", 5)},
            ("reserve", "seats"),
            "reserve is 6 seats in all, and seats gives 5",
        ),
        (
            {"named": ("U1",), "include": ("user:U2",)},
            ("named", "include"),
            "named and include exclude each other",
        ),
        (
            {"named": ("U1", "U2", "U3"), "seats": 2},
            ("named", "seats"),
            "named has 3 users, and seats gives 2",
        ),
        ({"exclude": ("user:U1",), "include": ("user:U1",)}, ("exclude", "include"), "exclude has user:U1"),
        ({"exclude": ("user:U1",), "named": ("U1",)}, ("exclude", "named"), "named has it too"),
        (
            {"exclude": ("client:c1",), "reserve": share("client:c1", 1)},
            ("exclude", "reserve"),
            "exclude has client:c1, and reserve has it too",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused_with_both(
    site: Site, rules: dict[str, Any], fields: tuple[str, str], told: str
) -> None:
    """In one change, and in two; nothing of it is kept."""
    with pytest.raises(InvalidValue, match=told) as refused:
        set_pool(site, **rules)
    assert refused.value.code is Code.NOT_TOGETHER
    assert {refused.value.field, refused.value.beside} == set(fields)
    assert not pool_of(site).exclude + pool_of(site).reserve
    first, *others = rules.items()
    for key, value in others:
        set_pool(site, **{key: value})
    if others:
        with pytest.raises(InvalidValue, match=told):
            set_pool(site, **dict([first]))


def test_what_goes_together_is_taken(site: Site) -> None:
    """RESERVE counts as included; a line for one takes the place of `max_per_user`."""
    set_pool(site, include=("user:U1",), reserve=share("user:U2", 3))
    set_pool(site, max=share("user:U2", 3), max_per_user=1)
    set_pool(site, reserve=share("user:U2", 5), max=share("user:U2", 5))
    assert pool_of(site).reserve == share("user:U2", 5)


def test_seats_are_not_lowered_below_what_is_reserved(site: Site) -> None:
    set_pool(site, reserve=share("user:U1", 3))
    with pytest.raises(InvalidValue, match="reserve is 3 seats in all, and seats gives 2"):
        set_pool(site, seats=2)
    set_pool(site, seats=2, reserve=share("user:U1", 2))
    assert pool_of(site).seats == 2


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"exclude": ("user:XX",)}, "exclude of pool full: there is no user XX .* there is: U1, U2, U3"),
        ({"include": ("client:XX",)}, "include of pool full: there is no client XX"),
        ({"named": ("XX",)}, "named of pool full: there is no user XX"),
        ({"reserve": share("group:XX", 1)}, "reserve of pool full: there is no group XX .* none yet"),
        ({"max": share("user:u1", 1)}, "there is no user u1"),
        ({"priority": (Priority(who="group:XX", level=1),)}, "priority of pool full: there is no group XX"),
    ],
)
def test_a_rule_for_somebody_who_is_not_there_is_refused(
    site: Site, rules: dict[str, Any], told: str
) -> None:
    with pytest.raises(NotFound, match=told) as refused:
        set_pool(site, **rules)
    assert refused.value.field in rules


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"exclude": ("user:U1", "user:U1")}, Code.ALREADY_THERE),
        ({"max": share("user:U1", 1) + share("user:U1", 2)}, Code.ALREADY_THERE),
        ({"exclude": ("U1",)}, Code.MALFORMED),
        ({"exclude": ("user:U1\nmax=user:U2",)}, Code.MALFORMED),
        ({"max": share("user:U1", 0)}, Code.OUT_OF_RANGE),
        ({"priority": (Priority(who="user:U1", level=10),)}, Code.OUT_OF_RANGE),
        ({"queue": 1001}, Code.OUT_OF_RANGE),
        ({"queue": -1}, Code.OUT_OF_RANGE),
        ({"queue_hold_s": 4}, Code.OUT_OF_RANGE),
        ({"queue_hold_s": 301}, Code.OUT_OF_RANGE),
        ({"max_per_user": 0}, Code.OUT_OF_RANGE),
        ({"max_per_client": 1_000_001}, Code.OUT_OF_RANGE),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_model(rules: dict[str, Any], code: Code) -> None:
    with pytest.raises(InvalidValue) as refused:
        replace(Pool(id=1, name="full", seats=5), **rules)
    assert refused.value.code is code
    assert refused.value.field.removesuffix("_s") in {name.removesuffix("_s") for name in rules}


def test_a_pool_has_a_hundred_rules_at_most() -> None:
    pool = Pool(id=1, name="full", seats=5)
    many = tuple(f"client:c{number}" for number in range(RULES_MAX))
    replace(pool, exclude=many)
    with pytest.raises(InvalidValue, match="100 rules, and these are 101") as refused:
        replace(pool, exclude=many, max=share("user:U1", 1))
    assert (refused.value.code, refused.value.field, refused.value.limit) == (Code.TOO_MANY, "exclude", 100)


def test_a_named_user_who_is_taken_off_counts_for_a_day(site: Site) -> None:
    """L15: names do not rotate; whoever comes back takes no other place."""
    set_pool(site, seats=2, named=("U1", "U2"))
    with pytest.raises(InvalidValue, match="named has 2 users and U1, taken off less than 24 hours ago"):
        set_pool(site, named=("U2", "U3"))
    set_pool(site, named=("U2",))
    with pytest.raises(InvalidValue, match="named has 2 users and U1, taken off"):
        set_pool(site, named=("U2", "U3"))
    assert isinstance(site.ask("c1"), Denied)  # it counts as a name, and has no seat
    set_pool(site, named=("U1", "U2"))
    assert site.grant("c1").session.holder
    set_pool(site, named=("U2",))
    site.clock.advance(seconds=DAY_MS / 1000 - 1)
    with pytest.raises(InvalidValue, match="U1, taken off"):
        set_pool(site, named=("U2", "U3"))
    site.clock.advance(seconds=1)
    set_pool(site, named=("U2", "U3"))
    assert [rule.who for rule in site.rows(schema.pool_rule)] == ["user:U2", "user:U3"]


def test_all_names_taken_off_count_when_names_are_set_again(site: Site) -> None:
    set_pool(site, seats=2, named=("U1", "U2"))
    set_pool(site, named=())
    assert site.grant("c3").session.holder  # everybody may have a seat
    with pytest.raises(InvalidValue, match="named has 1 user and U1, U2, taken off"):
        set_pool(site, named=("U3",))


def test_a_removed_user_or_client_leaves_its_groups(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", users=frozenset({"U1", "U2"}), clients=frozenset({"c1", "c2"}))
        tenant.remove_client("c1")
        tenant.remove_user("U1")
    assert site.tenant.groups == {
        "sales": Group(name="sales", users=frozenset({"U2"}), clients=frozenset({"c2"}))
    }
    assert "set group sales: users U1+U2 -> U2" in details(site)


@pytest.mark.parametrize(
    ("who", "remove"),
    [
        ("user:U1", lambda tenant: (tenant.remove_client("c1"), tenant.remove_user("U1"))),
        ("client:c1", lambda tenant: tenant.remove_client("c1")),
        ("group:sales", lambda tenant: tenant.remove_group("sales")),
    ],
)
def test_whom_a_rule_names_is_not_removed(site: Site, who: str, remove: Any) -> None:
    """A pool whose list of who is included became empty would be open to everybody."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_group("sales")
        change.tenant(JIM).set_pool("full", include=(who,), max=share(who, 1))
    kind, _, name = who.partition(":")
    told = f"{kind} {name} is named by include and max of pool full; take it out there first"
    with pytest.raises(StillInUse, match=told) as refused, changing(site.store, ADA) as change:
        remove(change.tenant(JIM))
    assert [(other.kind, other.name) for other in refused.value.others] == [("pool", "full")]
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", include=(), max=())
        remove(change.tenant(JIM))


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (lambda tenant: tenant.add_group("x", users=frozenset({"XX"})), "no user XX"),
        (lambda tenant: tenant.add_group("x", clients=frozenset({"XX"})), "no client XX"),
        (lambda tenant: tenant.set_group("sales", users=frozenset({"XX"})), "no user XX"),
        (lambda tenant: tenant.set_group("x", users=frozenset()), "no group x in .* there is: sales"),
        (lambda tenant: tenant.remove_group("x"), "no group x"),
        (lambda tenant: tenant.add_group("sales"), "a group sales already"),
        (lambda tenant: tenant.add_group("a b"), "a group's name is 1 to 64 letters"),
        (lambda tenant: tenant.add_group(""), "a group's name is 1 to 64 letters"),
    ],
)
def test_a_group_that_cannot_be_is_refused(site: Site, do: Any, told: str) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_group("sales", **SALES)
    with pytest.raises(Refusal, match=told), changing(site.store, ADA) as change:
        do(change.tenant(JIM))
    assert site.tenant.groups == {"sales": Group(name="sales", **SALES)}


def draw_on_two(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_pool("named", seats=1, named=("U1",))
        tenant.set_scope("all", pools=("named", "full"))


def test_a_scope_draws_on_several_pools_in_order(site: Site) -> None:
    """L20."""
    draw_on_two(site)
    assert site.tenant.scopes["all"].pools == ("named", "full")
    assert "set scope all: pool full -> named, pools none -> named+full" in details(site)


def test_sessions_end_that_have_a_seat_of_a_pool_that_is_taken_away(site: Site) -> None:
    draw_on_two(site)
    in_named, in_full = site.grant("c1"), site.grant("c2")
    assert in_named.session.pool_id == pool_of(site, "named").id
    assert in_full.session.pool_id == pool_of(site).id
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_scope("all", pools=("full", "named"))
        assert change.sessions_ended == 0
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_scope("all", pool="full")
        assert change.sessions_ended == 1
    assert site.tenant.scopes["all"].pools == ("full",)
    assert site.rows(schema.scope_pool) == []
    assert [session.pool_id for session in site.rows(schema.session)] == [pool_of(site).id]


def test_a_pool_that_is_drawn_on_as_the_second_is_not_removed(site: Site) -> None:
    draw_on_two(site)
    with pytest.raises(StillInUse, match="full is drawn on by scope all"):  # noqa: SIM117
        with changing(site.store, ADA) as change:
            change.tenant(JIM).remove_pool("full")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pools": ("full", "x")}, "no pool x"),
        ({"pools": ("full", "full")}, "4 pools at most, each once"),
        ({"pools": ("full", "a", "b", "c", "d")}, "no pool a|4 pools at most"),
        ({"pools": ("named", "full"), "pool": "full"}, "pool is the first of pools"),
        ({"pools": (), "pool": "full"}, "pool is the first of pools"),
    ],
)
def test_pools_that_cannot_be_are_refused(site: Site, changes: dict[str, Any], told: str) -> None:
    draw_on_two(site)
    with pytest.raises(Refusal, match=told), changing(site.store, ADA) as change:
        change.tenant(JIM).set_scope("all", **changes)


def test_a_removed_scope_frees_its_pools(site: Site) -> None:
    draw_on_two(site)
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_scope("orders", pools=("full", "named"))
        tenant.remove_scope("orders")
        tenant.set_scope("all", pools=("full",))
        tenant.remove_pool("named")
    assert list(site.tenant.scopes) == ["all", "view"]


def test_a_removed_client_waits_no_more(site: Site) -> None:
    """L19: nobody is behind a place of nobody."""
    set_pool(site, queue=3)
    key = site.client("c2").key
    place = {"pool_id": pool_of(site).id, "holder": f"client:{key}", "tenant_id": site.tenant.id}
    place |= {"client_key": key, "level": 0, "number": 1, "since_ms": 0, "until_ms": 10**14}
    with site.store.transaction() as transaction:
        transaction.connection.execute(insert(schema.queue_place).values(place))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_client("c2")
    assert site.rows(schema.queue_place) == []


def test_nothing_of_a_removed_tenant_is_left(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", **SALES)
        tenant.add_pool("named", seats=1, named=("U1",), queue=3)
        tenant.set_scope("all", pools=("named", "full"))
        tenant.set_pool("full", reserve=share("group:sales", 1), max_per_user=1, queue=3)
    with site.store.transaction() as transaction:
        place = {"pool_id": pool_of(site).id, "holder": "client:9", "tenant_id": site.tenant.id}
        place |= {"client_key": 9, "level": 0, "number": 1, "since_ms": 0, "until_ms": 10**14}
        transaction.connection.execute(insert(schema.queue_place).values(place))
    site.grant("c2")
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    of_options = ("pool_rule", "group_member", "scope_pool", "seat_count", "queue_place")
    assert {name: len(site.rows(getattr(schema, name))) for name in of_options} == dict.fromkeys(
        of_options, 0
    )


@pytest.mark.parametrize(
    "do",
    [
        lambda tenant: tenant.set_pool("full", max_per_user=1),
        lambda tenant: tenant.set_pool("full", exclude=("user:U1",)),
        lambda tenant: tenant.set_pool("full", queue=5),
        lambda tenant: (tenant.add_pool("b", seats=1), tenant.set_scope("all", pools=("full", "b"))),
    ],
)
def test_options_wait_until_no_older_code_may_work_on_the_store(site: Site, do: Any) -> None:
    """A node that does not count by options would give seats past them."""
    allow_options(site, allowed=False)
    with pytest.raises(StillInUse, match="finish the upgrade first") as refused:  # noqa: SIM117
        with changing(site.store, ADA) as change:
            do(change.tenant(JIM))
    assert refused.value.code is Code.OLDER_NODES
    with changing(site.store, ADA) as change:  # what older code does not look at
        change.tenant(JIM).add_group("sales", **SALES)
        change.tenant(JIM).set_pool("full", seats=7)
    allow_options(site, allowed=True)
    with changing(site.store, ADA) as change:
        do(change.tenant(JIM))


def allow_options(site: Site, *, allowed: bool) -> None:
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.setup).values(options_allowed=allowed))


def test_of_two_who_change_at_once_one_is_before_the_other(site: Site) -> None:
    """Each sees what the other has done: three of five seats are not reserved twice."""
    second = site.second()
    set_pool(site, reserve=share("user:U1", 3))

    def reserve_too(setup: TenantSetup) -> None:
        setup.set_pool("full", reserve=setup.pool("full").reserve + share("user:U2", 3))

    with pytest.raises(InvalidValue, match="6 seats in all"), changing(second, "bob") as change:
        reserve_too(change.tenant(JIM))
    with site.store.reading() as connection:
        rules = connection.execute(select(func.count()).select_from(schema.pool_rule)).scalar_one()
    assert rules == 1
