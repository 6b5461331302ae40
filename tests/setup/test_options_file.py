"""Options of pools in the set-up file: what is written is read, and two lines that disagree are named."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.model import Client, Duplicates, Pool, Scope, Tenant, User
from licet.options import Group, Priority, Share
from licet.setup.change import changing
from licet.setup.file import DeclarationInvalid, read, write
from licet.setup.file_lines import Lines
from licet.setup.options.contradictions import disagreements
from licet.setup.plan import apply
from support.many import examples
from support.store.setup_site import ADA, JIM, SMALL, Site

USERS = [f"U{number}" for number in range(5)]
CLIENTS = ["App", 'a "quoted" one', "dotted.id", "d:colon", "ünï"]
GROUPS = ["sales", "g.1"]
WHOS = [
    *(f"user:{it}" for it in USERS),
    *(f"client:{it}" for it in CLIENTS),
    *(f"group:{it}" for it in GROUPS),
]
LIMITS = st.none() | st.integers(1, 1_000_000)


def some_of(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True, max_size=4).map(sorted)


@st.composite
def pools(draw: st.DrawFn, number: int) -> Pool:
    """A pool with any options that do not contradict each other."""
    shares = [[Share(who=who, seats=draw(st.integers(1, 50))) for who in draw(some_of(WHOS))] for _ in "ab"]
    return Pool(
        id=number,
        name=f"pool.{number}",
        seats=draw(st.none() | st.integers(0, 300)),
        duplicates=draw(st.sampled_from(Duplicates)),
        exclude=tuple(draw(some_of(WHOS))),
        include=tuple(draw(some_of(WHOS))),
        named=tuple(draw(some_of(USERS))),
        reserve=tuple(shares[0]),
        max=tuple(shares[1]),
        max_per_user=draw(LIMITS),
        max_per_client=draw(LIMITS),
        priority=tuple(Priority(who=who, level=draw(st.integers(-9, 9))) for who in draw(some_of(WHOS))),
        queue=draw(st.integers(0, 1000)),
        queue_hold_s=draw(st.integers(5, 300)),
    )


@st.composite
def tenants(draw: st.DrawFn) -> Tenant:
    """A tenant with pools, groups, and scopes that draw on one pool or several."""
    found = [draw(pools(number)) for number in range(3)]
    users = {it: User(initials=it, name=it, password_hash=None) for it in USERS}
    names = [pool.name for pool in found]
    first, *others = draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    return Tenant(
        id=1,
        name=JIM,
        version=1,
        pools={pool.id: pool for pool in found},
        scopes={
            "all": Scope(name="all", licensed=True, read_only=False, pool=first, other_pools=tuple(others)),
            "view": Scope(name="view", licensed=False, read_only=True, pool=None),
        },
        users=users,
        clients={it: Client(key=0, client_id=it, user=users["U0"]) for it in CLIENTS},
        groups={
            it: Group(
                name=it, users=frozenset(draw(some_of(USERS))), clients=frozenset(draw(some_of(CLIENTS)))
            )
            for it in GROUPS
        },
    )


@given(tenant=tenants())
@settings(max_examples=examples(40), deadline=None)
def test_whatever_is_written_is_read_again(tenant: Tenant) -> None:
    """Or is refused, each contradiction with the lines of both that make it."""
    wrong = [(pool, list(disagreements(pool, pool.seats))) for pool in tenant.pools.values()]
    text = write([tenant])
    if any(found for _, found in wrong):
        with pytest.raises(DeclarationInvalid) as refused:
            read(text, "set-up.toml")
        assert len(refused.value.mistakes) == sum(len(found) for _, found in wrong)
        assert all(mistake.text.count("(line ") == 2 for mistake in refused.value.mistakes)
        return
    [again] = read(text, "set-up.toml")
    assert (again.groups, again.scopes) == (tenant.groups, tenant.scopes)
    assert {pool.name: pool for pool in again.pools.values()} == {
        pool.name: pool_with_id(pool, again) for pool in tenant.pools.values()
    }
    assert write([again]) == text


def pool_with_id(pool: Pool, of: Tenant) -> Pool:
    found = of.pool_named(pool.name)
    assert found is not None
    return replace(pool, id=found.id)


@given(tenant=tenants())
@settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_applied_is_there_and_is_applied_once(empty: Site, tenant: Tenant) -> None:
    """Over whatever was there before: a second run finds nothing to do, and an export is the same file."""
    agreeing = {
        number: pool
        if not any(disagreements(pool, pool.seats))
        else replace(pool, exclude=(), named=(), reserve=())
        for number, pool in tenant.pools.items()
    }
    wanted = read(write([replace(tenant, pools=agreeing)]), "set-up.toml")
    with changing(empty.store, ADA) as change:  # so that no name that was taken off counts
        if JIM in change.tenants():
            change.remove_tenant(JIM)
    apply(empty.store, wanted, ADA, prune=True)
    empty.store.refresh_tenants()
    assert write(empty.store.tenants().values()) == write(wanted)
    assert apply(empty.store, wanted, ADA, prune=True).steps == ()


TC_1, TC_2 = '{for = "user:TC", seats = 1}', '{for = "user:TC", seats = 2}'
TABLES = 'a list of tables like {for = "group:sales", seats = 2}'
ONE_AT_MOST = "lets it have 1 at most"
EACH_OTHER = "exclude each other: put those users into include as well"
FULL = SMALL.replace("seats = 5", "seats = 5\n{rules}") + '\n[tenant.Jim_Test.group.sales]\nusers = ["TC"]\n'


def mistakes(rules: str) -> list[str]:
    with pytest.raises(DeclarationInvalid) as refused:
        read(FULL.replace("{rules}", rules), "set-up.toml")
    return [str(mistake).removeprefix("tenant.Jim_Test.pool.full.") for mistake in refused.value.mistakes]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (
            f'max = [\n  {{for = "group:sales", seats = 9}},\n  {TC_1},\n]\nreserve = [{TC_2}]',
            "reserve: reserve has 2 seats for user:TC (line 8), and max lets it have 1 at most (line 6)",
        ),
        (
            'reserve = [{for = "user:TC", seats = 6}]',
            "reserve: reserve is 6 seats in all (line 4), and seats gives 5 (line 3)",
        ),
        (
            f"reserve = [{TC_2}]\nmax_per_user = 1",
            f"reserve: reserve has 2 seats for user:TC (line 4), and max_per_user {ONE_AT_MOST} (line 5)",
        ),
        (
            'exclude = ["user:TC"]\n# they say:\nnamed = [\n  "TC",\n]',
            "exclude: exclude has user:TC (line 4), and named has it too (line 7)",
        ),
        (
            'named = ["TC"]\ninclude = ["group:sales"]',
            f"named: named (line 4) and include (line 5) {EACH_OTHER}",
        ),
        ('exclude = ["user:XX"]', "exclude: there is no user XX in this tenant (line 4); the file has: TC"),
        (
            'reserve = [{for = "group:x", seats = 1}]',
            "reserve: there is no group x in this tenant (line 4); the file has: sales",
        ),
        (
            'named = [\n  "tc",\n]',
            "named: there is no user tc in this tenant (line 5); the file has: TC",
        ),
        (
            'exclude = ["user:TC", "user:TC"]',
            "exclude: pool full: exclude has a rule for user:TC twice (in line 4)",
        ),
        (
            f'max = [\n  {TC_1},\n  {{for = "group:sales", seats = 1}},\n  {TC_2},\n]',
            "max: pool full: max has a rule for user:TC twice (lines 5 and 7)",
        ),
        (
            'named = [\n  "TC",\n  "TC"\n]',
            "named: pool full: named has a rule for user:TC twice (lines 5 and 6)",
        ),
        (
            'exclude = ["TC"]',
            "exclude: a rule is for user:INITIALS, client:CLIENT_ID or group:NAME; this is not: 'TC'",
        ),
        ("exclude = [1]", 'exclude: a list of texts like "user:TC" is allowed, not 1'),
        ('exclude = "user:TC"', "exclude: a list of texts like \"user:TC\" is allowed, not 'user:TC'"),
        (
            'reserve = ["2:user:TC"]',
            "reserve: a list of tables like {for = \"group:sales\", seats = 2} is allowed, not '2:user:TC'",
        ),
        (
            'max = [{for = "user:TC", seats = true}]',
            f"max: {TABLES} is allowed, not {{'for': 'user:TC', 'seats': True}}",
        ),
        (
            'max = [{for = "user:TC"}]',
            f"max: {TABLES} is allowed, not {{'for': 'user:TC'}}",
        ),
        (
            'priority = [{for = "user:TC", level = 10}]',
            "priority: level for user:TC: -9 to 9, and not 10",
        ),
        ("queue = 1001", "queue: pool full: queue is 0 to 1,000, not 1,001"),
        ('queue_hold = "1s"', "queue_hold: pool full: queue_hold is 5 to 300, not 1"),
        ("max_per_user = 0", "max_per_user: pool full: max_per_user is 1 to 1,000,000, not 0"),
        ("quue = 3", "quue: there is no such key; did you mean queue?"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_is_allowed(rules: str, told: str) -> None:
    assert mistakes(rules) == [told]


def test_who_is_in_a_group_and_not_there_is_told_with_its_line() -> None:
    text = FULL.replace("{rules}", "").replace(
        'users = ["TC"]', 'users = [\n  "TC",\n  "XX",\n]\nclients = ["Y"]'
    )
    first = text.splitlines().index('  "XX",') + 1
    with pytest.raises(DeclarationInvalid) as refused:
        read(text, "set-up.toml")
    assert [it.text.partition(";")[0] for it in refused.value.mistakes] == [
        f"there is no user XX in this tenant (line {first})",
        f"there is no client Y in this tenant (line {first + 2})",
    ]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ('pool = "full"\npools = ["full"]', "pool is short for pools with one: the file has either"),
        ('pools = ["full", "x"]', "there is no pool x in this tenant; the file has: full"),
        (
            'pools = ["full", "full"]',
            "a scope draws on 4 pools at most, each once; these are not: full, full",
        ),
        ('pools = "full"', "a list of texts like"),
    ],
)
def test_pools_of_a_scope_that_cannot_be_are_mistakes(scope: str, told: str) -> None:
    with pytest.raises(DeclarationInvalid, match=told):
        read(f"{SMALL}\n[tenant.Jim_Test.scope.orders]\n{scope}\n", "set-up.toml")


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes(
        'exclude = ["user:XX", "user:TC"]\nnamed = ["TC"]\nreserve = [{for = "client:A", seats = 9}]'
    )
    assert len(found) == 4


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "[" * 50_000, '"' * 50_000, "a." * 40_000, " " * 100_000 + "="]
)
def test_lines_are_found_in_no_time_whatever_is_in_them(text: str) -> None:
    """Nothing is tried again and again: this would take minutes."""
    assert Lines(text).of(("tenant",)) is None
