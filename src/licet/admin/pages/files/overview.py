"""Describes the overview as a file: every pool of the tenants that the reader sees, as of now."""

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.downloads import all_pages, moment
from licet.admin.pages.files.listed import Listed
from licet.admin.pages.filters import cleaned, tenant_or_all
from licet.admin.pages.frame import Visit
from licet.admin.pages.reader_zone import zone_of
from licet.reports.overview import PoolOverview, TenantOverview, overview

TENANTS_A_PAGE = 50


def overview_listed(request: Request, visit: Visit) -> Listed:
    """The pools of the chosen tenant, or of all whose name has the text of the search in it."""
    tenant, zone = tenant_or_all(visit), zone_of(request)
    known = {it.name: it for it in visit.tenants}
    matching = "" if tenant else cleaned(request.query_params.get("q", ""))

    def rows(connection: Connection) -> Iterator[tuple[TenantOverview, PoolOverview]]:
        def page_after(after: str | None) -> tuple[Sequence[TenantOverview], str | None]:
            found = overview(
                connection,
                visit.now_ms,
                tenant_id=tenant.id if tenant else None,
                matching=matching,
                zone=ZoneInfo(zone),
                after=after,
                limit=TENANTS_A_PAGE,
                known=known.get,
            )
            return found.tenants, found.next

        return ((of, pool) for of in all_pages(page_after) for pool in of.pools)

    return Listed(
        ("licet", tenant.name if tenant else "", "overview"),
        (
            ("tenant", lambda row: row[0].tenant),
            ("pool", lambda row: row[1].pool),
            ("in_use", lambda row: row[1].in_use),
            ("seats", lambda row: row[1].seats),
            ("on_hold", lambda row: row[1].on_hold),
            ("peak_today", lambda row: row[1].peak),
            ("peak_at", lambda row: moment(row[1].peak_at_ms, zone)),
            ("denials_today", lambda row: row[1].denials),
            ("expires", lambda row: moment(row[1].expires_at_ms, zone)),
        ),
        rows,
    )
