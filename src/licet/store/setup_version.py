"""Gives the set-up a new version with each change, by which every node detects the change.

A version is the instant of its change in milliseconds, or the previous version plus one if that is later. So
if a failover or a restored copy has lost changes, later changes have different versions, and a node does not
mistake a lost change that it has read for a later one.
"""

from collections.abc import Iterable

from sqlalchemy import case, select, update

from licet.store import schema
from licet.store.contract import Transaction


def publish(transaction: Transaction, tenant_ids: Iterable[int]) -> None:
    """Publish a change of the set-up, and of these tenants. It is the last step of a transaction."""
    connection, now_ms, of = transaction.connection, transaction.now_ms, schema.setup.c.version
    connection.execute(update(schema.setup).values(version=case((of < now_ms, now_ms), else_=of + 1)))
    version = select(of).scalar_subquery()
    for tenant_id in tenant_ids:
        connection.execute(
            update(schema.tenant).where(schema.tenant.c.id == tenant_id).values(version=version)
        )
