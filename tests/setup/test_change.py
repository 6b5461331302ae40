"""Changing tenants: what may be, what is told of it, and how servers learn of it."""

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import update

from licet.journal.folding import fold_journal
from licet.journal.retention import remove_history
from licet.lanes.commit import commit
from licet.ledger.commands import ClientRefused, Grant, Sweep
from licet.model import Duplicates, InvalidValue, TokenFormat
from licet.setup.change import changing
from licet.store import schema
from licet.store.errors import AlreadyThere, NotFound
from support.store.setup_site import ADA, JIM, SESSION_S, START_MS, Site, secret

# The tenant


def test_a_new_tenant_has_a_pool_and_the_two_scopes(empty: Site) -> None:
    """Product, section 1: every tenant starts with the pool `full` and the scopes `view` and `all`."""
    with changing(empty.store, ADA) as change:
        change.add_tenant(JIM, seats=5, session_ttl_s=600, access_ttl_s=300)
    tenant = empty.tenant
    assert [pool.seats for pool in tenant.pools.values() if pool.name == "full"] == [5]
    assert {scope.name: (scope.read_only, scope.pool) for scope in tenant.scopes.values()} == {
        "view": (True, None),
        "all": (False, "full"),
    }
    assert (tenant.session_ttl_s, tenant.access_ttl_s, tenant.scope_default) == (600, 300, "all")


def test_a_tenant_cannot_be_left_without_its_scopes(empty: Site) -> None:
    with pytest.raises(InvalidValue, match="needs a scope all"), changing(empty.store, ADA) as change:
        change.add_tenant(JIM)
    assert empty.count(schema.tenant) == 0


def test_a_tenant_is_not_added_twice(site: Site) -> None:
    told = "there is a tenant Jim_Test already"
    with pytest.raises(AlreadyThere, match=told), changing(site.store, ADA) as change:
        change.add_tenant(JIM, seats=1)
    with changing(site.store, ADA) as change:
        change.add_tenant("New", seats=1)
        with pytest.raises(AlreadyThere):
            change.add_tenant("New", seats=1)


def test_an_unknown_tenant_is_told_with_those_there_are(site: Site) -> None:
    told = "there is no tenant Jim; there is: Jim_Test"
    with pytest.raises(NotFound, match=told), changing(site.store, ADA) as change:
        change.tenant("Jim")


