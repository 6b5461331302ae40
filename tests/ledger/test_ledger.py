"""The ledger by itself: the rules of the licence, one by one, and what happens at their edges.

A `Desk` stands in for the store: its book holds everything, so that what fails here is the ledger's.
"""

from collections import Counter

import pytest
from msgspec.structs import replace

from licet.clock import ManualClock
from licet.ledger.book import (
    Book,
    GrantDenied,
    SeatFreed,
    SeatKept,
    SeatTaken,
    SessionEnded,
    SessionRenewed,
    SessionStarted,
    Writes,
)
from licet.ledger.commands import (
    ClientRefused,
    Command,
    Denied,
    Ended,
    Granted,
    Outcome,
    ScopeRefused,
    SessionUnknown,
    Sweep,
    Swept,
)
from licet.ledger.rules import ScopeGrant, apply, decide, free_expired, holder_of, resolve_scope
from licet.model import Client, EndReason, NoSeatReason, Pool, Scope, Tenant
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

SESSION_MS = 1_200_000
ACCESS_MS = 600_000


def limited(sessions_max: int, *, others: int = 2) -> tuple[Client, ...]:
    """The first client with a limit of sessions, and some others."""
    return (replace(CLIENTS[0], sessions_max=sessions_max), *CLIENTS[1 : 1 + others])


class Desk:
    """A clock, and a book that holds all there is and is opened anew for each batch."""

    def __init__(self, *tenants: Tenant) -> None:
        self.clock = ManualClock()
        self.start_ms = self.clock.now_ms()
        self.set_up(*tenants or (jim_test(),))
        pools = [pool for tenant in self.tenants.values() for pool in tenant.pools]
        self.book = Book(tenants=self.tenants, in_use=dict.fromkeys(pools, 0))

    def set_up(self, *tenants: Tenant) -> None:
        """Change the set-up from the next batch on."""
        self.tenants = {tenant.id: tenant for tenant in tenants}

    def open(self) -> Book:
        """The book as of now."""
        now_ms = self.clock.now_ms()
        sessions = [*self.book.expired.values(), *self.book.sessions.values()]
        alive = [it for it in sessions if it.expires_at_ms > now_ms]
        started = {
            it.client_key: [other.sid for other in alive if other.client_key == it.client_key] for it in alive
        }
        self.book = Book(
            tenants=self.tenants,
            in_use=self.book.in_use,
            seats=self.book.seats.values(),
            sessions=alive,
            expired=[it for it in sessions if it.expires_at_ms <= now_ms],
            live_sessions=Counter(it.client_key for it in alive),
            started=started,
        )
        free_expired(self.book, now_ms)
        return self.book

    def batch(self, *commands: Command) -> list[Outcome]:
        """Decide these commands together."""
        self.open()
        return [apply(self.book, command, self.clock.now_ms()) for command in commands]

    def one(self, command: Command) -> Outcome:
        """Decide this command alone."""
        return self.batch(command)[0]

    def granted(self, command: Command) -> Granted:
        """Decide this command alone, which must succeed."""
        outcome = self.one(command)
        assert isinstance(outcome, Granted)
        return outcome

    def wait_ms(self, ms: int) -> None:
        """Let time go by."""
        self.clock.advance(seconds=ms / 1000)

    @property
    def after_ms(self) -> int:
        """The time since the start."""
        return self.clock.now_ms() - self.start_ms

    @property
    def in_use(self) -> int:
        """The seats of the first pool in use, as of now."""
        return self.open().in_use[1]

    @property
    def alive(self) -> list[bytes]:
        """Which sessions live."""
        return sorted(self.open().sessions)

    def seat_until(self, holder: str, pool_id: int = 1) -> int:
        """When a seat expires, since the start."""
        return self.open().seats[pool_id, holder].expires_at_ms - self.start_ms


def fill(desk: Desk, count: int = 5) -> None:
    """Let the clients with the keys 1 to `count` take a seat each, in sessions of the same numbers."""
    for outcome in desk.batch(*(grant(number, number) for number in range(1, count + 1))):
        assert isinstance(outcome, Granted)


def denied(outcome: Outcome) -> Denied:
    """The outcome, which must be a denial."""
    assert isinstance(outcome, Denied)
    return outcome


class TestWhoNeedsASeat:
    """L1: which grants take a seat, and of which pool."""

    def test_a_grant_of_a_licensed_scope_takes_a_seat(self) -> None:
        """L1."""
        desk = Desk()
        assert desk.granted(grant(1, 1)).scope == "all"
        assert desk.in_use == 1

    def test_view_takes_no_seat_even_of_a_pool_that_is_full(self) -> None:
        """L1."""
        desk = Desk()
        fill(desk)
        assert desk.granted(view(6, 6)).session.seat_key is None
        assert desk.in_use == 5

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
        desk = Desk()
        assert isinstance(desk.one(grant(1, 1, pool_id=99)), ScopeRefused)
        assert desk.book.changes == []

    def test_a_pool_of_another_tenant_gives_no_seat(self) -> None:
        """L1."""
        other = jim_test(id=2, name="Other", pools=(REPORTS,), scopes=(VIEW, REPORT), clients=())
        desk = Desk(jim_test(), other)
        assert isinstance(desk.one(grant(1, 1, scope="report", pool_id=2)), ScopeRefused)
        assert desk.book.in_use[2] == 0


