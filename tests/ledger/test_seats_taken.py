"""Who needs a seat, who shares one, when it is free again, and how many there are (L1, L2, L5, L6)."""

import pytest
from msgspec.structs import replace

from licet.ledger.book import GrantDenied, SeatFreed, SeatKept, SeatTaken, SessionEnded, SessionStarted
from licet.ledger.commands import Denied, Ended, Granted, ScopeRefused, Sweep, Swept
from licet.ledger.holders import holder_of
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.model import EndReason, NoSeatReason, Scope
from support.examples import (
    ALL,
    BY_USER,
    CLIENTS,
    EACH,
    FULL,
    REPORT,
    REPORTS,
    SMALL,
    TWINS,
    VIEW,
    client,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.ledger.memory_ledger import SESSION_MS, MemoryLedger, denied, fill, limited


class TestWhoNeedsASeat:
    """L1: which grants take a seat, and of which pool."""

    def test_a_grant_of_a_licensed_scope_takes_a_seat(self) -> None:
        """L1."""
        ledger = MemoryLedger()
        assert ledger.granted(grant(1, 1)).scope == "all"
        assert ledger.in_use == 1

    def test_view_takes_no_seat_even_of_a_pool_that_is_full(self) -> None:
        """L1."""
        ledger = MemoryLedger()
        fill(ledger)
        assert ledger.granted(view(6, 6)).session.seat_key is None
        assert ledger.in_use == 5

    def test_view_together_with_all_takes_a_seat(self) -> None:
        """L1."""
        tenant = jim_test()
        for asked in ("view", "all"), ("all", "view"):
            resolved = resolve_scope(tenant, CLIENTS[0], asked)
            assert resolved == ScopeGrant(scope=" ".join(asked), pool_id=1)

    def test_no_scope_asked_means_the_default_scope_of_the_tenant(self) -> None:
        """L1."""
        assert resolve_scope(jim_test(), CLIENTS[0], ()) == ScopeGrant(scope="all", pool_id=1)
        viewing = jim_test(scope_default="view")
        assert resolve_scope(viewing, CLIENTS[0], ()) == ScopeGrant(scope="view", pool_id=None)

    def test_a_default_scope_that_does_not_exist_is_refused(self) -> None:
        """L1."""
        assert isinstance(resolve_scope(jim_test(scope_default="gone"), CLIENTS[0], ()), ScopeRefused)

    def test_a_default_scope_that_the_client_may_not_have_is_refused(self) -> None:
        """L1. The default is asked for like any other scope: it gives nothing that is not allowed."""
        viewer = replace(CLIENTS[0], scopes=frozenset({"view"}))
        assert isinstance(resolve_scope(jim_test(), viewer, ()), ScopeRefused)

    @pytest.mark.parametrize("asked", [("nothing",), ("all", "nothing"), ("nothing", "all"), ("ALL",), ("",)])
    def test_a_scope_that_does_not_exist_is_refused_whatever_stands_beside_it(
        self, asked: tuple[str, ...]
    ) -> None:
        """L1. RFC 6749 5.2."""
        assert isinstance(resolve_scope(jim_test(), CLIENTS[0], asked), ScopeRefused)

    @pytest.mark.parametrize("asked", [("all",), ("view", "all"), ("all", "view")])
    def test_a_scope_that_the_client_may_not_have_is_refused(self, asked: tuple[str, ...]) -> None:
        """L1. RFC 6749 5.2."""
        viewer = replace(CLIENTS[0], scopes=frozenset({"view"}))
        assert isinstance(resolve_scope(jim_test(), viewer, asked), ScopeRefused)
        assert resolve_scope(jim_test(), viewer, ("view",)) == ScopeGrant(scope="view", pool_id=None)

    def test_a_client_that_may_have_no_scope_gets_none(self) -> None:
        """L1."""
        nobody = replace(CLIENTS[0], scopes=frozenset())
        for asked in (), ("view",), ("all",):
            assert isinstance(resolve_scope(jim_test(), nobody, asked), ScopeRefused)

    def test_scopes_of_two_pools_are_refused_together_and_granted_one_by_one(self) -> None:
        """L1. One session holds a seat of one pool."""
        tenant = jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT))
        assert isinstance(resolve_scope(tenant, CLIENTS[0], ("all", "report")), ScopeRefused)
        assert resolve_scope(tenant, CLIENTS[0], ("report", "view")) == ScopeGrant(
            scope="report view", pool_id=2
        )

    def test_a_pool_is_found_by_its_name_in_a_tenant_that_was_changed(self) -> None:
        """Every value of a tenant knows its own pools, also one that was made of another."""
        tenant = jim_test(pools=(FULL, REPORTS))
        assert tenant.pool_named("reports") is tenant.pools[2]
        changed = replace(tenant, pools={1: replace(FULL, name="other")})
        assert changed.pool_named("other") == replace(FULL, name="other")
        assert changed.pool_named("full") is changed.pool_named("reports") is None

    def test_two_scopes_of_one_pool_need_one_seat(self) -> None:
        """L1."""
        more = Scope(name="more", licensed=True, read_only=False, pool="full")
        tenant = jim_test(scopes=(VIEW, ALL, more))
        assert resolve_scope(tenant, CLIENTS[0], ("more", "all")) == ScopeGrant(scope="more all", pool_id=1)

    def test_a_repeated_scope_counts_once_and_the_order_asked_is_kept(self) -> None:
        """L1. RFC 6749 3.3: the order does not matter, so the client's own is as good as any."""
        assert resolve_scope(jim_test(), CLIENTS[0], ("view", "all", "view")) == ScopeGrant(
            scope="view all", pool_id=1
        )

    def test_a_pool_that_was_removed_meanwhile_is_a_refusal_of_the_scope(self) -> None:
        """L1."""
        ledger = MemoryLedger()
        assert isinstance(ledger.one(grant(1, 1, pool_id=99)), ScopeRefused)
        assert ledger.book.changes == []

    def test_a_pool_of_another_tenant_gives_no_seat(self) -> None:
        """L1."""
        other = jim_test(id=2, name="Other", pools=(REPORTS,), scopes=(VIEW, REPORT), clients=())
        ledger = MemoryLedger(jim_test(), other)
        assert isinstance(ledger.one(grant(1, 1, scope="report", pool_id=2)), ScopeRefused)
        assert ledger.book.in_use[2] == 0


