"""Gives the set-up a new version with each change, by which every node sees that there is one.

A version is the instant of its change in milliseconds, or one more than the version before where that is
later. So where a failover or a restored copy has lost some changes, those that follow have other versions:
what a node has read of a change that was lost is not taken for another one.
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