class TestWhoSharesASeat:
    """L2: whose sessions are counted together."""

    def test_a_second_session_of_the_same_client_shares_its_seat(self) -> None:
        """L2."""
        desk = Desk(jim_test(pools=(SMALL,)))
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(1, 2))
        assert desk.in_use == 1
        assert desk.alive == [sid(1), sid(2)]
        assert desk.seat_until("client:TestClientId") == SESSION_MS + 1000

    def test_two_sessions_of_one_client_in_one_batch_share_a_seat(self) -> None:
        """L2."""
        desk = Desk(jim_test(pools=(SMALL,)))
        first, second, other = desk.batch(grant(1, 1), grant(1, 2), grant(2, 3))
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert denied(other).in_use == 1
        assert [type(change) for change in desk.book.changes] == [
            SessionStarted, SeatTaken, SessionStarted, SeatKept, GrantDenied,
        ]  # fmt: skip

    def test_clients_of_one_user_share_a_seat_where_the_user_counts(self) -> None:
        """L2."""
        desk = Desk(jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        desk.granted(grant(1, 1))
        desk.granted(grant(2, 2))
        denied(desk.one(grant(3, 3)))
        assert desk.in_use == 1

    def test_clients_of_one_user_take_a_seat_each_where_the_client_counts(self) -> None:
        """L2."""
        desk = Desk(jim_test(clients=TWINS))
        desk.granted(grant(1, 1))
        desk.granted(grant(2, 2))
        assert desk.in_use == 2

    def test_every_session_takes_a_seat_where_none_is_shared(self) -> None:
        """L2."""
        desk = Desk(jim_test(pools=(replace(EACH, seats=2),)))
        outcomes = desk.batch(grant(1, 1), grant(1, 2), grant(1, 3))
        assert [type(outcome) for outcome in outcomes] == [Granted, Granted, Denied]
        assert desk.in_use == 2

    def test_a_client_and_a_user_of_one_name_are_two_holders(self) -> None:
        """L2."""
        tc = client(1, "TC", "TC")
        assert holder_of(FULL, tc, sid(1)) != holder_of(BY_USER, tc, sid(1))

    def test_the_seat_keeps_the_name_of_who_took_it_while_others_share_it(self) -> None:
        """L2."""
        desk = Desk(jim_test(pools=(BY_USER,), clients=TWINS))
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(2, 2))
        desk.one(end(1))
        seat = desk.open().seats[1, "user:TC"]
        assert (seat.client_id, seat.taken_at_ms) == ("Desktop", desk.start_ms)


class TestHowLongASessionLives:
    """L3: the life of a session and of its access tokens."""

    def test_a_session_lives_twenty_minutes_and_an_access_token_ten(self) -> None:
        """L3."""
        desk = Desk()
        granted = desk.granted(grant(1, 1))
        assert granted.session.expires_at_ms - desk.start_ms == SESSION_MS
        assert granted.access_expires_at_ms - desk.start_ms == ACCESS_MS
        assert granted.at_ms == granted.session.started_at_ms == granted.session.renewed_at_ms

    def test_a_refresh_begins_the_twenty_minutes_anew_and_keeps_the_start(self) -> None:
        """L3."""
        desk = Desk()
        started = desk.granted(grant(1, 1)).session
        desk.wait_ms(700_000)
        renewed = desk.granted(refresh(1, 1))
        assert renewed.session == replace(
            started,
            renewed_at_ms=desk.clock.now_ms(),
            expires_at_ms=desk.clock.now_ms() + SESSION_MS,
        )
        assert renewed.access_expires_at_ms == desk.clock.now_ms() + ACCESS_MS

    def test_a_session_is_renewed_in_the_last_millisecond_and_not_in_the_next(self) -> None:
        """L3. Alive means: now < expires_at."""
        desk = Desk()
        desk.batch(grant(1, 1), grant(2, 2))
        desk.wait_ms(SESSION_MS - 1)
        desk.granted(refresh(1, 1))
        desk.wait_ms(1)
        assert desk.one(refresh(2, 2)) == SessionUnknown()
        assert desk.alive == [sid(1)]

    def test_a_view_session_lives_as_long_as_any_other(self) -> None:
        """L3."""
        desk = Desk()
        desk.granted(view(1, 1))
        desk.wait_ms(SESSION_MS - 1)
        desk.granted(refresh(1, 1))
        desk.wait_ms(SESSION_MS)
        assert desk.one(refresh(1, 1)) == SessionUnknown()

    def test_an_access_token_never_outlives_its_session(self) -> None:
        """L3."""
        desk = Desk()
        ending = replace(FULL, expires_at_ms=desk.start_ms + 5000)
        desk.set_up(jim_test(pools=(ending,)))
        granted = desk.granted(grant(1, 1))
        assert granted.access_expires_at_ms == granted.session.expires_at_ms == desk.start_ms + 5000

    def test_an_access_token_may_live_as_long_as_its_session(self) -> None:
        """L3."""
        desk = Desk(jim_test(session_ttl_s=1, access_ttl_s=1))
        granted = desk.granted(grant(1, 1))
        assert granted.access_expires_at_ms == granted.session.expires_at_ms == desk.start_ms + 1000

    def test_a_refresh_may_narrow_the_scope_of_the_token_and_never_that_of_the_session(self) -> None:
        """L3. RFC 6749 6: the refresh token keeps its scope."""
        desk = Desk()
        desk.granted(grant(1, 1, scope="view all"))
        narrowed = desk.granted(refresh(1, 1, "view", "view"))
        assert (narrowed.scope, narrowed.session.scope) == ("view", "view all")
        assert desk.granted(refresh(1, 1)).scope == "view all"

    @pytest.mark.parametrize("asked", [("all",), ("view", "all"), ("nothing",)])
    def test_a_refresh_that_widens_the_scope_is_refused_and_renews_nothing(
        self, asked: tuple[str, ...]
    ) -> None:
        """L3. RFC 6749 6."""
        desk = Desk()
        desk.granted(view(1, 1))
        desk.wait_ms(1000)
        assert isinstance(desk.one(refresh(1, 1, *asked)), ScopeRefused)
        assert desk.book.changes == []


