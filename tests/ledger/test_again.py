"""What a standing decision answers is what the ledger would decide on a book, as long as it stands."""

from copy import deepcopy

import pytest
from msgspec.structs import replace

from licet.ledger.again import Again, Standing, standing
from licet.ledger.book import Book, SeatKept, SessionRenewed, SessionStarted
from licet.ledger.rules import apply
from licet.ledger.seat_rows import is_near
from licet.model import Session
from support.examples import grant, refresh, sid
from support.ledger.asking import NOW_MS, TTL_MS, Case

CASES = 1_500
MOST = 60 * TTL_MS  # of what stands for ever


@pytest.mark.parametrize("cases", [CASES // 3, pytest.param(CASES, marks=pytest.mark.wide)])
@pytest.mark.parametrize("is_grant", [True, False])
def test_a_standing_decision_is_what_would_be_decided_until_it_ends(*, is_grant: bool, cases: int) -> None:
    """L2, L3, L4, L5, L7, L12, L13, L18: nothing is written but the session, also at the last moment."""
    stood = fell = with_row = moved = 0
    for seed in range(cases):
        case = Case(seed)
        book, _ = case.decided(NOW_MS, behind_ms=case.draw.choice([1, 1000, TTL_MS // 2 - 1, TTL_MS // 2]))
        kept_now = [it.seat for it in book.changes if isinstance(it, SeatKept)]
        written = {it.key: book.seats[it.key] for it in kept_now if not is_near(book, book.seats[it.key])}
        for session, address in _granted(book, is_grant=is_grant):
            kept = standing(book, session, address, NOW_MS, is_grant=is_grant)
            if kept is None:
                fell += 1
                continue
            end_ms = min(kept.until_ms, NOW_MS + MOST)
            for at_ms in {NOW_MS, case.draw.randrange(NOW_MS, end_ms), end_ms - 1}:
                for it in _asked(kept, session, address, at_ms, is_grant=is_grant):
                    then = deepcopy(book)
                    then.rows |= written
                    before = len(then.changes)
                    assert apply(then, it.command, at_ms) == it.answer(at_ms), seed
                    for change in then.changes[before:]:
                        if isinstance(change, SeatKept):
                            assert not change.is_due, seed
                            assert change.seat == kept.seat_at(at_ms), seed
                            is_near_now = kept.row_until_ms > 0 and is_near(then, change.seat)
                            is_written = kept.row_until_ms <= at_ms
                            assert is_written is not is_near_now, seed
                            with_row += is_written
                        else:
                            assert isinstance(
                                change, SessionStarted if it.session is None else SessionRenewed
                            )
                            assert change.session == it.session_at(at_ms), seed
                    if 0 < kept.row_until_ms <= at_ms:
                        anew = standing(then, it.session_at(at_ms), address, at_ms, is_grant=is_grant)
                        assert anew is None or anew == kept.moved(at_ms), seed
                        moved += anew is not None
                    stood += 1
            again = grant(session.client_key, 900, scope=session.scope, pool_id=session.pool_id)
            assert not kept.covers(again, kept.until_ms)
            assert not kept.covers(again, NOW_MS - 1)
            assert not kept.fits(session, address, kept.until_ms)
            assert not kept.fits(session, address, session.expires_at_ms)
    assert stood > cases // 5, "most cases say nothing"
    assert fell > cases // 10
    assert with_row > cases // 10
    assert moved > cases // 20


def _granted(book: Book, *, is_grant: bool) -> list[tuple[Session, str]]:
    """The sessions that were granted, or renewed, with the addresses that asked."""
    return [
        (it.session, it.session.address if isinstance(it, SessionStarted) else it.address)
        for it in book.changes
        if isinstance(it, SessionStarted if is_grant else SessionRenewed)
    ]


def _asked(kept: Standing, session: Session, address: str, at_ms: int, *, is_grant: bool) -> list[Again]:
    """What is asked again at that moment: a refresh, and where it was a grant, another."""
    found = []
    if is_grant:
        again = grant(session.client_key, 900, scope=session.scope, pool_id=session.pool_id)
        assert kept.covers(again, at_ms)
        assert kept.sessions_max
        found.append(Again(again, kept))
    else:
        assert not kept.sessions_max, "a refresh says nothing of grants (L1, L12, L13)"
    renewal = replace(refresh(session.client_key, 1), sid=session.sid, address=address)
    if at_ms < session.expires_at_ms:
        assert kept.renews(renewal, session, at_ms)
        found.append(Again(renewal, kept, session))
    return found


def test_it_covers_only_what_is_asked_alike() -> None:
    """Another client, tenant, scope, pool or address is decided on a book."""
    case, kept = Case(0), None
    for seed in range(CASES):
        case = Case(seed)
        book, _ = case.decided(NOW_MS, behind_ms=1)
        started = [it.session for it in book.changes if isinstance(it, SessionStarted)]
        kept = next(
            (
                it
                for it in (standing(book, one, one.address, NOW_MS, is_grant=True) for one in started)
                if it and it.pool_id
            ),
            None,
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


def test_it_renews_only_a_session_that_is_asked_for_alike() -> None:
    """Another client, tenant, scope, pool, holder or address, and a life that is longer (L5), need a book."""
    case = Case(0)
    for seed in range(CASES):
        case = Case(seed)
        book, _ = case.decided(NOW_MS, behind_ms=1)
        found = [
            (kept, session)
            for session, address in _granted(book, is_grant=False)
            if (kept := standing(book, session, address, NOW_MS, is_grant=False)) and kept.pool_id
        ]
        if found:
            break
    [(kept, session), *_] = found
    asked = replace(refresh(kept.client_key, 1), sid=session.sid, address=kept.address)
    assert kept.renews(asked, session, NOW_MS)
    for changes in ({"tenant_id": 2}, {"client_key": 77}, {"scope": ("all",)}, {"address": "192.0.2.7"}):
        assert not kept.renews(replace(asked, **changes), session, NOW_MS), changes
    for others in (
        {"tenant_id": 2},
        {"client_key": 77},
        {"scope": "view"},
        {"pool_id": None, "holder": None},
        {"pool_id": 2},
        {"holder": "client:Other"},
        {"expires_at_ms": NOW_MS},
        {"expires_at_ms": session.expires_at_ms + 1},
    ):
        assert not kept.renews(asked, replace(session, **others), NOW_MS), others
