"""Raises an alert for an installed licence that counts for nothing: changed, or of no trusted vendor.

The rules:

- Each is reported once, while it is so; at most `REPORTED_MAX` of a tenant in one evaluation, the others in
  the next.
- A serial whose place a later one has taken counts for nothing anyway, and is not reported.
- It belongs to no pool, as a text that was changed says nothing. So it is kept with the first signed pool of
  the tenant that has alerts; a tenant without one reports nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from sqlalchemy import Connection, select

from licet.alerts.notices import LICENCE_INVALID, Due, Kept, Notice, news
from licet.formats import printable
from licet.model import Pool, Tenant
from licet.setup.licences import InstalledLicence, not_counted
from licet.store import schema

INVALID = "licence.invalid"
REPORTED_MAX = 20  # a guess: with one vendor's trust gone all of its licences are invalid at once
CHARS_MAX = 100  # of a name; a row that was changed may have any


def uncounted_licences(
    connection: Connection, tenants: Mapping[int, Tenant], kept: Kept, now_ms: int
) -> Iterator[Notice]:
    """What has to be reported, and what is no longer true."""
    found = not_counted(connection, {tenant.id: tenant.name for tenant in tenants.values()}, now_ms)
    for tenant in tenants.values():
        first = keeper(tenant)
        for pool in tenant.pools.values():
            due = [_due(tenant, one) for one in found.get(tenant.id, ())] if pool is first else []
            new = news(
                due, kept.get(pool.id, {}), kinds=(LICENCE_INVALID,), pool_id=pool.id, tenant_id=tenant.id
            )
            yield from _bounded(new)


def keeper(tenant: Tenant) -> Pool | None:
    """The pool with which what is reported of a tenant's licences is kept."""
    pools = [pool for pool in tenant.pools.values() if pool.signed is not None and pool.alerts]
    return min(pools, key=lambda pool: pool.id, default=None)


def key_of(vendor: str, product: str, licence: str, serial: int) -> str:
    """The key of its row."""
    name = "\0".join((vendor, product, licence, str(serial)))
    return f"{LICENCE_INVALID} {sha256(name.encode(errors='replace')).hexdigest()[:32]}"


def uncounted_names(connection: Connection, tenants: Iterable[int]) -> dict[tuple[int, str], str]:
    """The ids of the licences of these tenants, by tenant and key, harmless to show."""
    licence = schema.licence.c
    query = select(licence.tenant_id, licence.vendor, licence.product, licence.licence, licence.serial)
    found = connection.execute(query.where(licence.tenant_id.in_(sorted(tenants))))
    return {
        (row.tenant_id, key_of(row.vendor, row.product, row.licence, row.serial)): _harmless(row.licence)
        for row in found
    }


def _harmless(name: str) -> str:
    return printable(name[:CHARS_MAX], " ")


def _bounded(notices: Iterator[Notice]) -> Iterator[Notice]:
    count = 0
    for notice in notices:
        count += notice.due is not None
        if notice.due is None or count <= REPORTED_MAX:
            yield notice


def _due(tenant: Tenant, licence: InstalledLicence) -> Due:
    data = {
        "tenant": tenant.name,
        "licence": _harmless(licence.name),
        "serial": licence.serial,
        "vendor": _harmless(licence.vendor),
        "product": _harmless(licence.product),
        "reason": licence.fault.value if licence.fault else "",
    }
    key = key_of(licence.vendor, licence.product, licence.name, licence.serial)
    return Due(key, 1, INVALID, data)