class TestWhenASeatIsFree:
    """L4: a seat is held while one of its sessions lives."""

    @pytest.mark.parametrize("reason", sorted(set(EndReason) - {EndReason.EXPIRED, EndReason.SUPERSEDED}))
    def test_a_seat_is_free_at_the_moment_when_its_session_is_ended(self, reason: EndReason) -> None:
        """L4. In the same batch another takes it."""
        desk = Desk(jim_test(pools=(SMALL,)))
        desk.granted(grant(1, 1))
        ended, granted = desk.batch(end(1, reason), grant(2, 2))
        assert isinstance(ended, Ended)
        assert ended.seat_released
        assert isinstance(granted, Granted)
        assert desk.book.changes[0] == SessionEnded(
            session=replace(granted.session, sid=sid(1), client_key=1, holder="client:TestClientId"),
            reason=reason,
            at_ms=desk.clock.now_ms(),
        )

    def test_a_seat_is_not_free_while_another_session_of_its_holder_lives(self) -> None:
        """L4."""
        desk = Desk(jim_test(pools=(SMALL,)))
        desk.batch(grant(1, 1), grant(1, 2))
        first, waiting, second, granted = desk.batch(end(2), grant(2, 3), end(1), grant(2, 4))
        assert isinstance(first, Ended)
        assert not first.seat_released
        denied(waiting)
        assert isinstance(second, Ended)
        assert second.seat_released
        assert isinstance(granted, Granted)

    def test_a_seat_is_free_when_its_last_session_expires_without_any_sweep(self) -> None:
        """L4. Denied one millisecond before, granted at the boundary itself."""
        desk = Desk(jim_test(pools=(SMALL,)))
        desk.granted(grant(1, 1))
        desk.wait_ms(SESSION_MS - 1)
        assert denied(desk.one(grant(2, 2))).retry_after_s == 1
        desk.wait_ms(1)
        desk.granted(grant(2, 3))
        assert desk.in_use == 1

    def test_an_expired_seat_counts_as_freed_when_it_expired_and_not_when_that_was_noticed(self) -> None:
        """L4."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(2, 2))
        desk.wait_ms(SESSION_MS + 12_345)
        desk.granted(view(3, 3))
        freed = [change for change in desk.book.changes if isinstance(change, SeatFreed)]
        assert [change.at_ms - desk.start_ms for change in freed] == [SESSION_MS, SESSION_MS + 1000]

    def test_a_seat_expires_with_the_last_of_its_sessions_whatever_their_order(self) -> None:
        """L4."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(1, 2))
        desk.wait_ms(1000)
        desk.granted(refresh(1, 1))
        assert desk.seat_until("client:TestClientId") == SESSION_MS + 2000
        desk.one(end(1))
        assert desk.seat_until("client:TestClientId") == SESSION_MS + 1000
        desk.wait_ms(SESSION_MS - 1001)
        assert desk.in_use == 1
        desk.wait_ms(1)
        assert desk.in_use == 0

    def test_ending_a_session_that_is_not_the_last_to_expire_leaves_the_seat_as_it_is(self) -> None:
        """L4."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(1, 2))
        desk.one(end(1))
        assert [type(change) for change in desk.book.changes] == [SessionEnded]
        assert desk.seat_until("client:TestClientId") == SESSION_MS + 1000

    def test_a_shared_seat_outlives_one_session_that_expired_unswept(self) -> None:
        """L4."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(1, 2))
        desk.wait_ms(SESSION_MS - 1000)
        ended = desk.one(end(2))
        assert isinstance(ended, Ended)
        assert ended.seat_released

    def test_ending_a_session_twice_is_no_error_and_frees_nothing(self) -> None:
        """L4."""
        desk = Desk()
        desk.granted(grant(1, 1))
        first, second = desk.batch(end(1), end(1))
        assert isinstance(first, Ended)
        assert first.session is not None
        assert second == Ended(session=None, seat_released=False)
        assert desk.one(end(1)) == second
        assert desk.in_use == 0

    def test_ending_an_expired_session_is_no_error_and_ends_nothing(self) -> None:
        """L4. What ended it is its expiry, and the sweep will say so."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(SESSION_MS)
        assert desk.one(end(1)) == Ended(session=None, seat_released=False)
        assert not any(isinstance(change, SessionEnded) for change in desk.book.changes)

    def test_ending_a_session_that_never_was_ends_nothing(self) -> None:
        """L4."""
        assert Desk().one(end(404)) == Ended(session=None, seat_released=False)

    def test_ending_a_view_session_releases_no_seat(self) -> None:
        """L4."""
        desk = Desk()
        session = desk.granted(view(1, 1)).session
        assert desk.one(end(1)) == Ended(session=session, seat_released=False)

    def test_a_sweep_ends_what_expired_as_of_its_expiry_and_nothing_else(self) -> None:
        """L4."""
        desk = Desk()
        desk.batch(grant(1, 1), view(2, 2))
        desk.wait_ms(1)
        desk.granted(grant(3, 3))
        desk.wait_ms(SESSION_MS - 1)
        assert desk.one(Sweep(sessions_max=10)) == Swept(sessions=2)
        ended = [change for change in desk.book.changes if isinstance(change, SessionEnded)]
        assert {change.session.sid for change in ended} == {sid(1), sid(2)}
        assert {(change.reason, change.at_ms - desk.start_ms) for change in ended} == {
            (EndReason.EXPIRED, SESSION_MS)
        }
        assert desk.alive == [sid(3)]
        assert desk.one(Sweep(sessions_max=10)) == Swept(sessions=0)

    def test_a_sweep_ends_no_more_sessions_than_it_was_asked_to(self) -> None:
        """L4. The book of two sweeps holds what both may end."""
        desk = Desk()
        fill(desk)
        desk.wait_ms(SESSION_MS)
        small, large = desk.batch(Sweep(sessions_max=2), Sweep(sessions_max=3))
        assert (small, large) == (Swept(sessions=2), Swept(sessions=3))


class TestRefreshing:
    """L5: a refresh never needs a free seat, and never loses or doubles one."""

    def test_a_refresh_succeeds_while_the_pool_is_full(self) -> None:
        """L5."""
        desk = Desk()
        fill(desk)
        desk.wait_ms(SESSION_MS - 1)
        desk.granted(refresh(3, 3))
        assert desk.in_use == 5

    def test_a_refresh_succeeds_while_the_pool_is_overused(self) -> None:
        """L5."""
        desk = Desk()
        fill(desk)
        desk.set_up(jim_test(pools=(replace(FULL, seats=0),)))
        desk.granted(refresh(5, 5))
        assert desk.in_use == 5

    def test_a_refresh_keeps_the_seat_of_its_holder_and_takes_no_other(self) -> None:
        """L5."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(refresh(1, 1))
        assert [type(change) for change in desk.book.changes] == [SessionRenewed, SeatKept]
        assert desk.in_use == 1
        assert desk.seat_until("client:TestClientId") == SESSION_MS + 1000

    def test_a_refresh_of_a_narrower_scope_still_keeps_the_seat(self) -> None:
        """L5. The refresh token may still get `all`."""
        desk = Desk()
        desk.granted(grant(1, 1, scope="view all"))
        desk.wait_ms(SESSION_MS - 1)
        desk.granted(refresh(1, 1, "view"))
        desk.wait_ms(SESSION_MS - 1)
        assert desk.in_use == 1

    def test_two_refreshes_in_one_batch_are_as_good_as_one(self) -> None:
        """L5."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        first, second = desk.batch(refresh(1, 1), refresh(1, 1))
        assert first == second
        assert desk.in_use == 1

    def test_a_life_that_was_shortened_in_the_set_up_shortens_no_session_and_no_seat(self) -> None:
        """L5."""
        desk = Desk()
        before = desk.granted(grant(1, 1)).session.expires_at_ms
        desk.set_up(jim_test(session_ttl_s=60, access_ttl_s=60))
        desk.wait_ms(1000)
        renewed = desk.granted(refresh(1, 1))
        assert renewed.session.expires_at_ms == before
        assert renewed.access_expires_at_ms == desk.clock.now_ms() + 60_000
        desk.granted(grant(1, 2))
        assert desk.seat_until("client:TestClientId") == SESSION_MS

    def test_a_session_that_was_refreshed_and_logged_off_in_one_batch_is_gone(self) -> None:
        """L5."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        renewed, ended = desk.batch(refresh(1, 1), end(1))
        assert isinstance(renewed, Granted)
        assert ended == Ended(session=renewed.session, seat_released=True)
        writes = Writes(desk.book.changes)
        assert writes.sessions_gone == [sid(1)]
        assert list(writes.seats_gone) == [(1, "client:TestClientId")]
        assert not writes.sessions_renewed
        assert not writes.seats_kept

    def test_a_session_that_was_logged_off_first_cannot_be_refreshed_in_the_same_batch(self) -> None:
        """L5."""
        desk = Desk()
        desk.granted(grant(1, 1))
        ended, renewed = desk.batch(end(1), refresh(1, 1))
        assert isinstance(ended, Ended)
        assert renewed == SessionUnknown()
        assert desk.in_use == 0

    def test_a_refresh_of_a_session_of_another_client_is_unknown_and_changes_nothing(self) -> None:
        """L5. RFC 6749 5.2: invalid_grant, issued to another client."""
        desk = Desk()
        desk.granted(grant(1, 1))
        assert desk.one(refresh(2, 1)) == SessionUnknown()
        assert desk.book.changes == []

    def test_a_refresh_of_a_session_of_another_tenant_is_unknown_and_changes_nothing(self) -> None:
        """L5."""
        desk = Desk(jim_test(), jim_test(id=2, name="Other", pools=()))
        desk.granted(grant(1, 1))
        assert desk.one(refresh(1, 1, tenant_id=2)) == SessionUnknown()
        assert desk.one(refresh(1, 1, tenant_id=3)) == SessionUnknown()
        assert desk.book.changes == []

    def test_the_end_of_a_session_of_another_client_is_unknown_and_changes_nothing(self) -> None:
        """L5. RFC 7009 2.1: a token that was issued to another client is refused."""
        desk = Desk()
        desk.granted(grant(1, 1))
        assert desk.one(end(1, client_key=2)) == SessionUnknown()
        assert desk.book.changes == []
        desk.one(end(1, client_key=1))
        assert desk.alive == []

    def test_the_end_of_a_session_of_another_tenant_ends_nothing(self) -> None:
        """L5."""
        desk = Desk(jim_test(), jim_test(id=2, name="Other", pools=()))
        desk.granted(grant(1, 1))
        nothing = Ended(session=None, seat_released=False)
        assert desk.batch(end(1, tenant_id=2), end(1, client_key=1, tenant_id=2)) == [nothing] * 2
        assert desk.alive == [sid(1)]


