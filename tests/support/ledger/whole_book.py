"""Makes books with all rows of a store, to compare with those that have what a batch needs."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Table, select

from licet.ledger.book import Book, Counts
from licet.ledger.numbers import Numbers
from licet.ledger.seat_rows import said
from licet.model import Seat, Session, Tenant
from licet.store import schema
from licet.store.rows import PLACE, SEAT, SESSION, to_place, to_seat, to_session


class Everything:
    """The rows of a store at an instant, from which any number of books can be made."""

    def __init__(self, connection: Connection, tenants: Mapping[int, Tenant], now_ms: int) -> None:
        self._tenants = tenants
        self._now_ms = now_ms
        self._in_use = {row.id: row.in_use for row in connection.execute(select(schema.pool))}
        self._rows: list[Seat] = [to_seat(row) for row in _rows(connection, schema.seat, SEAT)]
        self._rows_lag: bool = connection.execute(select(schema.setup.c.seats_lag)).scalar_one()
        sessions = [to_session(row) for row in _rows(connection, schema.session, SESSION, "number")]
        self._seats = [_as_it_is(row, sessions) for row in self._rows]
        self._sessions: list[Session] = [it for it in sessions if it.expires_at_ms > now_ms]
        expired = [it for it in sessions if it.expires_at_ms <= now_ms]
        self._expired = sorted(expired, key=lambda session: session.expires_at_ms)
        signed = {
            pool.id
            for tenant in tenants.values()
            for pool in tenant.pools.values()
            if pool.signed is not None
        }
        self._signed = [row for row in connection.execute(select(schema.pool)) if row.id in signed]
        self._free = list(connection.execute(select(schema.seat_free)))
        self._places = [to_place(row) for row in _rows(connection, schema.queue_place, PLACE)]
        self._counts: Counts = {}
        for row in connection.execute(select(schema.seat_count)):
            self._counts.setdefault(row.pool_id, {})[row.what] = row.in_use
        used = connection.execute(select(schema.assertion_used))
        self._used = [(row.client_key, row.jti) for row in used]

    def book(self, without_expired_of: set[int], without_lapsed_of: Collection[int] = ()) -> Book:
        """A book of all rows, except expired seats of these pools and expired places."""
        started: dict[int, list[bytes]] = {}
        for session in self._sessions:
            started.setdefault(session.client_key, []).append(session.sid)
        return Book(
            tenants=self._tenants,
            in_use=self._in_use,
            seats=[
                seat
                for seat in self._seats
                if seat.expires_at_ms > self._now_ms or seat.pool_id not in without_expired_of
            ],
            sessions=self._sessions,
            expired=self._expired,
            live_sessions={key: len(sids) for key, sids in started.items()},
            started=started,
            assertions_used=self._used,
            numbers={
                row.id: Numbers(
                    used=row.numbers_used,
                    from_ms=row.numbers_from_ms,
                    free=[(it.number, it.from_ms) for it in self._free if it.pool_id == row.id],
                )
                for row in self._signed
            },
            rows={row.key: self._row(row, without_expired_of) for row in self._rows},
            rows_lag=self._rows_lag,
            counts={pool_id: dict(counts) for pool_id, counts in self._counts.items()},
            places=[
                it for it in self._places if it.until_ms > self._now_ms or it.pool_id not in without_lapsed_of
            ],
        )

    def _row(self, row: Seat, without_expired_of: set[int]) -> Seat:
        """The row of a seat; in a pool that the batch does not touch, one that has not expired yet."""
        if row.pool_id not in without_expired_of:
            return row
        return replace(row, expires_at_ms=max(row.expires_at_ms, self._now_ms + 1))

    def live(self, tenant_id: int) -> list[Session]:
        """The live sessions of a tenant, the newest first."""
        return [it for it in reversed(self._sessions) if it.tenant_id == tenant_id]

    @property
    def pools(self) -> set[int]:
        """The ids of all pools."""
        return set(self._in_use)


def _as_it_is(row: Seat, sessions: Iterable[Session]) -> Seat:
    """The seat of a row, with the expiry of its longest session if that is later."""
    sharing = [it for it in sessions if it.seat_key == row.key]
    last = max(sharing, key=lambda session: session.expires_at_ms, default=None)
    return row if last is None else said(row, last.expires_at_ms, last.renewed_at_ms)


def _rows(connection: Connection, table: Table, columns: str, order: str | None = None) -> list[Any]:
    statement = select(*(table.c[name] for name in columns.split(", ")))
    return [*connection.execute(statement.order_by(table.c[order]) if order else statement)]
