"""The checker of the fault harness finds what guards, numbers and licences must not do, and nothing else."""

import pytest

from chaos.checks.checker import check
from chaos.checks.findings import FindingKind
from chaos.history import ApiPlan
from support.story import Story

HOLD_S = 3
ALONE = (ApiPlan(memory="one"),)
SHARED = (ApiPlan(memory="sql", overlap_s=0.2),) * 2
NOTHING: set[FindingKind] = set()


def a_story(*, apis: tuple[ApiPlan, ...] = ALONE, is_jwt: bool = False, signed: int = 2) -> Story:
    """Two seats, and as many are signed."""
    return Story(hold_s=HOLD_S, signed=signed, apis=apis, is_jwt=is_jwt)


def handed_over(story: Story, *, after_s: float = HOLD_S) -> tuple[str, str]:
    """Number 1 was that of `a`, who has logged off, and is that of `c`."""
    before = story.grant(0, "a", number=1)
    story.log_off(0.5, "a", before)
    return before, story.grant(after_s, "c", number=1)


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
        story = a_story()
        handed_over(story, after_s=after_s)
        assert story.found() == found

    def test_the_hold_counts_from_the_last_token(self) -> None:
        """L18: a refresh is one."""
        story = a_story()
        before = story.grant(0, "a", number=1)
        story.ask(2, "a", "refresh", "granted", before, issued_ms=1_002_000)
        story.log_off(2.5, "a", before)
        story.grant(4, "c", number=1)
        assert story.found() == {"early_number"}

    def test_a_session_whose_number_changes_is_found(self) -> None:
        """L13: a seat keeps its number."""
        story = a_story()
        sid = story.grant(0, "a", number=1)
        story.ask(1, "a", "introspect", "active", sid, number=2)
        assert story.found() == {"early_number"}

    def test_a_number_that_nobody_signed_is_found(self) -> None:
        """L13."""
        story = a_story()
        story.grant(0, "a", number=3)
        assert "early_number" in story.found()


