"""L18: a seat stays its holder's until so long after the last token that was issued with it.

By the ledger and the set-up together, on each kind of store. The machine of the ledger knows the rule too.
"""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from licet.cli.run.finding_advice import advice_of
from licet.lanes.commit import commit
from licet.ledger.commands import Denied, End, Ended, Granted, Sweep, Swept
from licet.model import Duplicates, EndReason, NoSeatReason, TokenFormat
from licet.reports.live import seats
from licet.reports.occupancy import occupancy
from licet.reports.overview import overview
from licet.reports.seats import free_at_ms, mark, seats_held, sessions_named, sessions_on_seats
from licet.reports.seats_on_hold import seats_on_hold
from licet.reports.usage import usage
from licet.setup.change import changing, end_sessions
from licet.setup.check import check
from licet.store import schema
from licet.units import HOUR_MS, MINUTE_MS
from support.kinds import Place
from support.setup_site import ADA, JIM, START_MS, Site

HOLD_S = 60


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A pool of one seat with a hold of a minute, and three clients."""
    site = Site(make_place(START_MS))
    site.begin(seats=1, clients=3)
    set_pool(site, hold_s=HOLD_S)
    yield site
    site.check()
    site.close()


def set_pool(site: Site, **changes: object) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", **changes)  # type: ignore[arg-type]


def end(site: Site, granted: Granted, reason: EndReason = EndReason.LOGOFF) -> Ended:
    session = granted.session
    outcome = site.commit(End(tenant_id=session.tenant_id, sid=session.sid, reason=reason))
    assert isinstance(outcome, Ended)
    return outcome


def denied(site: Site, client_id: str = "c2") -> Denied:
    outcome = site.ask(client_id)
    assert isinstance(outcome, Denied), outcome
    assert outcome.reason is NoSeatReason.ALL_IN_USE
    return outcome


def wait(site: Site, seconds: float) -> None:
    site.clock.advance(seconds=seconds)


def answered(ended: Ended) -> tuple[bool, int | None]:
    """Whether a seat came back, or in how many seconds it will."""
    return ended.seat_released, ended.seat_released_in_s


# How a seat ends


def test_a_seat_that_was_given_back_is_nobody_elses_until_its_hold_is_over(site: Site) -> None:
    """To the second: then the grant is made."""
    first = site.grant("c1")
    wait(site, 20)
    assert answered(end(site, first)) == (False, 40)
    refused = denied(site)
    assert (refused.retry_after_s, refused.in_use) == (40, 1)
    wait(site, 39)
    assert denied(site).retry_after_s == 1
    wait(site, 1)
    site.grant("c2")


def test_its_holder_shares_it_meanwhile_and_it_is_held_for_its_new_token(site: Site) -> None:
    """It is the same seat: nothing came back."""
    end(site, site.grant("c1"))
    wait(site, 59)
    again = site.grant("c1")
    assert site.pool().in_use == 1
    assert answered(end(site, again)) == (False, 60)
    wait(site, 59)
    assert denied(site).retry_after_s == 1


def test_a_hold_counts_from_the_last_token_and_not_from_the_end(site: Site) -> None:
    """Nobody can believe a token any more that is older than the hold: the seat is free at once."""
    first = site.grant("c1")
    wait(site, 60)
    assert answered(end(site, first)) == (True, None)
    site.grant("c2")


def test_a_refresh_is_a_token(site: Site) -> None:
    """L5: it is never denied, and the hold counts from it."""
    first = site.grant("c1")
    wait(site, 50)
    assert isinstance(site.refresh(first), Granted)
    wait(site, 50)
    assert answered(end(site, first)) == (False, 10)


@pytest.mark.parametrize("reason", [it for it in EndReason if it is not EndReason.EXPIRED])
def test_however_a_session_is_ended_its_seat_is_held(site: Site, reason: EndReason) -> None:
    """Also by an administrator, who can free it by no other way than a shorter hold."""
    assert answered(end(site, site.grant("c1"), reason)) == (False, 60)
    assert denied(site).retry_after_s == 60


def test_a_session_that_expires_leaves_its_seat_on_hold(site: Site) -> None:
    """Where the hold is longer than a session lives."""
    set_pool(site, hold_s=1500)
    site.grant("c1")
    wait(site, 1200)
    assert denied(site).retry_after_s == 300
    wait(site, 300)
    site.grant("c2")


def test_a_session_that_is_superseded_leaves_its_seat_on_hold(site: Site) -> None:
    """L8. Where each session has a seat, a client in a loop can so fill the pool."""
    set_pool(site, seats=2, duplicates=Duplicates.NONE)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", sessions_max=1)
    first, second = site.grant("c1"), site.grant("c1")
    assert (site.lives(first), site.lives(second)) == (False, True)
    assert site.pool().in_use == 2
    assert denied(site, "c1").retry_after_s == 60
    assert site.lives(second)


def test_where_another_session_lives_on_the_seat_the_answer_is_as_without_a_hold(site: Site) -> None:
    """It is not held for a token: somebody works with it."""
    first, second = site.grant("c1"), site.grant("c1")
    assert answered(end(site, second)) == (False, None)
    assert answered(end(site, first)) == (False, 60)


def test_both_may_be_ended_at_once(site: Site) -> None:
    """In one batch: the second of them is the last."""
    both = [site.grant("c1"), site.grant("c1")]
    ends = [End(tenant_id=1, sid=it.session.sid, reason=EndReason.LOGOFF) for it in both]
    outcomes = [answered(it) for it in commit(site.store, ends) if isinstance(it, Ended)]
    assert outcomes == [(False, None), (False, 60)]


def test_a_seat_is_held_for_its_newest_token_whichever_session_ends_last(site: Site) -> None:
    """An older session that is left does not make the newer one's token forgotten."""
    set_pool(site, hold_s=1500)
    older = site.grant("c1")
    wait(site, 100)
    newer = site.grant("c1")
    wait(site, 50)
    site.refresh(newer)
    assert answered(end(site, newer)) == (False, None)
    wait(site, 50)
    assert answered(end(site, older)) == (False, 1450)


