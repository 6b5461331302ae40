"""Keeps when sessions were last used: when an API last asked about a token of theirs.

The rules:

- A use is written some seconds after its request (`licet.web.last_uses`); a server that is killed loses
  those of the last half minute. If several servers record uses of a session, the latest counts.
- A row outlives its session only while it is the last use of a seat that is still taken: a client that
  begins a session for each token has used its seat when it used any of them. So there are at most as many
  rows as sessions and seats.
- Where access tokens are references, an API must ask, so that a seat whose tokens are renewed and used by
  nobody is idle. An API need not ask about a JWT: there the last token counts as a use as well.
- When a seat comes back, its commit counts it as idle from its last token, without reading any use. By how
  much that is too long or too short is written later, to `idle_hour`. If a client takes several seats in one
  minute, nobody knows which was used last: then the last token counts.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sqlalchemy import Connection, Row, Select, and_, delete, exists, func, or_, select, text

from licet.model import Session, TokenFormat
from licet.store import schema
from licet.store.contract import Purpose, Store, Transaction
from licet.store.journal_rows import split_by_hour
from licet.units import MINUTE_MS

ROWS_MAX = 1000  # in one transaction: some milliseconds of writing
LATE_MS = 2 * MINUTE_MS  # ample: a server writes uses twice a minute

_use = schema.session_use.c
_NOTE = text(
    "INSERT INTO session_use (sid, pool_id, holder, taken_at_ms, client_id, used_at_ms)"
    " VALUES (:sid, :pool_id, :holder,"
    " coalesce((SELECT taken_at_ms FROM seat WHERE pool_id = :pool_id AND holder = :holder), 0),"
    " coalesce((SELECT client_id FROM seat WHERE pool_id = :pool_id AND holder = :holder), ''), :used_at_ms)"
    " ON CONFLICT (sid) DO UPDATE SET used_at_ms = excluded.used_at_ms"
    " WHERE session_use.used_at_ms < excluded.used_at_ms"
)

_ADD_IDLE = text(
    "INSERT INTO idle_hour (tenant_id, pool, hour, client_id, more_ms)"
    " VALUES (:tenant_id, :pool, :hour, :client_id, :more_ms)"
    " ON CONFLICT (tenant_id, pool, hour, client_id)"
    " DO UPDATE SET more_ms = idle_hour.more_ms + excluded.more_ms"
)

# When a session was last used, as far as anybody asked; and a seat, by any of its sessions.
SESSION_USED = (
    select(_use.used_at_ms)
    .where(_use.sid == schema.session.c.sid)
    .correlate(schema.session)
    .scalar_subquery()
    .label("used_at_ms")
)
SEAT_USED = (
    select(func.max(_use.used_at_ms))
    .where(
        _use.pool_id == schema.seat.c.pool_id,
        _use.holder == schema.seat.c.holder,
        _use.used_at_ms >= schema.seat.c.taken_at_ms,
    )
    .correlate(schema.seat)
    .scalar_subquery()
    .label("used_at_ms")
)


class Used(Protocol):
    """A session that was used, and when."""

    @property
    def now_ms(self) -> int:
        """When."""

    @property
    def session(self) -> Session | None:
        """The session as it was then."""


def last_used_ms(token_format: TokenFormat, issued_at_ms: int, used_at_ms: int | None) -> int:
    """When a session or seat was last used, of its last token and of when an API last asked."""
    if used_at_ms is None:
        return issued_at_ms
    return max(used_at_ms, issued_at_ms) if token_format == TokenFormat.JWT else used_at_ms


def note_uses(store: Store, uses: Iterable[Used]) -> None:
    """Write when these sessions were used, unless a later use is known. Raises StoreUnavailable."""
    rows = [
        {
            "sid": use.session.sid,
            "pool_id": use.session.pool_id,
            "holder": use.session.holder,
            "used_at_ms": use.now_ms,
        }
        for use in sorted(uses, key=_sid)  # in one order, so that two nodes do not deadlock
        if use.session is not None
    ]
    for at in range(0, len(rows), ROWS_MAX):
        with store.transaction(Purpose.UPKEEP) as transaction:
            transaction.connection.execute(_NOTE, rows[at : at + ROWS_MAX])


def _sid(use: Used) -> bytes:
    return b"" if use.session is None else use.session.sid


def remove_uses(store: Store, after: bytes) -> bytes:
    """Remove of the next `ROWS_MAX` rows those that are over; return the last sid, b"" at the end.

    What the last use of a seat means for its idle time is written with that. Raises StoreUnavailable.
    """
    look = select(_use.sid).where(_use.sid > after).order_by(_use.sid).limit(ROWS_MAX)
    with store.reporting() as connection:
        sids = connection.execute(look).scalars().all()
        if not sids:
            return b""
        over = connection.execute(_over().where(_use.sid > after, _use.sid <= sids[-1])).all()
    if over:
        with store.transaction(Purpose.UPKEEP) as transaction:
            for row in over:
                _settle(transaction, row)
    return sids[-1] if len(sids) == ROWS_MAX else b""


def _over() -> Select[Any]:
    """The rows that nobody needs: of a session that is gone, and not the last use of a seat in use.

    `is_last`: it was the last use of a seat.
    """
    session, seat = schema.session.c, schema.seat.c
    later = schema.session_use.alias("later").c
    is_last = ~exists().where(
        later.pool_id == _use.pool_id,
        later.holder == _use.holder,
        later.taken_at_ms == _use.taken_at_ms,
        or_(
            later.used_at_ms > _use.used_at_ms,
            and_(later.used_at_ms == _use.used_at_ms, later.sid > _use.sid),
        ),
    )
    is_there = exists().where(
        seat.pool_id == _use.pool_id, seat.holder == _use.holder, seat.taken_at_ms <= _use.used_at_ms
    )
    return select(schema.session_use, is_last.label("is_last")).where(
        ~exists().where(session.sid == _use.sid), ~and_(is_there, is_last)
    )


def _settle(transaction: Transaction, row: Row[Any]) -> None:
    """Remove a row that is over, and write what it means for the idle time of its seat."""
    connection = transaction.connection
    held = _holding(connection, row) if row.is_last and row.taken_at_ms else None
    if held is not None and held.freed_at_ms > transaction.now_ms - LATE_MS:
        return  # Another server may still write a later use.
    if not connection.execute(delete(schema.session_use).where(_use.sid == row.sid)).rowcount:
        return  # Another one did all of this.
    if held is not None and held.times == 1 and held.idle_from_ms:
        for hour, more_ms in _more_idle(held, row.used_at_ms):
            key = {"tenant_id": held.tenant_id, "pool": held.pool, "hour": hour, "client_id": held.client_id}
            connection.execute(_ADD_IDLE, {**key, "more_ms": more_ms})


def _holding(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """Who held the seat of this row from when until when, with the format of the tenant's tokens."""
    holding, pool, tenant = schema.holding.c, schema.pool.c, schema.tenant.c
    query = (
        select(schema.holding, tenant.token_format)
        .join_from(schema.pool, schema.tenant, tenant.id == pool.tenant_id)
        .join(schema.holding, and_(holding.tenant_id == pool.tenant_id, holding.pool == pool.name))
        .where(pool.id == row.pool_id, holding.client_id == row.client_id)
        .where(holding.minute == row.taken_at_ms // MINUTE_MS)
    )
    return connection.execute(query).first()


def _more_idle(held: Row[Any], used_at_ms: int) -> Iterator[tuple[int, int]]:
    """By how much a seat was idle for longer, or shorter, in each hour than from its last token."""
    last_ms = last_used_ms(held.token_format, held.idle_from_ms, used_at_ms)
    counted_ms, used_ms = (
        min(max(at_ms, held.taken_at_ms), held.freed_at_ms) for at_ms in (held.idle_from_ms, last_ms)
    )
    yield from split_by_hour(used_ms, counted_ms)
    yield from ((hour, -less_ms) for hour, less_ms in split_by_hour(counted_ms, used_ms))
