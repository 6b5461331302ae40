"""Reads what the options of pools come to at an instant: how many seats are reserved, and how many wait.

Of a pool without reserves and queue nothing is read. What has expired counts for nothing, swept or not
(L4). The module only reads.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal, select

from licet.model import Tenant
from licet.options import SEPARATOR
from licet.store import schema
from licet.store.seats_now import lives


class OptionsNow(NamedTuple):
    """How many seats of a pool are reserved, how many of those are in use, and how many wait for a seat."""

    reserved: int
    reserved_in_use: int
    waiting: int


NOTHING = OptionsNow(0, 0, 0)


def options_now(
    connection: Connection, tenants: Iterable[Tenant | None], now_ms: int
) -> Mapping[int, OptionsNow]:
    """By the ids of pools; one without reserves and queue is not there."""
    options = {pool_id: of for tenant in tenants if tenant for pool_id, of in tenant.options.items()}
    in_use = _reserved_in_use(connection, [it for it, of in options.items() if of.reserved], now_ms)
    waiting = _waiting(connection, [it for it, of in options.items() if of.queue], now_ms)
    return {
        pool_id: OptionsNow(of.reserved, in_use.get(pool_id, 0), waiting.get(pool_id, 0))
        for pool_id, of in options.items()
        if of.reserved or of.queue
    }


def _reserved_in_use(connection: Connection, pool_ids: list[int], now_ms: int) -> dict[int, int]:
    seat = schema.seat.c
    return _counted(connection, seat.pool_id, pool_ids, lives(now_ms), is_reserved(seat.counted))


def is_reserved(counted: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a seat is counted as one of a reserve."""
    return (literal(SEPARATOR) + counted).contains(f"{SEPARATOR}reserve=", autoescape=True)


def _waiting(connection: Connection, pool_ids: list[int], now_ms: int) -> dict[int, int]:
    place = schema.queue_place.c
    return _counted(connection, place.pool_id, pool_ids, place.until_ms > now_ms)


def _counted(
    connection: Connection, pool_id: ColumnElement[int], pool_ids: list[int], *which: ColumnElement[bool]
) -> dict[int, int]:
    if not pool_ids:
        return {}
    query = select(pool_id.label("pool_id"), func.count().label("times"))
    rows = connection.execute(query.where(pool_id.in_(pool_ids), *which).group_by(pool_id))
    return {row.pool_id: row.times for row in rows}
