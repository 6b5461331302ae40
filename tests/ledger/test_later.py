"""What was decided for one moment and moved to a later one is what would have been decided then."""

from copy import deepcopy

from licet.ledger.book import Book
from licet.ledger.commands import Denied
from licet.ledger.later import holds_until_ms, move, outcomes_moved
from licet.ledger.rules import apply
from licet.model import Pool, Scope
from support.examples import VIEW, grant, jim_test
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


def test_a_denial_by_several_pools_holds_until_any_of_them_has_a_seat_again() -> None:
    """L4, L20: it is of the first pool, whose seats live for longer than that of the second."""
    pools = (Pool(id=1, name="first", seats=1), Pool(id=2, name="second", seats=1))
    scope = Scope(name="all", licensed=True, read_only=False, pool="first", other_pools=("second",))
    book = Book(
        tenants={1: jim_test(pools=pools, scopes=(VIEW, scope))},
        in_use={1: 1, 2: 1},
        live_sessions={2: 0},
        others_from_ms={1: NOW_MS + 900_000, 2: NOW_MS + 400},
        full=(1, 2),
    )
    outcome = apply(book, grant(2, 1, other_pool_ids=(2,)), NOW_MS)
    assert isinstance(outcome, Denied)
    assert (outcome.pool, outcome.retry_after_s) == ("first", 1)
    assert holds_until_ms(book, 1, NOW_MS, seats={}, sessions={}) == NOW_MS + 400
