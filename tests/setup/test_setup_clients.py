"""Changing scopes, users, clients and client secrets, and ending sessions from outside."""

import pytest

from licet.credentials.generated import ClientSecrets
from licet.lanes.commit import commit
from licet.ledger.commands import ClientRefused, Grant, Granted, SessionUnknown, Sweep
from licet.model import Duplicates, GrantType
from licet.setup.change import changing, end_sessions
from licet.setup.parts.client_secrets_and_keys import SECRETS_MAX
from licet.store import schema
from licet.store.errors import AlreadyThere, NotFound, SetupError, StillInUse
from support.store.setup_site import ADA, JIM, SESSION_S, START_MS, Site, secret

# Scopes


@pytest.mark.parametrize("pool", ["other", None])
def test_a_scope_with_another_pool_ends_its_sessions(site: Site, pool: str | None) -> None:
    """L1: a session holds a seat of its scope's pool, or none, for as long as it is renewed."""
    licensed, both, view = site.grant("c1"), site.grant("c2", "view", "all"), site.grant("c3", "view")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_pool("other", seats=5)
        change.tenant(JIM).set_scope("all", pool=pool)
    assert change.sessions_ended == 2
    assert [site.lives(each) for each in (licensed, both, view)] == [False, False, True]
    assert site.pool().in_use == 0


def test_a_scope_that_becomes_licensed_leaves_no_session_without_a_seat(site: Site) -> None:
    """L1."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_scope("orders")
    free = site.grant("c1", "orders")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_scope("orders", pool="full", read_only=True)
    assert not site.lives(free)
    assert site.grant("c1", "orders").session.holder == "client:c1"


def test_a_scope_that_only_becomes_read_only_ends_nothing(site: Site) -> None:
    granted = site.grant("c1")
    with changing(site.store, ADA) as change:
        assert change.tenant(JIM).set_scope("all", read_only=True)
    assert site.lives(granted)
    assert site.event() == (ADA, JIM, "set", "scope all", "read_only no -> yes")


def test_a_removed_scope_takes_its_sessions_with_it(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_scope("orders", pool="full")
    mixed, other = site.grant("c1", "view", "orders"), site.grant("c2")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_scope("orders")
    assert (site.lives(mixed), site.lives(other)) == (False, True)
    assert site.endings() == {"removed": 1}
    assert set(site.tenant.scopes) == {"view", "all"}


def test_a_scope_that_is_needed_stays(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_scope("orders", pool="full")
        tenant.set(scope_default="orders")
        tenant.add_scope("stock")
        tenant.set_client("c1", scopes=frozenset({"stock"}))
    for name, told in (
        ("view", "scope view is built in and stays"),
        ("all", "scope all is built in and stays"),
        ("orders", "scope orders is the default of tenant Jim_Test; choose another first"),
        ("stock", "scope stock is given to client c1; take it away there first"),
    ):
        with pytest.raises(StillInUse, match=told), changing(site.store, ADA) as change:
            change.tenant(JIM).remove_scope(name)


# Users


def test_a_disabled_user_ends_the_sessions_of_all_its_clients(site: Site) -> None:
    """L4."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_client("twin", user="U1")
    mine = [site.grant("c1"), site.grant("twin"), site.grant("c1", "view")]
    other = site.grant("c2")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_user("U1", enabled=False)
    assert change.sessions_ended == 3
    assert [site.lives(each) for each in (*mine, other)] == [False, False, False, True]
    assert site.endings() == {"disabled": 3}
    assert site.pool().in_use == 1
    assert site.ask("twin") == ClientRefused()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_user("U1", enabled=True)
    assert isinstance(site.ask("twin"), Granted)


def test_a_new_password_ends_no_session(site: Site) -> None:
    granted = site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_user("U1", password_hash="new")
    assert site.lives(granted)
    assert site.tenant.users["U1"].password_hash == "new"
    assert site.client("c1").user.password_hash == "new"


