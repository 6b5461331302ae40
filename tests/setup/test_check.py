"""What `licet check` finds in a set-up: what is wrong, what is worth knowing, and what to do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Table, delete, update

from licet.cli.run.check_advice import advice_of
from licet.model import TokenFormat
from licet.setup.change import changing
from licet.setup.check import SKEW_MAX_MS, Finding, authenticates_by, check, check_nodes
from licet.store import schema
from licet.store.migrate import HEAD
from licet.store.nodes import SILENT_AFTER_MS, KeyMark, Node
from licet.units import DAY_MS
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site, secret


@pytest.fixture
def empty(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A store without tenants."""
    site = Site(make_place(START_MS))
    yield site
    site.close()


@pytest.fixture
def site(empty: Site) -> Site:
    """A tenant in which nothing is to be found."""
    empty.begin(clients=1)
    with changing(empty.store, ADA) as change:
        change.tenant(JIM).set_client("c1", introspects=True)
    return empty


def findings(site: Site) -> list[Finding]:
    site.store.refresh_tenants()
    with site.store.reading() as connection:
        return check(connection, site.store.tenants(), site.clock.now_ms())


def found(site: Site) -> list[tuple[str, str, str]]:
    return [
        ("wrong" if it.is_wrong else "hint", f"{it.target}: {it.problem}", advice_of(it, names_tenant=False))
        for it in findings(site)
    ]


def by_hand(site: Site, table: Table, **values: object) -> None:
    """A change that no verb makes; the servers are told of it."""
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(table).values(**values))
        for versioned in (schema.setup, schema.tenant):
            transaction.connection.execute(update(versioned).values(version=versioned.c.version + 1))


def test_there_is_nothing_to_find(site: Site) -> None:
    site.grant("c1")
    assert found(site) == []


def test_a_store_without_tenants_and_a_tenant_without_clients_are_told(empty: Site) -> None:
    assert found(empty) == [("hint", "store: it has no tenant", "licet tenant add NAME --seats 5")]
    empty.begin(clients=0)
    assert found(empty) == [("hint", "clients: there are none", "licet client add CLIENT_ID --user INITIALS")]


@pytest.mark.parametrize(
    ("days", "kind", "problem"),
    [
        (0, "wrong", "the licence expired on 2023-11-14 at 22:14 UTC"),
        (30, "hint", "the licence expires on 2023-12-14 at 22:14 UTC"),
        (31, None, ""),
    ],
)
def test_a_licence_that_ends_is_told_in_time(site: Site, days: int, kind: str | None, problem: str) -> None:
    """L7."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", expires_at_ms=START_MS + days * DAY_MS)
    advice = "licet pool set full --expires DATE"
    assert found(site) == ([(kind, f"pool full: {problem}", advice)] if kind else [])


def test_a_pool_without_seats_or_scopes_is_told(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=0)
        change.tenant(JIM).add_pool("idle", seats=0)
    assert found(site) == [
        ("wrong", "pool full: it has no seats", "licet pool set full --seats N"),
        (
            "hint",
            "pool idle: no scope draws on it",
            "licet scope set SCOPE --pool idle, or licet pool remove idle",
        ),
    ]


def test_a_scope_that_gives_the_licence_away_is_told(site: Site) -> None:
    """L1: `all` is licensed, unless somebody wants it otherwise."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_scope("all", pool=None)
        change.tenant(JIM).remove_pool("full")
    problem = "scope all: it is unlicensed, so that no seat is needed for it"
    assert found(site) == [("hint", problem, "licet scope set all --pool POOL")]


