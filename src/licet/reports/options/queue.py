"""Reads who waits for a seat of a pool, in the order in which they get one (L19).

A place that lapsed, because its client did not ask again in time, is over from that instant on, swept or not.
The module only reads.
"""

from typing import Any

from sqlalchemy import Connection, select

from licet.model import Pool, Value
from licet.store import schema


class Waiting(Value, frozen=True, kw_only=True):
    """A client that waits in line, and its user; `place` is 1 for the first.

    `level` is its priority. It has waited since `since_ms`, and loses its place at `until_ms` unless it asks
    again before.
    """

    place: int
    client_id: str
    initials: str
    name: str
    level: int
    since_ms: int
    until_ms: int


def queue_of(connection: Connection, pool: Pool, now_ms: int) -> tuple[Waiting, ...]:
    """Who waits for a seat of a pool, the first in line first."""
    place, client, user = schema.queue_place, schema.client, schema.user
    its_user = (user.c.tenant_id == client.c.tenant_id) & (user.c.initials == client.c.initials)
    whose = (client.c.client_id, client.c.initials, user.c.name)
    rows = connection.execute(
        select(*whose, place.c.level, place.c.since_ms, place.c.until_ms)
        .select_from(place.join(client, client.c.key == place.c.client_key).join(user, its_user))
        .where(place.c.pool_id == pool.id, place.c.until_ms > now_ms)
        .order_by(place.c.level.desc(), place.c.number)
    )
    return tuple(_waiting(row, number) for number, row in enumerate(rows, 1))


def _waiting(row: Any, place: int) -> Waiting:
    return Waiting(
        place=place,
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        level=row.level,
        since_ms=row.since_ms,
        until_ms=row.until_ms,
    )