def test_a_user_for_whom_a_client_stands_stays(site: Site) -> None:
    told = "user U1 is the user of client c1; remove it or give it another first"
    with pytest.raises(StillInUse, match=told), changing(site.store, ADA) as change:
        change.tenant(JIM).remove_user("U1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_client("c1")
        change.tenant(JIM).remove_user("U1")
    assert "U1" not in site.tenant.users


# Clients


def test_a_disabled_client_ends_its_sessions(site: Site) -> None:
    """L4."""
    mine, other = site.grant("c1"), site.grant("c2")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", enabled=False)
    assert (site.lives(mine), site.lives(other)) == (False, True)
    assert site.endings() == {"disabled": 1}
    assert site.refresh(mine) == SessionUnknown()


def test_a_seat_that_is_shared_outlives_one_of_its_clients(site: Site) -> None:
    """L4: a seat is held while at least one of its sessions lives."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", duplicates=Duplicates.USER)
        change.tenant(JIM).add_client("twin", user="U1")
    other = site.grant("c1")
    site.clock.advance(seconds=60)
    site.grant("twin")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_client("twin")
    assert [row.expires_at_ms for row in site.rows(schema.seat)] == [other.session.expires_at_ms]
    assert site.lives(other)


def test_a_removed_client_leaves_no_session_to_sweep(site: Site) -> None:
    """A row of `session` never outlives its client: a sweep could not write its end into the journal."""
    site.grant("c1")
    site.clock.advance(seconds=SESSION_S)
    for _ in range(3):
        site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_secret("c1", secret())
        change.tenant(JIM).remove_client("c1")
    assert change.sessions_ended == 3
    assert site.count(schema.session) == site.count(schema.client_secret) == 0
    site.clock.advance(seconds=SESSION_S)
    site.commit(Sweep(sessions_max=10))
    assert site.endings() == {"expired": 1, "removed": 3}


def test_many_sessions_end_in_one_transaction(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", sessions_max=1000)
    tenant = site.tenant
    key = tenant.clients["c1"].key
    pool = tenant.pool_named("full")
    assert pool is not None
    grants = [
        Grant(
            tenant_id=tenant.id, client_key=key, sid=number.to_bytes(20, "big"), scope="all",
            pool_id=pool.id, address="",
        )
        for number in range(600)
    ]  # fmt: skip
    commit(site.store, grants)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_client("c1")
    assert change.sessions_ended == 600
    assert site.pool().in_use == 0


def test_a_client_that_gets_another_user_begins_anew(site: Site) -> None:
    """A token tells whose it is: one that was given to a user must not become another's."""
    granted = site.grant("c1", "view")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", user="U2")
    assert not site.lives(granted)
    assert site.client("c1").user.initials == "U2"
    assert site.event() == (ADA, JIM, "set", "client c1", "user U1 -> U2")


def test_a_client_that_may_do_less_loses_the_sessions_that_do_more(site: Site) -> None:
    licensed, view = site.grant("c1"), site.grant("c1", "view")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", scopes=frozenset({"view"}))
    assert (site.lives(licensed), site.lives(view)) == (False, True)
    assert site.event()[4] == "scopes every -> view"
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", scopes=None)
    assert site.lives(view)


def test_a_client_changes_in_all_that_may_be_set(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client(
            "c1",
            sessions_max=7,
            grant_types=frozenset({GrantType.CLIENT_CREDENTIALS}),
            introspects=True,
            password_allowed=False,
            scopes=frozenset({"view", "all"}),
        )
    client = site.client("c1")
    assert (client.sessions_max, client.introspects, client.password_allowed) == (7, True, False)
    assert client.grant_types == {GrantType.CLIENT_CREDENTIALS}
    assert client.scopes == frozenset({"view", "all"})


# Client secrets


def test_a_client_made_with_a_secret_does_not_take_the_password(site: Site) -> None:
    made = secret()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_client("api", made, user="U1")
        change.tenant(JIM).add_client("both", secret(), user="U1", password_allowed=True)
    client = site.client("api")
    assert not client.password_allowed
    assert [kept.secret_id for kept in client.secrets] == [made.secret_id]
    assert site.client("both").password_allowed


def test_secrets_overlap_and_the_password_goes_on_working(site: Site) -> None:
    secrets = ClientSecrets(b"p" * 32)
    old, new = secrets.generate(), secrets.generate()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_secret("c1", old, START_MS + 60_000)
        change.tenant(JIM).add_secret("c1", new)
    client, now_ms = site.client("c1"), site.clock.now_ms()
    assert client.password_allowed
    assert secrets.find(client, old.secret, now_ms) is not None
    assert secrets.find(client, new.secret, now_ms) is not None
    assert secrets.find(client, old.secret, now_ms + 60_000) is None
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_secret("c1", old.secret_id)
    assert [kept.secret_id for kept in site.client("c1").secrets] == [new.secret_id]


def test_a_client_has_so_many_secrets_and_no_more(site: Site) -> None:
    with changing(site.store, ADA) as change:
        for _ in range(SECRETS_MAX):
            change.tenant(JIM).add_secret("c1", secret())
    told = "has 16 secrets; remove one first"
    with pytest.raises(StillInUse, match=told), changing(site.store, ADA) as change:
        change.tenant(JIM).add_secret("c1", secret())


# An administrator


def test_an_administrator_ends_sessions(site: Site) -> None:
    """L4, L11: the journal has the endings, and the events who did it."""
    first, second = site.grant("c1"), site.grant("c2", "view")
    sids = [first.session.sid, second.session.sid, b"unknown"]
    ended = end_sessions(site.store, ADA, JIM, sids)
    assert (ended.sessions, ended.seats, ended.clients) == (2, 1, ("c1", "c2"))
    assert site.endings() == {"administrator": 2}
    assert site.event() == (ADA, JIM, "end", "client c2", "1 session ended")


def test_every_refusal_is_a_setup_error() -> None:
    assert {NotFound.__base__, AlreadyThere.__base__, StillInUse.__base__} == {SetupError}
