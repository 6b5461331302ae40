"""Describes the licences of a tenant as a file, also those that were replaced or removed."""

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.downloads import moment
from licet.admin.pages.files.listed import Listed, chosen
from licet.admin.pages.frame import Visit
from licet.admin.pages.licences.rows import LicenceRow, rows
from licet.admin.pages.reader_zone import zone_of
from licet.setup.licences import installed


def licences_listed(request: Request, visit: Visit) -> Listed:
    """The licences that `/licences` lists, in its order."""
    tenant, zone = chosen(visit), zone_of(request)

    def read(connection: Connection) -> list[LicenceRow]:
        return rows(installed(connection, tenant.id, tenant.name), visit.now_ms)

    return Listed(
        ("licet", tenant.name, "licences"),
        (
            ("tenant", lambda _: tenant.name),
            ("licence", lambda it: it.now.row.name),
            ("serial", lambda it: it.now.row.serial),
            ("state", lambda it: it.now.state.value),
            ("gives", _gives),
            ("begins", lambda it: moment(it.now.licence and it.now.licence.begins_at_ms, zone)),
            ("expires", lambda it: moment(it.now.licence and it.now.licence.expires_at_ms, zone)),
            ("vendor", lambda it: it.now.row.vendor),
            ("product", lambda it: it.now.row.product),
            ("installed", lambda it: moment(it.now.row.installed_at_ms, zone)),
            ("removed", lambda it: moment(it.now.row.removed_at_ms, zone)),
        ),
        read,
    )


def _gives(row: LicenceRow) -> str:
    """The seats by pool, and what of overdraft: `full 10, mobile 5+2`."""
    if row.now.licence is None:
        return ""
    return ", ".join(
        f"{name} {pool.seats}{f'+{pool.overdraft}' if pool.overdraft else ''}"
        for name, pool in sorted(row.now.licence.pools.items())
    )
