"""Grants again what was granted a moment ago, where nothing has changed since but the time.

A client that has its seat asks again and again, and the ledger decides the same each time. So what it decided
may be kept as a `Standing` grant, with the moment before which it would decide so again. Who keeps one grants
by it without a book: a new session is all that comes of it.

    kept = standing(book, session, now_ms)         # after what was decided was committed; or None
    if kept.covers(grant, now_ms): kept.granted(grant, now_ms)

The rules:

- Only a grant of which nothing is written but its session, its entry in the journal, and the moment in the
  row of its seat, where that may not lag (`seat_rows.py`). Where it may, only while it need not be written.
- Not where a session has a seat of its own, and not in a pool with options.
- The same is asked: client, scope, pool and address. Until when time makes no difference says `later.py`.
- L8 is the keeper's: it counts the client's sessions, and grants by this only while there may be one more.
- It is kept no longer than the set-up stays as it is, nobody else writes sessions or seats of the tenant, and
  no session of the client is ended before its time: so the seat is still there.

The functions here are pure. No seat is given by them.
"""

from typing import NamedTuple

from msgspec.structs import replace

from licet.ledger.book import Book
from licet.ledger.commands import Grant, Granted
from licet.ledger.holders import SESSION_HOLDER
from licet.ledger.later import seat_moves_until_ms, session_moves_until_ms
from licet.ledger.rules import granted
from licet.ledger.seat_rows import is_near, may_lag
from licet.model import Client, Seat, Session, Tenant


class Standing(NamedTuple):
    """What a client is granted each time from `from_ms` on, and before `until_ms`.

    `asked` are the first columns of its session, after the `sid`: tenant, client, scope, pool and holder.
    `noted` are the last of its entry in the journal: pool, client, initials and address. `sessions_max` is
    the client's (L8).
    `seat` is its seat at `from_ms`, where the row of that has to be written, and `number` that of its seat
    (L13).
    """

    tenant_id: int
    client_key: int
    scope: str
    pool_id: int | None
    holder: str | None
    address: str
    asked: tuple[int, int, str, int | None, str | None]
    noted: tuple[str, str, str, str]
    life_ms: int
    access_life_ms: int
    may_refresh: bool
    sessions_max: int
    number: int
    seat: Seat | None
    from_ms: int
    until_ms: int

    def covers(self, grant: Grant, now_ms: int) -> bool:
        """Whether this is what the grant would be answered."""
        return (
            self.from_ms <= now_ms < self.until_ms
            and self.address == grant.address
            and self.scope == grant.scope
            and self.pool_id == grant.pool_id
            and self.tenant_id == grant.tenant_id
            and not grant.other_pool_ids
        )

    def granted(self, grant: Grant, now_ms: int) -> Granted:
        """The answer to a grant that it covers."""
        return Granted(
            session=Session(
                sid=grant.sid,
                tenant_id=self.tenant_id,
                client_key=self.client_key,
                scope=self.scope,
                pool_id=self.pool_id,
                holder=self.holder,
                started_at_ms=now_ms,
                renewed_at_ms=now_ms,
                expires_at_ms=now_ms + self.life_ms,
                address=self.address,
            ),
            may_refresh=self.may_refresh,
            scope=self.scope,
            at_ms=now_ms,
            access_expires_at_ms=now_ms + self.access_life_ms,
            seat_number=self.number,
        )

    def seat_at(self, now_ms: int) -> Seat | None:
        """The seat whose row has to be written, after a grant at this moment."""
        if self.seat is None:
            return None
        expires_at_ms = self.seat.expires_at_ms + now_ms - self.from_ms
        return replace(self.seat, expires_at_ms=expires_at_ms, issued_at_ms=now_ms)


def standing(book: Book, session: Session, now_ms: int) -> Standing | None:
    """What was granted as this session, and would be again; the book is as of the end of its batch."""
    tenant = book.tenants[session.tenant_id]
    client = tenant.clients_by_key.get(session.client_key)
    if (
        client is None or book.live_sessions[client.key] >= client.sessions_max
    ):  # L8: the next one ends another
        return None
    seat = None
    if session.pool_id is not None:
        key = session.seat_key
        # Who has just taken a seat may never ask again: its row is not in the book.
        if key is None or session.pool_id in tenant.options or key not in book.rows or not book.rows_lag:
            return None
        seat = book.seats.get(key)
        if seat is None or not _is_kept_alike(book, tenant, seat):
            return None
    until_ms = session_moves_until_ms(tenant, session, now_ms)
    if seat is not None and until_ms > now_ms:
        until_ms = min(until_ms, seat_moves_until_ms(book, seat, seat, now_ms))
    return None if until_ms <= now_ms else _standing(tenant, client, session, seat, now_ms, until_ms)


def _is_kept_alike(book: Book, tenant: Tenant, seat: Seat) -> bool:
    """Whether of a seat that is kept either nothing is written, or the same each time but for the moment."""
    if seat.holder.startswith(SESSION_HOLDER):
        return False
    return is_near(book, seat) if may_lag(tenant, seat) else True


def _standing(  # noqa: PLR0917 - a private step
    tenant: Tenant, client: Client, session: Session, seat: Seat | None, now_ms: int, until_ms: int
) -> Standing:
    number = 0 if seat is None else seat.number
    answer = granted(tenant, client, session, now_ms, number=number)
    return Standing(
        tenant_id=tenant.id,
        client_key=client.key,
        scope=session.scope,
        pool_id=session.pool_id,
        holder=session.holder,
        address=session.address,
        life_ms=session.expires_at_ms - now_ms,
        access_life_ms=answer.access_expires_at_ms - now_ms,
        may_refresh=answer.may_refresh,
        asked=(tenant.id, client.key, session.scope, session.pool_id, session.holder),
        noted=(
            "" if session.pool_id is None else tenant.pools[session.pool_id].name,
            client.client_id,
            client.user.initials,
            session.address,
        ),
        sessions_max=client.sessions_max,
        number=number,
        seat=None if seat is None or may_lag(tenant, seat) else seat,
        from_ms=now_ms,
        until_ms=until_ms,
    )