class TestHowManySeats:
    """L6: never more in use than there are."""

    def test_one_batch_never_gives_more_seats_than_the_pool_has(self) -> None:
        """L6."""
        desk = Desk()
        outcomes = desk.batch(*(grant(key, key) for key in range(1, 8)))
        assert [type(outcome) for outcome in outcomes] == [Granted] * 5 + [Denied] * 2
        assert desk.in_use == 5
        assert denied(outcomes[5]) == Denied(
            reason=NoSeatReason.ALL_IN_USE, pool="full", seats=5, in_use=5, retry_after_s=1200
        )

    def test_a_denied_client_gets_a_seat_in_the_batch_in_which_one_comes_back(self) -> None:
        """L6."""
        desk = Desk()
        fill(desk)
        before, ended, after = desk.batch(grant(6, 6), end(2), grant(6, 7))
        denied(before)
        assert isinstance(ended, Ended)
        assert isinstance(after, Granted)
        assert desk.in_use == 5

    def test_a_pool_without_seats_denies_without_saying_when_to_come_back(self) -> None:
        """L6."""
        desk = Desk(jim_test(pools=(replace(FULL, seats=0),)))
        assert desk.one(grant(1, 1)) == Denied(
            reason=NoSeatReason.NO_SEATS, pool="full", seats=0, in_use=0, retry_after_s=None
        )

    def test_seats_lowered_below_use_leave_sessions_alone_and_give_none_until_it_fits(self) -> None:
        """L6."""
        desk = Desk()
        fill(desk)
        desk.set_up(jim_test(pools=(replace(FULL, seats=3),)))
        assert len(desk.alive) == 5
        for number in range(1, 3):
            outcomes = desk.batch(end(number), grant(6, 6))
            assert denied(outcomes[1]).in_use == 5 - number
        outcomes = desk.batch(end(3), grant(6, 7), grant(7, 8))
        assert isinstance(outcomes[1], Granted)
        assert denied(outcomes[2]).in_use == 3

    def test_whoever_holds_a_seat_of_an_overused_pool_may_have_another_session_on_it(self) -> None:
        """L6. It needs no new seat (L2)."""
        desk = Desk()
        fill(desk)
        desk.set_up(jim_test(pools=(replace(FULL, seats=0),)))
        desk.granted(grant(1, 6))
        assert denied(desk.one(grant(6, 7))).reason is NoSeatReason.NO_SEATS
        assert desk.in_use == 5

    def test_a_client_of_an_overused_pool_cannot_trade_a_session_for_a_new_seat(self) -> None:
        """L6. Where every session counts, one that ends does not make room for the next until it fits."""
        desk = Desk(jim_test(pools=(EACH,), clients=limited(1)))
        desk.batch(grant(1, 1), grant(2, 2), grant(3, 3))
        desk.set_up(jim_test(pools=(replace(EACH, seats=2),), clients=limited(1)))
        assert denied(desk.one(grant(1, 4))).in_use == 3
        assert desk.alive == [sid(1), sid(2), sid(3)]

    def test_seats_raised_are_given_at_once(self) -> None:
        """L6."""
        desk = Desk()
        fill(desk)
        desk.set_up(jim_test(pools=(replace(FULL, seats=6),)))
        outcomes = desk.batch(grant(6, 6), grant(7, 7))
        assert [type(outcome) for outcome in outcomes] == [Granted, Denied]


