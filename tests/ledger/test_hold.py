"""L18: a seat stays its holder's until so long after the last token that was issued with it.

By the ledger and the set-up together, on each kind of store. The machine of the ledger knows the rule too.
"""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from licet.lanes.commit import commit
from licet.ledger.commands import End, Ended, Granted, Sweep, Swept
from licet.model import Duplicates, EndReason, TokenFormat
from licet.setup.change import changing
from licet.store import schema
from licet.units import MINUTE_MS
from support.store.hold_site import answered, denied, end, set_pool, site_with_hold, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A pool of one seat with a hold of a minute, and three clients."""
    with site_with_hold(make_place(START_MS)) as made:
        yield made


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


def test_where_tokens_are_jwts_a_seat_is_held_for_their_life_at_least(site: Site) -> None:
    """A JWT is believed until it has expired, whoever logged off."""
    set_pool(site, hold_s=30)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(token_format=TokenFormat.JWT, access_ttl_s=45)
    assert answered(end(site, site.grant("c1"))) == (False, 45)
    wait(site, 45)
    set_pool(site, hold_s=50)
    assert answered(end(site, site.grant("c2"))) == (False, 50)


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
