"""Computes how long a seat is its holder's: while its sessions live (L4), and until its hold is over (L18).

An API may accept a token for a while after its session ended: a guard caches introspection answers, and a JWT
is checked without asking. So a seat with a hold goes to nobody else until that long after the newest token
was issued with it, however its sessions ended. A hold never ends before that token expires, and never later
than its pool (L7), nor than its number is signed (L13).

The functions here are pure: only the ledger decides by them.
"""

from msgspec.structs import replace

from licet.ledger.book import Book
from licet.model import Pool, Seat, Session, Tenant
from licet.networks import source_of
from licet.seat_sources import used_from


def lives_until(pool: Pool, number: int, now_ms: int) -> int | None:
    """Until when a seat may live at most, with its sessions; None where nothing ends it.

    That is the end of its pool (L7), or the first moment from which on fewer seats are signed than its number
    (L13).
    """
    end_ms, signed = pool.expires_at_ms, pool.signed
    if signed is not None and (cut_ms := signed.ends_at_ms(number, now_ms)) is not None:
        return cut_ms if end_ms is None else min(end_ms, cut_ms)
    return end_ms


def held_until(tenant: Tenant, pool: Pool, issued_at_ms: int, number: int = 0, now_ms: int = 0) -> int:
    """Until when a seat stays with its holder after its sessions end (L18); 0 where there is no hold.

    `issued_at_ms` is when the newest token was issued with it. A hold ends as `lives_until` says.
    """
    hold_s = tenant.hold_s_of(pool)
    if not hold_s:
        return 0
    until_ms = issued_at_ms + hold_s * 1000
    end_ms = lives_until(pool, number, now_ms)
    return until_ms if end_ms is None else min(until_ms, end_ms)


def with_token_of(book: Book, seat: Seat, session: Session, address: str) -> Seat:
    """The seat after a token was just issued for this session, at a request from this address."""
    now_ms = session.renewed_at_ms
    issued_at_ms = max(seat.issued_at_ms, now_ms)
    expires_at_ms = max(seat.expires_at_ms, session.expires_at_ms)
    tenant = book.tenants[seat.tenant_id]
    hold_s = tenant.hold_s_of(tenant.pools[seat.pool_id])
    if issued_at_ms + hold_s * 1000 > expires_at_ms:  # only then does the hold make a difference
        expires_at_ms = max(expires_at_ms, _held_until(book, seat, issued_at_ms, now_ms))
    sources = used_from(seat.sources, source_of(address), now_ms)
    return replace(seat, expires_at_ms=expires_at_ms, issued_at_ms=issued_at_ms, sources=sources)


def without(book: Book, seat: Seat, ended: list[Session], now_ms: int) -> Seat | None:
    """The seat once these sessions are gone, at least one of which held it; None where it is free then."""
    remaining = latest_expiry(book, seat, without=ended)
    # A node of the previous version may have renewed a session without writing that to its seat.
    newest_ms = max(session.renewed_at_ms for session in ended if session.seat_key == seat.key)
    issued_at_ms = max(seat.issued_at_ms, newest_ms)
    expires_at_ms = max(remaining or 0, _held_until(book, seat, issued_at_ms, now_ms))
    if remaining is None and expires_at_ms <= now_ms:
        return None
    return replace(seat, expires_at_ms=expires_at_ms, issued_at_ms=issued_at_ms)


def free_at(book: Book, ended: Session, now_ms: int) -> int | None:
    """When the seat of a session that is about to end becomes free; None unless it goes on hold then."""
    key = ended.seat_key
    if key is None or book.sessions_of_seat[key] - {ended.sid}:
        return None
    seat = book.seats[key]
    # Without a hold the book may not hold the other sessions of the seat; then one of them is alive.
    return _held_until(book, seat, max(seat.issued_at_ms, ended.renewed_at_ms), now_ms) or None


def latest_expiry(book: Book, seat: Seat, *, without: list[Session]) -> int | None:
    """When a seat expires once these sessions are gone; None when no other session holds it.

    The others need not be in the book unless one of these is the last to expire: `Need.others_matter`.
    """
    if not without:
        return seat.expires_at_ms
    ended = {session.sid for session in without if session.seat_key == seat.key}
    if all(book.sessions[sid].expires_at_ms < seat.expires_at_ms for sid in ended):
        return seat.expires_at_ms
    others = book.sessions_of_seat[seat.key] - ended
    return max((book.sessions[sid].expires_at_ms for sid in others), default=None)


def _held_until(book: Book, seat: Seat, issued_at_ms: int, now_ms: int) -> int:
    tenant = book.tenants[seat.tenant_id]
    return held_until(tenant, tenant.pools[seat.pool_id], issued_at_ms, seat.number, now_ms)
