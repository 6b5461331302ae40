"""Who gets no seat, for which reason, and when it may ask again."""

import pytest
from msgspec.structs import replace

from licet.ledger.book import GrantDenied
from licet.ledger.commands import ClientRefused, Denied, Ended, Granted, SessionUnknown
from licet.model import EndReason, NoSeatReason, Pool
from support.examples import (
    ALL,
    CLIENTS,
    FULL,
    REPORT,
    REPORTS,
    SMALL,
    VIEW,
    client,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.ledger.memory_ledger import SESSION_MS, MemoryLedger, denied, limited


class TestWhenToComeBack:
    """L6 and table 3.2: `retry_after` is the time to the earliest seat that may expire, at least 1 s."""

    def staggered(self) -> MemoryLedger:
        """Five seats, taken a minute apart."""
        ledger = MemoryLedger()
        for number in range(1, 6):
            ledger.granted(grant(number, number))
            ledger.wait_ms(60_000)
        return ledger

    def test_it_is_the_time_to_the_earliest_expiry(self) -> None:
        """L6."""
        assert denied(self.staggered().one(grant(6, 6))).retry_after_s == 1200 - 300

    def test_it_takes_renewals_of_the_same_batch_into_account(self) -> None:
        """L6."""
        ledger = self.staggered()
        outcomes = ledger.batch(
            grant(6, 6), refresh(1, 1), grant(6, 7), refresh(2, 2), refresh(3, 3), grant(6, 8), grant(4, 9),
            refresh(5, 5), grant(6, 10),
        )  # fmt: skip
        waits = [it.retry_after_s for it in outcomes if isinstance(it, Denied)]
        assert waits == [900, 960, 1080, 1200]

    def test_it_takes_a_logoff_that_shortens_a_shared_seat_into_account(self) -> None:
        """L6."""
        ledger = self.staggered()
        ledger.granted(grant(3, 6))
        ledger.granted(refresh(1, 1))
        ledger.granted(refresh(2, 2))
        before, _, after = ledger.batch(grant(6, 7), end(6), grant(6, 8))
        assert denied(before).retry_after_s == 1080
        assert denied(after).retry_after_s == 1020

    @pytest.mark.parametrize(
        ("left_ms", "seconds"), [(1, 1), (999, 1), (1000, 1), (1001, 2), (1_199_001, 1200)]
    )
    def test_it_is_rounded_up_so_that_who_waits_so_long_finds_the_seat_free(
        self, left_ms: int, seconds: int
    ) -> None:
        """L6."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,)))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(SESSION_MS - left_ms)
        assert denied(ledger.one(grant(2, 2))).retry_after_s == seconds
        ledger.wait_ms(seconds * 1000)
        ledger.granted(grant(2, 3))

    def test_it_looks_at_the_seats_of_its_own_pool_only(self) -> None:
        """L6."""
        ledger = MemoryLedger(jim_test(pools=(FULL, REPORTS), scopes=(VIEW, ALL, REPORT)))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        ledger.granted(grant(2, 2, scope="report", pool_id=2))
        assert denied(ledger.one(grant(3, 3, scope="report", pool_id=2))).retry_after_s == 1200


class TestAPoolThatExpires:
    """L7: no session lives past its pool."""

    def expiring(self, ledger: MemoryLedger, after_ms: int, **changes: int) -> None:
        """Let the pool expire so long after the start."""
        pool = replace(FULL, expires_at_ms=ledger.start_ms + after_ms, **changes)
        ledger.set_up(jim_test(pools=(pool,)))

    def test_a_session_never_lives_past_its_pool_however_often_it_is_refreshed(self) -> None:
        """L7."""
        ledger = MemoryLedger()
        self.expiring(ledger, SESSION_MS + 500)
        ledger.granted(grant(1, 1))
        ledger.wait_ms(1000)
        assert ledger.granted(refresh(1, 1)).session.expires_at_ms == ledger.start_ms + SESSION_MS + 500
        ledger.wait_ms(SESSION_MS - 501)
        assert ledger.granted(refresh(1, 1)).session.expires_at_ms == ledger.start_ms + SESSION_MS + 500
        ledger.wait_ms(1)
        assert ledger.one(refresh(1, 1)) == SessionUnknown()
        assert ledger.in_use == 0

    def test_a_grant_is_made_a_millisecond_before_the_pool_expires_and_denied_at_that_moment(self) -> None:
        """L7."""
        ledger = MemoryLedger()
        self.expiring(ledger, 1000)
        ledger.wait_ms(999)
        assert ledger.granted(grant(1, 1)).session.expires_at_ms == ledger.start_ms + 1000
        ledger.wait_ms(1)
        assert ledger.one(grant(1, 2)) == Denied(
            reason=NoSeatReason.LICENCE_EXPIRED, pool="full", seats=5, in_use=0, retry_after_s=None
        )

    def test_an_expired_licence_is_the_reason_even_where_the_pool_is_full_or_has_no_seats(self) -> None:
        """L7. Waiting or buying a seat would not help."""
        ledger = MemoryLedger()
        self.expiring(ledger, 0, seats=0)
        assert denied(ledger.one(grant(1, 1))).reason is NoSeatReason.LICENCE_EXPIRED

    def test_view_goes_on_working_when_the_pool_has_expired(self) -> None:
        """L7."""
        ledger = MemoryLedger()
        self.expiring(ledger, 0)
        assert ledger.granted(view(1, 1)).session.expires_at_ms == ledger.start_ms + SESSION_MS

    def test_a_licence_that_was_prolonged_gives_seats_again_and_longer_refreshes(self) -> None:
        """L7."""
        ledger = MemoryLedger()
        self.expiring(ledger, 1000)
        ledger.granted(grant(1, 1))
        self.expiring(ledger, 10_000)
        assert ledger.granted(refresh(1, 1)).session.expires_at_ms == ledger.start_ms + 10_000
        ledger.wait_ms(10_000)
        denied(ledger.one(grant(1, 2)))
        ledger.set_up(jim_test())
        ledger.granted(grant(1, 3))


class TestWhoIsKeptOff:
    """L12: an administrator may give a client no seat for a while."""

    @staticmethod
    def barring(ledger: MemoryLedger, until_ms: int | None, pools: tuple[Pool, ...] = (FULL,)) -> None:
        """The first client gets no seat until so many milliseconds after the start."""
        suspended = None if until_ms is None else ledger.start_ms + until_ms
        clients = (replace(CLIENTS[0], suspended_until_ms=suspended), *CLIENTS[1:])
        ledger.set_up(jim_test(clients=clients, pools=pools))

    def test_a_client_that_is_suspended_gets_no_seat_although_some_are_free(self) -> None:
        """L12. Its denial is in the journal like any other (L11)."""
        ledger = MemoryLedger()
        self.barring(ledger, 300_000)
        assert ledger.one(grant(1, 1)) == Denied(
            reason=NoSeatReason.SUSPENDED, pool="full", seats=5, in_use=0, retry_after_s=300
        )
        (entry,) = ledger.book.changes
        assert isinstance(entry, GrantDenied)
        assert (entry.reason, entry.client_key, entry.in_use) == (NoSeatReason.SUSPENDED, 1, 0)
        assert isinstance(ledger.one(grant(2, 2)), Granted)

    def test_it_is_told_to_wait_until_the_millisecond_at_which_it_may_come_back(self) -> None:
        """L12. Seconds are rounded up, so that who waits as told does not come too early."""
        ledger = MemoryLedger()
        self.barring(ledger, 1001)
        assert denied(ledger.one(grant(1, 1))).retry_after_s == 2
        ledger.wait_ms(1000)
        assert denied(ledger.one(grant(1, 1))).retry_after_s == 1
        ledger.wait_ms(1)
        ledger.granted(grant(1, 1))

    @pytest.mark.parametrize("until_ms", [None, 0, -1])
    def test_a_bar_that_is_over_means_nothing(self, until_ms: int | None) -> None:
        """L12."""
        ledger = MemoryLedger()
        self.barring(ledger, until_ms)
        ledger.granted(grant(1, 1))

    def test_view_goes_on_working(self) -> None:
        """L12. What needs no seat is not what it is suspended from."""
        ledger = MemoryLedger()
        self.barring(ledger, 300_000)
        ledger.granted(view(1, 1))

    def test_a_session_that_lives_is_renewed_and_no_further_one_shares_its_seat(self) -> None:
        """L12, L5: its seat is held anyway."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        self.barring(ledger, 300_000)
        ledger.wait_ms(1000)
        assert ledger.granted(refresh(1, 1)).session.expires_at_ms == ledger.clock.now_ms() + SESSION_MS
        assert denied(ledger.one(grant(1, 2))).reason is NoSeatReason.SUSPENDED
        assert ledger.alive == [sid(1)]

    def test_a_denial_ends_no_older_session(self) -> None:
        """L12, L8: only a grant that is made does."""
        ledger = MemoryLedger(jim_test(clients=limited(1)))
        ledger.granted(grant(1, 1))
        suspended = replace(CLIENTS[0], sessions_max=1, suspended_until_ms=ledger.start_ms + 1)
        ledger.set_up(jim_test(clients=(suspended, *CLIENTS[1:])))
        denied(ledger.one(grant(1, 2)))
        assert ledger.alive == [sid(1)]

    @pytest.mark.parametrize("pool", [replace(FULL, seats=0), replace(FULL, expires_at_ms=1)])
    def test_the_administrator_is_the_reason_whatever_else_there_is(self, pool: Pool) -> None:
        """L12. It is what the administrator who is asked has to know."""
        ledger = MemoryLedger()
        self.barring(ledger, 300_000, pools=(pool,))
        assert denied(ledger.one(grant(1, 1))).reason is NoSeatReason.SUSPENDED

    def test_a_client_that_is_disabled_is_refused_and_not_told_to_wait(self) -> None:
        """L12."""
        ledger = MemoryLedger()
        gone = replace(CLIENTS[0], enabled=False, suspended_until_ms=ledger.start_ms + 300_000)
        ledger.set_up(jim_test(clients=(gone, *CLIENTS[1:])))
        assert ledger.one(grant(1, 1)) == ClientRefused()


class TestWhoIsRefused:
    """A client that was disabled or removed since it authenticated."""

    def test_a_disabled_client_gets_no_session_and_no_refresh(self) -> None:
        """L4. Its session waits for the End that disabling brings with it."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        ledger.set_up(jim_test(clients=(replace(CLIENTS[0], enabled=False),)))
        assert ledger.batch(grant(1, 2), view(1, 3), refresh(1, 1)) == [ClientRefused()] * 3
        assert ledger.book.changes == []
        assert ledger.one(end(1, EndReason.DISABLED)) != Ended(session=None, seat_released=False)

    def test_a_client_of_a_disabled_user_gets_no_session_and_no_refresh(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        ledger.granted(grant(1, 1))
        user = replace(CLIENTS[0].user, enabled=False)
        ledger.set_up(jim_test(clients=(replace(CLIENTS[0], user=user),)))
        assert ledger.batch(grant(1, 2), refresh(1, 1)) == [ClientRefused()] * 2

    def test_a_client_or_tenant_that_was_removed_gets_nothing(self) -> None:
        """L4."""
        ledger = MemoryLedger()
        assert ledger.batch(grant(99, 1), view(99, 2)) == [ClientRefused()] * 2
        assert ledger.one(grant(1, 3, tenant_id=2)) == ClientRefused()
        assert ledger.one(refresh(99, 1)) == SessionUnknown()
        assert ledger.in_use == 0

    def test_a_client_of_another_tenant_gets_nothing(self) -> None:
        """L4."""
        other = jim_test(
            id=2, name="Other", pools=(REPORTS,), scopes=(REPORT,), clients=(client(50, "X", "XX"),)
        )
        ledger = MemoryLedger(jim_test(), other)
        assert ledger.one(grant(50, 1)) == ClientRefused()
        assert ledger.one(grant(1, 2, scope="report", pool_id=2, tenant_id=2)) == ClientRefused()