def test_a_user_shares_the_seat_on_hold_of_another_client_of_hers(site: Site) -> None:
    """L2: the holder is the user."""
    set_pool(site, duplicates=Duplicates.USER)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_client("twin", user="U1")
    end(site, site.grant("c1"))
    shared = site.grant("twin")
    assert answered(end(site, shared)) == (False, 60)
    denied(site)


def test_a_client_given_another_user_needs_a_seat_of_that_one(site: Site) -> None:
    """Where seats are counted by user, that of the former one is held."""
    set_pool(site, duplicates=Duplicates.USER)
    site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", user="U3")
    assert denied(site, "c1").retry_after_s == 60
    wait(site, 60)
    assert site.grant("c1").session.holder == "user:U3"


def test_where_seats_are_counted_by_client_it_shares_its_own_and_it_is_the_new_users(site: Site) -> None:
    """The client is the holder; the list of seats shows for whom it stands now."""
    site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", user="U3")
    site.grant("c1")
    assert [row.initials for row in site.rows(schema.seat)] == ["U3"]


def test_without_a_hold_a_seat_is_free_at_its_logoff(site: Site) -> None:
    """L4, as ever: the default."""
    set_pool(site, hold_s=0)
    assert answered(end(site, site.grant("c1"))) == (True, None)
    site.grant("c2")


# What the set-up does


def test_where_tokens_are_jwts_a_seat_is_held_for_their_life_at_least(site: Site) -> None:
    """A JWT is believed until it has expired, whoever logged off."""
    set_pool(site, hold_s=30)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT, access_ttl_s=45)
    assert answered(end(site, site.grant("c1"))) == (False, 45)
    wait(site, 45)
    set_pool(site, hold_s=50)
    assert answered(end(site, site.grant("c2"))) == (False, 50)


