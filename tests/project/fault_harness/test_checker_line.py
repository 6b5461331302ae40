"""The checker of the fault harness finds who was overtaken in line, or lost a place, and nothing else (L19).

A pool has two seats. A place is kept for ten seconds: so it is certain for five after its client asked.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from chaos.checks.findings import FindingKind
from chaos.checks.times import Faults, StoreClock
from chaos.history import UNKNOWN, Fault, Limits, Operation
from support.checked_history import CheckedHistory, us

LINE = Limits(reserve=0, max=0, max_per_user=0, excludes=False, queue=9)
OVERTAKEN: set[FindingKind] = {"overtaken"}
LOST: set[FindingKind] = {"lost_place"}
NOTHING: set[FindingKind] = set()


def full(**options: Any) -> tuple[CheckedHistory, str, str]:
    """A pool whose seats `c` and `d` have; and their sessions."""
    history = CheckedHistory(limits=replace(LINE, **options))
    return history, history.grant(0, "c"), history.grant(0.1, "d")


class TestOrder:
    """Who gets what is free."""

    @pytest.mark.parametrize(("is_in_line", "found"), [(True, OVERTAKEN), (False, NOTHING)])
    def test_a_seat_that_belongs_to_the_first_in_line_is_nobody_else_s(
        self, is_in_line: bool, found: set[FindingKind]
    ) -> None:
        """Whoever asks at the right moment."""
        history, sid, _ = full()
        history.stand(1, "a", 1) if is_in_line else history.deny(1, "a")
        history.log_off(2, "c", sid)
        history.grant(3, "b")
        assert history.found() == found

    @pytest.mark.parametrize(("first", "second", "found"), [("a", "b", OVERTAKEN), ("b", "a", NOTHING)])
    def test_who_came_first_is_served_first(self, first: str, second: str, found: set[FindingKind]) -> None:
        """`b` gets it."""
        history, sid, _ = full()
        history.stand(1, first, 1)
        history.stand(1.5, second, 2)
        history.log_off(2, "c", sid)
        history.grant(3, "b", queue=True)
        assert history.found() == found

    def test_a_seat_for_each_who_waits_and_one_more_is_anybody_s(self) -> None:
        """What is set aside for the first stays free."""
        history, *sids = full()
        history.stand(1, "a", 1)
        for client, sid in zip("cd", sids, strict=True):
            history.log_off(2, client, sid)
        history.grant(3, "b")
        assert history.found() == NOTHING

    @pytest.mark.parametrize(("first", "second", "found"), [("c", "a", NOTHING), ("a", "c", OVERTAKEN)])
    def test_a_priority_comes_before_who_was_first(
        self, first: str, second: str, found: set[FindingKind]
    ) -> None:
        """`c` is of the group that has one; the second in line comes first, or does not."""
        history = CheckedHistory(limits=replace(LINE, level=3))
        sid = history.grant(0, "b")
        history.grant(0.1, "d")
        history.stand(1, "a", 1)
        history.stand(1.5, "c", 1)
        history.log_off(2, "b", sid)
        history.grant(3, first, queue=True)
        history.deny(3.5, second, outcome="queued")
        assert history.found() == found

    @pytest.mark.parametrize("why", ["late", "unanswered", "options", "disabled", "seats"])
    def test_who_may_have_no_place_any_more_is_not_overtaken(self, why: str) -> None:
        """Or where there may have been a seat more."""
        history, sid, other = full()
        history.stand(1, "a", 1)
        history.log_off(2, "c", sid)
        history.refresh(2.2, "d", other)
        match why:
            case "unanswered":
                history.ask(2.5, "a", "grant", UNKNOWN, "")
            case "options":
                history.act(2.5, "options", limits=replace(LINE, queue=1))
            case "disabled":
                history.act(2.5, "disable", client="a")
            case "seats":
                history.act(2.5, "seats", seats=3)
        history.grant(11.5 if why == "late" else 3.0, "b")
        assert history.found() == NOTHING

    def test_a_reserved_seat_is_not_what_others_wait_for(self) -> None:
        """L17: `d` is of the group that has one."""
        history, _, sid = full(reserve=1)
        history.stand(1, "a", 1)
        history.log_off(2, "d", sid)
        history.grant(3, "d")
        assert history.found() == NOTHING

    def test_who_waits_and_may_be_at_its_limit_keeps_nobody_back(self) -> None:
        """L16: `a` and `b` are of one user, and nobody knows whether `b` has a seat."""
        history, sid, _ = full(max_per_user=1)
        history.ask(0.5, "b", "grant", UNKNOWN, "")
        history.stand(1, "a", 1)
        history.log_off(2, "c", sid)
        history.grant(3, "c")
        assert history.found() == NOTHING

    def test_a_change_of_the_options_that_may_be_done_late_leaves_nothing_certain(self) -> None:
        """Nobody answered who made it."""
        history, sid, _ = full()
        history.stand(1, "a", 1)
        history.act(1.5, "options", limits=replace(LINE, queue=1), done="unknown")
        history.log_off(2, "c", sid)
        history.grant(3, "b")
        assert history.found() == NOTHING


class TestPlaces:
    """A place is kept, and no other gets before it."""

    @pytest.mark.parametrize(
        ("positions", "found"),
        [((2, 2), NOTHING), ((2, 1), NOTHING), ((1, 2), LOST), ((2, 0), LOST | {"stale_place"})],
    )
    def test_a_place_that_is_lost_or_further_back_is_found(
        self, positions: tuple[int, int], found: set[FindingKind]
    ) -> None:
        """Between two answers that are near enough; nobody knows whether `b` has one."""
        history, *_ = full()
        history.ask(0.5, "b", "grant", UNKNOWN, "", queue=True)
        for at_s, position in enumerate(positions, start=1):
            history.stand(at_s, "a", position)
        assert history.found() == found

    @pytest.mark.parametrize("why", ["late", "options", "disabled", "priority"])
    def test_one_that_may_have_been_lost_is_no_finding(self, why: str) -> None:
        """Or that others came before, by right."""
        history, first, second = full(level=3 if why == "priority" else 0)
        history.refresh(0.6, "c", first)
        history.refresh(0.7, "d", second)
        history.ask(0.8, "b", "grant", UNKNOWN, "", queue=True)
        history.stand(1, "a", 1)
        if why == "options":
            history.act(1.5, "options", limits=replace(LINE, queue=5))
        if why == "disabled":
            history.act(1.3, "disable", client="a")
            history.act(1.5, "enable", client="a")
        if why == "late":
            history.refresh(8, "c", first)
            history.refresh(8, "d", second)
        history.stand(11.5 if why == "late" else 2, "a", 2)
        assert history.found() == NOTHING

    def test_a_grant_that_nobody_answered_may_end_the_place_late(self) -> None:
        """It was asked for before, and decided after the place was taken."""
        history, *_ = full()
        history.ask(0.5, "a", "grant", UNKNOWN, "")
        history.ask(0.6, "b", "grant", UNKNOWN, "", queue=True)
        history.stand(1, "a", 1)
        history.stand(2, "a", 2)
        assert history.found() == NOTHING

    def test_who_is_refused_for_a_secret_has_lost_nothing(self) -> None:
        """It is no denial of a seat."""
        history, *_ = full()
        history.stand(1, "a", 1)
        history.act(1.2, "take_secret", client="a")
        history.ask(1.5, "a", "grant", "invalid_client", "", queue=True, status=401)
        history.stand(2, "a", 1)
        assert history.found() == NOTHING


class TestWaits:
    """Requests whose answer is put off."""

    @pytest.mark.parametrize(
        ("others", "is_broken", "lost_s", "found"),
        [
            (4, False, 10, {"unanswered_wait"}),
            (4, False, 4.5, {"unanswered_wait"}),
            (4, False, 0.1, NOTHING),
            (4, True, 10, NOTHING),
            (2, False, 10, NOTHING),
        ],
    )
    def test_one_that_is_not_answered_is_found_where_its_node_answers_others(
        self, others: int, is_broken: bool, lost_s: float, found: set[FindingKind]
    ) -> None:
        """A busy machine answers nobody; and a connection may be closed as something is sent."""
        history, *_ = full()
        history.ask(1, "a", "grant", UNKNOWN, "", queue=True, wait_s=2, lost_us=us(1 + lost_s))
        for number in range(others):
            history.deny(3.5 + number / 10, "b")
        if is_broken:
            history.fault(2, 3)
        assert history.found() == found

    @pytest.mark.parametrize(("is_broken", "earliest_s"), [(False, 3.74), (True, 1)])
    def test_what_it_is_granted_was_decided_when_its_token_was_issued(
        self, is_broken: bool, earliest_s: float
    ) -> None:
        """As far as the clocks are known, a quarter of a second and what an answer takes aside."""
        history = CheckedHistory()
        history.grant(0, "a")
        history.grant(1, "b", took_s=3, queue=True, wait_s=4)
        *_, answered, waited = history.records
        assert isinstance(answered, Operation)
        assert isinstance(waited, Operation)
        clock = StoreClock()
        clock.learn(answered)
        broken = [Fault(kind="kill", begun_us=us(2), ended_us=us(2.1))] if is_broken else []
        settled = clock.dated(waited, Faults(broken))
        assert settled.asked_us == us(1)
        assert settled.sent_us == pytest.approx(us(earliest_s), abs=20_000)
