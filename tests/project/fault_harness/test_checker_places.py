"""The checker of the fault harness finds places and seats of nobody: of who left, or was removed (L19).

A pool has two seats, which `c` and `d` have. A place is kept for ten seconds.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from chaos.checks.checker import check
from chaos.checks.findings import FindingKind
from chaos.checks.line import AGAIN, ORDER
from chaos.history import UNKNOWN, Done, HolderKind, Limits
from support.checked_history import CheckedHistory, us

LINE = Limits(reserve=0, max=0, max_per_user=0, excludes=False, queue=2)
NOTHING: set[FindingKind] = set()


def full(duplicates: HolderKind = "client", **options: Any) -> tuple[CheckedHistory, str, str]:
    """A pool whose seats `c` and `d` have; and their sessions."""
    history = CheckedHistory(duplicates=duplicates, limits=replace(LINE, **options))
    return history, history.grant(0, "c"), history.grant(0.1, "d")


class TestRemoved:
    """An administrator takes a place away."""

    @pytest.mark.parametrize(("is_removed", "found"), [(True, {"overtaken"}), (False, NOTHING)])
    def test_who_was_removed_is_behind_all_who_stood_there(
        self, is_removed: bool, found: set[FindingKind]
    ) -> None:
        """`a` came first, is removed, asks again, and gets the seat that was `b`'s."""
        history, sid, _ = full()
        history.stand(1, "a", 1)
        history.stand(1.5, "b", 2)
        if is_removed:
            history.remove(2, "a")
        history.stand(3, "a", 2 if is_removed else 1)
        history.log_off(4, "c", sid)
        history.grant(5, "a", queue=True)
        assert history.found() == found

    def test_a_removal_that_nobody_answered_may_not_be_done(self) -> None:
        """So the place may be the same one."""
        history, sid, _ = full()
        history.stand(1, "a", 1)
        history.stand(1.5, "b", 2)
        history.remove(2, "a", done="unknown", had=False)
        history.log_off(4, "c", sid)
        history.grant(5, "a", queue=True)
        assert history.found() == NOTHING

    @pytest.mark.parametrize(("position", "found"), [(1, {"overtaken"}), (2, NOTHING)])
    def test_the_others_move_up_and_stay_there(self, position: int, found: set[FindingKind]) -> None:
        """The place that `a` is answered when it asks again."""
        history, *_ = full()
        history.stand(1, "a", 1)
        history.stand(1.5, "b", 2)
        history.remove(2, "a")
        history.stand(2.5, "b", 1)
        history.stand(3, "a", position)
        history.stand(3.5, "b", 1)
        assert history.found() == found

    def test_who_is_pushed_back_by_the_one_that_comes_again_is_found(self) -> None:
        """Its place was certain."""
        history, *_ = full()
        history.stand(1, "a", 1)
        history.stand(1.5, "b", 2)
        history.remove(2, "a")
        history.stand(2.5, "b", 1)
        history.ask(3, "a", "grant", UNKNOWN, "", queue=True)
        history.stand(3.5, "b", 2)
        assert history.found() == {"lost_place"}

    @pytest.mark.parametrize(
        ("had", "by", "done", "found"),
        [
            (False, "store", "done", {"lost_place"}),
            (False, "api", "done", NOTHING),
            (False, "store", "unknown", NOTHING),
            (True, "store", "done", NOTHING),
        ],
    )
    def test_a_place_that_had_to_be_there_and_was_not_is_found(
        self, had: bool, by: str, done: Done, found: set[FindingKind]
    ) -> None:
        """The admin API does not say whether there was one."""
        history, *_ = full()
        history.stand(1, "a", 1)
        history.remove(2, "a", had=had, by=by, done=done)
        assert history.found() == found

    @pytest.mark.parametrize(("asked_s", "found"), [(1, {"stale_place"}), (5, NOTHING)])
    def test_a_place_that_can_have_been_nobody_s_is_found(
        self, asked_s: float, found: set[FindingKind]
    ) -> None:
        """It had lapsed by then."""
        history, *_ = full()
        history.stand(asked_s, "a", 1)
        history.remove(12, "a")
        assert history.found() == found

    def test_a_request_that_waits_goes_to_the_end_of_the_line(self) -> None:
        """It is answered with the place that it has then, and that is no place lost."""
        history, *_ = full()
        history.stand(1, "a", 1)
        history.ask(1.5, "a", "grant", "queued", "", 3, queue=True, position=2, wait_s=3, in_use=2, seats=2)
        history.remove(2, "a")
        history.stand(2.5, "b", 1)
        assert history.found() == NOTHING

    def test_a_seat_that_stays_free_for_others_is_counted(self) -> None:
        """So that a history shows how often the order could have been violated."""
        history, sid, _ = full()
        history.stand(1, "b", 1)
        history.stand(1.5, "a", 2)
        history.remove(2, "a")
        history.log_off(2.5, "c", sid)
        history.stand(3, "a", 2, in_use=1)
        checked = check(history.records).findings.checked
        assert (checked[ORDER], checked[AGAIN]) == (1, 1)