def test_a_longer_hold_counts_for_seats_that_are_in_use(site: Site) -> None:
    """On hold already, and with a session; its instant is written with the change."""
    end(site, site.grant("c1"))
    set_pool(site, hold_s=1500)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [1_500_000]
    assert denied(site).retry_after_s == 1500
    again = site.grant("c1")
    set_pool(site, hold_s=3000)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [3_000_000]
    assert answered(end(site, again)) == (False, 3000)


def test_a_change_of_the_token_format_or_of_the_life_counts_at_once(site: Site) -> None:
    """The effective hold is what changes."""
    end(site, site.grant("c1"))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT, access_ttl_s=90)
    assert denied(site).retry_after_s == 90
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(access_ttl_s=120)
    assert denied(site).retry_after_s == 120


def test_a_shorter_hold_frees_what_is_not_held_any_more(site: Site) -> None:
    """As of now, and not of when it would have been free: so long it was held."""
    end(site, site.grant("c1"))
    wait(site, 40)
    set_pool(site, hold_s=50)
    assert denied(site).retry_after_s == 10
    set_pool(site, hold_s=30)
    assert site.pool().in_use == 0
    assert sum(row.held_ms for row in site.rows(schema.usage_hour)) == 40_000
    site.grant("c2")


def test_a_shorter_hold_ends_no_session(site: Site) -> None:
    """The seat is in use until the last of them expires."""
    set_pool(site, hold_s=1500)
    first = site.grant("c1")
    set_pool(site, hold_s=0)
    assert site.lives(first)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [1_200_000]


def test_a_hold_ends_with_its_pool_and_goes_on_where_that_is_extended(site: Site) -> None:
    """L7: no seat of a licence that is over is in use."""
    set_pool(site, expires_at_ms=START_MS + 40_000)
    assert answered(end(site, site.grant("c1"))) == (False, 40)
    set_pool(site, expires_at_ms=START_MS + 50_000)
    assert denied(site).retry_after_s == 50
    set_pool(site, expires_at_ms=None)
    assert denied(site).retry_after_s == 60


def test_a_licence_that_is_over_holds_nothing(site: Site) -> None:
    """L7. Neither the seats of sessions that end with it, nor those on hold before."""
    set_pool(site, seats=2)
    end(site, site.grant("c1"))
    site.grant("c2")
    set_pool(site, expires_at_ms=START_MS)
    assert site.pool().in_use == 0
    assert site.rows(schema.seat) == []


def test_another_rule_of_sharing_leaves_a_seat_on_hold_to_who_had_it(site: Site) -> None:
    """Who had it as a client has none as a user: denied for as long as the hold at most."""
    end(site, site.grant("c1"))
    set_pool(site, duplicates=Duplicates.USER)
    assert denied(site, "c1").retry_after_s == 60
    set_pool(site, duplicates=Duplicates.CLIENT)
    site.grant("c1")


def test_a_client_that_is_removed_leaves_its_seat_on_hold(site: Site) -> None:
    """Its last token may still be believed. Whoever has its name shares the seat."""
    site.grant("c1")
    with changing(site.store, ADA) as change:
        change.tenant(JIM).remove_client("c1")
    assert denied(site).retry_after_s == 60
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_client("c1", user="U1")
    site.grant("c1")


def test_a_pool_that_is_removed_leaves_no_seat_behind(site: Site) -> None:
    """What was in use is written as free now."""
    end(site, site.grant("c1"))
    wait(site, 10)
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_pool("other", seats=1)
        tenant.set_scope("all", pool="other")
        tenant.remove_pool("full")
    assert site.rows(schema.seat) == []
    assert [row.in_use for row in site.rows(schema.usage_minute) if row.pool == "full"] == [0]


def test_a_tenant_that_is_removed_leaves_no_seat_behind(site: Site) -> None:
    """Nor anything else that is in use."""
    end(site, site.grant("c1"))
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    assert site.rows(schema.seat) == []


# What is written, and what is left behind


