"""Raises an alert before a signed pool loses seats, when the grace begins, and when they are lost.

The rules:

- Pools whose alerts contain `expires` are evaluated. What matters is how many seats the licences of a pool
  give together (L13): where a renewal is installed, nothing ends, and nothing is reported.
- Each end is reported 30, 14, 7 and 1 days before the licences expire, once each; of several at once only the
  last. Then once when the grace begins, and once when the seats are lost.
- An end that is no longer to come is forgotten. Lost seats stay raised until they are back, for 30 days at
  most if some are left.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from sqlalchemy import Connection, or_, select

from licet.alerts.licence_ends import step_of
from licet.alerts.notices import (
    LICENCE_EXPIRED,
    LICENCE_EXPIRES,
    LICENCE_GRACE,
    Due,
    Kept,
    Notice,
    news,
)
from licet.formats import instant
from licet.licences.ends import SeatsEnd, lost_seats, near_ends
from licet.model import EXPIRES, Pool, Tenant
from licet.store import schema

EXPIRES_SOON = "licence.expires_soon"
GRACE_BEGAN = "licence.grace_began"
EXPIRED = "licence.expired"
KINDS = (LICENCE_EXPIRES, LICENCE_GRACE, LICENCE_EXPIRED)
ENDS_MAX = 10  # of one pool; a guess: nobody has more licences that end within 30 days
NAMES_MAX = 10  # licences that one message names


def signed_licences(
    connection: Connection, tenants: Mapping[int, Tenant], kept: Kept, now_ms: int
) -> Iterator[Notice]:
    """What has to be reported of the ends of licences, and what is no longer true."""
    pool = schema.pool.c
    query = select(pool.id, pool.in_use).where(or_(pool.is_signed, pool.id.in_(list(kept))))
    in_use = {row.id: row.in_use for row in connection.execute(query)}
    for tenant in tenants.values():
        for each in tenant.pools.values():
            if each.id in in_use:
                due = list(_due(tenant, each, in_use[each.id], now_ms))
                rows = kept.get(each.id, {})
                yield from news(due, rows, kinds=KINDS, pool_id=each.id, tenant_id=tenant.id)


def _due(tenant: Tenant, pool: Pool, in_use: int, now_ms: int) -> Iterator[Due]:
    if pool.signed is None or EXPIRES not in pool.alerts:
        return
    about = {"tenant": tenant.name, "pool": pool.name}
    for end in islice(near_ends(pool.signed, now_ms), ENDS_MAX):
        if end.expires_at_ms <= now_ms:
            yield Due(f"{LICENCE_GRACE} {end.ends_at_ms}", 1, GRACE_BEGAN, about | _data(end, in_use))
        elif days := step_of(end.expires_at_ms, now_ms):
            data = about | _data(end, in_use) | {"days": days}
            yield Due(f"{LICENCE_EXPIRES} {end.ends_at_ms}", days, EXPIRES_SOON, data)
    if (past := lost_seats(pool.signed, now_ms)) is not None:
        yield Due(f"{LICENCE_EXPIRED} {past.ends_at_ms}", 1, EXPIRED, about | _data(past, in_use))


def _data(end: SeatsEnd, in_use: int) -> dict[str, object]:
    data: dict[str, object] = {
        "licences": list(end.licences[:NAMES_MAX]),
        "vendor": end.vendor,
        "product": end.product,
        "seats_before": end.before,
        "seats_after": end.after,
        "in_use": in_use,
        "expires_at": instant(end.expires_at_ms),
    }
    return data | ({"grace_until": instant(end.ends_at_ms)} if end.has_grace else {})
