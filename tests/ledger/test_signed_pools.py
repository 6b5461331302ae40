"""L13 and L14: which numbers a signed pool gives, to whom, and until when."""

import pytest
from msgspec.structs import replace

from licet.ledger.book import Writes
from licet.ledger.commands import Ended, Granted, SessionUnknown
from licet.licences.licence import SignedPool
from licet.model import EndReason, NoSeatReason, TokenFormat
from support.examples import BY_USER, CLIENTS, EACH, FULL, client, end, grant, jim_test, refresh, view
from support.ledger.memory_ledger import denied, fill
from support.ledger.signed_ledger import SignedLedger, given, signed

MINUTE_MS = 60_000


def why(ledger: SignedLedger, key: int = 7, number: int = 99) -> tuple[str, int, int, int | None]:
    """Why a client gets no seat: the reason, the seats, those in use, and when to ask again."""
    outcome = denied(ledger.one(grant(key, number)))
    return outcome.reason.value, outcome.seats, outcome.in_use, outcome.retry_after_s


class TestHowMany:
    """L13: as many as are signed at that moment."""

    def test_a_pool_has_what_its_licences_add_up_to(self) -> None:
        """Two of them, and not what an administrator typed beyond that."""
        ledger = SignedLedger.of(given("A", seats=2), given("B", seats=1), seats=40)
        fill(ledger, 3)
        assert why(ledger) == ("all_in_use", 3, 3, 1200)

    def test_an_administrator_may_set_fewer(self) -> None:
        """L6. None means none."""
        ledger = SignedLedger.of(given(seats=3, overdraft=2), seats=2)
        fill(ledger, 2)
        assert why(ledger) == ("all_in_use", 2, 2, 1200)
        ledger.set_up(jim_test(pools=(signed([given(seats=3)], seats=0),)))
        assert why(ledger)[0] == "no_seats"

    def test_overdraft_is_room_above_the_seats(self) -> None:
        """L14. The answer says of how many that were bought."""
        ledger = SignedLedger.of(given(seats=2, overdraft=1), seats=2)
        fill(ledger, 3)
        assert why(ledger) == ("all_in_use", 2, 3, 1200)

    @pytest.mark.parametrize(("at_ms", "count"), [(-1, 0), (0, 2), (99_999, 2), (100_000, 2), (159_999, 2)])
    def test_at_each_edge_of_a_licence_there_are_the_right_seats(self, at_ms: int, count: int) -> None:
        """A millisecond before it begins there is none; then to its end, and to the end of its grace."""
        ledger = SignedLedger.of(given(seats=2, from_s=1, to_s=101, grace_s=60))
        ledger.wait_ms(1000 + at_ms)
        outcomes = ledger.batch(*(grant(key, key) for key in (1, 2, 3)))
        assert sum(isinstance(it, Granted) for it in outcomes) == count

    def test_after_the_grace_there_is_none_and_waiting_does_not_help(self) -> None:
        """To the millisecond; `view` goes on working."""
        ledger = SignedLedger.of(given(seats=2, to_s=100, grace_s=60))
        ledger.wait_ms(160_000)
        assert why(ledger) == ("licence_expired", 0, 0, None)
        ledger.granted(view(1, 1))

    def test_a_renewal_that_overlaps_never_doubles(self) -> None:
        """For a month both serials count, of which only the higher one does."""
        month = 31 * 86_400
        ledger = SignedLedger.of(given(seats=2, to_s=2 * month), given("A", 2, seats=3, from_s=month))
        fill(ledger, 2)
        assert why(ledger)[0] == "all_in_use"
        ledger.wait_ms(month * 1000)
        fill(ledger, 3)
        assert why(ledger)[1:3] == (3, 3)

    def test_an_emergency_licence_beside_one_that_ends_leaves_one_seat_for_good(self) -> None:
        """24 with an end and 1 without, in one file."""
        ledger = SignedLedger.of(given("A", seats=3, to_s=100), given("B", seats=1))
        fill(ledger, 4)
        ledger.wait_ms(100_000 + 3_650 * 86_400_000)
        fill(ledger, 1)
        assert why(ledger) == ("all_in_use", 1, 1, 1200)

    def test_a_step_while_no_server_ran_counts_at_the_first_grant(self) -> None:
        """Nobody has to notice it."""
        ledger = SignedLedger.of(given("A", seats=4, to_s=100), given("B", seats=1))
        fill(ledger, 5)
        ledger.wait_ms(500_000)
        assert ledger.held == {"TestClientId": 1}


