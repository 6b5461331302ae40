"""Serves what is computed of a span of time: peaks, seat-hours, denials, and what more seats would have done.

The figures are those of the pages and of `licet usage`.
"""

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi
from licet.admin.api.call import Reading, there
from licet.admin.api.moments import Span, Within
from licet.admin.api.parameters import LINE, TenantPath, Zone
from licet.admin.api.wire import shape_of
from licet.admin.problems import FieldError, Problem, invalid
from licet.model import HOLD_S_MAX, SEATS_MAX, TTL_S_MAX, Duplicates, Tenant
from licet.refusal import Code
from licet.reports.harvest import Harvest, harvest
from licet.reports.true_up import TrueUp, true_up
from licet.reports.usage import Usage, usage
from licet.reports.usage_queries import Reach
from licet.reports.what_if.report import Other, WhatIf, what_if
from licet.reports.what_if.visits import TooManyVisits
from licet.units import DAY_MS
from licet.zones import find_zone

SPAN_MS_MAX = 400 * DAY_MS  # as long as the journal is kept, by default

REPLAY_MS_MAX = 31 * DAY_MS  # some seconds for a thousand clients
SHOWN = (shape_of(Harvest), shape_of(TrueUp), shape_of(WhatIf))

usages = APIRouter(prefix="/tenants/{tenant}", tags=["Usage"])


ReachAsked = Annotated[Reach | None, Query(description="A span that ends now, instead of from and until.")]
Bounds = Callable[[Tenant, int], tuple[int, int, tzinfo]]


@usages.get("/usage", operation_id="getUsage", **openapi.one(Usage, 404))
async def get_usage(
    call: Reading, tenant: TenantPath, within: Within, reach: ReachAsked = None, zone: Zone = None
) -> Response:
    """Peaks, seat-hours, denials, and what more seats would have changed."""
    bounds = _bounds(within, reach, Reach.DAY, zone)

    def read(connection: Connection, known: Tenant) -> Usage:
        now_ms = call.now_ms()
        from_ms, until_ms, where = bounds(known, now_ms)
        return usage(connection, known, from_ms, until_ms, now_ms=now_ms, zone=where)

    return await call.show_of(tenant, read)


@usages.get("/usage/true-up", operation_id="getTrueUp", **openapi.one(TrueUp, 404))
async def get_true_up(
    call: Reading, tenant: TenantPath, within: Within, reach: ReachAsked = None, zone: Zone = None
) -> Response:
    """What each pool used above its seats, by day, and the true denials; of the last 30 days by default."""
    bounds = _bounds(within, reach, Reach.MONTH, zone)

    def read(connection: Connection, known: Tenant) -> TrueUp:
        now_ms = call.now_ms()
        from_ms, until_ms, where = bounds(known, now_ms)
        return true_up(connection, known, from_ms, until_ms, now_ms=now_ms, zone=where)

    return await call.show_of(tenant, read)


@usages.get("/usage/harvest", operation_id="getHarvest", **openapi.one(Harvest, 404))
async def get_harvest(
    call: Reading, tenant: TenantPath, within: Within, reach: ReachAsked = None, zone: Zone = None
) -> Response:
    """Which seats are held idle, and who never logs off; of the last 30 days by default."""
    bounds = _bounds(within, reach, Reach.MONTH, zone)

    def read(connection: Connection, known: Tenant) -> Harvest:
        now_ms = call.now_ms()
        from_ms, until_ms, _ = bounds(known, now_ms)
        return harvest(connection, known, from_ms, until_ms, now_ms=now_ms)

    return await call.show_of(tenant, read)


@usages.get("/usage/what-if", operation_id="getWhatIf", **openapi.one(WhatIf, 404, 409))
async def get_what_if(  # noqa: PLR0917 - what of a pool is another
    call: Reading,
    tenant: TenantPath,
    within: Within,
    pool: Annotated[str, Query(min_length=1, max_length=64, pattern=LINE)],
    reach: ReachAsked = None,
    zone: Zone = None,
    seats: Annotated[int | None, Query(ge=0, le=SEATS_MAX)] = None,
    overdraft: Annotated[int | None, Query(ge=0, le=SEATS_MAX)] = None,
    hold_s: Annotated[int | None, Query(ge=0, le=HOLD_S_MAX)] = None,
    session_ttl_s: Annotated[int | None, Query(ge=1, le=TTL_S_MAX)] = None,
    duplicates: Duplicates | None = None,
) -> Response:
    """What another set-up of a pool would have done: a replay, of the last 7 days by default, 31 at most."""
    bounds = _bounds(within, reach, Reach.WEEK, zone)
    other = Other(
        seats=seats, overdraft=overdraft, hold_s=hold_s, session_ttl_s=session_ttl_s, duplicates=duplicates
    )

    def read(connection: Connection, known: Tenant) -> WhatIf:
        now_ms = call.now_ms()
        from_ms, until_ms, _ = bounds(known, now_ms)
        if until_ms - from_ms > REPLAY_MS_MAX:
            message = "A span that is replayed has 31 days at most."
            raise invalid(FieldError(pointer="query:until", code=Code.OUT_OF_RANGE, message=message))
        of_pool = there(known.pool_named(pool), "pool", pool)
        try:
            return what_if(connection, known, of_pool, other, from_ms, until_ms, now_ms=now_ms)
        except TooManyVisits:
            text = "There are more visits in this span than can be replayed. A shorter span has fewer."
            raise Problem(409, "not-possible", text) from None

    return await call.show_of(tenant, read)


def _bounds(within: Span, reach: Reach | None, usual: Reach, zone: str | None) -> Bounds:
    """What gives the span that is asked for, and the zone of its days, once the tenant is known.

    Raises Problem.
    """
    named = zone_of(zone)
    if reach is not None and within != Span():
        message = "Either a reach, or from and until."
        raise invalid(FieldError(pointer="query:reach", code=Code.NOT_TOGETHER, message=message))

    def bounds(known: Tenant, now_ms: int) -> tuple[int, int, tzinfo]:
        where = named or known.zone
        return (*_bounded(within.bounds(where), reach or usual, now_ms, where), where)

    return bounds


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