class TestWhenToComeBack:
    """L6 and table 3.2: `retry_after` is the time to the earliest seat that may expire, at least 1 s."""

    def staggered(self) -> Desk:
        """Five seats, taken a minute apart."""
        desk = Desk()
        for number in range(1, 6):
            desk.granted(grant(number, number))
            desk.wait_ms(60_000)
        return desk

    def test_it_is_the_time_to_the_earliest_expiry(self) -> None:
        """L6."""
        assert denied(self.staggered().one(grant(6, 6))).retry_after_s == 1200 - 300

    def test_it_takes_renewals_of_the_same_batch_into_account(self) -> None:
        """L6."""
        desk = self.staggered()
        outcomes = desk.batch(
            grant(6, 6), refresh(1, 1), grant(6, 7), refresh(2, 2), refresh(3, 3), grant(6, 8), grant(4, 9),
            refresh(5, 5), grant(6, 10),
        )  # fmt: skip
        waits = [it.retry_after_s for it in outcomes if isinstance(it, Denied)]
        assert waits == [900, 960, 1080, 1200]

    def test_it_takes_a_logoff_that_shortens_a_shared_seat_into_account(self) -> None:
        """L6."""
        desk = self.staggered()
        desk.granted(grant(3, 6))
        desk.granted(refresh(1, 1))
        desk.granted(refresh(2, 2))
        before, _, after = desk.batch(grant(6, 7), end(6), grant(6, 8))
        assert denied(before).retry_after_s == 1080
        assert denied(after).retry_after_s == 1020

    @pytest.mark.parametrize(
        ("left_ms", "seconds"), [(1, 1), (999, 1), (1000, 1), (1001, 2), (1_199_001, 1200)]
    )
    def test_it_is_rounded_up_so_that_who_waits_so_long_finds_the_seat_free(
        self, left_ms: int, seconds: int
    ) -> None:
        """L6."""
        desk = Desk(jim_test(pools=(SMALL,)))
        desk.granted(grant(1, 1))
        desk.wait_ms(SESSION_MS - left_ms)
        assert denied(desk.one(grant(2, 2))).retry_after_s == seconds
        desk.wait_ms(seconds * 1000)
        desk.granted(grant(2, 3))

    def test_it_looks_at_the_seats_of_its_own_pool_only(self) -> None:
        """L6."""
        desk = Desk(jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT)))
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(2, 2, scope="report", pool_id=2))
        assert denied(desk.one(grant(3, 3, scope="report", pool_id=2))).retry_after_s == 1200


