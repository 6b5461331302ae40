"""Which rules of pools apply to a client, whoever has the seats now; the ledger says the same of each."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.model import Group, Pool, Scope
from licet.options import Priority, Share, rule_of
from licet.reports.options.rules_of_client import PoolRules, RuleOfClient, rules_of_client
from support.examples import FULL, VIEW, client, jim_test

DESK = client(1, "Desk", "TC")
SALES = Group(name="sales", users=frozenset({"TC"}))
STAFF = Group(name="staff", clients=frozenset({"Desk"}), users=frozenset({"TC", "AB"}))
WHO = st.sampled_from(["user:TC", "user:AB", "client:Desk", "client:Other", "group:sales", "group:staff"])


def of(pool: Pool, **changes: Any) -> list[PoolRules]:
    """The rules that apply to the client `Desk` of the user `TC`."""
    tenant = jim_test(
        pools=(pool,), clients=(DESK, client(2, "Other", "AB")), groups=(SALES, STAFF), **changes
    )
    return rules_of_client(tenant, tenant.clients["Desk"])


def lines(pool: Pool) -> list[tuple[str, str, str, bool]]:
    """Of the one pool."""
    [found] = of(pool)
    return [(it.option, it.who, it.text, it.counts) for it in found.rules]


def test_all_that_name_it_its_user_or_its_groups_are_there_in_the_order_of_a_grant() -> None:
    pool = replace(
        FULL,
        include=("group:staff", "user:AB"),
        max=(Share(who="group:sales", seats=3), Share(who="user:TC", seats=2), Share(who="user:AB", seats=1)),
        max_per_user=1,
        max_per_client=4,
        reserve=(Share(who="client:Desk", seats=1), Share(who="user:AB", seats=2)),
        priority=(Priority(who="group:sales", level=5), Priority(who="user:TC", level=-2)),
    )
    assert lines(pool) == [
        ("include", "group:staff", "may have a seat", True),
        ("max", "user:TC", "has 2 seats at most", True),
        ("max", "group:sales", "has 3 seats at most, all members together", True),
        ("max_per_client", "", "each client has 4 seats at most", True),
        ("max_per_user", "", "each user has 1 seat at most", False),
        ("reserve", "client:Desk", "1 seat is reserved", True),
        ("priority", "user:TC", "level -2", False),
        ("priority", "group:sales", "level 5", True),
    ]


def test_nothing_counts_beside_a_rule_that_excludes_it() -> None:
    """L15: EXCLUDE beats all."""
    pool = replace(FULL, exclude=("group:sales",), max=(Share(who="user:TC", seats=2),), named=("TC",))
    assert lines(pool) == [
        ("exclude", "group:sales", "gets no seat", True),
        ("named", "user:TC", "is a named user", False),
        ("max", "user:TC", "has 2 seats at most", False),
    ]


def test_a_list_on_which_it_is_not_is_there_and_counts_unless_seats_are_reserved_for_it() -> None:
    """L15: RESERVE counts as included."""
    left_out = replace(FULL, include=("user:AB",))
    assert lines(left_out) == [("include", "", "is not among those who may", True)]
    assert lines(replace(FULL, named=("AB",))) == [("named", "", "its user is no named one", True)]
    reserved = replace(left_out, reserve=(Share(who="group:sales", seats=1),))
    assert lines(reserved)[0] == ("include", "", "is not among those who may", False)


def test_each_pool_of_its_scopes_is_there_once_and_one_without_rules_too() -> None:
    """L20; a pool of which it may ask for no scope has no rules for it."""
    pools = (FULL, Pool(id=2, name="named", seats=1, named=("TC",)), Pool(id=3, name="else", seats=1))
    scopes = (
        VIEW,
        Scope(name="all", licensed=True, read_only=False, pool="named", other_pools=("full",)),
        Scope(name="more", licensed=True, read_only=False, pool="full"),
        Scope(name="not", licensed=True, read_only=False, pool="else"),
    )
    asking = client(1, "Desk", "TC", scopes=frozenset({"view", "all", "more"}))
    tenant = jim_test(pools=pools, scopes=scopes, clients=(asking,))
    assert rules_of_client(tenant, asking) == [
        PoolRules(pool="full", scopes=("all", "more"), rules=()),
        PoolRules(
            pool="named",
            scopes=("all",),
            rules=(RuleOfClient(option="named", who="user:TC", text="is a named user"),),
        ),
    ]


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(
    exclude=st.sets(WHO, max_size=2),
    include=st.sets(WHO, max_size=2),
    named=st.sets(st.sampled_from(["TC", "AB"]), max_size=1),
    shares=st.dictionaries(WHO, st.integers(1, 3), max_size=3),
    most=st.dictionaries(WHO, st.integers(1, 3), max_size=3),
    levels=st.dictionaries(WHO, st.integers(-9, 9), max_size=3),
    each=st.tuples(st.sampled_from([None, 1]), st.sampled_from([None, 2])),
)
def test_what_counts_is_what_the_ledger_decides_by(  # noqa: PLR0917 - one an option
    exclude: set[str],
    include: set[str],
    named: set[str],
    shares: dict[str, int],
    most: dict[str, int],
    levels: dict[str, int],
    each: tuple[int | None, int | None],
) -> None:
    pool = replace(
        FULL,
        exclude=tuple(sorted(exclude)),
        include=tuple(sorted(include)),
        named=tuple(sorted(named)),
        reserve=tuple(Share(who=who, seats=seats) for who, seats in shares.items()),
        max=tuple(Share(who=who, seats=seats) for who, seats in most.items()),
        max_per_user=each[0],
        max_per_client=each[1],
        priority=tuple(Priority(who=who, level=level) for who, level in levels.items()),
        queue=5,
    )
    tenant = jim_test(pools=(pool,), clients=(DESK, client(2, "Other", "AB")), groups=(SALES, STAFF))
    applied = tenant.options[pool.id].of("TC", "Desk")
    [found] = rules_of_client(tenant, DESK)
    counting = [it for it in found.rules if it.counts]
    assert bool(applied.excluded) == any(it.option == "exclude" for it in counting)
    if applied.excluded:
        return
    outside = [it.option for it in counting if it.who == "" and it.option in {"include", "named"}]
    assert bool(applied.not_included) == bool(outside)
    limits = {f"{it.option} {it.who}".strip() for it in counting if it.option.startswith("max")}
    assert limits == {rule_of(it.what) for it in applied.limits}
    reserves = {f"reserve={it.who}" for it in counting if it.option == "reserve"}
    assert reserves == {it.what for it in applied.reserves}
    assert {f"level {applied.level}"} >= {it.text for it in counting if it.option == "priority"}
