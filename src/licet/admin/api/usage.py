"""Serves what is computed of a span of time: peaks, seat-hours, denials, and what more seats would have done.

The figures are those of the pages and of `licet usage`.
"""

from datetime import UTC, tzinfo
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi
from licet.admin.api.call import Reading
from licet.admin.api.moments import Span, Within
from licet.admin.api.parameters import TenantPath, Zone
from licet.admin.problems import FieldError, invalid
from licet.model import Tenant
from licet.refusal import Code
from licet.reports.usage import Usage, usage
from licet.reports.usage_queries import Reach
from licet.units import DAY_MS
from licet.zones import find_zone

SPAN_MS_MAX = 400 * DAY_MS  # as long as the journal is kept, by default

usages = APIRouter(prefix="/tenants/{tenant}", tags=["Usage"])


@usages.get("/usage", operation_id="getUsage", **openapi.one(Usage, 404))
async def get_usage(
    call: Reading,
    tenant: TenantPath,
    within: Within,
    reach: Annotated[
        Reach | None, Query(description="A span that ends now, instead of from and until.")
    ] = None,
    zone: Zone = None,
) -> Response:
    """Peaks, seat-hours, denials, and what more seats would have changed."""
    where, now_ms = zone_of(zone), call.now_ms()
    if reach is not None and within != Span():
        message = "Either a reach, or from and until."
        raise invalid(FieldError(pointer="query:reach", code=Code.NOT_TOGETHER, message=message))

    def read(connection: Connection, known: Tenant) -> Usage:
        zone = where or known.zone
        from_ms, until_ms = _bounded(within.bounds(zone), reach or Reach.DAY, now_ms, zone)
        return usage(connection, known, from_ms, until_ms, now_ms=now_ms, zone=zone)

    return await call.show_of(tenant, read)


def _bounded(asked: dict[str, int | None], reach: Reach, now_ms: int, zone: tzinfo) -> tuple[int, int]:
    """The span that is asked for, which otherwise ends now.

    Raises Problem.
    """
    from_ms, until_ms = asked["from_ms"], asked["until_ms"]
    from_ms = reach.from_ms(now_ms, zone) if from_ms is None else from_ms
    until_ms = now_ms if until_ms is None else until_ms
    if not from_ms <= until_ms <= from_ms + SPAN_MS_MAX:
        message = "A span ends behind its beginning, and within 400 days of it."
        raise invalid(FieldError(pointer="query:until", code=Code.OUT_OF_RANGE, message=message))
    return from_ms, until_ms


def zone_of(name: str | None) -> tzinfo | None:
    """The time zone of this name; None where none is named. Raises Problem."""
    if name is None:
        return None
    if name == "UTC":
        return UTC
    if (zone := find_zone(name)) is None:
        message = f"There is no time zone {name}."
        raise invalid(FieldError(pointer="query:zone", code=Code.UNKNOWN_CHOICE, message=message))
    return zone