class TestLapsed:
    """Who did not come back."""

    @pytest.mark.parametrize(("asked_s", "found"), [(5, NOTHING), (1, {"overtaken"})])
    def test_who_comes_back_too_late_is_behind_those_who_stayed(
        self, asked_s: float, found: set[FindingKind]
    ) -> None:
        """`a` asks for the first time at this second, and at the twelfth, as `b` stands there for certain."""
        history, *sids = full(queue=9)
        history.stand(asked_s, "a", 1)
        for client, sid in zip("cd", sids, strict=True):
            history.refresh(8, client, sid)
        history.stand(9, "b", 2)
        history.stand(12, "a", 1)
        assert history.found() == found

    @pytest.mark.parametrize(("position", "found"), [(2, NOTHING), (3, {"stale_place"})])
    def test_a_place_behind_those_of_nobody_is_found(self, position: int, found: set[FindingKind]) -> None:
        """`a` asks again too late."""
        history, *sids = full(queue=9)
        history.stand(1, "a", 1)
        for client, sid in zip("cd", sids, strict=True):
            history.refresh(8, client, sid)
        history.stand(12, "b", 1)
        history.stand(13, "a", position)
        assert history.found() == found

    @pytest.mark.parametrize(("waiting", "found"), [("ab", NOTHING), ("a", {"stale_place"})])
    def test_no_place_in_a_line_that_is_not_full_is_found(
        self, waiting: str, found: set[FindingKind]
    ) -> None:
        """There is one seat, and two can wait."""
        history = CheckedHistory(seats=1, limits=LINE)
        history.grant(0, "d")
        for at_s, client in enumerate(waiting, start=1):
            history.stand(at_s, client, at_s, in_use=1, seats=1)
        history.stand(3, "c", 0, in_use=1, seats=1)
        assert history.found() == found

    def test_who_waits_though_there_is_a_seat_for_all_before_it_is_found(self) -> None:
        """One of two seats is in use, and nobody is before it."""
        for in_use, found in ((2, NOTHING), (1, {"unexplained_denial"})):
            history, *_ = full()
            history.stand(1, "a", 1, in_use=in_use)
            assert history.found() == found

    @pytest.mark.parametrize("options", [{"max": 1}, {"max_per_user": 1}])
    def test_those_before_it_may_be_counted_by_the_same_limit(self, options: dict[str, Any]) -> None:
        """Then the seat would be one too many once they have theirs."""
        history, *_ = full(**options)
        history.stand(1, "a", 1, in_use=1)
        assert history.found() == NOTHING


