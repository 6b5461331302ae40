"""Decides again what was decided a moment ago, where nothing has changed since but the time.

A client that has its seat asks again and again, or refreshes its session, and the ledger decides the same
each time. So a decision may be kept as a `Standing`, with the moment until which the ledger would repeat it.
A store grants by it without a book: all that follows is a session that begins or goes on.

    kept = standing(book, session, address, now_ms, is_grant=True)  # after COMMIT; or None
    if kept.covers(grant, now_ms): Again(grant, kept).answer(now_ms)
    if kept.renews(refresh, session, now_ms): Again(refresh, kept, session).answer(now_ms)

The rules:

- A decision is kept only if it writes nothing but its session, the journal entry of a session that begins,
  and the moment in the row of its seat. The row is written each time or, where it may lag, when it must be
  written again (`seat_rows.py`); then the decision is `moved`.
- None is kept where each session has a seat of its own, nor of a grant in a pool with options. Options touch
  no refresh (L5).
- It covers only who asks for the same: client, scope, pool and address. `later.py` says until when time makes
  no difference. Whether the assertion of a command was used before, the store finds out.
- A grant has to meet more rules than a refresh (L1, L7, L12, L13). So the decision of a refresh covers
  refreshes only.
- The store checks L8: it counts the client's sessions, and grants by a decision only while the client may
  have one more. It also knows whether a session that is to be renewed was ended.
- The store forgets a decision when the set-up changes, when anybody else writes sessions or seats of the
  tenant, and when a session of the client is ended before its time. So the seat is still there.

The functions here are pure. No seat is given by them.
"""

from typing import NamedTuple

from msgspec.structs import replace

from licet.ledger.book import Book
from licet.ledger.commands import Grant, Granted, Refresh
from licet.ledger.holders import SESSION_HOLDER
from licet.ledger.later import row_lasts_until_ms, seat_moves_until_ms, session_moves_until_ms
from licet.ledger.prefetch import EVER_MS
from licet.ledger.rules import granted
from licet.ledger.seat_rows import lag_ms
from licet.model import Seat, Session