def test_a_tenant_changes(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(session_ttl_s=1800, no_seat_status=429, scope_default="view")
    tenant = site.tenant
    assert (tenant.session_ttl_s, tenant.no_seat_status, tenant.scope_default) == (1800, 429, "view")
    detail = "session_ttl 20m -> 30m, default_scope all -> view, no_seat_status 400 -> 429"
    assert site.event() == (ADA, JIM, "set", "tenant Jim_Test", detail)


@pytest.mark.parametrize(
    ("before", "changes", "access_ttl_s"),
    [
        ({}, {"token_format": TokenFormat.JWT}, 60),
        ({}, {"token_format": TokenFormat.JWT, "access_ttl_s": 90}, 90),
        ({}, {"token_format": TokenFormat.JWT, "session_ttl_s": 45}, 45),
        ({"access_ttl_s": 300}, {"token_format": TokenFormat.REFERENCE}, 300),
        ({"token_format": TokenFormat.JWT}, {"token_format": TokenFormat.REFERENCE}, 600),
        ({"token_format": TokenFormat.JWT}, {"token_format": TokenFormat.JWT, "no_seat_status": 429}, 60),
        ({"token_format": TokenFormat.JWT, "access_ttl_s": 90}, {"token_format": TokenFormat.JWT}, 90),
        (
            {"token_format": TokenFormat.JWT, "session_ttl_s": 300},
            {"token_format": TokenFormat.REFERENCE},
            300,
        ),
    ],
)
def test_another_token_format_brings_its_life_where_none_is_named(
    site: Site, before: Any, changes: Any, access_ttl_s: int
) -> None:
    """A JWT lives a minute: a logoff does not reach it. No access token outlives its session (L3)."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(**before)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(**changes)
    assert (site.tenant.token_format, site.tenant.access_ttl_s) == (changes["token_format"], access_ttl_s)


def test_a_change_of_the_token_format_is_an_event(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT)
    detail = "access_ttl 10m -> 1m, token_format reference -> jwt"
    assert site.event() == (ADA, JIM, "set", "tenant Jim_Test", detail)


def test_a_default_scope_has_to_be_there(site: Site) -> None:
    told = "no scope edit in tenant Jim_Test; there is: all, view"
    with pytest.raises(NotFound, match=told), changing(site.store, ADA) as change:
        change.tenant(JIM).set(scope_default="edit")


def test_a_shorter_life_counts_for_the_next_sessions(site: Site) -> None:
    before = site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(session_ttl_s=600)
    after = site.grant("c2")
    assert before.session.expires_at_ms == START_MS + SESSION_S * 1000
    assert after.session.expires_at_ms == START_MS + 600_000
    assert site.lives(before)


def test_a_tenant_is_removed_with_everything_but_the_events(site: Site) -> None:
    with changing(site.store, ADA) as change:
        other = change.add_tenant("Other", seats=1)
        other.add_user("OT", name="Other")
        other.add_client("c1", secret(), user="OT")
        change.tenant(JIM).add_secret("c1", secret())
    site.grant("c1")
    site.grant("c2", "view")
    site.clock.advance(seconds=SESSION_S)
    site.commit(Sweep(sessions_max=1))
    site.grant("c1")
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    assert change.sessions_ended == 1
    site.store.refresh_tenants()
    assert site.store.tenant(JIM) is None
    fold_journal(site.store)
    while remove_history(site.store):
        pass
    assert site.count(schema.journal_entry) == 0
    tables = (schema.session, schema.seat, schema.journal, schema.usage_minute, schema.usage_hour)
    assert [site.count(table) for table in tables] == [0, 0, 0, 1, 0]
    assert [row.name for row in site.rows(schema.tenant)] == ["Other"]
    assert [site.count(table) for table in (schema.pool, schema.scope, schema.user, schema.client)] == [
        1, 2, 1, 1,
    ]  # fmt: skip
    assert site.count(schema.client_secret) == 1
    assert site.event()[1:4] == (JIM, "remove", "tenant Jim_Test")
    assert {row.tenant for row in site.rows(schema.event)} == {JIM, "Other"}


def test_a_server_of_the_version_before_learns_that_a_tenant_has_gone(site: Site) -> None:
    """It reads again what has another version, and knows nothing of rows that wait to be removed."""
    before = site.tenant.version
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    [row] = site.rows(schema.tenant)
    assert row.version != before
    assert row.name != JIM


# How servers learn of it


def test_one_block_is_one_version_and_only_what_it_touches_is_new(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.add_tenant("Other", seats=1)
    before = site.version()
    jim = site.tenant.version
    with changing(site.store, ADA) as change:
        change.tenant(JIM)  # looked at, and not changed
        other = change.tenant("Other")
        other.set_pool("full", seats=2)
        other.add_user("OT")
        other.add_client("c", user="OT")
    assert site.version() == before + 1
    assert site.tenant.version == jim
    versions = {row.name: row.version for row in site.rows(schema.tenant)}
    assert versions == {JIM: jim, "Other": before + 1}


def test_another_process_sees_a_change_when_it_looks(site: Site) -> None:
    other = site.second()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=9)
    old = other.tenant(JIM)
    assert old is not None
    assert old.pool_named("full") != site.tenant.pool_named("full")
    other.refresh_tenants()
    assert other.tenant(JIM) == site.tenant


def test_what_changes_nothing_makes_no_version_and_no_event(site: Site) -> None:
    version, events = site.version(), site.count(schema.event)
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        assert not tenant.set(session_ttl_s=1200)
        assert not tenant.set_pool("full", seats=5, duplicates=Duplicates.CLIENT)
        assert not tenant.set_scope("all", pool="full")
        assert not tenant.set_user("U1", name="User 1")
        assert not tenant.set_client("c1", user="U1", enabled=True)
    assert (site.version(), site.count(schema.event)) == (version, events)


def test_a_block_that_fails_changes_nothing(site: Site) -> None:
    granted = site.grant("c1")
    version, events = site.version(), site.count(schema.event)
    with suppress(NotFound), changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1)
        change.tenant(JIM).remove_client("c1")
        change.tenant(JIM).remove_client("nobody")
    assert site.lives(granted)
    assert (site.version(), site.count(schema.event)) == (version, events)
    assert site.pool().seats == 5
    assert site.client("c1").enabled


def test_a_store_never_remembers_what_was_not_committed(site: Site) -> None:
    """The tenants are remembered by their version: rows that are rolled back must not be among them."""
    behind = site.second()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=7)
    with suppress(NotFound), changing(behind, ADA) as change:  # it learns of the seven seats in here
        tenant = change.tenant(JIM)
        tenant.set_user("U1", name="Never")
        tenant.set_client("c2", enabled=False)  # through the ledger, after a row has changed
        tenant.remove_user("nobody")
    behind.refresh_tenants()
    assert behind.tenant(JIM) == site.tenant
    assert site.tenant.users["U1"].name == "User 1"


def test_a_change_is_true_for_the_next_command_of_a_server(site: Site) -> None:
    """L4: a disabled client gets nothing from the very commit on."""
    server = site.second()
    tenant = server.tenant(JIM)
    assert tenant is not None
    key = tenant.clients["c1"].key
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", enabled=False)
    grant = Grant(tenant_id=tenant.id, client_key=key, sid=b"s" * 20, scope="view", pool_id=None, address="")
    assert commit(server, [grant]) == [ClientRefused()]


def test_an_event_says_who_did_what_and_no_secret(site: Site) -> None:
    made = secret()
    with changing(site.store, "ada " * 100) as change:
        tenant = change.tenant(JIM)
        tenant.set_user("U1", password_hash="$argon2id$new")
        tenant.set_user("U2", name="Second", password_hash=None)
        tenant.add_secret("c1", made, START_MS + 1000)
    rows = site.rows(schema.event)
    assert [row.detail for row in rows[-3:]] == [
        "password changed",
        "name User 2 -> Second, password taken away",
        f"{made.secret_id}, expires 2023-11-14T22:14:01Z",
    ]
    assert all(len(row.actor) <= 200 for row in rows)
    told = " ".join(str(row) for row in rows)
    assert made.secret not in told
    assert "argon2id" not in told


def test_a_change_after_one_that_was_lost_is_not_taken_for_that_one(site: Site) -> None:
    """A node has read the lost one, and a failover brought back the set-up before it."""
    node, before = site.second(), site.version()
    site.clock.advance(seconds=1)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=4)
    node.refresh_tenants()
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.pool).values(seats=5))
        for table in (schema.setup, schema.tenant):
            transaction.connection.execute(update(table).values(version=before))
    site.clock.advance(seconds=1)
    with changing(site.second(), ADA) as change:
        change.tenant(JIM).set_client("c1", enabled=False)
    node.refresh_tenants()
    tenant = node.tenants()[1]
    assert (tenant.clients["c1"].usable, tenant.pools[1].seats) == (False, 5)
