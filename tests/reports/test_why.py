"""Why a client would get a seat now, or not: the ledger's own answer, and nothing is left of the question."""

from msgspec.structs import replace
from sqlalchemy import update

from licet.ledger.commands import Denied, Granted
from licet.model import Group, Pool, Scope, Tenant
from licet.options import Share
from licet.reports.options.why import Rule, Why, explain
from licet.store import schema
from licet.store.contract import Store
from support.examples import ALL, CLIENTS, FULL, VIEW, bump, client, grant, jim_test
from support.store.kinds import Place
from support.store.store_site import begin, do, everything

SALES = Group(name="sales", users=frozenset({"TC"}), clients=frozenset({"Client1"}))


def asked(store: Store, client_id: str = "TestClientId", *scopes: str) -> Why:
    """What would happen; the store is as before."""
    before = everything(store)
    [tenant] = store.tenants().values()
    why = explain(store, tenant, tenant.clients[client_id], scopes)
    assert everything(store) == before
    return why


def steps(why: Why) -> list[tuple[str, bool]]:
    """The rules that were passed, and the one that denied."""
    return [(step.rule.value, step.passed) for step in why.steps]


def last(why: Why) -> str:
    """What the last step says."""
    return why.steps[-1].text


def of(place: Place, pool: Pool = FULL, **changes: object) -> Store:
    """A store with this pool."""
    tenant: Tenant = jim_test(pools=(pool,), **changes)  # type: ignore[arg-type]
    return begin(place, tenant)


def test_a_free_seat_passes_all_rules_in_their_order(place: Place) -> None:
    """Licensing 2.1."""
    store = of(place)
    why = asked(store)
    assert why.granted
    assert (why.reason, why.pool, why.shares) == (None, "full", False)
    assert [step.rule for step in why.steps] == list(Rule)
    assert all(step.passed for step in why.steps)
    assert last(why) == "0 of 5 seats in use"


def test_it_says_what_the_grant_itself_is_answered_then(place: Place) -> None:
    """The same reason, the same wait."""
    store = of(place, replace(FULL, seats=1))
    do(store, grant(2, 1))
    why = asked(store)
    [denied] = do(store, grant(1, 2))
    assert isinstance(denied, Denied)
    assert (why.reason, why.retry_after_s, why.pool) == ("all_in_use", denied.retry_after_s, denied.pool)
    assert last(why) == "1 of 1 seat in use"


def test_a_holder_shares_its_seat_and_no_further_rule_is_asked(place: Place) -> None:
    """L2."""
    store = of(place, replace(FULL, seats=1, max_per_client=1))
    do(store, grant(1, 1))
    why = asked(store)
    assert why.granted
    assert why.shares
    assert steps(why)[-1] == ("own_seat", True)


def test_max_is_told_with_its_numbers_and_who_has_them(place: Place) -> None:
    """L16: a group counts its users and its clients."""
    pool = replace(FULL, max=(Share(who="group:sales", seats=2),))
    clients = (*CLIENTS, client(8, "Desk8", "TC"))
    store = of(place, pool, groups=(SALES,), clients=clients)
    do(store, grant(1, 1), grant(2, 2), grant(3, 3))
    why = asked(store, "Desk8")
    assert (why.granted, why.reason) == (False, "max_reached")
    assert steps(why)[-1] == ("max", False)
    assert last(why) == "max group:sales: 2 of 2 in use by Client1, TestClientId"


def test_a_reserve_is_told_with_what_is_left_for_others(place: Place) -> None:
    """L17."""
    store = of(place, replace(FULL, seats=2, reserve=(Share(who="user:TC", seats=1),)))
    do(store, grant(2, 1))
    why = asked(store, "Client2")
    assert (why.reason, last(why)) == ("reserved", "1 of 2 seats in use; not reserved: 1 of 1 in use")
    why = asked(store)
    assert why.granted
    assert last(why) == "1 of 2 seats in use; reserve user:TC: 0 of 1 in use; not reserved: 1 of 1 in use"


