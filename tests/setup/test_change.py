"""Changing tenants and pools: what may be, what it does to sessions, how servers learn of it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.journal.folding import fold_journal
from licet.journal.retention import remove_history
from licet.lanes.commit import commit
from licet.ledger.commands import ClientRefused, Denied, End, Grant, Granted, Sweep
from licet.model import Duplicates, EndReason, InvalidValue, NoSeatReason, TokenFormat
from licet.setup.change import changing
from licet.store import schema
from licet.store.errors import AlreadyThere, NotFound, StillInUse
from licet.units import MINUTE_MS
from support.kinds import Place, SqlitePlaces
from support.setup_site import ADA, JIM, SESSION_S, START_MS, Site, secret


@pytest.fixture
def empty(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A store without tenants."""
    site = Site(make_place(START_MS))
    yield site
    site.check()
    site.close()


@pytest.fixture
def site(empty: Site) -> Site:
    """A store with the tenant `Jim_Test`."""
    empty.begin()
    return empty


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


# Pools


def test_a_pool_is_added_and_drawn_on(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_pool("mobile", seats=1, duplicates=Duplicates.USER, expires_at_ms=START_MS + 60_000)
        tenant.add_scope("orders", pool="mobile")
    assert site.grant("c1", "orders").session.holder == "user:U1"
    denied = site.ask("c2", "orders")
    assert isinstance(denied, Denied)
    assert denied.reason is NoSeatReason.ALL_IN_USE


def test_a_hold_is_kept_and_is_an_event(site: Site) -> None:
    """L18: what the pool says of itself; where access tokens are JWTs, at least their life counts."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", hold_s=60)
    pool = site.tenant.pool_named("full")
    assert pool is not None
    assert (pool.hold_s, site.tenant.hold_s_of(pool)) == (60, 60)
    assert "hold 0s -> 1m" in [event.detail for event in site.rows(schema.event)]
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT, access_ttl_s=300)
    assert (pool.hold_s, site.tenant.hold_s_of(pool)) == (60, 300)


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (lambda tenant: tenant.add_pool("full", seats=1), "a pool full already"),
        (lambda tenant: tenant.add_scope("view", read_only=True), "a scope view already"),
        (lambda tenant: tenant.add_user("U1"), "a user U1 already"),
        (lambda tenant: tenant.add_client("c1", user="U1"), "a client c1 already"),
    ],
)
def test_a_name_is_not_taken_twice(site: Site, add: Any, told: str) -> None:
    with pytest.raises(AlreadyThere, match=told), changing(site.store, ADA) as change:
        add(change.tenant(JIM))


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (lambda tenant: tenant.set_pool("x", seats=1), "no pool x in tenant Jim_Test; there is: full"),
        (lambda tenant: tenant.remove_pool("x"), "no pool x"),
        (lambda tenant: tenant.set_scope("x", read_only=True), "no scope x"),
        (lambda tenant: tenant.remove_scope("x"), "no scope x"),
        (lambda tenant: tenant.add_scope("s", pool="x"), "no pool x"),
        (lambda tenant: tenant.set_scope("all", pool="x"), "no pool x"),
        (lambda tenant: tenant.set_user("XX", name="x"), "no user XX in tenant Jim_Test; there is: U1, U2"),
        (lambda tenant: tenant.remove_user("XX"), "no user XX"),
        (lambda tenant: tenant.add_client("x", user="XX"), "no user XX"),
        (lambda tenant: tenant.set_client("c1", user="XX"), "no user XX"),
        (lambda tenant: tenant.set_client("x", enabled=False), "no client x"),
        (lambda tenant: tenant.remove_client("x"), "no client x"),
        (lambda tenant: tenant.set_client("c1", scopes=frozenset({"x"})), "no scope x"),
        (lambda tenant: tenant.add_client("x", user="U1", scopes=frozenset({"x"})), "no scope x"),
        (lambda tenant: tenant.add_secret("x", secret()), "no client x"),
        (lambda tenant: tenant.remove_secret("c1", "x"), "no secret of client c1 x .* there is none yet"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(site: Site, do: Any, told: str) -> None:
    with pytest.raises(NotFound, match=told), changing(site.store, ADA) as change:
        do(change.tenant(JIM))


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (lambda tenant: tenant.add_pool("a b", seats=1), "a pool's name is"),
        (lambda tenant: tenant.set_pool("full", seats=-1), "seats is 0 to"),
        (lambda tenant: tenant.set_pool("full", hold_s=-1), "hold is 0 to 1 day"),
        (lambda tenant: tenant.set_pool("full", hold_s=86_401), "hold is 0 to 1 day"),
        (lambda tenant: tenant.add_scope('a"b'), "a scope is 1 to 64"),
        (lambda tenant: tenant.set_scope("view", pool="full"), "view is built in"),
        (lambda tenant: tenant.set_scope("view", read_only=False), "view is built in"),
        (lambda tenant: tenant.add_user("LONG"), "initials are 2 or 3"),
        (lambda tenant: tenant.add_user("XX", name="\x1b[31m"), "without control characters"),
        (lambda tenant: tenant.set_user("U1", name=""), "a name is 1 to 100"),
        (lambda tenant: tenant.set_user("U1", name="x" * 101), "a name is 1 to 100"),
        (lambda tenant: tenant.add_client("", user="U1"), "a client_id is 1 to 128"),
        (lambda tenant: tenant.set_client("c1", sessions_max=0), "max_sessions is 1 to"),
        (lambda tenant: tenant.set_client("c1", grant_types=frozenset()), "at least one grant type"),
        (lambda tenant: tenant.set(access_ttl_s=1201), "access_ttl is 1 s to session_ttl"),
        (
            lambda tenant: tenant.set(
                session_ttl_s=100_000, access_ttl_s=86_401, token_format=TokenFormat.JWT
            ),
            "access_ttl is at most 1 day where token_format is jwt",
        ),
        (lambda tenant: tenant.set(no_seat_status=500), "no_seat_status is 400, 429 or 503"),
        (lambda tenant: tenant.add_secret("c1", secret(), START_MS), "expires later than now"),
    ],
)
def test_what_may_not_be_is_told_with_what_may(site: Site, do: Any, told: str) -> None:
    with pytest.raises(InvalidValue, match=told), changing(site.store, ADA) as change:
        do(change.tenant(JIM))


def test_fewer_seats_than_in_use_end_nothing_and_give_nothing(site: Site) -> None:
    """L6."""
    granted = [site.grant(f"c{number}") for number in (1, 2, 3)]
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1)
    assert change.sessions_ended == 0
    assert all(site.lives(each) for each in granted)
    pool = site.pool()
    assert (pool.seats, pool.in_use, pool.overuse) == (1, 3, 2)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_client("c4", user="U1")
    assert isinstance(site.ask("c4"), Denied)
    assert isinstance(site.refresh(granted[0]), Granted)


def test_overuse_shrinks_with_what_ends_and_with_more_seats(site: Site) -> None:
    """L6."""
    granted = [site.grant(f"c{number}") for number in (1, 2, 3)]
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=0)
    assert site.pool().overuse == 3
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1)
    assert site.pool().overuse == 2
    session = granted[0].session
    site.commit(End(tenant_id=session.tenant_id, sid=session.sid, reason=EndReason.LOGOFF))
    assert site.pool().overuse == 1
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=3)
    pool = site.pool()
    assert (pool.in_use, pool.overuse) == (2, 0)
    assert isinstance(site.ask("c1"), Granted)


def test_seats_that_have_expired_are_no_overuse(site: Site) -> None:
    """L4: a seat is free at the moment when it expires, swept or not."""
    for number in (1, 2, 3):
        site.grant(f"c{number}")
    site.clock.advance(seconds=SESSION_S)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1)
    pool = site.pool()
    assert (pool.in_use, pool.overuse) == (0, 0)


@settings(max_examples=25, deadline=None, database=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("seats"), st.integers(0, 5)),
            st.tuples(st.sampled_from(["ask", "disable", "enable", "wait"]), st.integers(1, 5)),
        ),
        max_size=25,
    )
)
def test_no_order_of_changes_and_grants_gives_a_seat_too_many(
    steps: list[tuple[str, int]], sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """L6: at every commit in_use <= seats, or it was more when the seats were lowered."""
    site = Site(sqlite_places.make(tmp_path_factory.mktemp("order"), START_MS))
    try:
        site.begin(seats=2, clients=5)
        for what, number in steps:
            before = site.pool()
            match what:
                case "ask":
                    site.ask(f"c{number}")
                case "wait":
                    site.clock.advance(seconds=SESSION_S / 3)
                case "seats":
                    with changing(site.store, ADA) as change:
                        change.tenant(JIM).set_pool("full", seats=number)
                case _:
                    with changing(site.store, ADA) as change:
                        change.tenant(JIM).set_client(f"c{number}", enabled=what == "enable")
            pool = site.pool()
            assert pool.in_use <= max(pool.seats, before.in_use)
            site.check()
    finally:
        site.close()


def test_new_seats_are_seen_in_the_use_at_once(site: Site) -> None:
    """A chart shows the seats from the minute in which they were bought, not from the next grant on."""
    site.grant("c1")
    site.clock.advance(seconds=3600)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=9)
        change.tenant(JIM).set_pool("full", seats=8)
    last = site.rows(schema.usage_minute)[-1]
    assert last.minute == site.clock.now_ms() // MINUTE_MS
    assert (last.pool, last.seats, last.peak, last.in_use) == ("full", 8, 0, 0)


def test_an_earlier_end_of_the_licence_cuts_sessions_and_seats(site: Site) -> None:
    """L7."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", duplicates=Duplicates.USER)
        change.tenant(JIM).add_client("twin", user="U1")
    first = site.grant("c1")
    site.clock.advance(seconds=300)
    second, view = site.grant("twin"), site.grant("c2", "view")
    end_ms = site.clock.now_ms() + 1_000_000  # after the first would expire, before the second
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", expires_at_ms=end_ms)
    assert change.sessions_ended == 0
    expires = {row.sid: row.expires_at_ms for row in site.rows(schema.session)}
    assert expires[first.session.sid] == first.session.expires_at_ms
    assert expires[second.session.sid] == end_ms
    assert expires[view.session.sid] == view.session.expires_at_ms
    assert [row.expires_at_ms for row in site.rows(schema.seat)] == [end_ms]
    renewed = site.refresh(second)
    assert isinstance(renewed, Granted)
    assert renewed.session.expires_at_ms == end_ms


