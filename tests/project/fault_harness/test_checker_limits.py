"""The checker of the fault harness finds what options of a pool do not allow, and nothing that they do."""

from typing import Any

import pytest
from msgspec.structs import replace

from chaos.checks.findings import FindingKind
from chaos.history import CountRow, Done, Final, Limits, LineRow, Sample
from support.checked_history import TENANT, CheckedHistory, us

LOOSE = Limits(reserve=0, max=9, max_per_user=9, excludes=False, queue=9)


def story_of(*, seats: int = 3, **options: Any) -> CheckedHistory:
    """One of a pool with these options. `d` is of `desk`, `a` and `c` of `sales`, `b` of `out`."""
    return CheckedHistory(seats=seats, limits=replace(LOOSE, **options))


class TestSeats:
    """Seats that an option does not allow."""

    @pytest.mark.parametrize(
        ("options", "clients", "found"),
        [
            ({"max": 1}, "ac", {"over_limit"}),
            ({"max": 1}, "abd", set()),
            ({"max": 1}, "aa", set()),
            ({"max_per_user": 1}, "ab", {"over_limit"}),
            ({"max_per_user": 1}, "acd", set()),
            ({"reserve": 1}, "abc", {"over_limit"}),
            ({"reserve": 1}, "abd", set()),
            ({"excludes": True}, "b", {"over_limit"}),
            ({"excludes": True}, "acd", set()),
            ({"includes": True}, "c", {"over_limit"}),
            ({"includes": True}, "ad", set()),
            ({"names": True}, "a", {"over_limit"}),
            ({"names": True}, "cd", set()),
            ({"includes": True, "reserve": 1}, "d", set()),
            ({"max_per_user": 1, "max_of_user": 2}, "ab", {"over_limit"}),
        ],
    )
    def test_a_seat_more_than_an_option_allows_is_found(
        self, options: dict[str, Any], clients: str, found: set[FindingKind]
    ) -> None:
        """L15, L16, L17; a client's second session shares its seat (L2)."""
        history = story_of(**options)
        for at_s, client in enumerate(clients):
            history.grant(at_s, client)
        assert history.found() == found

    @pytest.mark.parametrize(
        ("options", "seats", "found"),
        [
            ({"max_of_user": 1}, 2, {"over_limit"}),
            ({"max_of_user": 2, "max_per_user": 1}, 2, set()),
            ({"max_of_user": 2, "max_per_user": 1}, 3, {"over_limit"}),
            ({"max_of_user": 0, "max_per_user": 1}, 2, {"over_limit"}),
            ({"max_of_user": 0, "max_per_user": 2}, 2, set()),
        ],
    )
    def test_a_limit_of_a_user_s_own_comes_before_that_of_each_user(
        self, options: dict[str, Any], seats: int, found: set[FindingKind]
    ) -> None:
        """L16: `c` is of a user that has one, and takes a seat with each session."""
        history = CheckedHistory(seats=4, duplicates="none", limits=replace(LOOSE, **options))
        for at_s in range(seats):
            history.grant(at_s, "c")
        assert history.found() == found

    def test_the_clients_of_a_user_share_its_seat_where_seats_are_users_(self) -> None:
        """L2: `a` and `b` are of one user, and `d` is another, for whom no seat is reserved."""
        for reserve, found in ((0, set()), (2, {"over_limit"})):
            history = CheckedHistory(seats=3, duplicates="user", limits=replace(LOOSE, reserve=reserve))
            for at_s, client in enumerate("abc"):
                history.grant(at_s, client)
            assert history.found() == found

    def test_a_session_more_than_a_client_may_have_is_found(self) -> None:
        """L16, where each session has a seat."""
        for most, found in ((1, {"over_limit"}), (2, set())):
            history = CheckedHistory(seats=3, duplicates="none", limits=replace(LOOSE, max_per_client=most))
            for at_s in (0, 1):
                history.grant(at_s, "a")
            history.grant(2, "b")
            assert history.found() == found

    @pytest.mark.parametrize("option", [{"max": 1}, {"max_per_user": 1}, {"reserve": 1}, {"excludes": True}])
    def test_who_has_a_seat_when_an_option_becomes_stricter_keeps_it(self, option: dict[str, Any]) -> None:
        """L5, L16, L17."""
        history = story_of()
        sids = {client: history.grant(at_s, client) for at_s, client in enumerate("abc")}
        history.act(4, "options", limits=replace(LOOSE, **option))
        for at_s, (client, sid) in enumerate(sids.items(), start=5):
            history.refresh(at_s, client, sid)
        assert history.found() == set()

    def test_an_option_counts_as_soon_as_it_is_set_for_certain(self) -> None:
        """Nobody knows of a change without an answer; behind one that was answered all do."""
        cases: list[tuple[Done, set[FindingKind]]] = [("unknown", set()), ("done", {"over_limit"})]
        for done, found in cases:
            history = story_of()
            history.act(0, "options", limits=replace(LOOSE, max=1), done=done)
            history.grant(1, "a")
            history.grant(2, "c")
            assert history.found() == found

    def test_a_seat_that_was_given_back_is_counted_no_more(self) -> None:
        """L16."""
        history = story_of(max=1)
        history.log_off(1, "a", history.grant(0, "a"))
        history.grant(2, "c")
        assert history.found() == set()


