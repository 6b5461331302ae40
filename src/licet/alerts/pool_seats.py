"""Says how many seats a row of the table `pool` has now, for the messages of alerts.

The row has what its administrator set. Of a signed pool its licences count as well (L13), and those are in
the snapshot of its tenant.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from licet.ledger.signed_pools import seats_of
from licet.model import Pool, Tenant


def signed_pool(row: Row[Any], tenants: Mapping[int, Tenant]) -> Pool | None:
    """The pool of this row; None where it is in no licence."""
    tenant = tenants.get(row.tenant_id)
    pool = tenant.pools.get(row.id) if tenant is not None else None
    return None if pool is None or pool.signed is None else pool


def seats_now(row: Row[Any], tenants: Mapping[int, Tenant], now_ms: int) -> int:
    """How many seats the pool of this row has."""
    pool = signed_pool(row, tenants)
    return int(row.seats) if pool is None else seats_of(pool, now_ms)
