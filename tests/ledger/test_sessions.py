"""How long a session lives, how it is renewed, and how many a client may have."""

import pytest
from msgspec.structs import replace

from licet.ledger.book import SeatKept, SessionEnded, SessionRenewed, SessionStarted, Writes
from licet.ledger.commands import Ended, Granted, ScopeRefused, SessionUnknown
from licet.model import EndReason
from support.examples import (
    ALL,
    BY_USER,
    EACH,
    FULL,
    REPORT,
    REPORTS,
    SMALL,
    TWINS,
    VIEW,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.ledger.memory_ledger import ACCESS_MS, SESSION_MS, MemoryLedger, denied, fill, limited


class TestHowLongASessionLives:
    """L3: the life of a session and of its access tokens."""

    def test_a_session_lives_twenty_minutes_and_an_access_token_ten(self) -> None:
        """L3."""
        ledger = MemoryLedger()
        granted = ledger.granted(grant(1, 1))
        assert granted.session.expires_at_ms - ledger.start_ms == SESSION_MS
        assert granted.access_expires_at_ms - ledger.start_ms == ACCESS_MS
        assert granted.at_ms == granted.session.started_at_ms == granted.session.renewed_at_ms

    def test_a_refresh_begins_the_twenty_minutes_anew_and_keeps_the_start(self) -> None:
        """L3."""
        ledger = MemoryLedger()
        started = ledger.granted(grant(1, 1)).session
        ledger.wait_ms(700_000)
        renewed = ledger.granted(refresh(1, 1))
        assert renewed.session == replace(
            started,
            renewed_at_ms=ledger.clock.now_ms(),
            expires_at_ms=ledger.clock.now_ms() + SESSION_MS,
        )
        assert renewed.access_expires_at_ms == ledger.clock.now_ms() + ACCESS_MS

    def test_a_session_is_renewed_in_the_last_millisecond_and_not_in_the_next(self) -> None:
        """L3. Alive means: now < expires_at."""
        ledger = MemoryLedger()
        ledger.batch(grant(1, 1), grant(2, 2))
        ledger.wait_ms(SESSION_MS - 1)
        ledger.granted(refresh(1, 1))
        ledger.wait_ms(1)
        assert ledger.one(refresh(2, 2)) == SessionUnknown()
        assert ledger.alive == [sid(1)]

    def test_a_view_session_lives_as_long_as_any_other(self) -> None:
        """L3."""
        ledger = MemoryLedger()
        ledger.granted(view(1, 1))
        ledger.wait_ms(SESSION_MS - 1)
        ledger.granted(refresh(1, 1))
        ledger.wait_ms(SESSION_MS)
        assert ledger.one(refresh(1, 1)) == SessionUnknown()

    def test_an_access_token_never_outlives_its_session(self) -> None:
        """L3."""
        ledger = MemoryLedger()
        ending = replace(FULL, expires_at_ms=ledger.start_ms + 5000)
        ledger.set_up(jim_test(pools=(ending,)))
        granted = ledger.granted(grant(1, 1))
        assert granted.access_expires_at_ms == granted.session.expires_at_ms == ledger.start_ms + 5000

    def test_an_access_token_may_live_as_long_as_its_session(self) -> None:
        """L3."""
        ledger = MemoryLedger(jim_test(session_ttl_s=1, access_ttl_s=1))
        granted = ledger.granted(grant(1, 1))
        assert granted.access_expires_at_ms == granted.session.expires_at_ms == ledger.start_ms + 1000

    def test_a_refresh_may_narrow_the_scope_of_the_token_and_never_that_of_the_session(self) -> None:
        """L3. RFC 6749 6: the refresh token keeps its scope."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1, scope="view all"))
        narrowed = ledger.granted(refresh(1, 1, "view", "view"))
        assert (narrowed.scope, narrowed.session.scope) == ("view", "view all")
        assert ledger.granted(refresh(1, 1)).scope == "view all"

    @pytest.mark.parametrize("asked", [("all",), ("view", "all"), ("nothing",)])
    def test_a_refresh_that_widens_the_scope_is_refused_and_renews_nothing(
        self, asked: tuple[str, ...]
    ) -> None:
        """L3. RFC 6749 6."""
        ledger = MemoryLedger()
        ledger.granted(view(1, 1))
        ledger.wait_ms(1000)
        assert isinstance(ledger.one(refresh(1, 1, *asked)), ScopeRefused)
        assert ledger.book.changes == []


class TestRefreshing:
    """L5: a refresh never needs a free seat, and never loses or doubles one."""

    def test_a_refresh_succeeds_while_the_pool_is_full(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.wait_ms(SESSION_MS - 1)
        ledger.granted(refresh(3, 3))
        assert ledger.in_use == 5

    def test_a_refresh_succeeds_while_the_pool_is_overused(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.set_up(jim_test(pools=(replace(FULL, seats=0),)))
        ledger.granted(refresh(5, 5))
        assert ledger.in_use == 5

    def test_a_refresh_keeps_the_seat_of_its_holder_and_takes_no_other(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(refresh(1, 1))
        assert [type(change) for change in ledger.book.changes] == [SessionRenewed, SeatKept]
        assert ledger.in_use == 1
        assert ledger.seat_until("client:TestClientId") == SESSION_MS + 1000

    def test_a_refresh_of_a_narrower_scope_still_keeps_the_seat(self) -> None:
        """L5. The refresh token may still get `all`."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1, scope="view all"))
        ledger.wait_ms(SESSION_MS - 1)
        ledger.granted(refresh(1, 1, "view"))
        ledger.wait_ms(SESSION_MS - 1)
        assert ledger.in_use == 1

    def test_two_refreshes_in_one_batch_are_as_good_as_one(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        first, second = ledger.batch(refresh(1, 1), refresh(1, 1))
        assert first == second
        assert ledger.in_use == 1

    def test_a_life_that_was_shortened_in_the_set_up_shortens_no_session_and_no_seat(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        before = ledger.granted(grant(1, 1)).session.expires_at_ms
        ledger.set_up(jim_test(session_ttl_s=60, access_ttl_s=60))
        ledger.wait_ms(1000)
        renewed = ledger.granted(refresh(1, 1))
        assert renewed.session.expires_at_ms == before
        assert renewed.access_expires_at_ms == ledger.clock.now_ms() + 60_000
        ledger.granted(grant(1, 2))
        assert ledger.seat_until("client:TestClientId") == SESSION_MS

    def test_a_session_that_was_refreshed_and_logged_off_in_one_batch_is_gone(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        renewed, ended = ledger.batch(refresh(1, 1), end(1))
        assert isinstance(renewed, Granted)
        assert ended == Ended(session=renewed.session, seat_released=True)
        writes = Writes(ledger.book.changes)
        assert writes.sessions_gone == [sid(1)]
        assert list(writes.seats_gone) == [(1, "client:TestClientId")]
        assert not writes.sessions_renewed
        assert not writes.seats_kept

    def test_a_session_that_was_logged_off_first_cannot_be_refreshed_in_the_same_batch(self) -> None:
        """L5."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ended, renewed = ledger.batch(end(1), refresh(1, 1))
        assert isinstance(ended, Ended)
        assert renewed == SessionUnknown()
        assert ledger.in_use == 0

    def test_a_refresh_of_a_session_of_another_client_is_unknown_and_changes_nothing(self) -> None:
        """L5. RFC 6749 5.2: invalid_grant, issued to another client."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        assert ledger.one(refresh(2, 1)) == SessionUnknown()
        assert ledger.book.changes == []

    def test_a_refresh_of_a_session_of_another_tenant_is_unknown_and_changes_nothing(self) -> None:
        """L5."""
        ledger = MemoryLedger(jim_test(), jim_test(id=2, name="Other", pools=()))
        ledger.granted(grant(1, 1))
        assert ledger.one(refresh(1, 1, tenant_id=2)) == SessionUnknown()
        assert ledger.one(refresh(1, 1, tenant_id=3)) == SessionUnknown()
        assert ledger.book.changes == []

    def test_the_end_of_a_session_of_another_client_is_unknown_and_changes_nothing(self) -> None:
        """L5. RFC 7009 2.1: a token that was issued to another client is refused."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        assert ledger.one(end(1, client_key=2)) == SessionUnknown()
        assert ledger.book.changes == []
        ledger.one(end(1, client_key=1))
        assert ledger.alive == []

    def test_the_end_of_a_session_of_another_tenant_ends_nothing(self) -> None:
        """L5."""
        ledger = MemoryLedger(jim_test(), jim_test(id=2, name="Other", pools=()))
        ledger.granted(grant(1, 1))
        nothing = Ended(session=None, seat_released=False)
        assert ledger.batch(end(1, tenant_id=2), end(1, client_key=1, tenant_id=2)) == [nothing] * 2
        assert ledger.alive == [sid(1)]


class TestTooManySessions:
    """L8: one session more than a client may have ends its oldest."""

    def test_one_more_session_than_allowed_ends_the_oldest(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(clients=limited(2)))
        for number in range(1, 4):
            ledger.granted(grant(1, number))
            ledger.wait_ms(1)
        ended = [change for change in ledger.book.changes if isinstance(change, SessionEnded)]
        assert [(change.session.sid, change.reason) for change in ended] == [(sid(1), EndReason.SUPERSEDED)]
        assert ledger.alive == [sid(2), sid(3)]
        assert ledger.in_use == 1

    def test_the_oldest_is_the_one_that_began_first_and_not_the_one_that_expires_first(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(clients=limited(2)))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1)
        ledger.granted(grant(1, 2))
        ledger.wait_ms(1)
        ledger.granted(refresh(1, 1))
        ledger.granted(grant(1, 3))
        assert ledger.alive == [sid(2), sid(3)]
        assert ledger.seat_until("client:TestClientId") == SESSION_MS + 2

    def test_many_grants_in_one_batch_leave_the_newest(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(clients=limited(2)))
        ledger.batch(grant(1, 1), grant(1, 2))
        outcomes = ledger.batch(*(grant(1, number) for number in range(3, 9)))
        assert [type(outcome) for outcome in outcomes] == [Granted] * 6
        assert ledger.alive == [sid(7), sid(8)]
        assert ledger.in_use == 1

    def test_a_session_of_another_client_is_never_superseded(self) -> None:
        """L8. Not even where both share a seat."""
        twins = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        ledger = MemoryLedger(jim_test(pools=(BY_USER,), clients=twins))
        ledger.batch(grant(2, 2), grant(1, 1))
        ledger.granted(grant(1, 3))
        assert ledger.alive == [sid(2), sid(3)]
        assert ledger.in_use == 1

    def test_a_session_that_expired_counts_no_more(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(clients=limited(2)))
        ledger.batch(grant(1, 1))
        ledger.wait_ms(1)
        ledger.batch(grant(1, 2))
        ledger.wait_ms(SESSION_MS - 1)
        ledger.granted(grant(1, 3))
        assert ledger.alive == [sid(2), sid(3)]

    def test_a_session_that_was_logged_off_in_the_same_batch_counts_no_more(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(clients=limited(2)))
        ledger.batch(grant(1, 1), grant(1, 2))
        ledger.batch(end(2), grant(1, 3), grant(1, 4))
        assert ledger.alive == [sid(3), sid(4)]

    def test_a_lowered_limit_ends_as_many_sessions_as_are_over_it_at_the_next_grant(self) -> None:
        """L8."""
        ledger = MemoryLedger()
        ledger.batch(*(grant(1, number) for number in range(1, 6)))
        ledger.set_up(jim_test(clients=limited(2)))
        ledger.granted(refresh(1, 1))
        assert len(ledger.alive) == 5
        ledger.granted(grant(1, 6))
        assert ledger.alive == [sid(5), sid(6)]

    def test_where_every_session_counts_the_new_one_takes_the_seat_of_the_superseded_one(self) -> None:
        """L8. The pool is full, and stays so."""
        ledger = MemoryLedger(jim_test(pools=(replace(EACH, seats=2),), clients=limited(2)))
        ledger.batch(grant(1, 1), grant(1, 2))
        ledger.granted(grant(1, 3))
        assert ledger.alive == [sid(2), sid(3)]
        assert ledger.in_use == 2
        assert set(ledger.book.seats) == {(1, f"session:{sid(2).hex()}"), (1, f"session:{sid(3).hex()}")}

    def test_a_denied_grant_supersedes_nothing(self) -> None:
        """L8. Who is refused must not lose what it has."""
        ledger = MemoryLedger(jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT), clients=limited(1)))
        ledger.batch(grant(1, 1), grant(2, 2, scope="report", pool_id=2))
        denied(ledger.one(grant(1, 3, scope="report", pool_id=2)))
        assert ledger.alive == [sid(1), sid(2)]
        assert [type(change) for change in ledger.book.changes] == []
        assert ledger.in_use == 1

    def test_a_grant_denied_by_an_expired_licence_supersedes_nothing(self) -> None:
        """L8."""
        ledger = MemoryLedger()
        expired = replace(REPORTS, expires_at_ms=ledger.start_ms)
        ledger.set_up(jim_test(pools=(FULL, expired), scopes=(VIEW, ALL, REPORT), clients=limited(1)))
        ledger.book.in_use[2] = 0
        ledger.granted(grant(1, 1))
        denied(ledger.one(grant(1, 2, scope="report", pool_id=2)))
        assert ledger.alive == [sid(1)]

    def test_superseding_frees_the_seat_of_another_pool(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT), clients=limited(1)))
        ledger.granted(grant(1, 1))
        ledger.granted(grant(1, 2, scope="report", pool_id=2))
        assert ledger.in_use == 0
        assert ledger.book.in_use[2] == 1
        _, other = ledger.batch(grant(1, 3), grant(2, 4, scope="report", pool_id=2))
        assert isinstance(other, Granted)
        assert (ledger.book.in_use[1], ledger.book.in_use[2]) == (1, 1)

    def test_a_view_session_supersedes_a_licensed_one_and_its_seat_is_free(self) -> None:
        """L8."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,), clients=limited(1)))
        ledger.granted(grant(1, 1))
        granted, other = ledger.batch(view(1, 2), grant(2, 3))
        assert isinstance(granted, Granted)
        assert isinstance(other, Granted)
        assert ledger.alive == [sid(2), sid(3)]

    def test_a_licensed_session_that_supersedes_the_last_of_its_seat_keeps_the_seat(self) -> None:
        """L8. Taken once, and not freed in between: nobody can slip in."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,), clients=limited(1)))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(1, 2))
        assert [type(change) for change in ledger.book.changes] == [SessionEnded, SessionStarted, SeatKept]
        seat = ledger.book.seats[1, "client:TestClientId"]
        assert seat.taken_at_ms == ledger.start_ms
        assert seat.expires_at_ms == ledger.start_ms + SESSION_MS + 1000

    def test_superseding_the_longest_session_of_a_seat_leaves_it_to_the_next_longest(self) -> None:
        """L8. Where a life was shortened in the set-up, the newest session isn't the last to expire."""
        twins = (replace(TWINS[0], sessions_max=1), *TWINS[1:])
        ledger = MemoryLedger(jim_test(pools=(BY_USER,), clients=twins))
        ledger.granted(grant(2, 2))
        ledger.wait_ms(1000)
        ledger.granted(grant(1, 1))
        ledger.set_up(jim_test(pools=(BY_USER,), clients=twins, session_ttl_s=60, access_ttl_s=60))
        ledger.granted(grant(1, 3))
        assert ledger.alive == [sid(2), sid(3)]
        assert ledger.seat_until("user:TC") == SESSION_MS
