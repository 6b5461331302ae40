"""What was decided for one moment and moved to a later one is what would have been decided then."""

from copy import deepcopy

from licet.ledger.later import move, outcomes_moved
from support.ledger.asking import NOW_MS, Case

CASES = 1_500


def test_what_holds_for_a_later_moment_is_what_would_be_decided_then() -> None:
    """L2, L4, L7, L12, L13, L18: to the millisecond, also at the last moment for which it holds."""
    moved = refused = 0
    for seed in range(CASES):
        case = Case(seed)
        book, outcomes = case.decided(NOW_MS)
        until_ms = case.until(book)
        if until_ms is None:
            refused += 1
            continue
        for by_ms in {0, case.draw.randrange(until_ms - NOW_MS), until_ms - NOW_MS - 1}:
            then, expected = case.decided(NOW_MS + by_ms)
            now = deepcopy(book)
            move(now, by_ms)
            assert outcomes_moved(case.commands, outcomes, by_ms) == expected, seed
            assert (now.sessions, now.seats) == (then.sessions, then.seats), seed
            moved += 1
    assert moved > CASES // 3, "most cases say nothing"
    assert refused > CASES // 10
