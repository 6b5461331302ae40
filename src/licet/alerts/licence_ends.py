"""Raises an alert 30, 14, 7 and 1 days before the licence of a pool expires, and when it does.

The rules:

- Pools whose alerts contain `expires` are evaluated with all others. Each step is reported once, over
  restarts and nodes: what was reported is a row that is written in the transaction which queues the message.
- Of several steps at once, as after a time without a server, only the last one is reported.
- The row names the end that it is about. When the end is moved, the alert is cleared, and the steps of the
  new end are reported as they come.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, delete, or_, select

from licet.alerts.pool_seats import seats_now
from licet.formats import instant
from licet.model import EXPIRES, Tenant
from licet.store import schema
from licet.store.upserts import insert_into
from licet.units import DAY_MS

STEPS = (1, 7, 14, 30)  # days before the end; 0 is the end
EXPIRES_SOON = "pool.expires_soon"
EXPIRED = "pool.expired"


class LicenceEnd(NamedTuple):
    """A pool whose licence ends soon or has ended. `step` is new; None: the report is no longer true."""

    pool_id: int
    tenant_id: int
    step: int | None
    before: tuple[int, int] | None  # the end and the step of the existing row
    expires_at_ms: int
    data: Mapping[str, object]

    @property
    def type(self) -> str:
        """The type of the message; empty where there is none."""
        if self.step is None:
            return ""
        return EXPIRES_SOON if self.step else EXPIRED


def step_of(expires_at_ms: int, now_ms: int) -> int | None:
    """The days before an end at which an alert is due; 0 at the end, None when it is farther away."""
    if expires_at_ms <= now_ms:
        return 0
    return next((days for days in STEPS if expires_at_ms - now_ms <= days * DAY_MS), None)


def licence_ends(connection: Connection, tenants: Mapping[int, Tenant], now_ms: int) -> Iterator[LicenceEnd]:
    """What has to be reported, and what is no longer true."""
    pool, notice = schema.pool.c, schema.licence_notice.c
    query = (
        select(
            schema.pool,
            schema.tenant.c.name.label("tenant"),
            notice.expires_at_ms.label("noticed_ms"),
            notice.days.label("noticed_days"),
        )
        .join(schema.tenant, schema.tenant.c.id == pool.tenant_id)
        .outerjoin(schema.licence_notice, notice.pool_id == pool.id)
        .where(or_(pool.expires_at_ms <= now_ms + STEPS[-1] * DAY_MS, notice.pool_id.is_not(None)))
        .order_by(pool.id)
    )
    for row in connection.execute(query):
        is_wanted = EXPIRES in row.alerts_more.split()
        step = step_of(row.expires_at_ms, now_ms) if is_wanted and row.expires_at_ms is not None else None
        before = None if row.noticed_ms is None else (row.noticed_ms, row.noticed_days)
        if step is None and before is None:
            continue
        if step is not None and before is not None and before[0] == row.expires_at_ms and before[1] <= step:
            continue  # it was reported, or a later step was
        yield _end(row, step, before, seats_now(row, tenants, now_ms))


def _end(row: Row[Any], step: int | None, before: tuple[int, int] | None, seats: int) -> LicenceEnd:
    data: dict[str, object] = {
        "tenant": row.tenant,
        "pool": row.name,
        "seats": seats,
        "in_use": row.in_use,
        "expires_at": instant(row.expires_at_ms),
    }
    if step:
        data["days"] = step
    return LicenceEnd(row.id, row.tenant_id, step, before, row.expires_at_ms or 0, data)


def note(connection: Connection, end: LicenceEnd, now_ms: int) -> bool:
    """Write what is reported; return whether no other node wrote it first."""
    table, notice = schema.licence_notice, schema.licence_notice.c
    is_as_seen = None
    if end.before is not None:
        seen_ms, seen_days = end.before
        is_as_seen = and_(notice.expires_at_ms == seen_ms, notice.days == seen_days)
        if end.step is None:
            gone = connection.execute(delete(table).where(notice.pool_id == end.pool_id, is_as_seen))
            return gone.rowcount == 1
    values = {"expires_at_ms": end.expires_at_ms, "days": end.step, "raised_at_ms": now_ms}
    statement = insert_into(connection, table).values(pool_id=end.pool_id, tenant_id=end.tenant_id, **values)
    if is_as_seen is None:
        statement = statement.on_conflict_do_nothing(index_elements=[notice.pool_id])
    else:
        statement = statement.on_conflict_do_update(
            index_elements=[notice.pool_id], set_=values, where=is_as_seen
        )
    return connection.execute(statement.returning(notice.pool_id)).first() is not None


def raised_ends(connection: Connection) -> list[Row[Any]]:
    """The pools for which the end of the licence is raised now, with the instant of the alert."""
    pool, notice = schema.pool.c, schema.licence_notice.c
    query = (
        select(schema.pool, notice.raised_at_ms)
        .join(schema.licence_notice, notice.pool_id == pool.id)
        .where(notice.expires_at_ms == pool.expires_at_ms)
    )
    return list(connection.execute(query))