class TestWhatIsAllowed:
    """L13: for which scope, and counted in which way."""

    def test_a_scope_that_no_licence_allows_is_missing(self) -> None:
        """Though there are seats; waiting does not help."""
        ledger = SignedLedger.of(given(seats=2, scopes=frozenset({"report"})))
        assert why(ledger) == ("licence_missing", 2, 0, None)

    def test_a_pool_counted_as_no_licence_allows_is_missing(self) -> None:
        """By user where only clients are signed; and each session for itself, which is never signed."""
        for pool in (BY_USER, EACH):
            ledger = SignedLedger.of(given(seats=2, duplicates=frozenset({"client"})), pool=pool)
            assert why(ledger)[0] == NoSeatReason.LICENCE_MISSING

    def test_only_the_scopes_of_its_pool_have_to_be_signed(self) -> None:
        """`view` needs no seat."""
        ledger = SignedLedger.of(given(seats=2))
        assert ledger.granted(grant(1, 1, scope="view all")).seat_number == 1

    def test_who_has_a_seat_is_denied_another_session_where_the_scope_is_missing(self) -> None:
        """And its session is renewed all the same (L5)."""
        ledger = SignedLedger.of(given(seats=2))
        ledger.granted(grant(1, 1))
        ledger.set_up(jim_test(pools=(signed([given(seats=2, scopes=frozenset({"report"}))]),)))
        assert why(ledger, 1)[0] == "licence_missing"
        ledger.granted(refresh(1, 1))

    def test_an_access_token_lives_no_longer_than_the_licence_allows(self) -> None:
        """The shorter of both; of a grant and of a refresh."""
        ledger = SignedLedger.of(given(seats=2, access_ttl_max_s=100))
        for outcome in (ledger.granted(grant(1, 1)), ledger.granted(refresh(1, 1))):
            assert outcome.access_expires_at_ms - ledger.clock.now_ms() == 100_000
        ledger.set_up(jim_test(pools=(signed([given(seats=2, access_ttl_max_s=6000)]),)))
        assert ledger.granted(refresh(1, 1)).access_expires_at_ms - ledger.clock.now_ms() == 600_000


class TestNumbers:
    """L13: which seat is whose."""

    def test_new_seats_get_the_lowest_numbers(self) -> None:
        """From 1; the client is told which."""
        ledger = SignedLedger.of(given(seats=3))
        outcomes = ledger.batch(*(grant(key, key) for key in (3, 1, 2)))
        assert [it.seat_number for it in outcomes if isinstance(it, Granted)] == [1, 2, 3]

    def test_a_number_that_came_back_goes_first(self) -> None:
        """And only after its hold."""
        ledger = SignedLedger.of(given(seats=5))
        fill(ledger, 3)
        ledger.batch(end(2), end(1))
        assert ledger.granted(grant(4, 4)).seat_number == 4
        ledger.wait_ms(MINUTE_MS)
        assert ledger.granted(grant(5, 5)).seat_number == 1
        assert ledger.granted(grant(6, 6)).seat_number == 2

    def test_a_shared_seat_and_a_refresh_keep_the_number(self) -> None:
        """Whatever is free below it."""
        ledger = SignedLedger.of(given(seats=5))
        fill(ledger, 2)
        ledger.one(end(1))
        ledger.wait_ms(MINUTE_MS)
        assert ledger.granted(grant(2, 22)).seat_number == 2
        assert ledger.granted(refresh(2, 2)).seat_number == 2

    def test_a_session_without_a_seat_and_a_pool_without_a_licence_have_no_number(self) -> None:
        """0, as ever."""
        ledger = SignedLedger()
        assert (ledger.granted(view(1, 1)).seat_number, ledger.granted(grant(2, 2)).seat_number) == (0, 0)

    def test_whoever_asks_before_the_hold_is_over_is_denied_to_the_second(self) -> None:
        """L18. At that second the grant is made."""
        ledger = SignedLedger.of(given(seats=1, hold_s=90))
        ledger.granted(grant(1, 1))
        ledger.wait_ms(20_500)
        outcome = ledger.one(end(1))
        assert isinstance(outcome, Ended)
        assert outcome.seat_released_in_s == 70
        assert why(ledger) == ("all_in_use", 1, 1, 70)
        ledger.wait_ms(69_499)
        assert why(ledger)[3] == 1
        ledger.wait_ms(1)
        assert ledger.granted(grant(7, 7)).seat_number == 1

    def test_the_greatest_hold_counts_of_pool_licences_and_jwts(self) -> None:
        """Of all steps, also those that are over: so no hold becomes shorter with time."""
        licences = [given("A", seats=1, hold_s=300, to_s=10), given("B", seats=1, hold_s=60)]
        pool = signed(licences)
        tenant = jim_test(pools=(pool,), access_ttl_s=400)
        assert tenant.hold_s_of(pool) == 300
        assert tenant.hold_s_of(replace(pool, hold_s=350)) == 350
        assert replace(tenant, token_format=TokenFormat.JWT).hold_s_of(pool) == 400

    def test_a_client_that_stands_for_another_user_waits_until_the_hold_of_the_former_is_over(self) -> None:
        """An API would take the two for two."""
        ledger = SignedLedger.of(given(seats=3))
        ledger.granted(grant(1, 1))
        ledger.one(end(1, EndReason.ADMINISTRATOR))
        changed = (client(1, "TestClientId", "C1"), *CLIENTS[1:])
        ledger.set_up(jim_test(pools=(signed([given(seats=3)]),), clients=changed))
        assert why(ledger, 1) == ("all_in_use", 3, 1, 60)
        ledger.wait_ms(MINUTE_MS)
        assert ledger.granted(grant(1, 2)).seat_number == 1

    def test_a_restored_store_gives_no_number_for_a_while(self) -> None:
        """It may have forgotten who has one; who is in stays, and shares."""
        ledger = SignedLedger.of(given(seats=3))
        ledger.granted(grant(1, 1))
        ledger.from_ms = ledger.clock.now_ms() + MINUTE_MS
        assert why(ledger) == ("all_in_use", 3, 1, 60)
        assert ledger.granted(grant(1, 2)).seat_number == 1
        ledger.wait_ms(MINUTE_MS)
        assert ledger.granted(grant(7, 7)).seat_number == 2