def test_a_licence_that_is_over_ends_its_sessions_now(site: Site) -> None:
    """L7: and `view` goes on working."""
    licensed, view = site.grant("c1"), site.grant("c1", "view")
    site.clock.advance(seconds=60)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", expires_at_ms=START_MS - 86_400_000)
    assert change.sessions_ended == 1
    assert (site.lives(licensed), site.lives(view)) == (False, True)
    assert site.pool().in_use == 0
    assert site.endings() == {"expired": 1}
    denied = site.ask("c2")
    assert isinstance(denied, Denied)
    assert denied.reason is NoSeatReason.LICENCE_EXPIRED
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", expires_at_ms=None)
    assert isinstance(site.ask("c2"), Granted)


def test_a_pool_that_a_scope_draws_on_stays(site: Site) -> None:
    told = "pool full is drawn on by scope all; remove it or give it another pool first"
    with pytest.raises(StillInUse, match=told), changing(site.store, ADA) as change:
        change.tenant(JIM).remove_pool("full")


def test_a_pool_that_no_scope_draws_on_goes(site: Site) -> None:
    site.grant("c1")
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_pool("new", seats=1)
        tenant.set_scope("all", pool="new")
        tenant.remove_pool("full")
    assert change.sessions_ended == 1
    assert [row.name for row in site.rows(schema.pool)] == ["new"]
    assert site.count(schema.seat) == 0
    assert isinstance(site.ask("c1"), Granted)


def test_a_pool_added_and_removed_in_one_block_leaves_nothing(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_pool("new", seats=1)
        change.tenant(JIM).remove_pool("new")
    assert [row.pool for row in site.rows(schema.usage_minute)] == ["full"]
