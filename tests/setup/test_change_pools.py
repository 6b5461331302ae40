"""Changing pools and what draws on them: what may be, and what it does to seats and sessions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.ledger.commands import Denied, End, Granted
from licet.model import Duplicates, EndReason, InvalidValue, NoSeatReason, TokenFormat
from licet.setup.change import changing
from licet.store import schema
from licet.store.errors import AlreadyThere, NotFound, StillInUse
from licet.units import MINUTE_MS
from support.many import examples
from support.store.kinds import SqlitePlaces
from support.store.setup_site import ADA, JIM, SESSION_S, START_MS, Site, secret


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


@settings(max_examples=examples(25), deadline=None, database=None)
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