class TestSteps:
    """L13: seat number k lives while at least k seats are signed."""

    def test_at_a_step_only_the_numbers_above_it_end(self) -> None:
        """Their sessions and their holds; with them the token that cannot be renewed."""
        ledger = SignedLedger.of(given("A", seats=2, to_s=1000), given("B", seats=1))
        fill(ledger, 3)
        ledger.wait_ms(900_000)
        for key in (1, 2, 3):
            renewed = ledger.granted(refresh(key, key))
            assert renewed.session.expires_at_ms - ledger.clock.now_ms() == (
                1_200_000 if key == 1 else 100_000
            )
            assert renewed.access_expires_at_ms - ledger.clock.now_ms() == (600_000 if key == 1 else 100_000)
        ledger.wait_ms(99_999)
        assert len(ledger.held) == 3
        ledger.wait_ms(1)
        assert ledger.held == {"TestClientId": 1}
        assert ledger.one(refresh(2, 2)) == SessionUnknown()
        assert why(ledger, 2)[:3] == ("all_in_use", 1, 1)

    def test_who_is_cut_gets_a_lower_number_if_one_is_free(self) -> None:
        """No seat belongs to a licence."""
        ledger = SignedLedger.of(given("A", seats=1, to_s=1000), given("B", seats=1))
        fill(ledger, 2)
        ledger.one(end(1))
        ledger.wait_ms(1_000_000)
        assert ledger.granted(grant(2, 9)).seat_number == 1

    def test_a_hold_ends_with_its_number(self) -> None:
        """The step wins; the answer to a logoff says so."""
        ledger = SignedLedger.of(given("A", seats=1, to_s=30), given("B", seats=1))
        fill(ledger, 2)
        outcome = ledger.one(end(2))
        assert isinstance(outcome, Ended)
        assert outcome.seat_released_in_s == 30

    def test_a_number_that_a_gap_took_is_nobody_elses_before_its_hold_is_over(self) -> None:
        """A renewal that comes late signs it again within the hold: its old token may still be believed."""
        ledger = SignedLedger.of(given(seats=1, to_s=100, hold_s=300), given("A", 2, seats=1, from_s=110))
        ledger.wait_ms(90_000)
        ledger.granted(grant(1, 1))
        ledger.wait_ms(15_000)
        assert why(ledger)[0] == "licence_expired"
        ledger.wait_ms(5_000)
        assert ledger.held == {}
        assert why(ledger) == ("all_in_use", 1, 0, 280)
        ledger.wait_ms(279_999)
        assert why(ledger)[3] == 1
        ledger.wait_ms(1)
        assert ledger.granted(grant(7, 7)).seat_number == 1

    def test_a_session_grows_past_an_end_that_a_renewal_put_off(self) -> None:
        """L5. From the next refresh on."""
        ledger = SignedLedger.of(given(seats=1, to_s=500))
        ledger.granted(grant(1, 1))
        ledger.set_up(jim_test(pools=(signed([given(seats=1, to_s=500), given("A", 2, seats=1)]),)))
        renewed = ledger.granted(refresh(1, 1))
        assert renewed.session.expires_at_ms - ledger.clock.now_ms() == 1_200_000
        ledger.wait_ms(600_000)
        assert ledger.held == {"TestClientId": 1}

    def test_the_earlier_end_counts_of_the_pool_and_its_number(self) -> None:
        """L7."""
        ledger = SignedLedger()
        for pool_s, step_s, first_s in ((300, 400, 300), (400, 300, 300)):
            pool = replace(FULL, expires_at_ms=ledger.start_ms + pool_s * 1000)
            ledger = SignedLedger(jim_test(pools=(signed([given(seats=1, to_s=step_s)], pool),)))
            assert ledger.granted(grant(1, 1)).session.expires_at_ms == ledger.start_ms + first_s * 1000

    def test_where_a_licence_counts_no_more_at_all_who_is_beyond_it_is_not_renewed(self) -> None:
        """A row that was damaged gives nothing: fail closed. An administrator can end the session."""
        ledger = SignedLedger.of(given(seats=2))
        fill(ledger, 2)
        ledger.set_up(jim_test(pools=(signed([given(seats=1)]),)))
        assert ledger.one(refresh(2, 2)) == SessionUnknown()
        assert why(ledger, 2)[0] == "all_in_use"
        ledger.granted(refresh(1, 1))
        ended = ledger.one(end(2, EndReason.ADMINISTRATOR))
        assert isinstance(ended, Ended)
        assert ended.session is not None