class TestLeft:
    """Who closes the connection while it waits."""

    @pytest.mark.parametrize(
        ("began_s", "found"), [(1.5, NOTHING), (3, NOTHING), (9, {"ghost_seat"}), (0.3, {"ghost_seat"})]
    )
    def test_a_seat_for_who_had_left_is_found(self, began_s: float, found: set[FindingKind]) -> None:
        """`a` asks after a second and leaves after another; its answer may have been on its way."""
        history, sid, _ = full()
        history.log_off(0.2, "c", sid)
        history.leave(1, "a", 1)
        history.sample(11, ("lost", "a", began_s))
        assert history.found() == found

    def test_where_something_is_broken_it_may_be_seen_later_that_it_left(self) -> None:
        """A node that stands still sees nothing."""
        history, sid, _ = full()
        history.log_off(0.2, "c", sid)
        history.leave(1, "a", 1)
        history.fault(1.5, 8)
        history.sample(11, ("lost", "a", 9))
        assert history.found() == NOTHING

    @pytest.mark.parametrize(
        ("broken", "began_s", "found"),
        [((8, 15), 14, NOTHING), ((3, 4), 11.8, NOTHING), ((14, 15), 14, {"ghost_seat"})],
    )
    def test_what_nobody_answered_is_done_within_ten_seconds_in_which_all_is_whole(
        self, broken: tuple[float, float], began_s: float, found: set[FindingKind]
    ) -> None:
        """What waits in a node goes on waiting while something is broken."""
        history, sid, _ = full()
        history.log_off(0.2, "c", sid)
        history.lose(1, "a")
        history.fault(*broken)
        history.sample(18, ("lost", "a", began_s))
        assert history.found() == found

    @pytest.mark.parametrize(("look_s", "found"), [(2.1, NOTHING), (3, {"ghost_seat"})])
    def test_who_heard_that_it_has_no_seat_has_none(self, look_s: float, found: set[FindingKind]) -> None:
        """What was being given to it as it left is given back before it is said."""
        history, sid, _ = full()
        history.log_off(0.2, "c", sid)
        history.ask(
            *(1, "a", "grant", "queued", "", 1.1),
            queue=True,
            position=1,
            wait_s=20,
            left_us=us(2),
            in_use=1,
            seats=2,
        )
        history.sample(look_s, ("lost", "a", 2))
        assert history.found() == found

    def test_a_seat_is_only_taken_from_others_until_it_was_seen_that_somebody_left(self) -> None:
        """Later, a denial is not explained by it: `a`'s session would live ten seconds from then on."""
        for denied_s, found in ((5, NOTHING), (18, {"unexplained_denial"})):
            history, sid, _ = full()
            history.leave(1, "a", 1)
            history.log_off(2, "c", sid)
            history.grant(10.2, "d")
            history.deny(denied_s, "b")
            assert history.found() == found

    def test_a_request_that_was_left_is_not_one_that_was_never_answered(self) -> None:
        """Whoever leaves is answered no more."""
        history, *_ = full()
        history.leave(1, "a", 1, wait_s=2, lost_us=us(20))
        for number in range(4):
            history.deny(3.5 + number / 10, "b")
        assert history.found() == NOTHING


class TestPlacesOfUsers:
    """All clients of a user have one place, where seats are users': `a` and `b` are of one."""

    @pytest.mark.parametrize(("position", "found"), [(1, NOTHING), (2, {"lost_place", "stale_place"})])
    def test_each_client_of_a_user_has_the_place_of_all(self, position: int, found: set[FindingKind]) -> None:
        """The answer to the second of them."""
        history, *_ = full("user", queue=9)
        history.stand(1, "a", 1)
        history.stand(2, "b", position)
        assert history.found() == found

    def test_a_seat_of_one_client_ends_the_place_of_all(self) -> None:
        """Also while another of them still asks."""
        history, sid, _ = full("user", queue=9)
        history.stand(1, "a", 1)
        history.log_off(1.5, "c", sid)
        history.ask(1.55, "c", "grant", UNKNOWN, "", queue=True)
        history.ask(1.6, "a", "grant", "queued", "", 3, queue=True, position=2, wait_s=3, in_use=2, seats=2)
        history.log_off(3, "b", history.grant(2, "b", queue=True))
        assert history.found() == NOTHING

    def test_a_place_is_there_until_who_is_served_is_served(self) -> None:
        """`a` asks while `b` waits, and has the place that it took before `c` took its own."""
        history = CheckedHistory(seats=1, duplicates="user", limits=LINE)
        sid = history.grant(0, "d")
        history.stand(1, "a", 1, in_use=1, seats=1)
        history.stand(2, "c", 2, in_use=1, seats=1)
        history.stand(4, "a", 1, in_use=1, seats=1)
        history.log_off(5.9, "d", sid)
        history.grant(3, "b", queue=True, wait_s=3, took_s=3)
        assert history.found() == NOTHING

    @pytest.mark.parametrize(("position", "found"), [(2, NOTHING), (1, {"overtaken"})])
    def test_a_place_that_comes_after_a_seat_is_a_new_one(
        self, position: int, found: set[FindingKind]
    ) -> None:
        """`b` is served and gives its seat back, which `d` may have; `a` comes again behind `c`."""
        history = CheckedHistory(seats=1, duplicates="user", limits=LINE)
        sid = history.grant(0, "d")
        history.stand(1, "a", 1, in_use=1, seats=1)
        history.stand(2, "c", 2, in_use=1, seats=1)
        history.log_off(2.9, "d", sid)
        history.log_off(4, "b", history.grant(3, "b", queue=True))
        history.lose(4.1, "d")
        history.stand(5, "a", position, in_use=1, seats=1)
        assert history.found() == found
