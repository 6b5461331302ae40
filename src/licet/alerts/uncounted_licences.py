"""Raises an alert for an installed licence that counts for nothing: changed, or of no trusted vendor.

The rules:

- Each is reported once, while it is so; at most `REPORTED_MAX` of a tenant in one evaluation, the others in
  the next.
- A serial whose place a later one has taken counts for nothing anyway, and is not reported.
- It belongs to no pool, as a text that was changed says nothing. So it is kept with the first signed pool of
  the tenant that has alerts; a tenant without one reports nothing.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

from sqlalchemy import Connection

from licet.alerts.notices import LICENCE_INVALID, Due, Kept, Notice, news
from licet.formats import printable
from licet.model import Pool, Tenant
from licet.setup.licences import InstalledLicence, not_counted

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


def key_of(licence: InstalledLicence) -> str:
    """The key of its row."""
    name = "\0".join((licence.vendor, licence.product, licence.name, str(licence.serial)))
    return f"{LICENCE_INVALID} {sha256(name.encode(errors='replace')).hexdigest()[:32]}"


def _bounded(notices: Iterator[Notice]) -> Iterator[Notice]:
    count = 0
    for notice in notices:
        count += notice.due is not None
        if notice.due is None or count <= REPORTED_MAX:
            yield notice


def _due(tenant: Tenant, licence: InstalledLicence) -> Due:
    data = {
        "tenant": tenant.name,
        "licence": printable(licence.name[:CHARS_MAX], " "),
        "serial": licence.serial,
        "vendor": printable(licence.vendor[:CHARS_MAX], " "),
        "product": printable(licence.product[:CHARS_MAX], " "),
        "reason": licence.fault.value if licence.fault else "",
    }
    return Due(key_of(licence), 1, INVALID, data)
