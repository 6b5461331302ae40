"""What `licet check` finds in a set-up: what is wrong, what is worth knowing, and what to do."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, update

from licet.clock import ManualClock
from licet.store import schema
from licet.store.check import DAY_MS, Finding, check, proves_by
from licet.store.setup import changing
from setup_site import ADA, JIM, START_MS, Site, new_store, secret


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without tenants, made once."""
    return new_store(tmp_path_factory.mktemp("empty") / "licet.db")


@pytest.fixture
def empty(empty_file: Path, tmp_path: Path) -> Iterator[Site]:
    """A store without tenants."""
    site = Site(Path(shutil.copy(empty_file, tmp_path)), ManualClock(START_MS))
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
        ("wrong" if it.is_wrong else "hint", f"{it.target}: {it.problem}", it.advice) for it in findings(site)
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
        (0, "wrong", "the licence expired at 2023-11-14T22:14:00Z"),
        (30, "hint", "the licence expires at 2023-12-14T22:14:00Z"),
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


def test_a_client_that_cannot_prove_itself_is_told(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_user("NP", password_hash=None)
        tenant.add_client("no-password", user="NP")
        tenant.add_client("no-secret", user="U1", password_allowed=False)
        tenant.add_client("disabled", user="NP", enabled=False)
        tenant.add_client("secret", secret(), START_MS + 365 * DAY_MS, user="NP")
    problem = "it cannot prove itself: no password works for it, and no secret"
    password, another = "licet user password NP", "licet client secret add"
    assert found(site) == [
        ("wrong", f"client no-password: {problem}", f"{password}, or {another} no-password"),
        ("wrong", f"client no-secret: {problem}", f"{another} no-secret"),
    ]
    assert proves_by(site.client("secret"), START_MS) == ["secret"]
    assert proves_by(site.client("c1"), START_MS) == ["password"]


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
            f"client c1: its secret {old.secret_id} expired at 2023-11-14T22:14:00.001Z",
            f"licet client secret remove c1 {old.secret_id}",
        ),
        soon.secret_id: (
            "hint",
            f"client c1: its secret {soon.secret_id} expires at 2023-12-13T22:14:00Z",
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
        "seats that do not expire with the last of their sessions: 1",
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
