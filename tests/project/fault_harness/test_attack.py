"""`make attack` counts right what guards let in, and finds a guard that lets two holders in."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chaos.attacks.figures import HOLD_S, Calls, Figures, entry_of, line_of
from chaos.attacks.forged import forged
from chaos.attacks.servers import clones, primaries, rows
from chaos.site import apis, nodes
from support.server.nursery import has_forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECOND_US = 1_000_000


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forked here; `make attack` starts them as programs."""
    has_forked(monkeypatch, apis, nodes)


def figures(*calls: tuple[str, float, int], memory: str = "alone") -> Figures:
    """The figures of calls with number 1 that were let in: by whom, when, and with a token of when."""
    counted = Calls()
    for who, at_s, issued_s in calls:
        sent_us = round(at_s * SECOND_US)
        counted.add(1, entry_of(who, issued_s, 1, sent_us, sent_us + 1000))
    counted.add(1, None)
    return counted.figures("by hand", memory, 60)


class TestFigures:
    """What is printed."""

    def test_hand_overs_calls_and_people_are_counted(self) -> None:
        """The first holder is the first one; a call that was refused is a call."""
        found = figures(("a", 1, 0), ("a", 2, 0), ("b", 3, HOLD_S), ("a", 4, 2 * HOLD_S))
        assert (found.calls, found.let_in, found.people, found.hand_overs, found.beside) == (5, 4, 2, 3, 0)
        assert found.bound == 1 + (2 * 60 + 60 + 600) // HOLD_S
        assert found.is_kept

    def test_who_is_let_in_beside_another_is_counted_and_for_how_long(self) -> None:
        """With a token that is no newer; after a silence of a hold it is none."""
        found = figures(("a", 1, 0), ("b", 3, HOLD_S), ("a", 4, 0))
        assert (found.beside, round(found.beside_s, 3), found.is_kept) == (1, 0.999, False)
        assert "BROKEN" in line_of(found)
        assert figures(("a", 1, 0), ("b", 3, HOLD_S), ("a", 3.1 + HOLD_S, 0)).is_kept

    def test_apis_that_share_a_table_may_differ_for_a_moment(self) -> None:
        """A twelfth of the hold."""
        for after_s, is_kept in ((0.4, True), (0.8, False)):
            found = figures(("a", 1, 0), ("b", 3, HOLD_S), ("a", 3 + after_s, 0), memory="shared")
            assert (found.beside, found.is_kept) == (1, is_kept)

    def test_more_hand_overs_than_the_bound_are_found(self) -> None:
        """Though each token is newer by a hold."""
        for times, is_kept in ((100, True), (150, False)):
            calls = [("ab"[at % 2], at / 100, at * HOLD_S) for at in range(times)]
            assert figures(*calls).is_kept is is_kept


@pytest.mark.wide
class TestAttacks:
    """For seconds, and not minutes."""

    def test_a_forged_server_gets_no_two_holders_of_a_number(self, tmp_path: Path) -> None:
        """The two strategies that get most, in both kinds of tokens, against both memories."""
        found = [*forged(tmp_path, 1, only=["back", "greedy"])]
        assert len(found) == 2 * 2 * 2
        assert all(it.is_kept for it in found), "\n".join(map(line_of, found))
        assert max(it.hand_overs for it in found) > 50

    def test_a_guard_that_lets_everybody_in_is_found(self, tmp_path: Path) -> None:
        """A mistake that was put into it."""
        found = [*forged(tmp_path, 2, only=["fresh"], is_blind=True)]
        assert not all(it.is_kept for it in found)

    def test_servers_of_licet_s_own_get_no_two_holders_of_a_number(self, tmp_path: Path) -> None:
        """A copy, a second primary, rows that are edited."""
        attacks: list[Callable[[Path, float], Iterator[Figures]]] = [clones, primaries, rows]
        for number, attack in enumerate(attacks):
            directory = tmp_path / str(number)
            directory.mkdir()
            found = [*attack(directory, 4)]
            assert all(it.is_kept and it.let_in for it in found), "\n".join(map(line_of, found))
