"""Reads the alerts that are raised now: full pools, licences that end, and seats that many share."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row, select

from licet.alerts.licence_ends import raised_ends
from licet.alerts.shared_seats import raised_shared
from licet.model import DENIED, EXPIRES, SHARED, Tenant, Value
from licet.store import schema


class Raised(Value, frozen=True, kw_only=True):
    """An alert that is raised now. `threshold` says which: `80`, `denied`, `expires`, `shared`.

    `expires_at_ms` is the end of the licence, where the alert is about that; where it is about a shared
    seat, `client_id` holds it, and it was used from so many `addresses` when that was reported.
    """

    tenant: str
    pool: str
    threshold: str
    raised_at_ms: int
    told_at_ms: int | None
    seats: int
    in_use: int
    expires_at_ms: int | None = None
    client_id: str | None = None
    addresses: int | None = None


def raised(connection: Connection, tenants: Iterable[Tenant]) -> tuple[Raised, ...]:
    """The alerts that are raised now for these tenants, the newest first."""
    names = {tenant.id: tenant.name for tenant in tenants}
    alert, pool = schema.alert.c, schema.pool.c
    rows = connection.execute(
        select(schema.alert, pool.name, pool.seats, pool.in_use)
        .join(schema.pool, pool.id == alert.pool_id)
        .where(alert.cleared_at_ms.is_(None))
    )

    def alert_of(row: Row[Any], threshold: str, told_at_ms: int | None, **more: Any) -> Raised:
        return Raised(
            tenant=names[row.tenant_id],
            pool=row.name,
            threshold=threshold,
            raised_at_ms=row.raised_at_ms,
            told_at_ms=told_at_ms,
            seats=row.seats,
            in_use=row.in_use,
            **more,
        )

    found = (alert_of(row, row.threshold, row.told_at_ms) for row in rows if row.tenant_id in names)
    ends = (
        alert_of(row, EXPIRES, row.raised_at_ms, expires_at_ms=row.expires_at_ms)
        for row in raised_ends(connection)
        if row.tenant_id in names
    )
    shared = (
        alert_of(row, SHARED, row.raised_at_ms, client_id=row.client_id, addresses=row.addresses)
        for row in raised_shared(connection)
        if row.tenant_id in names
    )
    return tuple(sorted(chain(found, ends, shared), key=_standing))


def _standing(alert: Raised) -> tuple[int, str, str, int]:
    """The newest first; of one pool the end of its licence, denials, and then the highest threshold."""
    level = {EXPIRES: 102, DENIED: 101, SHARED: 200}.get(alert.threshold) or int(alert.threshold)
    return (-alert.raised_at_ms, alert.tenant, alert.pool, -level)
