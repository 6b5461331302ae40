"""Says when the row of a seat must be written again after a token was issued with it.

A seat's row costs a grant more than its session does, and a client that asks again and again only moves its
expiry. So the row may say less than is true: it is a lower bound, and what is true is the greatest over the
row and the sessions of the seat. A store that loads a seat looks at both (`said` in the clauses of
`licet.ledger.prefetch`), so that whoever decides, or reads a report, sees what is true.

The rules:

- A renewal writes the row only when it is behind by more than half of a session's life, when another user or
  address uses the seat, and when the new token does not make the seat live longer than its row says.
- An end of a session writes it: nothing else says what that session did. So does whoever finds a seat whose
  row has expired while a session of it lives.
- The row is written each time where a token counts beyond its session: in a pool with a hold (L18), and for a
  numbered seat (L13). So is that of a seat which is a session's own.
- It is written each time as long as code of a version may be at work that believes the row
  (`setup.seats_lag`).
"""

from msgspec.structs import replace

from licet.ledger.book import Book
from licet.ledger.holders import SESSION_HOLDER
from licet.model import Seat, Tenant


def said(row: Seat, expires_at_ms: int, issued_at_ms: int) -> Seat:
    """The seat of this row, where the last of its sessions expires then, and was granted or renewed then."""
    if expires_at_ms <= row.expires_at_ms and issued_at_ms <= row.issued_at_ms:
        return row
    return replace(
        row,
        expires_at_ms=max(row.expires_at_ms, expires_at_ms),
        issued_at_ms=max(row.issued_at_ms, issued_at_ms),
    )


def may_lag(tenant: Tenant, seat: Seat) -> bool:
    """Whether the row of this seat may say less than its sessions."""
    if seat.number or seat.holder.startswith(SESSION_HOLDER):
        return False
    pool = tenant.pools[seat.pool_id]
    return pool.signed is None and not tenant.hold_s_of(pool)


def lag_ms(tenant: Tenant) -> int:
    """By how much a row may be behind at most: half of a session's life."""
    return tenant.session_ttl_s * 500


def is_near(book: Book, seat: Seat) -> bool:
    """Whether the row of this seat, which is kept, need not be written again to say what the seat is now."""
    row, tenant = book.rows.get(seat.key), book.tenants[seat.tenant_id]
    if row is None or row == seat:
        return row is not None
    half_ms = lag_ms(tenant)
    return (
        may_lag(tenant, seat)
        and 0 < seat.expires_at_ms - row.expires_at_ms <= half_ms
        and 0 <= seat.issued_at_ms - row.issued_at_ms <= half_ms
        and row.initials == seat.initials
        and row.sources == seat.sources
        and row.taken_at_ms == seat.taken_at_ms
        and row.client_id == seat.client_id
    )