class TestAPoolThatExpires:
    """L7: no session lives past its pool."""

    def expiring(self, desk: Desk, after_ms: int, **changes: int) -> None:
        """Let the pool expire so long after the start."""
        pool = replace(FULL, expires_at_ms=desk.start_ms + after_ms, **changes)
        desk.set_up(jim_test(pools=(pool,)))

    def test_a_session_never_lives_past_its_pool_however_often_it_is_refreshed(self) -> None:
        """L7."""
        desk = Desk()
        self.expiring(desk, SESSION_MS + 500)
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        assert desk.granted(refresh(1, 1)).session.expires_at_ms == desk.start_ms + SESSION_MS + 500
        desk.wait_ms(SESSION_MS - 501)
        assert desk.granted(refresh(1, 1)).session.expires_at_ms == desk.start_ms + SESSION_MS + 500
        desk.wait_ms(1)
        assert desk.one(refresh(1, 1)) == SessionUnknown()
        assert desk.in_use == 0

    def test_a_grant_is_made_a_millisecond_before_the_pool_expires_and_denied_at_that_moment(self) -> None:
        """L7."""
        desk = Desk()
        self.expiring(desk, 1000)
        desk.wait_ms(999)
        assert desk.granted(grant(1, 1)).session.expires_at_ms == desk.start_ms + 1000
        desk.wait_ms(1)
        assert desk.one(grant(1, 2)) == Denied(
            reason=NoSeatReason.LICENCE_EXPIRED, pool="full", seats=5, in_use=0, retry_after_s=None
        )

    def test_an_expired_licence_is_the_reason_even_where_the_pool_is_full_or_has_no_seats(self) -> None:
        """L7. Waiting or buying a seat would not help."""
        desk = Desk()
        self.expiring(desk, 0, seats=0)
        assert denied(desk.one(grant(1, 1))).reason is NoSeatReason.LICENCE_EXPIRED

    def test_view_goes_on_working_when_the_pool_has_expired(self) -> None:
        """L7."""
        desk = Desk()
        self.expiring(desk, 0)
        assert desk.granted(view(1, 1)).session.expires_at_ms == desk.start_ms + SESSION_MS

    def test_a_licence_that_was_prolonged_gives_seats_again_and_longer_refreshes(self) -> None:
        """L7."""
        desk = Desk()
        self.expiring(desk, 1000)
        desk.granted(grant(1, 1))
        self.expiring(desk, 10_000)
        assert desk.granted(refresh(1, 1)).session.expires_at_ms == desk.start_ms + 10_000
        desk.wait_ms(10_000)
        denied(desk.one(grant(1, 2)))
        desk.set_up(jim_test())
        desk.granted(grant(1, 3))


class TestWhoIsKeptOff:
    """L12: an administrator may give a client no seat for a while."""

    @staticmethod
    def barring(desk: Desk, until_ms: int | None, pools: tuple[Pool, ...] = (FULL,)) -> None:
        """The first client gets no seat until so many milliseconds after the start."""
        suspended = None if until_ms is None else desk.start_ms + until_ms
        clients = (replace(CLIENTS[0], suspended_until_ms=suspended), *CLIENTS[1:])
        desk.set_up(jim_test(clients=clients, pools=pools))

    def test_a_client_that_is_suspended_gets_no_seat_although_some_are_free(self) -> None:
        """L12. Its denial is in the journal like any other (L11)."""
        desk = Desk()
        self.barring(desk, 300_000)
        assert desk.one(grant(1, 1)) == Denied(
            reason=NoSeatReason.SUSPENDED, pool="full", seats=5, in_use=0, retry_after_s=300
        )
        (entry,) = desk.book.changes
        assert isinstance(entry, GrantDenied)
        assert (entry.reason, entry.client_key, entry.in_use) == (NoSeatReason.SUSPENDED, 1, 0)
        assert isinstance(desk.one(grant(2, 2)), Granted)

    def test_it_is_told_to_wait_until_the_millisecond_at_which_it_may_come_back(self) -> None:
        """L12. Seconds are rounded up, so that who waits as told does not come too early."""
        desk = Desk()
        self.barring(desk, 1001)
        assert denied(desk.one(grant(1, 1))).retry_after_s == 2
        desk.wait_ms(1000)
        assert denied(desk.one(grant(1, 1))).retry_after_s == 1
        desk.wait_ms(1)
        desk.granted(grant(1, 1))

    @pytest.mark.parametrize("until_ms", [None, 0, -1])
    def test_a_bar_that_is_over_means_nothing(self, until_ms: int | None) -> None:
        """L12."""
        desk = Desk()
        self.barring(desk, until_ms)
        desk.granted(grant(1, 1))

    def test_view_goes_on_working(self) -> None:
        """L12. What needs no seat is not what it is suspended from."""
        desk = Desk()
        self.barring(desk, 300_000)
        desk.granted(view(1, 1))

    def test_a_session_that_lives_is_renewed_and_no_further_one_shares_its_seat(self) -> None:
        """L12, L5: its seat is held anyway."""
        desk = Desk()
        desk.granted(grant(1, 1))
        self.barring(desk, 300_000)
        desk.wait_ms(1000)
        assert desk.granted(refresh(1, 1)).session.expires_at_ms == desk.clock.now_ms() + SESSION_MS
        assert denied(desk.one(grant(1, 2))).reason is NoSeatReason.SUSPENDED
        assert desk.alive == [sid(1)]

    def test_a_denial_ends_no_older_session(self) -> None:
        """L12, L8: only a grant that is made does."""
        desk = Desk(jim_test(clients=limited(1)))
        desk.granted(grant(1, 1))
        suspended = replace(CLIENTS[0], sessions_max=1, suspended_until_ms=desk.start_ms + 1)
        desk.set_up(jim_test(clients=(suspended, *CLIENTS[1:])))
        denied(desk.one(grant(1, 2)))
        assert desk.alive == [sid(1)]

    @pytest.mark.parametrize("pool", [replace(FULL, seats=0), replace(FULL, expires_at_ms=1)])
    def test_the_administrator_is_the_reason_whatever_else_there_is(self, pool: Pool) -> None:
        """L12. It is what the administrator who is asked has to know."""
        desk = Desk()
        self.barring(desk, 300_000, pools=(pool,))
        assert denied(desk.one(grant(1, 1))).reason is NoSeatReason.SUSPENDED

    def test_a_client_that_is_disabled_is_refused_and_not_told_to_wait(self) -> None:
        """L12."""
        desk = Desk()
        gone = replace(CLIENTS[0], enabled=False, suspended_until_ms=desk.start_ms + 300_000)
        desk.set_up(jim_test(clients=(gone, *CLIENTS[1:])))
        assert desk.one(grant(1, 1)) == ClientRefused()


