"""Serves the overview: seats in use now, today's peak and denials, and the last 24 hours of each pool.

One tenant has charts and its current holders; several are a table, in pages. Both update by themselves. A
page costs the same number of queries whatever it shows (`licet.reports.overview`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext, cookie_name
from licet.admin.pages.frame import Visit, page, part, visiting
from licet.admin.pages.licence_outlook import Notice, notices
from licet.admin.pages.licence_state import LicenceState, licence_state
from licet.admin.pages.live import Live
from licet.admin.pages.reader_zone import zone_of
from licet.admin.pages.setup.first_run import is_unfinished
from licet.admin.problems import not_found
from licet.formats import counted, without_controls
from licet.journal.first_grant import first_grant
from licet.model import Role, Tenant
from licet.reports.overview import Overview, PoolOverview, overview
from licet.reports.seats import SeatPage, mark, seats_held
from licet.store.paging import InvalidCursor
from licet.units import QUARTER_MS

TENANTS_A_PAGE = 50
IN_NOW_MAX = 8
_NAMES_SHOWN = 2  # of pools, in a headline
_TEXT_CHARS_MAX = 64


class View(NamedTuple):
    """A view that somebody looks at; equal views get the same content."""

    tenant_id: int | None  # None: all tenants
    name: str  # of the chosen tenant
    matching: str
    after: str | None
    zone: str
    may_end: bool
    only_mark: bool = False  # for a list that reloads itself when something has changed


class Seen(NamedTuple):
    """The content of a view."""

    found: Overview
    in_now: SeatPage | None
    notices: Mapping[str, Mapping[str, Notice]]  # of licences, by tenant and pool
    begins: bool  # the tenant has no token yet, so that its first steps are shown


def router(context: AdminContext) -> APIRouter:
    """`/`, and `/live` with its updates."""
    made = APIRouter()
    live = Live(context, lambda connection, views, now_ms: _show_all(context, connection, views, now_ms))
    visitor = visiting(context)

    @made.get("/")
    async def look(
        request: Request, visit: Annotated[Visit, Depends(visitor)], q: str = "", after: str | None = None
    ) -> Response:
        view = _view(request, visit, q, after)
        try:
            seen = await context.read(lambda connection: _see(context, connection, view, visit.now_ms))
        except InvalidCursor:
            raise not_found("The list has no such page.") from None
        return page(request, visit, "overview.html", here="Overview", **_values(view, seen))

    @made.get("/live")
    async def follow(
        request: Request,
        visit: Annotated[Visit, Depends(visitor)],
        q: str = "",
        after: str | None = None,
        of: Annotated[str, Query(alias="for")] = "",
    ) -> Response:
        view = _view(request, visit, q, after)
        if of == "list" and visit.the_tenant is not None:
            view = view._replace(only_mark=True, zone="UTC", may_end=False)
        return live.stream(view, request.cookies[cookie_name(request)])

    return made


def headline(found: Overview, tenants: int) -> str:
    """The answer in one sentence."""
    if not found.tenants:
        return "No tenant yet" if not tenants else "No tenant of this name"
    seats = sum(pool.seats for tenant in found.tenants for pool in tenant.pools)
    in_use = sum(pool.in_use for tenant in found.tenants for pool in tenant.pools)
    denials = sum(tenant.denials for tenant in found.tenants)
    where = found.tenants[0].tenant if len(found.tenants) == 1 else f"{len(found.tenants)} tenants"
    said = f"{in_use:,} of {counted(seats, 'seat')} in use in {where}, {counted(denials, 'denial')} today"
    expired = [
        pool.pool
        for tenant in found.tenants
        for pool in tenant.pools
        if licence_state(pool.expires_at_ms, found.at_ms) is LicenceState.EXPIRED
    ]
    if not expired:
        return said
    if len(found.tenants) > 1:
        return f"{said}, {counted(len(expired), 'licence has', 'licences have')} expired"
    if len(expired) > _NAMES_SHOWN:
        return f"{said}, the licences of {len(expired):,} pools have expired"
    ended = "licence of {} has" if len(expired) == 1 else "licences of {} have"
    return f"{said}, the {ended.format(' and '.join(expired))} expired"


def _view(request: Request, visit: Visit, text: str, after: str | None) -> View:
    tenant = visit.the_tenant
    scope = tenant.id if tenant else visit.identity.tenant_id
    return View(
        tenant_id=scope,
        name=tenant.name if tenant else "",
        matching="" if tenant else without_controls(text)[:_TEXT_CHARS_MAX],
        after=None if tenant else after,
        zone=zone_of(request),
        may_end=visit.may(Role.OPERATOR),
    )


def _see(context: AdminContext, connection: Connection, view: View, now_ms: int) -> Seen:
    found = overview(
        connection,
        now_ms,
        tenant_id=view.tenant_id,
        matching=view.matching,
        zone=ZoneInfo(view.zone),
        after=view.after,
        limit=TENANTS_A_PAGE,
        known=context.store.tenant,
    )
    tenant = context.store.tenant(view.name) if view.name else None
    in_now = seats_held(connection, tenant, now_ms, limit=IN_NOW_MAX) if tenant else None
    noticed = {it.tenant: notices(context.store.tenant(it.tenant), now_ms) for it in found.tenants}
    return Seen(found, in_now, noticed, tenant is not None and _begins(connection, tenant, found, now_ms))


def _begins(connection: Connection, tenant: Tenant, found: Overview, now_ms: int) -> bool:
    """Whether a tenant has had no token yet. Where it is in use, nothing is read for that."""
    is_in_use = any(it.sessions or any(pool.peak_at_ms for pool in it.pools) for it in found.tenants)
    return not is_in_use and (is_unfinished(tenant, now_ms) or first_grant(connection, tenant.id) is None)


def _show_all(
    context: AdminContext, connection: Connection, views: Sequence[View], now_ms: int
) -> dict[View, dict[str, Any]]:
    """The content of each of these views, for pages that are open."""
    shown: dict[View, dict[str, Any]] = {}
    for view in views:
        if view.only_mark and view.tenant_id is not None:
            shown[view] = {"mark": mark(connection, view.tenant_id, now_ms)}
            continue
        values = _values(view, _see(context, connection, view, now_ms))
        shown[view] = {"headline": values["sentence"], "html": part("overview.html", "live", **values)}
    return shown


def _values(view: View, seen: Seen) -> dict[str, Any]:
    return {
        "view": view,
        "found": seen.found,
        "in_now": seen.in_now,
        "notices": seen.notices,
        "begins": seen.begins,
        "one": seen.found.tenants[0] if view.name and seen.found.tenants else None,
        "sentence": headline(seen.found, 1 if view.matching else 0),
        "chart_of": _chart_of,
        "line_of": _line_of,
    }


def _chart_of(pool: PoolOverview) -> dict[str, Any]:
    """The last 24 hours for chart.js; the value of a quarter of an hour holds to its end."""
    points = pool.points
    ends = [points[-1].at_ms + QUARTER_MS] if points else []
    highest = max((point.peak for point in points), default=0)
    return {
        "at": [at_ms // 1000 for at_ms in (*(point.at_ms for point in points), *ends)],
        "series": [
            {"label": "in use", "kind": "step", "values": [point.peak for point in (*points, *points[-1:])]},
            {"label": "seats", "kind": "limit", "values": [point.seats for point in (*points, *points[-1:])]},
        ],
        "unit": "seats",
        "rest": f"highest {highest:,} of {counted(pool.seats, 'seat')}",
    }


def _line_of(pool: PoolOverview, width: int, height: int) -> str:
    """The same as the points of a sparkline."""
    most = max([1, *(max(point.peak, point.seats) for point in pool.points)])
    step = width / max(1, len(pool.points) - 1)
    return " ".join(
        f"{number * step:.1f},{height - height * point.peak / most:.1f}"
        for number, point in enumerate(pool.points)
    )