class TestWhoSharesASeat:
    """L2: whose sessions are counted together."""

    def test_a_second_session_of_the_same_client_shares_its_seat(self) -> None:
        """L2."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,)))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(1, 2))
        assert ledger.in_use == 1
        assert ledger.alive == [sid(1), sid(2)]
        assert ledger.seat_until("client:TestClientId") == SESSION_MS + 1000

    def test_two_sessions_of_one_client_in_one_batch_share_a_seat(self) -> None:
        """L2."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,)))
        first, second, other = ledger.batch(grant(1, 1), grant(1, 2), grant(2, 3))
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert denied(other).in_use == 1
        assert [type(change) for change in ledger.book.changes] == [
            SessionStarted, SeatTaken, SessionStarted, SeatKept, GrantDenied,
        ]  # fmt: skip

    def test_clients_of_one_user_share_a_seat_where_the_user_counts(self) -> None:
        """L2."""
        ledger = MemoryLedger(jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        ledger.granted(grant(1, 1))
        ledger.granted(grant(2, 2))
        denied(ledger.one(grant(3, 3)))
        assert ledger.in_use == 1

    def test_clients_of_one_user_take_a_seat_each_where_the_client_counts(self) -> None:
        """L2."""
        ledger = MemoryLedger(jim_test(clients=TWINS))
        ledger.granted(grant(1, 1))
        ledger.granted(grant(2, 2))
        assert ledger.in_use == 2

    def test_every_session_takes_a_seat_where_none_is_shared(self) -> None:
        """L2."""
        ledger = MemoryLedger(jim_test(pools=(replace(EACH, seats=2),)))
        outcomes = ledger.batch(grant(1, 1), grant(1, 2), grant(1, 3))
        assert [type(outcome) for outcome in outcomes] == [Granted, Granted, Denied]
        assert ledger.in_use == 2

    def test_a_client_and_a_user_of_one_name_are_two_holders(self) -> None:
        """L2."""
        tc = client(1, "TC", "TC")
        assert holder_of(FULL, tc, sid(1)) != holder_of(BY_USER, tc, sid(1))

    def test_the_seat_keeps_the_name_of_who_took_it_while_others_share_it(self) -> None:
        """L2."""
        ledger = MemoryLedger(jim_test(pools=(BY_USER,), clients=TWINS))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(2, 2))
        ledger.one(end(1))
        seat = ledger.open().seats[1, "user:TC"]
        assert (seat.client_id, seat.taken_at_ms) == ("Desktop", ledger.start_ms)