@pytest.mark.parametrize(("access_ttl_s", "life"), [(300, None), (301, "301s"), (600, "10m")])
def test_jwts_that_live_on_for_long_after_a_logoff_are_told(
    site: Site, access_ttl_s: int, life: str | None
) -> None:
    """A logoff cannot reach a token that nobody asks about."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT, access_ttl_s=access_ttl_s)
    problem = (
        f"token_format: its access tokens are JWTs that live {life}: a logoff cannot reach a token that"
        " nobody asks about"
    )
    assert found(site) == ([("hint", problem, f"licet tenant set {JIM} --access-ttl 60s")] if life else [])


def test_a_client_that_cannot_authenticate_is_told(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_user("NP", password_hash=None)
        tenant.add_client("no-password", user="NP")
        tenant.add_client("no-secret", user="U1", password_allowed=False)
        tenant.add_client("disabled", user="NP", enabled=False)
        tenant.add_client("secret", secret(), START_MS + 365 * DAY_MS, user="NP")
    problem = "it cannot authenticate: no password works for it, no secret and no key"
    password, another = "licet user password NP", "licet client secret add"
    assert found(site) == [
        ("wrong", f"client no-password: {problem}", f"{password}, or {another} no-password"),
        ("wrong", f"client no-secret: {problem}", f"{another} no-secret"),
    ]
    assert authenticates_by(site.client("secret"), START_MS) == ["secret"]
    assert authenticates_by(site.client("c1"), START_MS) == ["password"]


def test_a_client_of_a_disabled_user_is_told(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_user("U1", enabled=False)
    assert found(site) == [
        ("wrong", "client c1: its user U1 is disabled", "licet user enable U1, or licet client disable c1")
    ]


def test_a_client_without_scopes_is_told(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", scopes=frozenset())
    advice = "licet client set c1 --scope SCOPE, or --every-scope"
    assert found(site) == [("hint", "client c1: it may have no scope at all", advice)]


def test_secrets_are_told_before_and_after_they_expire(site: Site) -> None:
    old, soon, later = secret(), secret(), secret()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_secret("c1", old, START_MS + 1)
        change.tenant(JIM).add_secret("c1", soon, START_MS + 29 * DAY_MS)
        change.tenant(JIM).add_secret("c1", later, START_MS + 365 * DAY_MS)
    site.clock.advance(seconds=1)
    at = {it[1].split()[4]: it for it in found(site)}
    assert at == {
        old.secret_id: (
            "hint",
            f"client c1: its secret {old.secret_id} expired on 2023-11-14 at 22:14:00.001 UTC",
            f"licet client secret remove c1 {old.secret_id}",
        ),
        soon.secret_id: (
            "hint",
            f"client c1: its secret {soon.secret_id} expires on 2023-12-13 at 22:14 UTC",
            "licet client secret add c1",
        ),
    }


def test_a_scope_that_is_not_there_is_told(site: Site) -> None:
    """No verb leaves it like this."""
    by_hand(site, schema.tenant, scope_default="gone")
    by_hand(site, schema.client, scopes="all gone")
    assert found(site) == [
        (
            "wrong",
            "scope gone: it is the default and does not exist",
            "licet tenant set Jim_Test --default-scope SCOPE",
        ),
        (
            "wrong",
            "client c1: it may have a scope that does not exist: gone",
            "licet client set c1 --scope SCOPE",
        ),
    ]


def test_rows_that_contradict_each_other_are_a_bug(site: Site) -> None:
    """What the ledger keeps true, L4 and L6."""
    site.grant("c1")
    by_hand(site, schema.session, client_key=77)
    by_hand(site, schema.seat, expires_at_ms=schema.seat.c.expires_at_ms + 1)
    by_hand(site, schema.pool, in_use=3)
    told = findings(site)
    assert {it.advice for it in told} == {
        "this is a bug of Licet, or somebody changed the tables: please report it"
    }
    assert [it.problem for it in told if it.is_wrong] == [
        "its count of seats in use is 3, and there are 1",
        "sessions of a client that is no more: 1",
        "seats that do not expire with the last of their sessions or with their hold: 1",
    ]
    with site.store.transaction() as transaction:
        transaction.connection.execute(delete(schema.seat))
    assert "licensed sessions without a seat: 1" in [it.problem for it in findings(site)]


def test_tenants_are_told_one_after_the_other_and_what_is_wrong_first(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.add_tenant("Another", seats=0)
        change.tenant(JIM).set_client("c1", introspects=False)
        change.tenant(JIM).set_pool("full", seats=0)
    assert [(it.tenant, it.is_wrong, it.target) for it in findings(site)] == [
        ("Another", True, "pool full"),
        ("Another", False, "clients"),
        (JIM, True, "pool full"),
        (JIM, False, "clients"),
    ]


def test_advice_names_the_tenant_where_there_are_several(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.add_tenant("Another", seats=0)
        change.tenant(JIM).set_user("U1", enabled=False)
    told = {it.tenant: advice_of(it, names_tenant=True) for it in findings(site) if it.is_wrong}
    assert told == {
        "Another": "licet pool set full --seats N --tenant Another",
        JIM: f"licet user enable U1 --tenant {JIM}, or licet client disable c1 --tenant {JIM}",
    }


# Nodes


FIRST = KeyMark(id=1, fingerprint="f1", signs_at_ms=0)
SECOND = KeyMark(id=2, fingerprint="f2", signs_at_ms=START_MS + 1000)


def node(name: str, **changes: Any) -> Node:
    values: dict[str, Any] = {
        "id": name,
        "name": name,
        "version": "0.2.0",
        "schema": HEAD,
        "url": "https://a.example.com",
        "token_keys": (FIRST,),
        "pepper": "p1",
        "seen_at_ms": START_MS,
    }
    return Node(**values | changes)


def told(*nodes: Node, many_machines: bool = True, now_ms: int = START_MS, **more: Any) -> list[str]:
    found = check_nodes(nodes, now_ms, many_machines=many_machines, **more)
    return [f"{'wrong' if it.is_wrong else 'hint'}: {it.target}: {it.problem}" for it in found]


def test_nodes_that_are_alike_are_nothing_to_tell() -> None:
    assert told() == told(node("a")) == told(node("a"), node("b"), own_pepper="p1") == []


def test_a_key_that_signs_and_is_not_on_every_node_is_wrong() -> None:
    nodes = node("a", token_keys=(FIRST, SECOND)), node("b"), node("c")
    assert told(*nodes, now_ms=START_MS + 1000) == [
        "wrong: nodes: key 2:f2 signs, and is not on b, c, which refuses its tokens"
    ]


def test_a_key_that_does_not_sign_yet_may_be_on_its_way() -> None:
    assert told(node("a", token_keys=(FIRST, SECOND)), node("b")) == [
        "hint: nodes: they have different signing keys, though all have those that sign now"
    ]


def test_a_key_of_the_same_number_may_be_another_one() -> None:
    other = KeyMark(id=1, fingerprint="f9", signs_at_ms=0)
    assert told(node("a"), node("b", token_keys=(other,))) == [
        "wrong: nodes: key 1:f1 signs, and is not on b, which refuses its tokens",
        "wrong: nodes: key 1:f9 signs, and is not on a, which refuses its tokens",
    ]


def test_peppers_that_differ_are_wrong() -> None:
    assert told(node("a"), node("b", pepper="p2")) == [
        "wrong: nodes: they have different peppers, so that one refuses what another accepts: a (p1), b (p2)"
    ]
    assert told(node("a"), node("b"), own_pepper="p2") == [
        "wrong: nodes: secrets.json here has another pepper than the nodes, which refuse what is made here"
    ]


def test_versions_and_addresses_that_differ_are_worth_knowing() -> None:
    assert told(node("a"), node("b", version="0.1.0", url="http://b.example.com")) == [
        "hint: nodes: they are of different versions: 0.1.0, 0.2.0",
        "hint: nodes: they call themselves by different addresses: http://b.example.com, https://a.example.com",
    ]


@pytest.mark.parametrize(
    ("skew_ms", "problem"),
    [
        (SKEW_MAX_MS, None),
        (SKEW_MAX_MS + 1, "its clock is 1.0 s ahead of the store's"),
        (-2500, "its clock is 2.5 s behind the store's"),
    ],
)
@pytest.mark.parametrize(("many_machines", "advice"), [(True, "database's clock"), (False, "start it again")])
def test_a_clock_that_is_off_is_told(
    *, skew_ms: int, problem: str | None, many_machines: bool, advice: str
) -> None:
    """Where the database's clock counts, no seat is wrong for it."""
    found = check_nodes([node("a", skew_ms=skew_ms)], START_MS, many_machines=many_machines)
    assert [it.problem for it in found] == ([problem] if problem else [])
    assert all(advice in it.advice and not it.is_wrong for it in found)


@pytest.mark.parametrize("many_machines", [True, False])
@pytest.mark.parametrize(("skew_ms", "is_wrong"), [(300_000, False), (300_001, True), (-360_000, True)])
def test_a_clock_that_is_minutes_off_is_wrong_where_apis_count_seats(
    *, skew_ms: int, is_wrong: bool, many_machines: bool
) -> None:
    """L13. They refuse tokens from the future; of their own clocks nothing is known here."""
    [found] = check_nodes(
        [node("a", skew_ms=skew_ms)], START_MS, many_machines=many_machines, are_signed=True
    )
    assert found.is_wrong is is_wrong
    assert ("answers 503" in found.problem) is is_wrong
    assert f"{abs(skew_ms) / 1000:.1f} s" in found.problem


def test_a_silent_node_is_told_and_compared_with_nobody() -> None:
    """It may be gone: a server that was killed says no more."""
    silent = node("b", version="0.1.0", pepper="p2", seen_at_ms=START_MS - SILENT_AFTER_MS - 1)
    assert told(node("a"), silent) == ["hint: node b: nothing was heard of it since 2023-11-14T22:13:44.999Z"]