class TestLicences:
    """What they give, and when."""

    def test_no_more_than_are_signed_may_hold_seats(self) -> None:
        """L13: the lesser of what is set and what is signed."""
        for signed, found in ((2, NOTHING), (1, {"over_issued"})):
            story = a_story(signed=signed)
            story.grant(0, "a", number=1)
            story.grant(1, "c")
            assert story.found() == found

    @pytest.mark.parametrize(("at_s", "found"), [(3.0, {"over_issued"}), (4.9, NOTHING)])
    def test_a_seat_ends_with_the_step_that_is_below_its_number(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """L7, L13: number 2 ends with a licence that ends after 4 s; its seat is free in the next one."""
        story = a_story()
        story.license(0, (0, 2), (4, 1), (4.5, 2))
        story.grant(0.5, "a", number=1)
        story.grant(0.6, "c", number=2)
        story.grant(at_s, "d")
        assert story.found() == found

    def test_a_renewal_lengthens_no_session_that_a_step_to_come_has_cut(self) -> None:
        """L7, L13: it was cut when the step was known, and is over though the licence was renewed in time."""
        story = a_story()
        story.license(0, (0, 2), (4, 1))
        story.grant(0.5, "a", number=1)
        story.grant(0.6, "c", number=2)
        story.license(1, (0, 2))
        story.grant(4.9, "d")
        assert story.found() == NOTHING

    def test_a_session_that_lives_on_beyond_what_is_signed_is_found(self) -> None:
        """L7, L13."""
        story = a_story()
        sid = story.grant(0, "a", number=2)
        story.license(1, (0, 1))
        story.look_at(3, "a", sid, "active")
        assert story.found() == {"undone_logoff"}

    def test_a_session_below_what_is_signed_has_to_live_on(self) -> None:
        """L13: no seat belongs to a licence."""
        for number, found in ((1, {"lost_grant"}), (2, NOTHING)):
            story = a_story()
            sid = story.grant(0, "a", number=number)
            story.license(1, (0, 1))
            story.look_at(3, "a", sid, "inactive")
            assert story.found() == found

    def test_a_denial_for_want_of_a_licence_needs_a_moment_without_one(self) -> None:
        """L13: also where nobody knows whether it was removed."""
        for removes, found in ((True, NOTHING), (False, {"unexplained_denial"})):
            story = a_story()
            if removes:
                story.license(0, done="unknown")
            story.deny(1, "a", outcome="licence_expired", seats=0, in_use=0)
            assert story.found() == found

    @pytest.mark.parametrize(
        ("at_s", "numbers", "found"),
        [(2.9, (1, 2), NOTHING), (2.9, (1,), {"unexplained_denial"}), (4, (1, 2), {"unexplained_denial"})],
        ids=["both are held", "one is free", "no longer"],
    )
    def test_numbers_may_be_held_though_their_seats_are_gone(
        self, at_s: float, numbers: tuple[int, ...], found: set[FindingKind]
    ) -> None:
        """L13, L18: with fewer in use than there are seats, for a hold after the last token of each."""
        story = a_story()
        for number in numbers:
            story.grant(number / 10, "ac"[number - 1], number=number)
        story.license(1, (0, 0))
        story.license(2, (0, 2))
        story.deny(at_s, "d", in_use=0)
        assert story.found() == found

    @pytest.mark.parametrize(("at_s", "found"), [(4.5, NOTHING), (13, {"unexplained_denial"})])
    def test_a_step_that_never_came_may_have_cut_seats_whose_numbers_are_held(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """L13, L18: it was to come after 4 s, and the licence was renewed before; so the seats ended then."""
        story = a_story()
        story.license(0, (0, 2), (4, 0), (5, 2))
        story.grant(2, "a", number=1)
        story.grant(2.5, "c", number=2)
        story.license(3, (0, 2))
        story.deny(at_s, "d", in_use=0)
        assert story.found() == found

    def test_who_was_told_no_number_may_have_any(self) -> None:
        """L13: the answer was lost, or nobody asked for the number."""
        for is_lost in (True, False):
            story = a_story()
            story.grant(2, "a", number=2)
            if is_lost:
                story.lose(2.5, "c")
            else:
                story.grant(2.5, "c")
            story.license(3, (0, 2), (4, 0))
            story.license(3.5, (0, 2))
            story.deny(4.5, "d", in_use=0)
            assert story.found() == NOTHING

    def test_as_many_numbers_as_are_signed_have_to_be_taken_where_fewer_seats_are_set(self) -> None:
        """L13: who is denied at less than what is set could have had one of the others."""
        story = a_story(signed=3)
        story.grant(2, "a", number=1)
        story.grant(2.5, "c", number=2)
        story.deny(3, "d", in_use=1)
        assert story.found() == {"unexplained_denial"}

    def test_a_denial_that_nothing_explains_tells_who_had_the_seats(self) -> None:
        """By number, holder and session; when each had it, and what the licences gave."""
        story = a_story()
        story.license(0, (0, 2), (60, 1))
        sid = story.grant(2, "a", number=1)
        story.lose(2.5, "c", kind="introspect", sid=sid)
        story.deny(3, "d", in_use=1)
        [finding] = check(story.records).findings.first
        told = finding.in_full()
        assert "1 of 2 seats in use; of 2 numbers 2 are free" in told
        assert f"client:a may hold from -1.000 s to +9.260 s, number 1, session {sid}" in told
        assert "2 from -3.000 s, 1 from +57.000 s" in told


class TestTwoHolders:
    """Whom a guard lets in."""

    def test_a_token_from_before_is_refused_once_the_number_is_anothers(self) -> None:
        """One holder a number at a time, where nobody tells the guard of a logoff."""
        for outcome, found in (("invalid_token", NOTHING), ("let_in", {"two_holders"})):
            story = a_story(is_jwt=True)
            before, after = handed_over(story)
            story.call(1, "a", before)
            story.call(3.5, "c", after, token_s=HOLD_S)
            story.call(4, "a", before, outcome)
            assert story.found() == found

    def test_it_is_let_in_until_then_and_after_a_silence(self) -> None:
        """A hold without anybody of the other holder; an answer of either side that never came counts."""
        for at_s, found in ((4.6, NOTHING), (4.4, {"two_holders"})):
            story = a_story(is_jwt=True)
            before, after = handed_over(story)
            story.call(1.5, "c", after, token_s=HOLD_S - 2.0)  # a token that is older, as of a restored store
            story.call(at_s, "a", before)
            assert story.found() == found

    def test_a_holder_may_have_taken_its_number_back_unseen(self) -> None:
        """By a request that nobody answered, with a token that is newer by the hold."""
        story = a_story(is_jwt=True)
        before, after = handed_over(story)
        story.call(3.1, "c", after, token_s=HOLD_S)
        story.call(3.2, "a", before, "", token_s=2 * HOLD_S)
        story.call(3.5, "a", before)
        assert story.found() == NOTHING

    def test_apis_that_share_a_memory_may_differ_for_a_moment(self) -> None:
        """As long as one trusts its dictionary, and not longer."""
        for at_s, found in ((3.65, NOTHING), (3.9, {"two_holders"})):
            story = a_story(is_jwt=True, apis=SHARED)
            before, after = handed_over(story)
            story.call(3.5, "c", after, token_s=HOLD_S)
            story.call(at_s, "a", before, api=1)
            assert story.found() == found

    def test_apis_with_memories_of_their_own_are_looked_at_one_by_one(self) -> None:
        """Each has a holder of its own."""
        story = a_story(is_jwt=True, apis=ALONE * 2)
        before, after = handed_over(story)
        story.call(3.5, "c", after, token_s=HOLD_S)
        story.call(4, "a", before, api=1)
        assert story.found() == NOTHING

    def test_more_hand_overs_than_the_bound_are_found(self) -> None:
        """Though each of them comes with a token that is newer by a hold, or claims to."""
        found: list[set[FindingKind]] = []
        for times in (100, 450):
            story = a_story(is_jwt=True)
            sids = [story.grant(0, "a", number=1), story.grant(HOLD_S, "c", number=1)]
            for at in range(times):
                client, sid = "ac"[at % 2], sids[at % 2]
                story.call(3.1 + at / 1000, client, sid, token_s=at * HOLD_S, took_s=0.0005)
            found.append({it for it in story.found() if it == "two_holders"})
        assert found == [NOTHING, {"two_holders"}]

    def test_a_session_that_was_logged_off_is_let_in_for_as_long_as_an_answer_is_remembered(self) -> None:
        """By introspection, for five seconds at most."""
        for at_s, found in ((5.0, NOTHING), (6.5, {"undone_logoff"})):
            story = a_story()
            sid = story.grant(0, "a", number=1)
            story.log_off(1, "a", sid)
            story.call(at_s, "a", sid)
            assert story.found() == found


class TestRefusals:
    """Whom a guard must not refuse."""

    @pytest.mark.parametrize("outcome", ["handed_over", "invalid_token", "unavailable", "beyond_licence"])
    def test_a_live_token_that_is_refused_is_found(self, outcome: str) -> None:
        """Whatever the reason that it gives."""
        story = a_story()
        story.call(20 - 18, "a", story.grant(0, "a", number=1), outcome)
        assert story.found() == {"refused_live"}

    def test_one_that_may_be_over_may_be_refused(self) -> None:
        """Logged off, expired, or beyond what is signed."""
        story = a_story()
        sid = story.grant(0, "a", number=2)
        story.call(4.9, "a", sid, "invalid_token")
        story.license(5, (0, 1))
        story.call(6, "a", sid, "beyond_licence", token_s=4.5)
        assert story.found() == NOTHING

    def test_a_client_that_was_enabled_a_moment_ago_may_be_refused(self) -> None:
        """A node knows it within a second; not one that was never disabled."""
        for at_s, found in ((2, NOTHING), (4, {"refused_live"})):
            story = a_story()
            story.act(0, "disable", "a")
            story.act(1, "enable", "a")
            story.call(at_s, "a", story.grant(1.5, "a", number=1), "invalid_token", token_s=1.5)
            assert story.found() == found

    def test_nobody_is_let_in_while_nobody_can_be_asked(self) -> None:
        """A fault explains 503, and nothing else."""
        for outcome, found in (("unavailable", NOTHING), ("handed_over", {"refused_live"})):
            story = a_story()
            story.break_it(0.5, 1.5)
            story.call(2, "a", story.grant(0, "a", number=1), outcome)
            assert story.found() == found

    def test_nobody_is_let_in_while_the_node_that_is_asked_answers_nobody(self) -> None:
        """As on a machine that is too busy; another node's silence, or one long ago, explains nothing."""
        for node, silent_s, found in ((0, 8, NOTHING), (1, 8, {"refused_live"}), (0, 2, {"refused_live"})):
            story = a_story()
            sid = story.grant(0, "a", number=1)
            story.ask(silent_s, "c", "introspect", "unavailable", "", node=node)
            story.ask(9, "a", "refresh", "granted", sid, issued_ms=1_009_000)
            story.call(9.5, "a", sid, "unavailable", token_s=9)
            assert story.found() == found

    def test_a_number_of_a_new_licence_may_be_unknown_for_ten_seconds(self) -> None:
        """As a guard fetches licences every ten seconds at most."""
        for at_s, found in ((12, NOTHING), (40, {"refused_live"})):
            story = a_story(signed=1)
            story.license(1, (0, 2))
            story.call(at_s, "c", story.grant(at_s - 1, "c", number=2), "beyond_licence", token_s=at_s - 1)
            assert story.found() == found

    def test_what_was_looked_at_is_counted(self) -> None:
        """A history that leaves too much open shows in the report."""
        story = a_story(is_jwt=True)
        before, after = handed_over(story)
        story.call(1, "a", before)
        story.call(3.5, "c", after, token_s=HOLD_S)
        story.call(3.9, "a", before, "invalid_token")
        checked = check(story.records).findings.checked
        assert checked["hand-overs of a number by Licet"] == 1
        assert checked["hand-overs of a number at a guard"] == 1
