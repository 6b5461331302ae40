"""The checker of the fault harness finds each mistake of seats and denials, and none where there is none."""

from typing import TYPE_CHECKING

import pytest

from chaos.checks.findings import FindingKind
from support.checked_history import TOOK_S, CheckedHistory

if TYPE_CHECKING:
    from chaos.history import Done, HolderKind


class TestHolders:
    """Seats issued twice."""

    def test_three_clients_at_once_on_two_seats_are_found(self) -> None:
        """L6."""
        history = CheckedHistory()
        for at_s, client in enumerate("acd"):
            history.grant(at_s, client)
        assert history.found() == {"over_issued"}

    def test_as_many_as_there_are_seats_are_not(self) -> None:
        """L6: the second session of a client shares its seat (L2)."""
        history = CheckedHistory()
        for at_s, client in enumerate("accaca"):
            history.grant(at_s, client)
        assert history.found() == set()

    def test_two_clients_of_one_user_share_a_seat_where_users_hold_them(self) -> None:
        """L2."""
        cases: list[tuple[HolderKind, set[FindingKind]]] = [("user", set()), ("client", {"over_issued"})]
        for duplicates, found in cases:
            history = CheckedHistory(duplicates=duplicates)
            for at_s, client in enumerate("abc"):
                history.grant(at_s, client)
            assert history.found() == found

    def test_sessions_of_one_client_are_counted_where_sessions_hold_seats(self) -> None:
        """L2."""
        history = CheckedHistory(duplicates="none")
        for at_s in range(3):
            history.grant(at_s, "a")
        assert history.found() == {"over_issued"}

    def test_sessions_without_a_seat_are_not_counted(self) -> None:
        """L1."""
        history = CheckedHistory()
        for at_s, client in enumerate("abcd"):
            history.grant(at_s, client, licensed=False)
        assert history.found() == set()

    def test_a_seat_that_is_given_on_while_it_has_to_be_held_is_found(self) -> None:
        """L18: five seconds after the last token, whoever logged off; without a hold it is right."""
        for hold_s, found in ((0, set()), (5, {"over_issued"})):
            history = CheckedHistory(hold_s=hold_s)
            history.log_off(1, "a", history.grant(0, "a"))
            history.grant(2, "c")
            history.grant(3, "d")
            assert history.found() == found

    def test_a_refresh_lengthens_what_has_to_be_held(self) -> None:
        """L18: the hold counts from the last token, also beyond a session's life."""
        for given_s, found in ((14.5, {"over_issued"}), (15.1, set())):
            history = CheckedHistory(hold_s=12)
            sid = history.grant(0, "a")
            history.refresh(3, "a", sid)
            history.log_off(4, "a", sid)
            history.grant(5, "c")
            history.grant(given_s, "d")
            assert history.found() == found

    def test_a_denial_while_a_seat_is_on_hold_is_right_and_not_that_of_its_holder(self) -> None:
        """L18: it counts as in use, until it may have been so no longer; its holder shares it."""
        for at_s, who, found in (
            (3, "d", set()),
            (4.9, "d", set()),
            (6, "d", {"unexplained_denial"}),
            (3, "a", {"unexplained_denial"}),
        ):
            history = CheckedHistory(hold_s=5)
            history.log_off(1, "a", history.grant(0, "a"))
            history.grant(2, "c")
            history.deny(at_s, who)
            assert history.found() == found, (at_s, who)

    def test_a_grant_that_may_have_come_after_a_logoff_is_not_found(self) -> None:
        """The logoff was sent before the third client had its answer: it may have been first."""
        history = CheckedHistory()
        first = history.grant(0, "a")
        history.grant(1, "c")
        history.log_off(2, "a", first, took_s=2)
        history.grant(1.5, "d", took_s=1)
        assert history.found() == set()

    def test_a_grant_that_was_answered_before_the_logoff_was_sent_is_found(self) -> None:
        """L6: a thousandth of a second between them is enough."""
        history = CheckedHistory()
        first = history.grant(0, "a")
        history.grant(1, "c")
        history.grant(1.5, "d", took_s=0.499)
        history.log_off(2, "a", first)
        assert "over_issued" in history.found()

    @pytest.mark.parametrize(("at_s", "found"), [(9.7, {"over_issued"}), (9.8, set()), (10.5, set())])
    def test_a_session_holds_for_certain_until_just_before_it_expires(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """L3, L4: ten seconds after it was sent, less a quarter for the clocks."""
        history = CheckedHistory()
        history.grant(0, "a")
        history.grant(5, "c")
        history.grant(at_s - TOOK_S, "d")
        assert history.found() == found

    def test_a_refresh_lengthens_what_is_certain(self) -> None:
        """L3."""
        history = CheckedHistory()
        first = history.grant(0, "a")
        history.refresh(8, "a", first)
        history.grant(9, "c")
        history.grant(15, "d")
        assert history.found() == {"over_issued"}

    def test_an_unanswered_logoff_may_have_freed_the_seat(self) -> None:
        """Nobody knows: the server has the benefit."""
        history = CheckedHistory()
        first = history.grant(0, "a")
        history.grant(1, "c")
        history.lose(2, "a", "logoff", first)
        history.grant(3, "d")
        assert history.found() == set()

    def test_an_administrator_may_have_freed_the_seat(self) -> None:
        """Also one who was told that it failed."""
        answers: list[Done] = ["done", "unknown"]
        for done in answers:
            history = CheckedHistory()
            first = history.grant(0, "a")
            history.grant(1, "c")
            history.act(2, "end", "a", done=done, sids=(first,))
            history.grant(3, "d")
            assert history.found() == set()

    def test_a_client_that_is_disabled_holds_no_seat(self) -> None:
        """L4."""
        history = CheckedHistory()
        history.grant(0, "a")
        history.grant(1, "c")
        history.act(2, "disable", "a")
        history.grant(3, "d")
        assert history.found() == set()

    def test_a_session_may_have_been_superseded_once_its_client_began_enough_others(self) -> None:
        """L8: the second grant of a client that may have one session, the third where it may have two."""
        for sessions_max, grants, found in ((1, 2, set()), (2, 2, {"over_issued"}), (2, 3, {"over_issued"})):
            history = CheckedHistory(duplicates="none", sessions_max=sessions_max)
            history.grant(0, "c")
            for number in range(grants):
                history.grant(1 + number, "a")
            assert history.found() == found
        history = CheckedHistory(duplicates="none", seats=3, sessions_max=2)
        history.grant(0, "c")
        for number in range(5):
            history.grant(1 + number, "a")
        assert history.found() == set()

    def test_seats_that_are_lowered_leave_sessions_alone(self) -> None:
        """L6: overuse of sessions from before is no seat too many."""
        history = CheckedHistory()
        first = history.grant(0, "a")
        history.grant(1, "c")
        history.act(2, "seats", seats=1)
        history.refresh(3, "a", first)
        history.grant(4, "c")  # It shares its seat.
        assert history.found() == set()

    def test_a_new_holder_while_there_are_too_many_is_found(self) -> None:
        """L6: no new seat is given until it fits."""
        history = CheckedHistory(seats=3)
        history.grant(0, "a")
        history.grant(1, "c")
        history.act(2, "seats", seats=1)
        history.grant(3, "d")
        assert history.found() == {"over_issued"}

    def test_seats_that_may_not_have_been_lowered_yet_may_be_given(self) -> None:
        """While the administrator waits, and after an answer that said nothing."""
        cases: list[tuple[float, Done]] = [(2.0, "done"), (TOOK_S, "unknown")]
        for took_s, done in cases:
            history = CheckedHistory(seats=3)
            history.grant(0, "a")
            history.grant(1, "c")
            history.act(2, "seats", took_s=took_s, done=done, seats=1)
            history.grant(3, "d")
            assert history.found() == set()

    def test_seats_that_are_raised_may_be_given_from_the_moment_on_that_somebody_asks_for_it(self) -> None:
        """L6."""
        for at_s, found in ((1.5, set()), (3.0, {"over_issued"})):
            history = CheckedHistory()
            history.grant(0, "a")
            history.grant(1, "c")
            history.act(at_s, "seats", seats=3)
            history.grant(2, "d")
            assert history.found() == found


class TestDenials:
    """Denials that nothing explains."""

    def test_a_denial_on_a_full_pool_is_right(self) -> None:
        """L4."""
        history = CheckedHistory()
        history.grant(0, "a")
        history.grant(1, "c")
        history.deny(2, "d")
        assert history.found() == set()

    def test_a_denial_while_a_seat_must_be_free_is_found(self) -> None:
        """L4: a seat that was given back, and is not given out."""
        history = CheckedHistory()
        first = history.grant(0, "a")
        history.grant(1, "c")
        history.log_off(2, "a", first)
        history.deny(3, "d")
        assert history.found() == {"unexplained_denial"}

    def test_a_denial_after_a_session_must_have_expired_is_found(self) -> None:
        """L4: an expired seat is free at once, and nobody has to sweep."""
        for at_s, found in ((10.2, set()), (10.5, {"unexplained_denial"})):
            history = CheckedHistory()
            history.grant(0, "a")
            history.grant(1, "c")
            history.deny(at_s, "d")
            assert history.found() == found

    def test_somebody_whom_nobody_answered_may_hold_the_seat(self) -> None:
        """Until what was asked for must have been done or not, and its life after that."""
        for at_s, found in ((15, set()), (21, {"unexplained_denial"})):
            history = CheckedHistory()
            history.lose(0, "a")
            history.grant(at_s - 1, "c")
            history.deny(at_s, "d")
            assert history.found() == found

    def test_a_fault_gives_what_was_not_answered_more_time(self) -> None:
        """A node that stands still does when it goes on what it was asked before."""
        history = CheckedHistory()
        history.fault(0, 30)
        history.lose(1, "a")
        history.grant(39, "c")
        history.deny(45, "d")
        assert history.found() == set()

    def test_who_holds_a_seat_is_not_denied_one(self) -> None:
        """L2."""
        history = CheckedHistory()
        history.grant(0, "a")
        history.grant(1, "c")
        history.deny(2, "a")
        assert history.found() == {"unexplained_denial"}

    def test_a_denial_tells_the_seats_that_there_were(self) -> None:
        """Product 3.2."""
        for seats, found in ((2, set()), (1, {"unexplained_denial"})):
            history = CheckedHistory()
            history.grant(0, "a")
            history.grant(1, "c")
            history.deny(2, "d", seats=seats)
            assert history.found() == found

    def test_a_denial_with_fewer_in_use_than_seats_is_found(self) -> None:
        """It says itself that a seat is free."""
        history = CheckedHistory()
        history.grant(0, "a")
        history.deny(2, "d", in_use=1)
        assert history.found() == {"unexplained_denial"}