class TestTooManySessions:
    """L8: one session more than a client may have ends its oldest."""

    def test_one_more_session_than_allowed_ends_the_oldest(self) -> None:
        """L8."""
        desk = Desk(jim_test(clients=limited(2)))
        for number in range(1, 4):
            desk.granted(grant(1, number))
            desk.wait_ms(1)
        ended = [change for change in desk.book.changes if isinstance(change, SessionEnded)]
        assert [(change.session.sid, change.reason) for change in ended] == [(sid(1), EndReason.SUPERSEDED)]
        assert desk.alive == [sid(2), sid(3)]
        assert desk.in_use == 1

    def test_the_oldest_is_the_one_that_began_first_and_not_the_one_that_expires_first(self) -> None:
        """L8."""
        desk = Desk(jim_test(clients=limited(2)))
        desk.granted(grant(1, 1))
        desk.wait_ms(1)
        desk.granted(grant(1, 2))
        desk.wait_ms(1)
        desk.granted(refresh(1, 1))
        desk.granted(grant(1, 3))
        assert desk.alive == [sid(2), sid(3)]
        assert desk.seat_until("client:TestClientId") == SESSION_MS + 2

    def test_many_grants_in_one_batch_leave_the_newest(self) -> None:
        """L8."""
        desk = Desk(jim_test(clients=limited(2)))
        desk.batch(grant(1, 1), grant(1, 2))
        outcomes = desk.batch(*(grant(1, number) for number in range(3, 9)))
        assert [type(outcome) for outcome in outcomes] == [Granted] * 6
        assert desk.alive == [sid(7), sid(8)]
        assert desk.in_use == 1

    def test_a_session_of_another_client_is_never_superseded(self) -> None:
        """L8. Not even where both share a seat."""
        twins = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        desk = Desk(jim_test(pools=(BY_USER,), clients=twins))
        desk.batch(grant(2, 2), grant(1, 1))
        desk.granted(grant(1, 3))
        assert desk.alive == [sid(2), sid(3)]
        assert desk.in_use == 1

    def test_a_session_that_expired_counts_no_more(self) -> None:
        """L8."""
        desk = Desk(jim_test(clients=limited(2)))
        desk.batch(grant(1, 1))
        desk.wait_ms(1)
        desk.batch(grant(1, 2))
        desk.wait_ms(SESSION_MS - 1)
        desk.granted(grant(1, 3))
        assert desk.alive == [sid(2), sid(3)]

    def test_a_session_that_was_logged_off_in_the_same_batch_counts_no_more(self) -> None:
        """L8."""
        desk = Desk(jim_test(clients=limited(2)))
        desk.batch(grant(1, 1), grant(1, 2))
        desk.batch(end(2), grant(1, 3), grant(1, 4))
        assert desk.alive == [sid(3), sid(4)]

    def test_a_lowered_limit_ends_as_many_sessions_as_are_over_it_at_the_next_grant(self) -> None:
        """L8."""
        desk = Desk()
        desk.batch(*(grant(1, number) for number in range(1, 6)))
        desk.set_up(jim_test(clients=limited(2)))
        desk.granted(refresh(1, 1))
        assert len(desk.alive) == 5
        desk.granted(grant(1, 6))
        assert desk.alive == [sid(5), sid(6)]

    def test_where_every_session_counts_the_new_one_takes_the_seat_of_the_superseded_one(self) -> None:
        """L8. The pool is full, and stays so."""
        desk = Desk(jim_test(pools=(replace(EACH, seats=2),), clients=limited(2)))
        desk.batch(grant(1, 1), grant(1, 2))
        desk.granted(grant(1, 3))
        assert desk.alive == [sid(2), sid(3)]
        assert desk.in_use == 2
        assert set(desk.book.seats) == {(1, f"session:{sid(2).hex()}"), (1, f"session:{sid(3).hex()}")}

    def test_a_denied_grant_supersedes_nothing(self) -> None:
        """L8. Who is refused must not lose what it has."""
        desk = Desk(jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT), clients=limited(1)))
        desk.batch(grant(1, 1), grant(2, 2, scope="report", pool_id=2))
        denied(desk.one(grant(1, 3, scope="report", pool_id=2)))
        assert desk.alive == [sid(1), sid(2)]
        assert [type(change) for change in desk.book.changes] == []
        assert desk.in_use == 1

    def test_a_grant_denied_by_an_expired_licence_supersedes_nothing(self) -> None:
        """L8."""
        desk = Desk()
        expired = replace(REPORTS, expires_at_ms=desk.start_ms)
        desk.set_up(jim_test(pools=(FULL, expired), scopes=(VIEW, ALL, REPORT), clients=limited(1)))
        desk.book.in_use[2] = 0
        desk.granted(grant(1, 1))
        denied(desk.one(grant(1, 2, scope="report", pool_id=2)))
        assert desk.alive == [sid(1)]

    def test_superseding_frees_the_seat_of_another_pool(self) -> None:
        """L8."""
        desk = Desk(jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT), clients=limited(1)))
        desk.granted(grant(1, 1))
        desk.granted(grant(1, 2, scope="report", pool_id=2))
        assert desk.in_use == 0
        assert desk.book.in_use[2] == 1
        _, other = desk.batch(grant(1, 3), grant(2, 4, scope="report", pool_id=2))
        assert isinstance(other, Granted)
        assert (desk.book.in_use[1], desk.book.in_use[2]) == (1, 1)

    def test_a_view_session_supersedes_a_licensed_one_and_its_seat_is_free(self) -> None:
        """L8."""
        desk = Desk(jim_test(pools=(SMALL,), clients=limited(1)))
        desk.granted(grant(1, 1))
        granted, other = desk.batch(view(1, 2), grant(2, 3))
        assert isinstance(granted, Granted)
        assert isinstance(other, Granted)
        assert desk.alive == [sid(2), sid(3)]

    def test_a_licensed_session_that_supersedes_the_last_of_its_seat_keeps_the_seat(self) -> None:
        """L8. Taken once, and not freed in between: nobody can slip in."""
        desk = Desk(jim_test(pools=(SMALL,), clients=limited(1)))
        desk.granted(grant(1, 1))
        desk.wait_ms(1000)
        desk.granted(grant(1, 2))
        assert [type(change) for change in desk.book.changes] == [SessionEnded, SessionStarted, SeatKept]
        seat = desk.book.seats[1, "client:TestClientId"]
        assert seat.taken_at_ms == desk.start_ms
        assert seat.expires_at_ms == desk.start_ms + SESSION_MS + 1000

    def test_superseding_the_longest_session_of_a_seat_leaves_it_to_the_next_longest(self) -> None:
        """L8. Where a life was shortened in the set-up, the newest session isn't the last to expire."""
        twins = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        desk = Desk(jim_test(pools=(BY_USER,), clients=twins))
        desk.granted(grant(2, 2))
        desk.wait_ms(1000)
        desk.granted(grant(1, 1))
        desk.set_up(jim_test(pools=(BY_USER,), clients=twins, session_ttl_s=60, access_ttl_s=60))
        desk.granted(grant(1, 3))
        assert desk.alive == [sid(2), sid(3)]
        assert desk.seat_until("user:TC") == SESSION_MS