class Standing(NamedTuple):
    """What a client is granted each time from `from_ms` on, and before `until_ms`.

    `asked` are the first columns of its session, after the `sid`: tenant, client, scope, pool and holder.
    `noted` are the last columns of its journal entry: pool, client, initials and address. A session begins by
    it only while the client has fewer than `sessions_max` (L8), which is 0 where a refresh was granted.
    `seat` is the client's seat at `from_ms`, which lives until `until_ms` at least, and `number` its number
    (L13). Its row must be written from `row_until_ms` on. At `ends_ms` the decision ends, even if the seat
    lives.
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
    row_until_ms: int
    lag_ms: int
    ends_ms: int
    from_ms: int
    until_ms: int

    def covers(self, grant: Grant, now_ms: int) -> bool:
        """Whether the ledger would answer the grant so, if the client may have one more session."""
        return (
            self.from_ms <= now_ms < self.until_ms
            and self.address == grant.address
            and self.scope == grant.scope
            and self.pool_id == grant.pool_id
            and self.tenant_id == grant.tenant_id
            and not grant.other_pool_ids
        )

    def renews(self, refresh: Refresh, session: Session, now_ms: int) -> bool:
        """Whether the ledger would answer the refresh of this session so, if nobody has ended the session."""
        return (
            not refresh.scope
            and self.client_key == refresh.client_key
            and self.tenant_id == refresh.tenant_id
            and self.fits(session, refresh.address, now_ms)
        )

    def fits(self, session: Session, address: str, now_ms: int) -> bool:
        """Whether a token for this session would be granted by it, to a client at this address."""
        return (
            self.from_ms <= now_ms < self.until_ms
            # A life that was shortened in the set-up makes that of a session no shorter (L5).
            and now_ms < session.expires_at_ms <= now_ms + self.life_ms
            and self.address == address
            and self.scope == session.scope
            and self.client_key == session.client_key
            and self.pool_id == session.pool_id
            and self.holder == session.holder
            and self.tenant_id == session.tenant_id
        )

    def seat_at(self, now_ms: int) -> Seat:
        """The seat after a token at this moment."""
        assert self.seat is not None, "no row has to be written"
        expires_at_ms = self.seat.expires_at_ms + now_ms - self.from_ms
        return replace(self.seat, expires_at_ms=expires_at_ms, issued_at_ms=now_ms)

    def moved(self, now_ms: int) -> "Standing":
        """The same after a token at this moment, with which the row of the seat was written (it may lag)."""
        seat = self.seat_at(now_ms)
        return self._replace(
            seat=seat,
            row_until_ms=now_ms + self.lag_ms + 1,
            from_ms=now_ms,
            until_ms=min(self.ends_ms, seat.expires_at_ms),
        )


class Again(NamedTuple):
    """A command that a standing decision grants; `session` is the one that it renews, as it was before."""

    command: Grant | Refresh
    standing: Standing
    session: Session | None = None

    def until_ms(self, now_ms: int) -> int:
        """The moment before which it would be granted, and written, as it is now."""
        kept = self.standing
        until_ms = kept.until_ms if self.session is None else min(kept.until_ms, self.session.expires_at_ms)
        return min(until_ms, kept.row_until_ms) if now_ms < kept.row_until_ms else until_ms

    def session_at(self, now_ms: int) -> Session:
        """The session that begins or is renewed at this moment."""
        kept, expires_at_ms = self.standing, now_ms + self.standing.life_ms
        if self.session is not None:
            return replace(self.session, renewed_at_ms=now_ms, expires_at_ms=expires_at_ms)
        return Session(
            sid=self.command.sid,
            tenant_id=kept.tenant_id,
            client_key=kept.client_key,
            scope=kept.scope,
            pool_id=kept.pool_id,
            holder=kept.holder,
            started_at_ms=now_ms,
            renewed_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
            address=kept.address,
        )

    def answer(self, now_ms: int) -> Granted:
        """The answer at this moment."""
        kept = self.standing
        return Granted(
            session=self.session_at(now_ms),
            may_refresh=kept.may_refresh,
            scope=kept.scope,
            at_ms=now_ms,
            access_expires_at_ms=now_ms + kept.access_life_ms,
            seat_number=kept.number,
        )


def standing(book: Book, session: Session, address: str, now_ms: int, *, is_grant: bool) -> Standing | None:
    """The decision by which this session was granted or renewed, to a client at this address; None if none.

    The book is as it was at the end of its batch.
    """
    tenant = book.tenants[session.tenant_id]
    client = tenant.clients_by_key.get(session.client_key)
    if client is None or (
        is_grant and book.live_sessions[client.key] >= client.sessions_max
    ):  # L8: the next one ends another
        return None
    seat = None
    ends_ms = session_moves_until_ms(tenant, session, now_ms)
    if session.pool_id is not None:
        key = session.seat_key
        # A client that has just taken its seat may never ask again. The book has no row of such a seat.
        if key is None or key not in book.rows or not book.rows_lag or key[1].startswith(SESSION_HOLDER):
            return None
        seat = book.seats.get(key)
        if seat is None or (is_grant and session.pool_id in tenant.options):
            return None
        ends_ms = min(ends_ms, seat_moves_until_ms(tenant, seat, now_ms))
    if ends_ms <= now_ms:
        return None
    number = 0 if seat is None else seat.number
    answer = granted(tenant, client, session, now_ms, number=number)
    return Standing(
        tenant_id=tenant.id,
        client_key=client.key,
        scope=session.scope,
        pool_id=session.pool_id,
        holder=session.holder,
        address=address,
        life_ms=session.expires_at_ms - now_ms,
        access_life_ms=answer.access_expires_at_ms - now_ms,
        may_refresh=answer.may_refresh,
        asked=(tenant.id, client.key, session.scope, session.pool_id, session.holder),
        noted=(
            "" if session.pool_id is None else tenant.pools[session.pool_id].name,
            client.client_id,
            client.user.initials,
            address,
        ),
        sessions_max=client.sessions_max if is_grant else 0,
        number=number,
        seat=seat,
        row_until_ms=EVER_MS if seat is None else row_lasts_until_ms(book, seat, now_ms),
        lag_ms=lag_ms(tenant),
        ends_ms=ends_ms,
        from_ms=now_ms,
        until_ms=ends_ms if seat is None else min(ends_ms, seat.expires_at_ms),
    )
