"""Raises an alert for a seat that many addresses use in a day: its tokens may be passed around.

The rules:

- Pools whose alerts contain `shared:N` are evaluated with all others; by default no pool has it.
- A seat that was used from N addresses or more in a day (`licet.seat_sources`) is reported once, with its
  client and the number; one evaluation reports `REPORTED_MAX` seats of a pool at most, those with the most
  addresses first.
- The alert is cleared when the seat is gone, when a day has fewer addresses, or after a day: if it goes on,
  it is reported again then.
- What is reported is a row that is written in the transaction which queues the message.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select

from licet.alerts.pool_seats import seats_now
from licet.model import Tenant, shared_from
from licet.seat_sources import addresses
from licet.store import schema
from licet.store.seats_now import is_over, lives
from licet.store.upserts import insert_into
from licet.units import DAY_MS

SEAT_SHARED = "pool.seat_shared"
REPORTED_MAX = 20  # a guess: nobody examines more at once, and the next evaluation has the others


class SharedSeat(NamedTuple):
    """A seat that is used from many addresses; without `is_new`, one whose alert is to be cleared."""

    pool_id: int
    tenant_id: int
    holder: str
    is_new: bool
    client_id: str
    addresses: int
    raised_at_ms: int  # of the existing row
    data: Mapping[str, object]

    @property
    def type(self) -> str:
        """The type of the message; empty where there is none."""
        return SEAT_SHARED if self.is_new else ""


def shared_seats(connection: Connection, tenants: Mapping[int, Tenant], now_ms: int) -> Iterator[SharedSeat]:
    """What has to be reported, and what is no longer true."""
    pool = schema.pool.c
    query = select(schema.pool, schema.tenant.c.name.label("tenant")).join(
        schema.tenant, schema.tenant.c.id == pool.tenant_id
    )
    reported = pool.id.in_(select(schema.shared_seat.c.pool_id))
    wanted = pool.alerts_more.contains("shared")
    for row in connection.execute(query.where(or_(wanted, reported)).order_by(pool.id)).all():
        least = shared_from(row.alerts_more.split())
        yield from _over(connection, row, least, now_ms)
        if least is not None:
            yield from _new(connection, row, least, seats_now(row, tenants, now_ms), now_ms)


def _over(connection: Connection, pool: Row[Any], least: int | None, now_ms: int) -> Iterator[SharedSeat]:
    seat, notice = schema.seat.c, schema.shared_seat.c
    same = and_(seat.pool_id == notice.pool_id, seat.holder == notice.holder)
    ended: ColumnElement[bool] = or_(
        seat.holder.is_(None), is_over(now_ms), notice.raised_at_ms <= now_ms - DAY_MS
    )
    query = select(schema.shared_seat).outerjoin(schema.seat, same).where(notice.pool_id == pool.id)
    if least is not None:
        query = query.where(or_(ended, _addresses() < least))
    for row in connection.execute(query):
        yield SharedSeat(
            pool.id, pool.tenant_id, row.holder, False, row.client_id, row.addresses, row.raised_at_ms, {}
        )


def _new(connection: Connection, pool: Row[Any], least: int, seats: int, now_ms: int) -> Iterator[SharedSeat]:
    seat, notice = schema.seat.c, schema.shared_seat.c
    same = and_(seat.pool_id == notice.pool_id, seat.holder == notice.holder)
    query = (
        select(schema.seat)
        .outerjoin(schema.shared_seat, same)
        .where(seat.pool_id == pool.id, lives(now_ms), _addresses() >= least)
        .where(notice.holder.is_(None))
        .order_by(_addresses().desc(), seat.holder)
        .limit(REPORTED_MAX)
    )
    for row in connection.execute(query):
        number = addresses(row.sources)
        data: dict[str, object] = {
            "tenant": pool.tenant,
            "pool": pool.name,
            "seats": seats,
            "in_use": pool.in_use,
            "client": row.client_id,
            "addresses": number,
            "threshold": least,
        }
        yield SharedSeat(pool.id, pool.tenant_id, row.holder, True, row.client_id, number, 0, data)


def _addresses() -> ColumnElement[int]:
    """As `seat_sources.addresses`, in SQL: how many there are, each after a space."""
    sources = schema.seat.c.sources
    return func.length(sources) - func.length(func.replace(sources, " ", ""))


def note_shared(connection: Connection, found: SharedSeat, now_ms: int) -> bool:
    """Write what is reported, or that it is over; return whether no other node wrote it first."""
    table, notice = schema.shared_seat, schema.shared_seat.c
    if not found.is_new:
        this = and_(notice.pool_id == found.pool_id, notice.holder == found.holder)
        as_seen = notice.raised_at_ms == found.raised_at_ms
        return connection.execute(delete(table).where(this, as_seen)).rowcount == 1
    statement = insert_into(connection, table).values(
        pool_id=found.pool_id,
        holder=found.holder,
        tenant_id=found.tenant_id,
        client_id=found.client_id,
        addresses=found.addresses,
        raised_at_ms=now_ms,
    )
    statement = statement.on_conflict_do_nothing(index_elements=[notice.pool_id, notice.holder])
    return connection.execute(statement.returning(notice.pool_id)).first() is not None


def raised_shared(connection: Connection) -> list[Row[Any]]:
    """The seats for which it is raised now, with their pools."""
    pool, notice = schema.pool.c, schema.shared_seat.c
    query = select(schema.pool, notice.client_id, notice.addresses, notice.raised_at_ms, notice.holder).join(
        schema.shared_seat, notice.pool_id == pool.id
    )
    return list(connection.execute(query))
