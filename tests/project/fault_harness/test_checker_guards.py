"""The checker of the fault harness finds what guards, numbers and licences must not do, and nothing else."""

import pytest

from chaos.checks.checker import check
from chaos.checks.findings import FindingKind
from chaos.history import ApiPlan
from support.checked_history import CheckedHistory

HOLD_S = 3
ALONE = (ApiPlan(memory="one"),)
SHARED = (ApiPlan(memory="sql", overlap_s=0.2),) * 2
NOTHING: set[FindingKind] = set()


def a_history(*, apis: tuple[ApiPlan, ...] = ALONE, is_jwt: bool = False, signed: int = 2) -> CheckedHistory:
    """Two seats, and as many are signed."""
    return CheckedHistory(hold_s=HOLD_S, signed=signed, apis=apis, is_jwt=is_jwt)


def handed_over(history: CheckedHistory, *, after_s: float = HOLD_S) -> tuple[str, str]:
    """Number 1 was that of `a`, who has logged off, and is that of `c`."""
    before = history.grant(0, "a", number=1)
    history.log_off(0.5, "a", before)
    return before, history.grant(after_s, "c", number=1)


class TestNumbers:
    """What Licet does with them."""

    @pytest.mark.parametrize(
        ("after_s", "found"),
        [(HOLD_S, NOTHING), (HOLD_S - 0.001, {"early_number"})],
    )
    def test_a_number_that_is_given_before_its_hold_is_over_is_found(
        self, after_s: float, found: set[FindingKind]
    ) -> None:
        """L13, L18: to the thousandth of a second, by the clock of the store."""
        history = a_history()
        handed_over(history, after_s=after_s)
        assert history.found() == found

    def test_the_hold_counts_from_the_last_token(self) -> None:
        """L18: a refresh is one."""
        history = a_history()
        before = history.grant(0, "a", number=1)
        history.ask(2, "a", "refresh", "granted", before, issued_ms=1_002_000)
        history.log_off(2.5, "a", before)
        history.grant(4, "c", number=1)
        assert history.found() == {"early_number"}

    def test_a_session_whose_number_changes_is_found(self) -> None:
        """L13: a seat keeps its number."""
        history = a_history()
        sid = history.grant(0, "a", number=1)
        history.ask(1, "a", "introspect", "active", sid, number=2)
        assert history.found() == {"early_number"}

    def test_a_number_that_nobody_signed_is_found(self) -> None:
        """L13."""
        history = a_history()
        history.grant(0, "a", number=3)
        assert "early_number" in history.found()


