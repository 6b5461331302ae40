"""Serves the page of licences: what counts in a tenant, until when, what comes next, and what does not count.

Everybody who may see the tenant sees it. Vendors are trusted for all tenants: so only readers of all tenants
see all vendors.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import Connection, func, select

from licet.admin.context import AdminContext
from licet.admin.pages.denials import choose
from licet.admin.pages.frame import Visit, page, visiting
from licet.admin.pages.licence_outlook import Outlook, change_text, is_end, notices, outlooks
from licet.admin.pages.licences.picture import HEIGHT, Picture, Span, picture, span
from licet.admin.pages.licences.rows import LicenceRow, rows
from licet.admin.pages.reader_zone import zone_of
from licet.licences.steps import SignedSeats, Step
from licet.model import Role, Tenant
from licet.setup.licences import InstalledLicence, TrustedVendor, installed, vendors
from licet.store import schema

HERE = "Licences"
PATH = "/licences"
ROWS_MAX = 200  # of the list of licences
STEPS_MAX = 100  # of the table beside a picture


class Found(NamedTuple):
    """What the store has about the licences of a tenant."""

    installed: Sequence[InstalledLicence]
    vendors: Sequence[TrustedVendor]
    in_use: dict[str, int]


class Key(NamedTuple):
    """What occurs in the pictures of a page, for their key."""

    kinds: frozenset[str]
    has_limit: bool


class StepRow(NamedTuple):
    """A step in the table beside a picture. `form` is how its instant is shown."""

    step: Step
    text: str
    form: str
    is_now: bool


Drawn = tuple[Outlook, Picture | None, list[StepRow]]


def router(context: AdminContext) -> APIRouter:
    """`/licences`."""
    made = APIRouter()
    visitor = visiting(context)

    @made.get(PATH)
    async def show(request: Request, visit: Annotated[Visit, Depends(visitor)]) -> Response:
        if visit.the_tenant is None:
            return choose(request, visit, HERE, PATH, "Licences of which tenant?")
        tenant = await context.tenant(visit.identity, visit.the_tenant.name)
        found = await context.read(lambda connection: _read(connection, tenant, visit.now_ms))
        return page(
            request,
            visit,
            "licences/show.html",
            here=HERE,
            **await context.run(_values, request, visit, tenant, found),
        )

    return made


def pictures(found: Sequence[Outlook], now_ms: int, zone: str) -> list[Drawn]:
    """Each pool with its picture, which one that never has a seat has not, and the rows of its table."""
    drawn = span([signed for it in found if (signed := it.pool.signed) is not None], now_ms)
    return [(it, _picture(it, drawn, zone), _steps(it.pool.signed, now_ms)) for it in found]


def key_of(drawn: Sequence[Drawn]) -> Key:
    """The key of these pictures."""
    kinds = frozenset(band.kind for _, one, _ in drawn if one for band in one.bands)
    return Key(kinds, any(it.limit is not None for it, _, _ in drawn))


def _read(connection: Connection, tenant: Tenant, now_ms: int) -> Found:
    pool, seat = schema.pool.c, schema.seat.c
    in_use = (
        select(pool.name, func.count())
        .join_from(schema.pool, schema.seat, seat.pool_id == pool.id)
        .where(pool.tenant_id == tenant.id, pool.is_signed, seat.expires_at_ms > now_ms)
        .group_by(pool.name)
    )
    return Found(
        installed=installed(connection, tenant.id, tenant.name),
        vendors=vendors(connection),
        in_use={row[0]: row[1] for row in connection.execute(in_use)},
    )


def _values(request: Request, visit: Visit, tenant: Tenant, found: Found) -> dict[str, Any]:
    listed = rows(found.installed, visit.now_ms)
    outlook = outlooks(tenant, visit.now_ms, found.in_use)
    drawn = pictures(outlook, visit.now_ms, zone_of(request))
    return {
        "tenant": tenant,
        "pools": drawn,
        "notices": list(notices(tenant, visit.now_ms).values()),
        "key": key_of(drawn),
        "present": [row for row in listed if not row.is_past][:ROWS_MAX],
        "past": [row for row in listed if row.is_past][:ROWS_MAX],
        "rows_more": max(0, len(listed) - ROWS_MAX),
        "vendors": _seen(visit, found, listed),
        "sees_all": visit.identity.sees(None),
        "may_install": visit.may(Role.OWNER),
        "may_trust": visit.identity.owns_licence,
        "height": HEIGHT,
    }


def _seen(visit: Visit, found: Found, listed: Sequence[LicenceRow]) -> list[TrustedVendor]:
    """The vendors that are trusted; to a reader of one tenant those alone that have signed for it."""
    theirs = {(row.now.row.vendor, row.now.row.product) for row in listed}
    return [it for it in found.vendors if visit.identity.sees(None) or (it.name, it.product) in theirs]


def _picture(it: Outlook, drawn: Span, zone: str) -> Picture | None:
    signed = it.pool.signed
    assert signed is not None
    if not any(step.signed for step in signed.steps):
        return None
    return picture(
        signed, drawn, ZoneInfo(zone), in_use=it.in_use, limit=None if it.limit is None else sum(it.limit)
    )


def _steps(signed: SignedSeats | None, now_ms: int) -> list[StepRow]:
    """All but the first, which begins with time and gives nothing."""
    assert signed is not None
    now, found = signed.at(now_ms), []
    for before, step in zip(signed.steps, signed.steps[1:], strict=False):
        form = "end" if is_end(before, step) else "moment"
        found.append(StepRow(step, change_text(before, step), form, step is now))
    return found[:STEPS_MAX]