def test_a_seat_whose_hold_is_over_is_cleared_away_without_a_session_that_expires(site: Site) -> None:
    """By the sweep, as of the moment when it was free; nothing else need happen in its pool."""
    end(site, site.grant("c1"))
    assert site.commit(Sweep(sessions_max=10)) == Swept(sessions=0)
    assert site.pool().in_use == 1
    wait(site, 75)
    assert site.commit(Sweep(sessions_max=10)) == Swept(sessions=0)
    assert site.pool().in_use == 0
    [holding] = site.rows(schema.holding)
    assert (holding.freed_at_ms - holding.taken_at_ms, holding.times) == (60_000, 1)
    last = site.rows(schema.usage_minute)[-1]
    assert (last.minute, last.peak, last.in_use) == ((START_MS + 60_000) // MINUTE_MS, 1, 0)


def test_a_seat_on_hold_is_in_use_for_the_figures_and_idle_since_its_last_token(site: Site) -> None:
    """Also while nothing has cleared it away."""
    first = site.grant("c1")
    wait(site, 50)
    site.refresh(first)
    wait(site, 20)
    end(site, first)
    wait(site, 600)
    for swept in (False, True):
        if swept:
            site.commit(Sweep(sessions_max=10))
        now_ms, tenant = site.clock.now_ms(), site.tenant
        with site.store.reading() as connection:
            found = usage(connection, tenant, START_MS - HOUR_MS, now_ms, now_ms=now_ms)
        [pool] = found.pools
        assert (pool.peak, pool.held_ms, pool.idle_ms) == (1, 110_000, 60_000)


def test_the_number_in_use_is_that_of_seats_with_those_on_hold(site: Site) -> None:
    """L6: never one too many, and the database stands behind it."""
    set_pool(site, seats=2)
    end(site, site.grant("c1"))
    site.grant("c2")
    refused = denied(site, "c3")
    assert (refused.in_use, refused.seats, refused.retry_after_s) == (2, 2, 60)


def test_what_a_node_of_the_version_before_wrote_is_held_by_the_sessions_own_token(site: Site) -> None:
    """It notes no token at the seat; who ends the session sees when it was renewed."""
    first = site.grant("c1")
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.seat).values(issued_at_ms=0))
    assert answered(end(site, first)) == (False, 60)


def test_a_longer_hold_counts_for_what_such_a_node_renewed(site: Site) -> None:
    """From the token of the session that lives."""
    first = site.grant("c1")
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.seat).values(issued_at_ms=0))
    set_pool(site, hold_s=1500)
    assert [row.expires_at_ms - START_MS for row in site.rows(schema.seat)] == [1_500_000]
    assert answered(end(site, first)) == (False, 1500)


def test_a_book_has_the_other_sessions_of_a_seat_that_may_be_held(site: Site) -> None:
    """So that it is known whether one of them is left, though the seat's end does not tell."""
    set_pool(site, hold_s=1500)
    sids = [site.grant("c1").session.sid for _ in range(3)]
    with site.store.transaction() as transaction:
        book = transaction.load([End(tenant_id=1, sid=sids[0], reason=EndReason.LOGOFF)])
    assert sids[0] in book.sessions
    assert book.sessions.keys() & set(sids[1:])


def test_the_check_finds_nothing_wrong_with_a_seat_on_hold(site: Site) -> None:
    """And finds one that is held for another time than the rule says."""
    set_pool(site, seats=2)
    end(site, site.grant("c1"))
    site.grant("c2")
    site.check()
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            update(schema.seat).where(schema.seat.c.client_id == "c1").values(expires_at_ms=START_MS + 61_000)
        )
    with site.store.reading() as connection:
        found = check(connection, site.store.tenants(), site.clock.now_ms())
    assert any("seats that do not expire" in it.problem for it in found)
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            update(schema.seat).where(schema.seat.c.client_id == "c1").values(expires_at_ms=START_MS + 60_000)
        )


def findings(site: Site) -> list[str]:
    store, now_ms = site.store, site.clock.now_ms()
    store.refresh_tenants()
    with store.reading() as connection:
        return [
            f"{it.problem}: {advice_of(it, names_tenant=False)}"
            for it in check(connection, store.tenants(), now_ms)
        ]


