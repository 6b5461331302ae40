"""Serves what is computed of a span of time: peaks, seat-hours, denials, costs, and what would have been.

The figures are those of the pages and of `licet usage`.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi
from licet.admin.api.call import Call, Reading, there
from licet.admin.api.parameters import LINE, TenantPath
from licet.admin.api.usage.rules import AskedRules, refused
from licet.admin.api.usage.spans import Asked, AskedSpan, Bounds
from licet.admin.api.wire import shape_of
from licet.admin.problems import FieldError, Problem, invalid
from licet.model import HOLD_S_MAX, SEATS_MAX, TTL_S_MAX, Duplicates, InvalidValue, Tenant
from licet.refusal import Code
from licet.reports.costs import Costs, cents_of, costs
from licet.reports.export.exported import Export, exported
from licet.reports.export.written import write_log
from licet.reports.forms import LogFormat, SplitBy
from licet.reports.harvest import Harvest, harvest
from licet.reports.spans import USUAL_OF_PEAKS, USUAL_OF_SUMS, USUAL_OF_WHAT_IF, Reach
from licet.reports.true_up import TrueUp, true_up
from licet.reports.usage import Usage, usage
from licet.reports.what_if.report import REPLAY_MS_MAX, TOO_LONG, Other, WhatIf, what_if
from licet.reports.what_if.visits import TooManyVisits
from licet.store.errors import NotFound

PRICE_MAX = 1e9
SHOWN = (shape_of(Harvest), shape_of(TrueUp), shape_of(WhatIf), shape_of(Costs))

usages = APIRouter(prefix="/tenants/{tenant}", tags=["Usage"])

# What makes a report: of a connection, a tenant, a span and the instant that it is now.
Report = Callable[[Connection, Tenant, Bounds, int], Any]


async def _show(call: Call, tenant: str, asked: AskedSpan, usual: Reach, report: Report) -> Response:
    """A report of the span that is asked for, as JSON."""

    def read(connection: Connection, known: Tenant) -> Any:
        now_ms = call.now_ms()
        return report(connection, known, asked.of(known, now_ms, usual), now_ms)

    return await call.show_of(tenant, read)


@usages.get("/usage", operation_id="getUsage", **openapi.one(Usage, 404))
async def get_usage(call: Reading, tenant: TenantPath, asked: Asked) -> Response:
    """Peaks, seat-hours, denials, and what more seats would have changed; of the last 7 days by default."""

    def report(connection: Connection, known: Tenant, span: Bounds, now_ms: int) -> Usage:
        return usage(connection, known, span.from_ms, span.until_ms, now_ms=now_ms, zone=span.zone)

    return await _show(call, tenant, asked, USUAL_OF_PEAKS, report)


@usages.get("/usage/true-up", operation_id="getTrueUp", **openapi.one(TrueUp, 404))
async def get_true_up(call: Reading, tenant: TenantPath, asked: Asked) -> Response:
    """What each pool used above its seats, by day, and the true denials; of the last 30 days by default."""

    def report(connection: Connection, known: Tenant, span: Bounds, now_ms: int) -> TrueUp:
        return true_up(connection, known, span.from_ms, span.until_ms, now_ms=now_ms, zone=span.zone)

    return await _show(call, tenant, asked, USUAL_OF_SUMS, report)


@usages.get("/usage/harvest", operation_id="getHarvest", **openapi.one(Harvest, 404))
async def get_harvest(call: Reading, tenant: TenantPath, asked: Asked) -> Response:
    """Which seats are held idle, and who never logs off; of the last 30 days by default."""

    def report(connection: Connection, known: Tenant, span: Bounds, now_ms: int) -> Harvest:
        return harvest(connection, known, span.from_ms, span.until_ms, now_ms=now_ms)

    return await _show(call, tenant, asked, USUAL_OF_SUMS, report)


@usages.get("/usage/costs", operation_id="getCosts", **openapi.one(Costs, 404))
async def get_costs(
    call: Reading,
    tenant: TenantPath,
    asked: Asked,
    by: Annotated[SplitBy, Query(description="What the costs are split by.")],
    price: Annotated[
        float | None, Query(ge=0, le=PRICE_MAX, description="What one seat costs for this span.")
    ] = None,
) -> Response:
    """Who held seats for how long, by group or cost centre, and its cost; of the last 30 days by default."""

    def report(connection: Connection, known: Tenant, span: Bounds, now_ms: int) -> Costs:
        cents = cents_of(price)
        return costs(connection, known, by, span.from_ms, span.until_ms, cents, now_ms=now_ms)

    return await _show(call, tenant, asked, USUAL_OF_SUMS, report)


@usages.get("/usage/what-if", operation_id="getWhatIf", **openapi.one(WhatIf, 404, 409))
async def get_what_if(  # noqa: PLR0917 - what of a pool is another
    call: Reading,
    tenant: TenantPath,
    asked: Asked,
    pool: Annotated[str, Query(min_length=1, max_length=64, pattern=LINE)],
    seats: Annotated[int | None, Query(ge=0, le=SEATS_MAX)] = None,
    overdraft: Annotated[int | None, Query(ge=0, le=SEATS_MAX)] = None,
    hold_s: Annotated[int | None, Query(ge=0, le=HOLD_S_MAX)] = None,
    session_ttl_s: Annotated[int | None, Query(ge=1, le=TTL_S_MAX)] = None,
    duplicates: Duplicates | None = None,
    *,
    rules: AskedRules,
) -> Response:
    """What another set-up of a pool would have done: a replay, of the last 7 days by default, 31 at most."""
    other = Other(
        seats=seats,
        overdraft=overdraft,
        hold_s=hold_s,
        session_ttl_s=session_ttl_s,
        duplicates=duplicates,
        rules=rules,
    )

    def report(connection: Connection, known: Tenant, span: Bounds, now_ms: int) -> WhatIf:
        if span.until_ms - span.from_ms > REPLAY_MS_MAX:
            raise invalid(FieldError(pointer="query:until", code=Code.OUT_OF_RANGE, message=TOO_LONG))
        of_pool = there(known.pool_named(pool), "pool", pool)
        try:
            return what_if(connection, known, of_pool, other, span.from_ms, span.until_ms, now_ms=now_ms)
        except TooManyVisits:
            raise _too_many() from None
        except (InvalidValue, NotFound) as refusal:
            raise refused(refusal, list(rules)) from None

    return await _show(call, tenant, asked, USUAL_OF_WHAT_IF, report)


@usages.get(
    "/usage/export", operation_id="exportUsage", **openapi.text(404, 409, also=(openapi.CSV, openapi.JSON))
)
async def export_usage(
    call: Reading,
    tenant: TenantPath,
    asked: Asked,
    form: Annotated[
        LogFormat, Query(alias="format", description="RLM's detailed report log, CSV, or JSON.")
    ] = LogFormat.RLM,
) -> Response:
    """Who got a seat, freed it or was denied, as RLM's report log; of the last 30 days by default."""

    def work() -> Response:
        known, now_ms = call.tenant(tenant), call.now_ms()
        span = asked.of(known, now_ms, USUAL_OF_SUMS)

        def read(connection: Connection) -> Export:
            return exported(connection, known, span.from_ms, span.until_ms, now_ms=now_ms)

        try:
            found = call.context.read_now(read)
        except TooManyVisits:
            raise _too_many() from None
        return Response(write_log(found, form).encode(), media_type=form.media_type)

    return await call.context.run(work)


def _too_many() -> Problem:
    text = "There is more in this span than one report has. A shorter span has less."
    return Problem(409, "not-possible", text)