class TestDenials:
    """Reasons that cannot be right."""

    @pytest.mark.parametrize(
        ("options", "holders", "denied", "outcome", "is_right"),
        [
            ({"max": 1}, "a", "c", "max_reached", True),
            ({"max": 2}, "a", "c", "max_reached", False),
            ({"max": 1}, "a", "d", "max_reached", False),
            ({"max_per_user": 1}, "a", "b", "max_reached", True),
            ({"reserve": 1}, "ac", "b", "reserved", True),
            ({"reserve": 1}, "a", "b", "reserved", False),
            ({"reserve": 1}, "ac", "d", "reserved", False),
            ({}, "ac", "b", "reserved", False),
            ({"excludes": True}, "", "b", "excluded", True),
            ({"excludes": True}, "", "a", "excluded", False),
            ({}, "", "b", "excluded", False),
            ({"includes": True}, "", "c", "not_included", True),
            ({"includes": True}, "", "a", "not_included", False),
            ({"names": True}, "", "a", "not_included", True),
            ({"names": True}, "", "d", "not_included", False),
            ({"includes": True, "excludes": True}, "", "b", "not_included", False),
            ({"queue": 2}, "a", "b", "queued", True),
            ({"queue": 0}, "a", "b", "queued", False),
        ],
    )
    def test_a_denial_without_its_reason_is_found(
        self, options: dict[str, Any], holders: str, denied: str, outcome: str, is_right: bool
    ) -> None:
        """L15, L16, L17, L19."""
        history = story_of(**options)
        for at_s, client in enumerate(holders):
            history.grant(at_s, client)
        history.deny(5, denied, in_use=len(holders), seats=3, outcome=outcome)
        assert history.found() == (set() if is_right else {"unexplained_denial"})

    def test_the_excluded_is_denied_though_it_has_a_seat_and_nobody_else(self) -> None:
        """L15 comes before L2."""
        for outcome, found in (("excluded", set()), ("max_reached", {"unexplained_denial"})):
            history = story_of(max_per_user=1)
            history.grant(0, "b")
            history.act(1, "options", limits=replace(LOOSE, max_per_user=1, excludes=True))
            history.deny(2, "b", in_use=1, seats=3, outcome=outcome)
            assert history.found() == found


class TestTables:
    """Counts and lines."""

    @pytest.mark.parametrize(
        ("in_use", "places", "seated", "found"),
        [
            (2, ("client:a",), (), set()),
            (1, (), (), {"tables"}),
            (3, (), (), {"tables"}),
            (2, ("client:a", "client:a"), (), {"tables"}),
            (2, ("client:a", "client:b", "client:c"), (), {"tables"}),
            (2, ("client:a",), ("client:a",), {"tables"}),
        ],
    )
    def test_counts_and_lines_that_contradict_the_seats_are_found(
        self, in_use: int, places: tuple[str, ...], seated: tuple[str, ...], found: set[FindingKind]
    ) -> None:
        """L16, L19."""
        counts = (CountRow(tenant=TENANT, what="max=group:sales", in_use=in_use, rows=2),)
        lines = (LineRow(tenant=TENANT, queue=2, places=places, seated=seated),)
        history = story_of()
        history.records.append(Sample(begun_us=us(1), ended_us=us(1), pools=(), counts=counts, lines=lines))
        assert history.found() == found

    @pytest.mark.parametrize(
        ("counted", "found"),
        [
            (("max=group:sales", "each=user:AB", "common"), set()),
            (("each=user:AB", "common"), {"tables"}),
            (("max=group:sales", "each=user:AB"), {"tables"}),
            (("max=group:sales", "each=user:AB", "reserve=group:desk"), {"tables"}),
            (("max=group:sales", "each=user:CC", "common"), {"tables"}),
        ],
    )
    def test_a_seat_that_is_counted_as_another_s_is_found(
        self, counted: tuple[str, ...], found: set[FindingKind]
    ) -> None:
        """L16, L17: what is taken back when it ends."""
        history = story_of(reserve=1, seats=2)
        sid = history.grant(0, "a")
        history.end(5, [(sid, "a", "client:a", 10)], [("a", "granted", 1)])
        final = history.records[-1]
        assert isinstance(final, Final)
        history.records[-1] = replace(final, seats=(replace(final.seats[0], counted=counted),))
        assert history.found() == found
