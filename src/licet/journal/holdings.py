"""Reads which seats a client, or the clients of a user, held and gave back: in pages, the last one first.

The rules:

- What a client took within one minute is one row, as it is kept.
- Only pools that are still there are read: the index begins with them.
- The clients of a user are those that stand for it now.

The module only reads.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, literal, select, tuple_

from licet.model import Tenant, Value
from licet.store import schema
from licet.store.paging import LIMIT, bounded, read_cursor, write_cursor


class Held(Value, frozen=True, kw_only=True):
    """Seats of a pool that a client took within one minute: the first was taken, the last came back.

    `times` is how many it took; `addresses` as in `SeatHeld`.
    """

    pool: str
    client_id: str
    initials: str
    taken_at_ms: int
    freed_at_ms: int
    times: int
    addresses: int


class HeldPage(Value, frozen=True, kw_only=True):
    """What was held, the last one first; `next` is the cursor of the next page, None at the end."""

    held: tuple[Held, ...]
    next: str | None


def seats_that_were_held(
    connection: Connection,
    tenant: Tenant,
    *,
    client: str = "",
    user: str = "",
    from_ms: int | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> HeldPage:
    """The seats of a client or of a user's clients that came back from an instant on.

    `after` is the cursor of the page before. Raises InvalidCursor.
    """
    holding, limit = schema.holding.c, bounded(limit)
    order = (holding.freed_at_ms, holding.pool, holding.minute, holding.client_id)
    wanted = [holding.tenant_id == tenant.id, _is_of(tenant, client, user)]
    if from_ms is not None:
        wanted.append(holding.freed_at_ms >= from_ms)
    if after is not None:
        place = read_cursor(after, tuple[int, str, int, str])
        wanted += [holding.freed_at_ms <= place[0], tuple_(*order) < tuple_(*map(literal, place))]
    is_there = and_(schema.pool.c.tenant_id == tenant.id, schema.pool.c.name == holding.pool)
    # By the index alone, which has all of these columns; the rest is read of a page's rows only.
    fitting = (
        select(holding.pool, holding.minute, holding.client_id)
        .join_from(schema.holding, schema.pool, is_there)
        .where(*wanted)
        .order_by(*(column.desc() for column in order))
        .limit(limit + 1)
        .subquery("fitting")
    )
    same = and_(
        holding.tenant_id == tenant.id,
        *(holding[name] == fitting.c[name] for name in ("pool", "minute", "client_id")),
    )
    query = select(schema.holding).join_from(fitting, schema.holding, same)
    rows = connection.execute(query.order_by(*(column.desc() for column in order))).all()
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = write_cursor(last.freed_at_ms, last.pool, last.minute, last.client_id)
    return HeldPage(held=tuple(map(_held, rows[:limit])), next=following)


def _is_of(tenant: Tenant, client: str, user: str) -> ColumnElement[bool]:
    client_id = schema.holding.c.client_id
    if client:
        return client_id == client
    of_user = schema.client.c
    return client_id.in_(
        select(of_user.client_id).where(of_user.tenant_id == tenant.id, of_user.initials == user)
    )


def _held(row: Row[Any]) -> Held:
    return Held(
        pool=row.pool,
        client_id=row.client_id,
        initials=row.initials,
        taken_at_ms=row.taken_at_ms,
        freed_at_ms=row.freed_at_ms,
        times=int(row.times),
        addresses=row.addresses,
    )
