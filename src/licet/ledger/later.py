"""Moves what was decided for one moment to a later one, where time makes no other difference.

A store that learns the time only at the commit has its batch decided for the last moment that it knows. The
decisions hold for a later moment too, with all their instants moved by the difference, as long as nothing
ends in between: `holds_until_ms` says until when.

The functions here are pure, and refuse what they do not know. No seat is given by them.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from licet.ledger.book import (
    AssertionUsed,
    Book,
    GrantDenied,
    SeatKept,
    SeatKey,
    SessionRenewed,
    SessionStarted,
)
from licet.ledger.commands import AssertionUse, Command, Denied, Grant, Granted, Outcome
from licet.ledger.prefetch import EVER_MS
from licet.ledger.seat_rows import is_near, lag_ms, may_lag
from licet.model import NoSeatReason, Pool, Seat, Session, Tenant
from licet.units import DAY_MS

_FULL = frozenset((NoSeatReason.ALL_IN_USE, NoSeatReason.NO_SEATS))


def holds_until_ms(
    book: Book,
    commands: int,
    now_ms: int,
    *,
    seats: Mapping[SeatKey, Seat],
    sessions: Mapping[bytes, Session],
) -> int | None:
    """The moment before which these commands would be decided as at `now_ms`, with only their times moved.

    `commands` is how many grants and refreshes they are; `seats` and `sessions` are those of the book before
    it was decided. None if the decision would differ even a moment later, or if it is anything but denials,
    and sessions that begin or go on with these seats. Time makes no difference to the use of an assertion.
    """
    lives = [seat.expires_at_ms for seat in seats.values()]
    lives += [session.expires_at_ms for session in sessions.values()]
    until_ms = min([_day_ends_ms(now_ms), *lives])
    decided = 0
    for change in book.changes:
        match change:
            case SessionStarted(session=session) | SessionRenewed(session=session):
                decided += 1
                end_ms = session_moves_until_ms(book.tenants[session.tenant_id], session, now_ms)
            case SeatKept(seat=seat) if seat.key in seats:
                end_ms = _seat_moves_until_ms(book.tenants[seat.tenant_id], seat, seats[seat.key], now_ms)
            case AssertionUsed():
                continue
            case GrantDenied():
                decided += 1
                end_ms = denied_until_ms(book, change, now_ms)
            case _:
                return None
        until_ms = min(until_ms, end_ms)
    if len(book.full) > 1:  # A denial names one pool of its scope (L20), and none of them may give a seat.
        until_ms = min([until_ms, *_full_until_ms_of_all(book, now_ms)])
    if book.rows_lag:
        until_ms = min([until_ms, *(_near_until_ms(book, book.seats[key], now_ms) for key in seats)])
    return until_ms if decided == commands and until_ms > now_ms else None


def move(book: Book, by_ms: int) -> None:
    """Move all that began or was renewed in a book by `by_ms`."""
    started = {change.session.sid for change in book.changes if isinstance(change, SessionStarted)}
    renewed = {change.session.sid for change in book.changes if isinstance(change, SessionRenewed)}
    for sid in started | renewed:
        book.sessions[sid] = _moved(book.sessions[sid], by_ms, is_new=sid in started)
    for key in {change.seat.key for change in book.changes if isinstance(change, SeatKept)}:
        seat = book.seats[key]
        book.seats[key] = replace(
            seat, expires_at_ms=seat.expires_at_ms + by_ms, issued_at_ms=seat.issued_at_ms + by_ms
        )


def outcomes_moved(commands: Sequence[Command], outcomes: Sequence[Outcome], by_ms: int) -> Sequence[Outcome]:
    """The outcomes of these commands, which are granted or denied or use assertions, `by_ms` later."""
    if not by_ms:
        return outcomes
    started = {command.sid for command in commands if isinstance(command, Grant)}
    found: list[Outcome] = []
    for outcome in outcomes:
        # A denial says in how many seconds to try again, and that is as it was.
        if isinstance(outcome, Denied | AssertionUse):
            found.append(outcome)
            continue
        assert isinstance(outcome, Granted), "nothing else is moved"
        session = outcome.session
        found.append(
            replace(
                outcome,
                session=_moved(session, by_ms, is_new=session.sid in started),
                at_ms=outcome.at_ms + by_ms,
                access_expires_at_ms=outcome.access_expires_at_ms + by_ms,
            )
        )
    return found


def _moved(session: Session, by_ms: int, *, is_new: bool) -> Session:
    return replace(
        session,
        started_at_ms=session.started_at_ms + by_ms if is_new else session.started_at_ms,
        renewed_at_ms=session.renewed_at_ms + by_ms,
        expires_at_ms=session.expires_at_ms + by_ms,
    )


def denied_until_ms(book: Book, denied: GrantDenied, now_ms: int) -> int:
    """The moment before which a client that is denied now would be denied alike, if nobody does anything.

    Only where a pool without options and licence is full (L6): until the first seat of it expires (L4), its
    licence ends (L7), or the whole seconds until then, which the client is told, are fewer; `now_ms`
    if never.
    """
    if not is_of_full_pool(book, denied):
        return now_ms
    pool = book.tenants[denied.tenant_id].pools[denied.pool_id]
    return _full_until_ms(book, pool, denied.in_use, now_ms)


def is_of_full_pool(book: Book, denied: GrantDenied) -> bool:
    """Whether a pool without options and licence denied, because it is full."""
    tenant = book.tenants[denied.tenant_id]
    pool = tenant.pools[denied.pool_id]
    return denied.reason in _FULL and pool.signed is None and pool.id not in tenant.options


def _full_until_ms(book: Book, pool: Pool, in_use: int, now_ms: int) -> int:
    first_ms = book.earliest_expiry(pool.id)
    if first_ms is None and not in_use:
        return _end_ms(pool, now_ms)
    if first_ms is None or first_ms <= now_ms:
        return now_ms
    return min(_end_ms(pool, now_ms), first_ms - (first_ms - now_ms - 1) // 1000 * 1000)


def _full_until_ms_of_all(book: Book, now_ms: int) -> Iterator[int]:
    of_denied = {change.tenant_id for change in book.changes if isinstance(change, GrantDenied)}
    for tenant_id in of_denied:
        pools = book.tenants[tenant_id].pools
        for pool_id in book.full & pools.keys():
            yield _full_until_ms(book, pools[pool_id], book.in_use[pool_id], now_ms)


def session_moves_until_ms(tenant: Tenant, session: Session, now_ms: int) -> int:
    """The moment before which a session granted or renewed now would be granted alike; `now_ms` if never."""
    life_ms = tenant.session_ttl_s * 1000
    if session.renewed_at_ms != now_ms or session.expires_at_ms != now_ms + life_ms:
        return now_ms  # It ends with its pool, or its tenant's sessions became shorter.
    return EVER_MS if session.pool_id is None else _end_ms(tenant.pools[session.pool_id], now_ms) - life_ms


def seat_moves_until_ms(tenant: Tenant, seat: Seat, now_ms: int) -> int:
    """The moment before which a token keeps a living seat as one does now; `now_ms` if never."""
    return min(_day_ends_ms(now_ms), _seat_moves_until_ms(tenant, seat, seat, now_ms))


def row_lasts_until_ms(book: Book, seat: Seat, now_ms: int) -> int:
    """The moment before which a row need not be written again after a token now; 0 if each time."""
    tenant = book.tenants[seat.tenant_id]
    if not may_lag(tenant, seat):
        return 0
    # One that is not near was written with this token.
    return _near_until_ms(book, seat, now_ms) if is_near(book, seat) else now_ms + lag_ms(tenant) + 1


def _day_ends_ms(now_ms: int) -> int:
    """The text of a seat's sources begins with the day (`seat_sources.py`)."""
    return (now_ms // DAY_MS + 1) * DAY_MS


def _seat_moves_until_ms(tenant: Tenant, seat: Seat, before: Seat, now_ms: int) -> int:
    pool = tenant.pools[seat.pool_id]
    life_ms = max(tenant.session_ttl_s, tenant.hold_s_of(pool)) * 1000
    is_moving = seat.issued_at_ms == now_ms and seat.expires_at_ms == now_ms + life_ms
    is_same = (seat.client_id, seat.initials, seat.number) == (
        before.client_id,
        before.initials,
        before.number,
    )
    return _end_ms(pool, now_ms) - life_ms if is_moving and is_same else now_ms


def _end_ms(pool: Pool, now_ms: int) -> int:
    """When a pool, or what its licences give now, ends: no life that is moved reaches beyond (L7, L13)."""
    steps = () if pool.signed is None else pool.signed.after(now_ms)
    end_ms = steps[0].from_ms if steps else EVER_MS
    return end_ms if pool.expires_at_ms is None else min(end_ms, pool.expires_at_ms)


def _near_until_ms(book: Book, seat: Seat, now_ms: int) -> int:
    """The moment before which the row of a moving seat is near it; EVER_MS if it is written anyway."""
    if not is_near(book, seat):
        return EVER_MS
    row = book.rows[seat.key]
    behind_ms = max(seat.expires_at_ms - row.expires_at_ms, seat.issued_at_ms - row.issued_at_ms)
    return now_ms + lag_ms(book.tenants[seat.tenant_id]) - behind_ms + 1
