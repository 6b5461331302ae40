"""What a standing grant answers is what the ledger would decide on a book, as long as it stands."""

from copy import deepcopy

from msgspec.structs import replace

from licet.ledger.again import standing
from licet.ledger.book import SeatKept, SessionStarted
from licet.ledger.rules import apply
from licet.ledger.seat_rows import is_near
from support.asking import NOW_MS, TTL_MS, Case
from support.examples import grant, sid

CASES = 1_500
MOST = 60 * TTL_MS  # of what stands for ever


def test_a_standing_grant_is_what_would_be_decided_at_each_moment_before_its_end() -> None:
    """L2, L3, L4, L7, L12, L13, L18: nothing is written but the session, also at the last moment."""
    stood = fell = with_row = 0
    for seed in range(CASES):
        case = Case(seed)
        book, _ = case.decided(NOW_MS, behind_ms=case.draw.choice([1, 1000, TTL_MS // 2 - 1, TTL_MS // 2]))
        for session in [it.session for it in book.changes if isinstance(it, SessionStarted)]:
            kept = standing(book, session, NOW_MS)
            if kept is None:
                fell += 1
                continue
            end_ms = min(kept.until_ms, NOW_MS + MOST)
            again = grant(session.client_key, 900, scope=session.scope, pool_id=session.pool_id)
            for at_ms in {NOW_MS, case.draw.randrange(NOW_MS, end_ms), end_ms - 1}:
                then = deepcopy(book)
                before = len(then.changes)
                assert kept.covers(again, at_ms), seed
                assert apply(then, again, at_ms) == kept.granted(again, at_ms), seed
                for change in then.changes[before:]:
                    if isinstance(change, SeatKept):
                        assert not change.is_due, seed
                        if kept.seat is None:
                            assert is_near(then, change.seat), seed
                        else:
                            assert change.seat == kept.seat_at(at_ms), seed
                            with_row += 1
                    else:
                        assert isinstance(change, SessionStarted), seed
                stood += 1
            assert not kept.covers(again, kept.until_ms)
            assert not kept.covers(again, NOW_MS - 1)
    assert stood > CASES // 3, "most cases say nothing"
    assert fell > CASES // 10
    assert with_row > CASES // 10


def test_it_covers_only_what_is_asked_alike() -> None:
    """Another client, tenant, scope, pool or address is decided on a book."""
    case, kept = Case(0), None
    for seed in range(CASES):
        case = Case(seed)
        book, _ = case.decided(NOW_MS, behind_ms=1)
        started = [it.session for it in book.changes if isinstance(it, SessionStarted)]
        kept = next(
            (it for it in (standing(book, one, NOW_MS) for one in started) if it and it.pool_id), None
        )
        if kept is not None:
            break
    assert kept is not None
    asked = grant(kept.client_key, 900)
    assert kept.covers(asked, NOW_MS)
    assert kept.covers(replace(asked, sid=sid(901)), NOW_MS)
    for changes in (
        {"tenant_id": 2},
        {"scope": "view"},
        {"pool_id": 2},
        {"pool_id": None},
        {"address": "192.0.2.2"},
        {"other_pool_ids": (2,)},
    ):
        assert not kept.covers(replace(asked, **changes), NOW_MS), changes