class TestWhoIsRefused:
    """A client that was disabled or removed since it authenticated."""

    def test_a_disabled_client_gets_no_session_and_no_refresh(self) -> None:
        """L4. Its session waits for the End that disabling brings with it."""
        desk = Desk()
        desk.granted(grant(1, 1))
        desk.set_up(jim_test(clients=(replace(CLIENTS[0], enabled=False),)))
        assert desk.batch(grant(1, 2), view(1, 3), refresh(1, 1)) == [ClientRefused()] * 3
        assert desk.book.changes == []
        assert desk.one(end(1, EndReason.DISABLED)) != Ended(session=None, seat_released=False)

    def test_a_client_of_a_disabled_user_gets_no_session_and_no_refresh(self) -> None:
        """L4."""
        desk = Desk()
        desk.granted(grant(1, 1))
        user = replace(CLIENTS[0].user, enabled=False)
        desk.set_up(jim_test(clients=(replace(CLIENTS[0], user=user),)))
        assert desk.batch(grant(1, 2), refresh(1, 1)) == [ClientRefused()] * 2

    def test_a_client_or_tenant_that_was_removed_gets_nothing(self) -> None:
        """L4."""
        desk = Desk()
        assert desk.batch(grant(99, 1), view(99, 2)) == [ClientRefused()] * 2
        assert desk.one(grant(1, 3, tenant_id=2)) == ClientRefused()
        assert desk.one(refresh(99, 1)) == SessionUnknown()
        assert desk.in_use == 0

    def test_a_client_of_another_tenant_gets_nothing(self) -> None:
        """L4."""
        other = jim_test(
            id=2, name="Other", pools=(REPORTS,), scopes=(REPORT,), clients=(client(50, "X", "XX"),)
        )
        desk = Desk(jim_test(), other)
        assert desk.one(grant(50, 1)) == ClientRefused()
        assert desk.one(grant(1, 2, scope="report", pool_id=2, tenant_id=2)) == ClientRefused()


class TestDeciding:
    """What holds for every decision."""

    def test_deciding_alone_changes_nothing_so_that_what_is_not_saved_was_never_true(self) -> None:
        """L9."""
        desk = Desk()
        desk.batch(grant(1, 1))
        book = desk.open()
        for command in (grant(1, 2), grant(2, 2), view(1, 2), refresh(1, 1), end(1), Sweep(sessions_max=1)):
            before = (dict(book.sessions), dict(book.seats), dict(book.in_use), list(book.changes))
            assert decide(book, command, desk.clock.now_ms()) == decide(book, command, desk.clock.now_ms())
            assert (book.sessions, book.seats, book.in_use, book.changes) == before

    def test_an_administrator_ends_a_session_of_a_full_pool_without_a_seat_of_its_own(self) -> None:
        """L10. Neither that nor a sweep ever takes a seat."""
        desk = Desk()
        fill(desk)
        desk.batch(end(1, EndReason.ADMINISTRATOR), Sweep(sessions_max=10))
        assert desk.in_use == 4
        assert not any(isinstance(change, SeatTaken) for change in desk.book.changes)

    def test_every_grant_denial_and_ending_is_among_the_changes(self) -> None:
        """L11. And nothing else is: who is refused or unknown is told, and not counted."""
        desk = Desk(jim_test(pools=(SMALL,), clients=limited(1)))
        desk.batch(
            grant(1, 1), grant(1, 2), grant(2, 3), view(3, 4), refresh(1, 2), end(2), end(2), grant(99, 5),
            grant(1, 6, pool_id=9), refresh(1, 404), refresh(3, 4, "all"),
        )  # fmt: skip
        kinds = Counter(type(change) for change in desk.book.changes)
        assert (kinds[SessionStarted], kinds[GrantDenied], kinds[SessionEnded]) == (3, 1, 2)
        assert kinds[SessionRenewed] == 1

    def test_a_denial_tells_the_journal_who_was_denied_why_and_how_full_the_pool_was(self) -> None:
        """L11."""
        desk = Desk()
        fill(desk)
        desk.one(grant(6, 6))
        assert desk.book.changes == [
            GrantDenied(
                tenant_id=1,
                client_key=6,
                pool_id=1,
                reason=NoSeatReason.ALL_IN_USE,
                seats=5,
                in_use=5,
                at_ms=desk.start_ms,
                address="192.0.2.1",
            )
        ]
