"""Counts the seats on hold: in use, although no session is alive on them (L18).

Where no pool has a hold, it costs one short query. What has expired counts for nothing (L4).
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, true

from licet.model import TokenFormat
from licet.store import schema


def has_hold(row: Row[Any]) -> bool:
    """Whether a pool has a hold, by its row with the `token_format` of its tenant; a signed one has."""
    held: bool = row.is_signed or row.hold_s > 0 or row.token_format == TokenFormat.JWT.value
    return held


def seats_on_hold(
    connection: Connection, now_ms: int, of_pool: ColumnElement[bool] | None = None
) -> dict[int, int]:
    """How many seats are on hold, by the id of each pool that has a hold; of these pools, or of all."""
    pool, tenant, seat, session = schema.pool.c, schema.tenant.c, schema.seat.c, schema.session.c
    is_held = or_(pool.is_signed, pool.hold_s > 0, tenant.token_format == TokenFormat.JWT.value)
    held = (
        select(pool.id)
        .join(schema.tenant, tenant.id == pool.tenant_id)
        .where(is_held, true() if of_pool is None else of_pool)
    )
    found = dict.fromkeys(connection.execute(held).scalars(), 0)
    if not found:
        return {}
    in_use = select(seat.pool_id, func.count().label("seats")).where(seat.expires_at_ms > now_ms)
    for row in connection.execute(in_use.where(seat.pool_id.in_(held)).group_by(seat.pool_id)):
        found[row.pool_id] = row.seats
    # By the clients: sessions have an index by client, and none by pool.
    tenants = select(pool.tenant_id).where(pool.id.in_(held))
    seated = (
        select(session.pool_id, func.count(session.holder.distinct()).label("seats"))
        .join_from(schema.client, schema.session, session.client_key == schema.client.c.key)
        .where(schema.client.c.tenant_id.in_(tenants), session.pool_id.in_(held))
        .where(session.expires_at_ms > now_ms)
        .group_by(session.pool_id)
    )
    for row in connection.execute(seated):
        found[row.pool_id] = max(0, found[row.pool_id] - row.seats)
    return found
