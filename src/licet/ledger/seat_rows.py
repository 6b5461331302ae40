"""Says when the row of a seat must be written again after a token was issued with it.

To write the row of a seat costs a grant more than to write its session, and a client that asks again and
again only moves the expiry. So the row may lag behind: the seat lives as long as the row says or one of its
sessions does, whichever is longer. A store that loads a seat looks at both (`said` in the clauses of
`licet.ledger.prefetch`), so that decisions and reports see what is true.

The rules:

- A renewal writes the row only if the row is behind by more than half of a session's life, if another user
  or address uses the seat, or if the new token does not make the seat live longer than the row says.
- The end of a session writes the row, because nothing else says what that session did. So does whoever finds
  a seat whose row has expired while one of its sessions lives.
- The row is written each time if a token counts beyond its session: in a pool with a hold (L18), and for a
  numbered seat (L13). It is also written each time if the seat belongs to one session alone.
- It is written each time as long as a server of an earlier version may run, which trusts the row alone
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
    behind_ms = seat.expires_at_ms - row.expires_at_ms
    return (
        may_lag(tenant, seat)
        and 0 < behind_ms <= lag_ms(tenant)
        # Else another session makes the seat live so long, and says another moment of its last token.
        and seat.issued_at_ms - row.issued_at_ms == behind_ms
        and row.initials == seat.initials
        and row.sources == seat.sources
        and row.taken_at_ms == seat.taken_at_ms
        and row.client_id == seat.client_id
    )