def test_an_excluded_client_is_told_by_which_rule(place: Place) -> None:
    """L15: before anything is counted."""
    store = of(place, replace(FULL, exclude=("group:sales",)), groups=(SALES,))
    why = asked(store)
    assert steps(why)[-1] == ("exclude", False)
    assert (why.reason, last(why)) == ("excluded", "exclude group:sales")


def test_who_is_not_named_is_told_so(place: Place) -> None:
    """L15."""
    store = of(place, replace(FULL, named=("C1",)))
    assert (asked(store).reason, last(asked(store))) == ("not_included", "its user is not named")
    assert asked(store, "Client1").granted


def test_who_waits_is_told_its_place_and_who_comes_later_what_is_before_it(place: Place) -> None:
    """L19: nothing is asked, so no place is taken or kept."""
    store = of(place, replace(FULL, seats=1, queue=2))
    do(store, grant(2, 1), grant(1, 2, queue=True))
    why = asked(store)
    assert (why.granted, why.queue_position) == (False, 1)
    [denied] = do(store, grant(1, 3, queue=True))
    assert isinstance(denied, Denied)
    assert (why.reason, why.retry_after_s) == (denied.reason, denied.retry_after_s) == ("queued", 5)
    place.clock.advance(seconds=10)
    with store.transaction() as transaction:
        transaction.load([])
    assert asked(store, "Client2").queue_position == 0


def test_what_is_free_for_those_in_line_is_told_to_a_newcomer(place: Place) -> None:
    """L19."""
    store = of(place, replace(FULL, seats=1, queue=2))
    first = do(store, grant(2, 1), grant(1, 2, queue=True))[0]
    assert isinstance(first, Granted)
    place.clock.advance(seconds=1199)
    do(store, grant(1, 2, queue=True))
    place.clock.advance(seconds=1)
    why = asked(store, "Client2")
    assert steps(why)[-1] == ("queue", False)
    assert why.reason == "queued"
    assert asked(store).granted


def test_each_of_several_pools_has_its_steps(place: Place) -> None:
    """L20: the first that gives a seat ends it."""
    named = Pool(id=1, name="named", seats=1, named=("C1",))
    full = Pool(id=2, name="full", seats=5)
    scope = replace(ALL, pool="named", other_pools=("full",))
    store = begin(place, jim_test(pools=(named, full), scopes=(VIEW, scope)))
    why = asked(store)
    assert why.granted
    assert why.pool == "full"
    assert [(step.pool, step.rule.value) for step in why.steps if step.pool][:4] == [
        ("named", "licence"),
        ("named", "exclude"),
        ("named", "include"),
        ("full", "licence"),
    ]


def test_a_disabled_client_a_scope_it_may_not_have_and_one_without_a_seat(place: Place) -> None:
    """What is decided before a pool is asked."""
    disabled = replace(CLIENTS[1], enabled=False)
    limited = replace(CLIENTS[2], scopes=frozenset({"view"}))
    store = of(place, clients=(CLIENTS[0], disabled, limited))
    assert steps(asked(store, "Client1")) == [("client", False)]
    assert asked(store, "Client1").reason == "client"
    assert steps(asked(store, "Client2", "all")) == [("client", True), ("scope", False)]
    why = asked(store, "Client2", "view")
    assert why.granted
    assert why.pool is None


def test_a_suspended_client_is_told_until_when(place: Place) -> None:
    """L12."""
    until_ms = place.clock.now_ms() + 60_000
    suspended = replace(CLIENTS[0], suspended_until_ms=until_ms)
    store = begin(place, jim_test(clients=(suspended,)))
    with store.transaction() as transaction:
        transaction.connection.execute(update(schema.client).values(barred_until_ms=until_ms))
        bump(transaction.connection, 1)
    store.refresh_tenants()
    why = asked(store)
    assert steps(why)[-1] == ("suspended", False)
    assert (why.reason, why.retry_after_s) == ("suspended", 60)


def test_a_scope_is_asked_as_a_client_asks(place: Place) -> None:
    """The default of the tenant, where none is named."""
    store = begin(
        place, jim_test(scopes=(VIEW, Scope(name="all", licensed=True, read_only=False, pool="full")))
    )
    assert asked(store).scope == "all"