class TestLicences:
    """What they give, and when."""

    def test_no_more_than_are_signed_may_hold_seats(self) -> None:
        """L13: the lesser of what is set and what is signed."""
        for signed, found in ((2, NOTHING), (1, {"over_issued"})):
            history = a_history(signed=signed)
            history.grant(0, "a", number=1)
            history.grant(1, "c")
            assert history.found() == found

    @pytest.mark.parametrize(("at_s", "found"), [(3.0, {"over_issued"}), (4.9, NOTHING)])
    def test_a_seat_ends_with_the_step_that_is_below_its_number(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """L7, L13: number 2 ends with a licence that ends after 4 s; its seat is free in the next one."""
        history = a_history()
        history.license(0, (0, 2), (4, 1), (4.5, 2))
        history.grant(0.5, "a", number=1)
        history.grant(0.6, "c", number=2)
        history.grant(at_s, "d")
        assert history.found() == found

    def test_a_renewal_lengthens_no_session_that_a_step_to_come_has_cut(self) -> None:
        """L7, L13: it was cut when the step was known, and is over though the licence was renewed in time."""
        history = a_history()
        history.license(0, (0, 2), (4, 1))
        history.grant(0.5, "a", number=1)
        history.grant(0.6, "c", number=2)
        history.license(1, (0, 2))
        history.grant(4.9, "d")
        assert history.found() == NOTHING

    def test_a_session_that_lives_on_beyond_what_is_signed_is_found(self) -> None:
        """L7, L13."""
        history = a_history()
        sid = history.grant(0, "a", number=2)
        history.license(1, (0, 1))
        history.introspect(3, "a", sid, "active")
        assert history.found() == {"undone_logoff"}

    def test_a_session_below_what_is_signed_has_to_live_on(self) -> None:
        """L13: no seat belongs to a licence."""
        for number, found in ((1, {"lost_grant"}), (2, NOTHING)):
            history = a_history()
            sid = history.grant(0, "a", number=number)
            history.license(1, (0, 1))
            history.introspect(3, "a", sid, "inactive")
            assert history.found() == found

    def test_a_denial_for_want_of_a_licence_needs_a_moment_without_one(self) -> None:
        """L13: also where nobody knows whether it was removed."""
        for removes, found in ((True, NOTHING), (False, {"unexplained_denial"})):
            history = a_history()
            if removes:
                history.license(0, done="unknown")
            history.deny(1, "a", outcome="licence_expired", seats=0, in_use=0)
            assert history.found() == found

    @pytest.mark.parametrize(
        ("at_s", "numbers", "found"),
        [(2.9, (1, 2), NOTHING), (2.9, (1,), {"unexplained_denial"}), (4, (1, 2), {"unexplained_denial"})],
        ids=["both are held", "one is free", "no longer"],
    )
    def test_numbers_may_be_held_though_their_seats_are_gone(
        self, at_s: float, numbers: tuple[int, ...], found: set[FindingKind]
    ) -> None:
        """L13, L18: with fewer in use than there are seats, for a hold after the last token of each."""
        history = a_history()
        for number in numbers:
            history.grant(number / 10, "ac"[number - 1], number=number)
        history.license(1, (0, 0))
        history.license(2, (0, 2))
        history.deny(at_s, "d", in_use=0)
        assert history.found() == found

    @pytest.mark.parametrize(("at_s", "found"), [(4.5, NOTHING), (13, {"unexplained_denial"})])
    def test_a_step_that_never_came_may_have_cut_seats_whose_numbers_are_held(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """L13, L18: it was to come after 4 s, and the licence was renewed before; so the seats ended then."""
        history = a_history()
        history.license(0, (0, 2), (4, 0), (5, 2))
        history.grant(2, "a", number=1)
        history.grant(2.5, "c", number=2)
        history.license(3, (0, 2))
        history.deny(at_s, "d", in_use=0)
        assert history.found() == found

    def test_who_was_told_no_number_may_have_any(self) -> None:
        """L13: the answer was lost, or nobody asked for the number."""
        for is_lost in (True, False):
            history = a_history()
            history.grant(2, "a", number=2)
            if is_lost:
                history.lose(2.5, "c")
            else:
                history.grant(2.5, "c")
            history.license(3, (0, 2), (4, 0))
            history.license(3.5, (0, 2))
            history.deny(4.5, "d", in_use=0)
            assert history.found() == NOTHING

    def test_as_many_numbers_as_are_signed_have_to_be_taken_where_fewer_seats_are_set(self) -> None:
        """L13: who is denied at less than what is set could have had one of the others."""
        history = a_history(signed=3)
        history.grant(2, "a", number=1)
        history.grant(2.5, "c", number=2)
        history.deny(3, "d", in_use=1)
        assert history.found() == {"unexplained_denial"}

    def test_a_denial_that_nothing_explains_tells_who_had_the_seats(self) -> None:
        """By number, holder and session; when each had it, and what the licences gave."""
        history = a_history()
        history.license(0, (0, 2), (60, 1))
        sid = history.grant(2, "a", number=1)
        history.lose(2.5, "c", kind="introspect", sid=sid)
        history.deny(3, "d", in_use=1)
        [finding] = check(history.records).findings.first
        told = finding.in_full()
        assert "1 of 2 seats in use; of 2 numbers 2 are free" in told
        assert f"client:a may hold from -1.000 s to +9.260 s, number 1, session {sid}" in told
        assert "2 from -3.000 s, 1 from +57.000 s" in told


class TestTwoHolders:
    """Whom a guard lets in."""

    def test_a_token_from_before_is_refused_once_the_number_is_anothers(self) -> None:
        """One holder a number at a time, where nobody tells the guard of a logoff."""
        for outcome, found in (("invalid_token", NOTHING), ("let_in", {"two_holders"})):
            history = a_history(is_jwt=True)
            before, after = handed_over(history)
            history.call(1, "a", before)
            history.call(3.5, "c", after, token_s=HOLD_S)
            history.call(4, "a", before, outcome)
            assert history.found() == found

    def test_it_is_let_in_until_then_and_after_a_silence(self) -> None:
        """A hold without anybody of the other holder; an answer of either side that never came counts."""
        for at_s, found in ((4.6, NOTHING), (4.4, {"two_holders"})):
            history = a_history(is_jwt=True)
            before, after = handed_over(history)
            history.call(
                1.5, "c", after, token_s=HOLD_S - 2.0
            )  # a token that is older, as of a restored store
            history.call(at_s, "a", before)
            assert history.found() == found

    def test_a_holder_may_have_taken_its_number_back_unseen(self) -> None:
        """By a request that nobody answered, with a token that is newer by the hold."""
        history = a_history(is_jwt=True)
        before, after = handed_over(history)
        history.call(3.1, "c", after, token_s=HOLD_S)
        history.call(3.2, "a", before, "", token_s=2 * HOLD_S)
        history.call(3.5, "a", before)
        assert history.found() == NOTHING

    def test_apis_that_share_a_memory_may_differ_for_a_moment(self) -> None:
        """As long as one trusts its dictionary, and not longer."""
        for at_s, found in ((3.65, NOTHING), (3.9, {"two_holders"})):
            history = a_history(is_jwt=True, apis=SHARED)
            before, after = handed_over(history)
            history.call(3.5, "c", after, token_s=HOLD_S)
            history.call(at_s, "a", before, api=1)
            assert history.found() == found

    def test_apis_with_memories_of_their_own_are_looked_at_one_by_one(self) -> None:
        """Each has a holder of its own."""
        history = a_history(is_jwt=True, apis=ALONE * 2)
        before, after = handed_over(history)
        history.call(3.5, "c", after, token_s=HOLD_S)
        history.call(4, "a", before, api=1)
        assert history.found() == NOTHING

    def test_more_hand_overs_than_the_bound_are_found(self) -> None:
        """Though each of them comes with a token that is newer by a hold, or claims to."""
        found: list[set[FindingKind]] = []
        for times in (100, 450):
            history = a_history(is_jwt=True)
            sids = [history.grant(0, "a", number=1), history.grant(HOLD_S, "c", number=1)]
            for at in range(times):
                client, sid = "ac"[at % 2], sids[at % 2]
                history.call(3.1 + at / 1000, client, sid, token_s=at * HOLD_S, took_s=0.0005)
            found.append({it for it in history.found() if it == "two_holders"})
        assert found == [NOTHING, {"two_holders"}]

    def test_a_session_that_was_logged_off_is_let_in_for_as_long_as_an_answer_is_remembered(self) -> None:
        """By introspection, for five seconds at most."""
        for at_s, found in ((5.0, NOTHING), (6.5, {"undone_logoff"})):
            history = a_history()
            sid = history.grant(0, "a", number=1)
            history.log_off(1, "a", sid)
            history.call(at_s, "a", sid)
            assert history.found() == found


class TestRefusals:
    """Whom a guard must not refuse."""

    @pytest.mark.parametrize("outcome", ["handed_over", "invalid_token", "unavailable", "beyond_licence"])
    def test_a_live_token_that_is_refused_is_found(self, outcome: str) -> None:
        """Whatever the reason that it gives."""
        history = a_history()
        history.call(20 - 18, "a", history.grant(0, "a", number=1), outcome)
        assert history.found() == {"refused_live"}

    def test_one_that_may_be_over_may_be_refused(self) -> None:
        """Logged off, expired, or beyond what is signed."""
        history = a_history()
        sid = history.grant(0, "a", number=2)
        history.call(4.9, "a", sid, "invalid_token")
        history.license(5, (0, 1))
        history.call(6, "a", sid, "beyond_licence", token_s=4.5)
        assert history.found() == NOTHING

    def test_a_client_that_was_enabled_a_moment_ago_may_be_refused(self) -> None:
        """A node knows it within a second; not one that was never disabled."""
        for at_s, found in ((2, NOTHING), (4, {"refused_live"})):
            history = a_history()
            history.act(0, "disable", "a")
            history.act(1, "enable", "a")
            history.call(at_s, "a", history.grant(1.5, "a", number=1), "invalid_token", token_s=1.5)
            assert history.found() == found

    def test_nobody_is_let_in_while_nobody_can_be_asked(self) -> None:
        """A fault explains 503, and nothing else."""
        for outcome, found in (("unavailable", NOTHING), ("handed_over", {"refused_live"})):
            history = a_history()
            history.fault(0.5, 1.5)
            history.call(2, "a", history.grant(0, "a", number=1), outcome)
            assert history.found() == found

    def test_nobody_is_let_in_while_the_node_that_is_asked_answers_nobody(self) -> None:
        """As on a machine that is too busy; another node's silence, or one long ago, explains nothing."""
        for node, silent_s, found in ((0, 8, NOTHING), (1, 8, {"refused_live"}), (0, 2, {"refused_live"})):
            history = a_history()
            sid = history.grant(0, "a", number=1)
            history.ask(silent_s, "c", "introspect", "unavailable", "", node=node)
            history.ask(9, "a", "refresh", "granted", sid, issued_ms=1_009_000)
            history.call(9.5, "a", sid, "unavailable", token_s=9)
            assert history.found() == found

    def test_a_number_of_a_new_licence_may_be_unknown_for_ten_seconds(self) -> None:
        """As a guard fetches licences every ten seconds at most."""
        for at_s, found in ((12, NOTHING), (40, {"refused_live"})):
            history = a_history(signed=1)
            history.license(1, (0, 2))
            history.call(
                at_s, "c", history.grant(at_s - 1, "c", number=2), "beyond_licence", token_s=at_s - 1
            )
            assert history.found() == found

    def test_what_was_looked_at_is_counted(self) -> None:
        """A history that leaves too much open shows in the report."""
        history = a_history(is_jwt=True)
        before, after = handed_over(history)
        history.call(1, "a", before)
        history.call(3.5, "c", after, token_s=HOLD_S)
        history.call(3.9, "a", before, "invalid_token")
        checked = check(history.records).findings.checked
        assert checked["hand-overs of a number by Licet"] == 1
        assert checked["hand-overs of a number at a guard"] == 1
