"""Removes journal, usage and refusals that are too old, and what is left of removed tenants.

Each function is one short transaction of a bounded number of rows, so that it never keeps a grant waiting for
long.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, delete, exists, func, or_, select

from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.units import HOUR_MS, MINUTE_MS, QUARTER_MS

REQUESTS_KEPT_MAX = 200_000  # ids of refused requests: some 40 MB
ROWS_MAX = 100  # of each table: some milliseconds of deleting, though they lie far apart
USED_MAX = 1000  # small rows; a client may make one with each request
_AGED = (
    (schema.journal, schema.journal.c.minute, MINUTE_MS),
    (schema.usage_minute, schema.usage_minute.c.minute, MINUTE_MS),
    (schema.holding, schema.holding.c.freed_at_ms, 1),
    (schema.event, schema.event.c.at_ms, 1),
    (schema.authentication_failure, schema.authentication_failure.c.minute, MINUTE_MS),
    (schema.refused_request, schema.refused_request.c.at_ms, 1),
    (schema.delivery, schema.delivery.c.created_at_ms, 1),
)
_OF_REMOVED = (
    schema.journal,
    schema.usage_minute,
    schema.usage_hour,
    schema.idle_hour,
    schema.holding,
    schema.usage_summary,
    schema.denial_summary,
    schema.session_summary,
    schema.authentication_failure,
    schema.refused_request,
    schema.usage_statement,
)
_AGED_USAGE = (
    (schema.usage_hour, schema.usage_hour.c.hour, HOUR_MS),
    (schema.idle_hour, schema.idle_hour.c.hour, HOUR_MS),
    (schema.usage_summary, schema.usage_summary.c.quarter, QUARTER_MS),
    (schema.denial_summary, schema.denial_summary.c.quarter, QUARTER_MS),
    (schema.session_summary, schema.session_summary.c.hour, HOUR_MS),
    (schema.usage_statement, schema.usage_statement.c.made_at_ms, 1),
)


def remove_aged(store: Store, keep_ms: int, keep_usage_ms: int | None = None) -> int:
    """Remove what is older than this, at most `ROWS_MAX` of each table; return how many rows.

    `keep_usage_ms` is for hourly sums, which are kept at least as long as the journal.

    Raises StoreUnavailable.
    """
    removed = 0
    with store.transaction(Purpose.UPKEEP) as transaction:
        before_ms = transaction.now_ms - keep_ms
        usage_before_ms = transaction.now_ms - max(keep_ms, keep_usage_ms or 0)
        aged = [(*column, before_ms) for column in _AGED] + [
            (*column, usage_before_ms) for column in _AGED_USAGE
        ]
        for table, column, unit_ms, least_ms in aged:
            rows = select(*table.primary_key.columns).where(column < least_ms // unit_ms).limit(ROWS_MAX)
            if table is schema.usage_minute:
                rows = rows.where(_has_later_minute(least_ms // MINUTE_MS))
            elif table is schema.holding:
                rows = rows.where(_is_of_pool(), table.c.minute < least_ms // MINUTE_MS).correlate(None)
            elif table is schema.refused_request:
                rows = select(table.c.number).where(or_(column < least_ms, _beyond_kept())).limit(ROWS_MAX)
            elif table is schema.usage_statement:
                rows = rows.where(_has_later_statement())
            elif table is schema.delivery:  # A message that is still to be delivered stays.
                rows = rows.where(schema.delivery.c.next_at_ms.is_(None))
            removed += _remove(transaction.connection, table, rows)
    return removed


def remove_history(store: Store) -> int:
    """Remove the journal of removed tenants, at most `ROWS_MAX` of each table; return how many rows.

    The row of the tenant is the last one, and counts. Raises StoreUnavailable.
    """
    tenant = schema.tenant.c
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        removed = select(tenant.id).where(tenant.removed_at_ms.is_not(None)).order_by(tenant.id).limit(1)
        tenant_id = connection.execute(removed).scalar()
        if tenant_id is None:
            return 0
        rows = 0
        for table in _OF_REMOVED:
            own = select(*table.primary_key.columns).where(table.c.tenant_id == tenant_id)
            rows += _remove(connection, table, own.limit(ROWS_MAX))
        if not rows:
            connection.execute(delete(schema.tenant).where(tenant.id == tenant_id))
        return rows or 1


def _remove(connection: Connection, table: Table, rows: Select[Any]) -> int:
    """Remove these, each by its key: for a list of keys SQLite may read all rows of each tenant in it."""
    keys = [dict(row._mapping) for row in connection.execute(rows)]  # noqa: SLF001 - its name in SQLAlchemy
    if keys:
        this = [column == bindparam(f"old_{column.name}") for column in table.primary_key.columns]
        old = [{f"old_{name}": value for name, value in key.items()} for key in keys]
        connection.execute(delete(table).where(*this), old)
    return len(keys)


def _has_later_minute(before: int) -> ColumnElement[bool]:
    """That a pool has a later minute before the limit: its last one is kept, for the use at the limit."""
    this, later = schema.usage_minute.c, schema.usage_minute.alias("later").c
    return exists().where(
        later.tenant_id == this.tenant_id,
        later.pool == this.pool,
        later.minute > this.minute,
        later.minute < before,
    )


def _has_later_statement() -> ColumnElement[bool]:
    """That a tenant has a later statement: the next one follows the last one, so that stays."""
    this, later = schema.usage_statement.c, schema.usage_statement.alias("later").c
    return exists().where(later.tenant_id == this.tenant_id, later.seq > this.seq)


def _is_of_pool() -> ColumnElement[bool]:
    """The condition that a holding is of a pool, by its key; those of a removed pool are removed with it."""
    this, pool = schema.holding.c, schema.pool.c
    # `+ 0`: else SQLite reads all holdings, and looks up the pool of each.
    return (this.tenant_id == pool.tenant_id + 0) & (this.pool == pool.name)


def remove_used_assertions(store: Store) -> int:
    """Remove used assertions that expired, at most `USED_MAX`; return how many. Raises StoreUnavailable."""
    used = schema.assertion_used
    with store.transaction(Purpose.UPKEEP) as transaction:
        rows = select(*used.primary_key.columns).where(used.c.until_ms <= transaction.now_ms)
        return _remove(transaction.connection, used, rows.order_by(used.c.until_ms).limit(USED_MAX))


def _beyond_kept() -> ColumnElement[bool]:
    """The request ids that are older than the newest `REQUESTS_KEPT_MAX`."""
    request = schema.refused_request
    return (
        request.c.number
        <= select(func.max(request.c.number) - REQUESTS_KEPT_MAX).correlate(None).scalar_subquery()
    )
