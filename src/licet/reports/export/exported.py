"""Reads what `licet usage export` writes: the log of every pool of a tenant, in one order of time.

The module only reads.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from licet.journal.wants import CURED_BY_SEATS, wants
from licet.ledger.signed_pools import seats_of
from licet.model import Tenant
from licet.reports.export.report_log import Denial, Record, records
from licet.reports.what_if.visits import visits
from licet.store import schema
from licet.units import MINUTE_MS


class Export(NamedTuple):
    """The pools with their seats, and what happened in them."""

    tenant: str
    from_ms: int
    until_ms: int
    pools: dict[str, int]
    log: list[Record]


def exported(connection: Connection, tenant: Tenant, from_ms: int, until_ms: int, *, now_ms: int) -> Export:
    """What happened in a span, which ends now at the latest.

    Raises TooManyVisits.
    """
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    wanted = wants(connection, tenant, from_ms, end_ms, now_ms=now_ms)
    pools = sorted(tenant.pools.values(), key=lambda pool: pool.name)
    log: list[Record] = []
    for pool in pools:
        of_pool = [it for it in wanted if it.pool == pool.name]
        found = visits(connection, tenant, pool.name, of_pool, from_ms, end_ms, now_ms)
        denied = _denials(connection, tenant, pool.name, from_ms, end_ms)
        log += records(pool.name, pool.duplicates, found, of_pool, denied, from_ms, end_ms)
    return Export(
        tenant=tenant.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        pools={pool.name: seats_of(pool, now_ms) for pool in pools},
        log=sorted(log, key=lambda record: record.at_ms),
    )


def _denials(
    connection: Connection, tenant: Tenant, pool: str, from_ms: int, end_ms: int
) -> Iterator[Denial]:
    """Those that no seat avoids, the first of each client, reason and minute."""
    whole = schema.whole_denials.c
    query: Select[Any] = select(whole.first_at_ms, whole.client_id, whole.initials, whole.reason).where(
        whole.tenant_id == tenant.id,
        whole.pool == pool,
        whole.minute >= from_ms // MINUTE_MS,
        whole.minute < -(-end_ms // MINUTE_MS),
        whole.reason.not_in(sorted(CURED_BY_SEATS)),
    )
    for row in connection.execute(query):
        yield Denial(row.first_at_ms, row.client_id, row.initials, row.reason)