def test_the_check_warns_where_a_client_in_a_loop_can_fill_a_pool(site: Site) -> None:
    """L8: sessions that are superseded leave their seats on hold, where each session has its own."""
    warning = "held for 1m: a client that asks again and again can fill the pool for that long"
    assert not any(warning in it for it in findings(site))
    set_pool(site, duplicates=Duplicates.NONE)
    [found] = [it for it in findings(site) if warning in it]
    assert found.endswith("licet pool set full --duplicates client")
    set_pool(site, hold_s=0)
    assert not any(warning in it for it in findings(site))


# What an administrator sees


def holders(site: Site) -> list[tuple[str, int, bool]]:
    """Who holds seats, with so many sessions, and whether it is on hold."""
    tenant = site.tenant
    with site.store.reading() as connection:
        page = seats_held(connection, tenant, site.clock.now_ms())
    return [(it.client_id, it.sessions_count, it.on_hold) for it in page.seats]


def test_the_lists_show_a_seat_on_hold_as_such(site: Site) -> None:
    """Whose it is, when its last token was issued, and until when it is held; it has no session to end."""
    set_pool(site, seats=3)
    first = site.grant("c1")
    wait(site, 10)
    site.refresh(first)
    wait(site, 10)
    end(site, first)
    site.grant("c2")
    assert holders(site) == [("c1", 0, True), ("c2", 1, False)]
    tenant = site.tenant
    with site.store.reading() as connection:
        now_ms = site.clock.now_ms()
        [held, _] = seats_held(connection, tenant, now_ms).seats
        [pool] = seats(connection, tenant, now_ms).pools
        [shown] = overview(connection, now_ms, tenant_id=tenant.id).tenants
        [counted] = occupancy(connection, now_ms, tenants_max=10).pools
        to_end = sessions_on_seats(connection, tenant, now_ms, [("full", "client:c1")])
    assert (held.renewed_at_ms, held.expires_at_ms) == (START_MS + 10_000, START_MS + 70_000)
    assert [(it.client_id, it.issued_at_ms, len(it.sessions)) for it in pool.in_use_by] == [
        ("c1", START_MS + 10_000, 0),
        ("c2", START_MS + 20_000, 1),
    ]
    assert (shown.pools[0].in_use, shown.pools[0].on_hold) == (2, 1)
    assert (counted.in_use, counted.on_hold) == (2, 1)
    assert to_end == []


def test_without_a_hold_nothing_is_on_hold(site: Site) -> None:
    """Nor is a seat whose hold is over, swept or not."""
    end(site, site.grant("c1"))
    for seconds, expected in ((0, 1), (60, 0)):
        wait(site, seconds)
        with site.store.reading() as connection:
            assert list(seats_on_hold(connection, site.clock.now_ms()).values()) == [expected]
    set_pool(site, hold_s=0)
    with site.store.reading() as connection:
        assert seats_on_hold(connection, site.clock.now_ms()) == {}


def test_an_administrator_is_told_when_the_seats_of_ended_sessions_are_free(site: Site) -> None:
    """Before it is done, and after; the list that follows shows it when they are."""
    set_pool(site, seats=3)
    sids = [site.grant(client_id).session.sid for client_id in ("c1", "c1", "c2")]
    wait(site, 15)
    tenant = site.tenant
    with site.store.reading() as connection:
        now_ms = site.clock.now_ms()
        one, all_of_it = (sessions_named(connection, tenant, now_ms, it) for it in (sids[:1], sids))
        assert free_at_ms(connection, tenant, now_ms, one) is None  # another session lives on the seat
        assert free_at_ms(connection, tenant, now_ms, all_of_it) == START_MS + 60_000
        before = mark(connection, tenant.id, now_ms)
    done = end_sessions(site.store, ADA, JIM, sids)
    assert (done.sessions, done.seats, done.seats_on_hold) == (3, 0, 2)
    assert done.seats_free_at_ms == START_MS + 60_000
    with site.store.reading() as connection:
        held = mark(connection, tenant.id, site.clock.now_ms())
        free = mark(connection, tenant.id, START_MS + 60_000)
    assert len({before, held, free}) == 3