class TestWhatIsWritten:
    """The net effect of a batch on numbers."""

    def test_two_holders_swap_numbers_in_one_batch(self) -> None:
        """Written as removed and added, so that no number is there twice in between."""
        ledger = SignedLedger.of(given(seats=5, hold_s=1))
        fill(ledger, 2)
        ledger.wait_ms(1000)
        ledger.batch(end(1), end(2), grant(2, 12), grant(1, 11))
        assert ledger.held == {"Client1": 1, "TestClientId": 2}

    def test_a_number_freed_and_taken_in_one_batch_leaves_no_row_and_uses_no_new_one(self) -> None:
        """It was never free for anybody else."""
        ledger = SignedLedger.of(given(seats=5, hold_s=1))
        fill(ledger, 1)
        ledger.wait_ms(1000)
        ledger.batch(end(1), grant(2, 2))
        writes = Writes(ledger.book.changes)
        assert (writes.numbers_gone, writes.numbers_new, writes.numbers_used) == ({}, {}, {1: 0})

    def test_a_free_number_taken_and_freed_in_one_batch_keeps_its_row(self) -> None:
        """With another moment from which on it may be given."""
        ledger = SignedLedger.of(given(seats=5, hold_s=1))
        fill(ledger, 1)
        ledger.wait_ms(1000)
        ledger.batch(end(1))
        ledger.open()
        assert ledger.kept.free == {(1, 1): ledger.start_ms + 1000}
        ledger.batch(grant(2, 2), end(2))
        ledger.wait_ms(1000)
        ledger.open()
        ledger.open()
        assert ledger.kept.free == {(1, 1): ledger.start_ms + 2000}
        assert ledger.kept.used == {1: 1}

    def test_a_pool_without_a_licence_writes_nothing_of_numbers(self) -> None:
        """As ever: a seat freed and taken again is one row that changes."""
        ledger = SignedLedger()
        fill(ledger, 1)
        ledger.wait_ms(1000)
        ledger.batch(end(1), grant(1, 2))
        writes = Writes(ledger.book.changes)
        assert (len(writes.seats_kept), writes.seats_new, writes.seats_gone) == (1, {}, {})
        assert not writes.numbers_new


def test_the_terms_that_a_licence_may_have_are_those_that_these_tests_change() -> None:
    """So that a new one is not forgotten here."""
    known = {"seats", "scopes", "overdraft", "hold_s", "access_ttl_max_s", "duplicates"}
    assert set(SignedPool.__dataclass_fields__) == known
