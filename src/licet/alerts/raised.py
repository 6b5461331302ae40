"""Reads the alerts that are raised now: full pools and queues, licences that end, seats that many share.

An alert of a signed licence has the end that it is about in its key (`notices.py`).
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row, select

from licet.alerts.licence_ends import raised_ends
from licet.alerts.notices import (
    LICENCE_EXPIRED,
    LICENCE_EXPIRES,
    LICENCE_GRACE,
    LICENCE_INVALID,
    OF_LICENCES,
    OVERDRAFT,
    QUEUE_FULL,
)
from licet.alerts.shared_seats import raised_shared
from licet.alerts.uncounted_licences import uncounted_names
from licet.ledger.signed_pools import seats_of
from licet.model import DENIED, EXPIRES, SHARED, Tenant, Value
from licet.store import schema


class Raised(Value, frozen=True, kw_only=True):
    """An alert that is raised now. `threshold` says which: `80`, `denied`, `overdraft`, `expires`, `shared`.

    Of a queue it is `queue_full`. Of a signed licence it is `licence_expires`, `licence_grace`,
    `licence_expired` or `licence_invalid`. `expires_at_ms` is the end of the licence, or of its grace,
    where the alert is about that; where it is about a shared seat, `client_id` holds it, and so many
    `addresses` used it when that was reported. `licence` is the id of one that gives no seats.
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
    licence: str | None = None


def raised(connection: Connection, tenants: Iterable[Tenant], now_ms: int) -> tuple[Raised, ...]:
    """The alerts that are raised now for these tenants, the newest first."""
    names: dict[int, str] = {}
    seats: dict[tuple[int, str], int] = {}
    for tenant in tenants:
        names[tenant.id] = tenant.name
        seats |= {(tenant.id, pool.name): seats_of(pool, now_ms) for pool in tenant.pools.values()}
    alert, pool = schema.alert.c, schema.pool.c
    rows = connection.execute(
        select(schema.alert, pool.name, pool.seats, pool.in_use)
        .join(schema.pool, pool.id == alert.pool_id)
        .where(alert.cleared_at_ms.is_(None))
    ).all()
    invalid = {row.tenant_id for row in rows if row.threshold.startswith(f"{LICENCE_INVALID} ")}
    licences = uncounted_names(connection, invalid & names.keys()) if invalid else {}

    def alert_of(row: Row[Any], threshold: str, told_at_ms: int | None, **more: Any) -> Raised:
        return Raised(
            tenant=names[row.tenant_id],
            pool=row.name,
            threshold=threshold,
            raised_at_ms=row.raised_at_ms,
            told_at_ms=told_at_ms,
            seats=seats.get((row.tenant_id, row.name), row.seats),
            in_use=row.in_use,
            **more,
        )

    def kept_of(row: Row[Any]) -> Raised:
        kind, _, about = row.threshold.partition(" ")
        end_ms = int(about) if kind in OF_LICENCES and kind != LICENCE_INVALID else None
        licence = licences.get((row.tenant_id, row.threshold))
        return alert_of(row, kind, row.told_at_ms, expires_at_ms=end_ms, licence=licence)

    found = (kept_of(row) for row in rows if row.tenant_id in names)
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
    level = _LEVELS.get(alert.threshold) or int(alert.threshold)
    return (-alert.raised_at_ms, alert.tenant, alert.pool, -level)


_LEVELS = {
    DENIED: 101,
    OVERDRAFT: 102,
    QUEUE_FULL: 103,
    EXPIRES: 104,
    LICENCE_EXPIRES: 105,
    LICENCE_GRACE: 106,
    LICENCE_EXPIRED: 107,
    LICENCE_INVALID: 108,
    SHARED: 200,
}
