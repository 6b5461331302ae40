"""Grants again what was granted a moment ago, where nothing has changed since but the time.

A client that has its seat asks again and again, and the ledger decides the same each time. So what it decided
may be kept as a `Standing` grant, with the moment before which it would decide so again. Who keeps one grants
by it without a book: a new session is all that comes of it.

    kept = standing(book, session, now_ms)         # after what was decided was committed; or None
    if kept.covers(grant, now_ms): kept.granted(grant, now_ms)

The rules:

- Only a grant of which nothing is written but its session and its entry in the journal: without a seat, or
  with one whose row need not be written again (`seat_rows.py`), in a pool without options, hold and licence.
- The same is asked: client, scope, pool and address. Until when time makes no difference says `later.py`.
- L8 is the keeper's: it counts the client's sessions, and grants by this only while there may be one more.
- It is kept no longer than the set-up stays as it is, nobody else writes sessions or seats of the tenant, and
  no session of the client is ended before its time: so the seat is still there.

The functions here are pure. No seat is given by them.
"""

from typing import NamedTuple

from licet.ledger.book import Book
from licet.ledger.commands import Grant, Granted
from licet.ledger.later import seat_moves_until_ms, session_moves_until_ms
from licet.ledger.rules import granted
from licet.ledger.seat_rows import is_near, may_lag
from licet.model import Client, Session, Tenant


class Standing(NamedTuple):
    """What a client is granted each time from `from_ms` on, and before `until_ms`.

    `pool`, `client_id` and `initials` are as the journal has them; `sessions_max` is the client's (L8).
    """

    tenant_id: int
    client_key: int
    scope: str
    pool_id: int | None
    holder: str | None
    address: str
    life_ms: int
    access_life_ms: int
    may_refresh: bool
    sessions_max: int
    pool: str
    client_id: str
    initials: str
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
        )


def standing(book: Book, session: Session, now_ms: int) -> Standing | None:
    """What was granted as this session, and would be again; the book is as of the end of its batch."""
    tenant = book.tenants[session.tenant_id]
    client = tenant.clients_by_key.get(session.client_key)
    if (
        client is None or book.live_sessions[client.key] >= client.sessions_max
    ):  # L8: the next one ends another
        return None
    until_ms = session_moves_until_ms(tenant, session, now_ms)
    if until_ms <= now_ms:
        return None
    if session.pool_id is None:
        return _standing(tenant, client, session, now_ms, until_ms)
    key = session.seat_key
    seat = None if key is None or session.pool_id in tenant.options else book.seats.get(key)
    if seat is None or not book.rows_lag or not may_lag(tenant, seat) or not is_near(book, seat):
        return None
    until_ms = min(until_ms, seat_moves_until_ms(book, seat, seat, now_ms))
    return None if until_ms <= now_ms else _standing(tenant, client, session, now_ms, until_ms)


def _standing(tenant: Tenant, client: Client, session: Session, now_ms: int, until_ms: int) -> Standing:
    answer = granted(tenant, client, session, now_ms)
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
        sessions_max=client.sessions_max,
        pool="" if session.pool_id is None else tenant.pools[session.pool_id].name,
        client_id=client.client_id,
        initials=client.user.initials,
        from_ms=now_ms,
        until_ms=until_ms,
    )
