"""Finds when a pool was added, so that no report shows seats of a time before there was a pool.

The rules:

- Whoever adds a pool writes its first minute of use, with its seats, and an event. So where the first minute
  that is kept has that event, nothing was before it.
- Where it has none, the pool may be older than what is kept, and nothing is said.

The module only reads.
"""

from sqlalchemy import Connection, exists, func, select

from licet.model import Tenant
from licet.store import schema
from licet.units import MINUTE_MS


def added_at_ms(connection: Connection, tenant: Tenant, pool: str) -> int | None:
    """The minute in which a pool was added; None where that is no longer kept."""
    use, event = schema.usage_minute.c, schema.event.c
    first: int | None = connection.execute(
        select(func.min(use.minute)).where(use.tenant_id == tenant.id, use.pool == pool)
    ).scalar()
    if first is None:
        return None
    at_ms = first * MINUTE_MS
    is_added = exists().where(
        event.tenant == tenant.name,
        event.at_ms >= at_ms,
        event.at_ms < at_ms + MINUTE_MS,
        event.action == "add",
        event.target == f"pool {pool}",
    )
    return at_ms if connection.execute(select(is_added)).scalar() else None