class TestWhenASeatIsFree:
    """L4: a seat is held while one of its sessions lives."""

    @pytest.mark.parametrize("reason", sorted(set(EndReason) - {EndReason.EXPIRED, EndReason.SUPERSEDED}))
    def test_a_seat_is_free_at_the_moment_when_its_session_is_ended(self, reason: EndReason) -> None:
        """L4. In the same batch another takes it."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,)))
        ledger.granted(grant(1, 1))
        ended, granted = ledger.batch(end(1, reason), grant(2, 2))
        assert isinstance(ended, Ended)
        assert ended.seat_released
        assert isinstance(granted, Granted)
        assert ledger.book.changes[0] == SessionEnded(
            session=replace(granted.session, sid=sid(1), client_key=1, holder="client:TestClientId"),
            reason=reason,
            at_ms=ledger.clock.now_ms(),
        )

    def test_a_seat_is_not_free_while_another_session_of_its_holder_lives(self) -> None:
        """L4."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,)))
        ledger.batch(grant(1, 1), grant(1, 2))
        first, waiting, second, granted = ledger.batch(end(2), grant(2, 3), end(1), grant(2, 4))
        assert isinstance(first, Ended)
        assert not first.seat_released
        denied(waiting)
        assert isinstance(second, Ended)
        assert second.seat_released
        assert isinstance(granted, Granted)

    def test_a_seat_is_free_when_its_last_session_expires_without_any_sweep(self) -> None:
        """L4. Denied one millisecond before, granted at the boundary itself."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,)))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(SESSION_MS - 1)
        assert denied(ledger.one(grant(2, 2))).retry_after_s == 1
        ledger.wait_ms(1)
        ledger.granted(grant(2, 3))
        assert ledger.in_use == 1

    def test_an_expired_seat_counts_as_freed_when_it_expired_and_not_when_that_was_noticed(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(2, 2))
        ledger.wait_ms(SESSION_MS + 12_345)
        ledger.granted(view(3, 3))
        freed = [change for change in ledger.book.changes if isinstance(change, SeatFreed)]
        assert [change.at_ms - ledger.start_ms for change in freed] == [SESSION_MS, SESSION_MS + 1000]

    def test_a_seat_expires_with_the_last_of_its_sessions_whatever_their_order(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(1, 2))
        ledger.wait_ms(1000)
        ledger.granted(refresh(1, 1))
        assert ledger.seat_until("client:TestClientId") == SESSION_MS + 2000
        ledger.one(end(1))
        assert ledger.seat_until("client:TestClientId") == SESSION_MS + 1000
        ledger.wait_ms(SESSION_MS - 1001)
        assert ledger.in_use == 1
        ledger.wait_ms(1)
        assert ledger.in_use == 0

    def test_ending_a_session_that_is_not_the_last_to_expire_leaves_the_seat_as_it_is(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(1, 2))
        ledger.one(end(1))
        assert [type(change) for change in ledger.book.changes] == [SessionEnded]
        assert ledger.seat_until("client:TestClientId") == SESSION_MS + 1000

    def test_a_shared_seat_outlives_one_session_that_expired_unswept(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(1, 2))
        ledger.wait_ms(SESSION_MS - 1000)
        ended = ledger.one(end(2))
        assert isinstance(ended, Ended)
        assert ended.seat_released

    def test_ending_a_session_twice_is_no_error_and_frees_nothing(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        first, second = ledger.batch(end(1), end(1))
        assert isinstance(first, Ended)
        assert first.session is not None
        assert second == Ended(session=None, seat_released=False)
        assert ledger.one(end(1)) == second
        assert ledger.in_use == 0

    def test_ending_an_expired_session_is_no_error_and_ends_nothing(self) -> None:
        """L4. What ended it is its expiry, and the sweep will say so."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(SESSION_MS)
        assert ledger.one(end(1)) == Ended(session=None, seat_released=False)
        assert not any(isinstance(change, SessionEnded) for change in ledger.book.changes)

    def test_ending_a_session_that_never_was_ends_nothing(self) -> None:
        """L4."""
        assert MemoryLedger().one(end(404)) == Ended(session=None, seat_released=False)

    def test_ending_a_view_session_releases_no_seat(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        session = ledger.granted(view(1, 1)).session
        assert ledger.one(end(1)) == Ended(session=session, seat_released=False)

    def test_a_sweep_ends_what_expired_as_of_its_expiry_and_nothing_else(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.batch(grant(1, 1), view(2, 2))
        ledger.wait_ms(1)
        ledger.granted(grant(3, 3))
        ledger.wait_ms(SESSION_MS - 1)
        assert ledger.one(Sweep(sessions_max=10)) == Swept(sessions=2)
        ended = [change for change in ledger.book.changes if isinstance(change, SessionEnded)]
        assert {change.session.sid for change in ended} == {sid(1), sid(2)}
        assert {(change.reason, change.at_ms - ledger.start_ms) for change in ended} == {
            (EndReason.EXPIRED, SESSION_MS)
        }
        assert ledger.alive == [sid(3)]
        assert ledger.one(Sweep(sessions_max=10)) == Swept(sessions=0)

    def test_a_sweep_ends_no_more_sessions_than_it_was_asked_to(self) -> None:
        """L4. The book of two sweeps holds what both may end."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.wait_ms(SESSION_MS)
        small, large = ledger.batch(Sweep(sessions_max=2), Sweep(sessions_max=3))
        assert (small, large) == (Swept(sessions=2), Swept(sessions=3))


class TestHowManySeats:
    """L6: never more in use than there are."""

    def test_one_batch_never_gives_more_seats_than_the_pool_has(self) -> None:
        """L6."""
        ledger = MemoryLedger()
        outcomes = ledger.batch(*(grant(key, key) for key in range(1, 8)))
        assert [type(outcome) for outcome in outcomes] == [Granted] * 5 + [Denied] * 2
        assert ledger.in_use == 5
        assert denied(outcomes[5]) == Denied(
            reason=NoSeatReason.ALL_IN_USE, pool="full", seats=5, in_use=5, retry_after_s=1200
        )

    def test_a_denied_client_gets_a_seat_in_the_batch_in_which_one_comes_back(self) -> None:
        """L6."""
        ledger = MemoryLedger()
        fill(ledger)
        before, ended, after = ledger.batch(grant(6, 6), end(2), grant(6, 7))
        denied(before)
        assert isinstance(ended, Ended)
        assert isinstance(after, Granted)
        assert ledger.in_use == 5

    def test_a_pool_without_seats_denies_without_saying_when_to_come_back(self) -> None:
        """L6."""
        ledger = MemoryLedger(jim_test(pools=(replace(FULL, seats=0),)))
        assert ledger.one(grant(1, 1)) == Denied(
            reason=NoSeatReason.NO_SEATS, pool="full", seats=0, in_use=0, retry_after_s=None
        )

    def test_seats_lowered_below_use_leave_sessions_alone_and_give_none_until_it_fits(self) -> None:
        """L6."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.set_up(jim_test(pools=(replace(FULL, seats=3),)))
        assert len(ledger.alive) == 5
        for number in range(1, 3):
            outcomes = ledger.batch(end(number), grant(6, 6))
            assert denied(outcomes[1]).in_use == 5 - number
        outcomes = ledger.batch(end(3), grant(6, 7), grant(7, 8))
        assert isinstance(outcomes[1], Granted)
        assert denied(outcomes[2]).in_use == 3

    def test_whoever_holds_a_seat_of_an_overused_pool_may_have_another_session_on_it(self) -> None:
        """L6. It needs no new seat (L2)."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.set_up(jim_test(pools=(replace(FULL, seats=0),)))
        ledger.granted(grant(1, 6))
        assert denied(ledger.one(grant(6, 7))).reason is NoSeatReason.NO_SEATS
        assert ledger.in_use == 5

    def test_a_client_of_an_overused_pool_cannot_trade_a_session_for_a_new_seat(self) -> None:
        """L6. Where every session counts, one that ends does not make room for the next until it fits."""
        ledger = MemoryLedger(jim_test(pools=(EACH,), clients=limited(1)))
        ledger.batch(grant(1, 1), grant(2, 2), grant(3, 3))
        ledger.set_up(jim_test(pools=(replace(EACH, seats=2),), clients=limited(1)))
        assert denied(ledger.one(grant(1, 4))).in_use == 3
        assert ledger.alive == [sid(1), sid(2), sid(3)]

    def test_seats_raised_are_given_at_once(self) -> None:
        """L6."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.set_up(jim_test(pools=(replace(FULL, seats=6),)))
        outcomes = ledger.batch(grant(6, 6), grant(7, 7))
        assert [type(outcome) for outcome in outcomes] == [Granted, Denied]
