"""Serves the reports that are tables: true-up, idle seats, and costs; each also as a file for spreadsheets.

The figures are those of `licet usage true-up`, `licet usage harvest` and `licet usage --by group`. Days are
those of the reader's zone.
"""

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.denials import choose
from licet.admin.pages.downloads import csv_file, file_name, moment
from licet.admin.pages.frame import page, visiting
from licet.admin.pages.reports.asked import (
    COSTS,
    HARVEST,
    HERE,
    REACHES,
    TRUE_UP,
    Asked,
    asked_of,
    link_of,
    tools,
)
from licet.admin.problems import not_found
from licet.formats import seat_hours
from licet.reports.costs import COLUMNS, Costs, cents_of, costs, rows
from licet.reports.forms import SplitBy
from licet.reports.harvest import Harvest, harvest
from licet.reports.spans import USUAL_OF_SUMS
from licet.reports.true_up import TrueUp, true_up
from licet.units import HOUR_MS

ROWS = 20  # of a table; the file has all
DAYS = 31  # the newest of a true-up; the same
NAMES = 20  # in a sentence
PRICE_MAX = 1e9
SPLITS = ((SplitBy.COST_CENTRE.value, "Cost centre"), (SplitBy.GROUP.value, "Group"))

Query = dict[str, str]  # what of an address is this report's own
File = tuple[Sequence[str], Iterable[Sequence[object]]]  # headings and rows


class Report(NamedTuple):
    """A report: where it is, how it is read and made a file; what of an address is its own, or wrong."""

    path: str
    word: str
    question: str
    template: str
    read: Callable[[Connection, Asked, int, Query], Any]
    file: Callable[[Any, Asked], File]
    own: Callable[[Request], Query] = lambda _: {}
    wrong: Callable[[Request], str] = lambda _: ""


def router(context: AdminContext) -> APIRouter:
    """The three pages, and the same as files."""
    routes = APIRouter()
    for report in _REPORTS:
        routes.add_api_route(report.path, _show(context, report), methods=["GET"])
        routes.add_api_route(f"{report.path}/download.csv", _download(context, report), methods=["GET"])
    return routes


def _show(context: AdminContext, report: Report) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        if visit.the_tenant is None:
            return choose(request, visit, HERE, report.path, report.question)
        if (settled := settle_times(request, report.path, visit.now_ms)) is not None:
            return settled
        asked, own = asked_of(request, visit.the_tenant, report.path, USUAL_OF_SUMS), report.own(request)
        found = await context.run(_read, context, report, asked, own, visit.now_ms)
        download = link_of(visit, asked._replace(path=f"{report.path}/download.csv"))
        more = "".join(f"{'&' if '?' in download else '?'}{name}={text}" for name, text in own.items())
        return page(
            request,
            visit,
            report.template,
            status=422 if (wrong := report.wrong(request)) else 200,
            here=HERE,
            tenant=visit.the_tenant,
            found=found,
            span_text=REACHES[asked.reach],
            download=f"{download}{more}",
            own=own,
            wrong=wrong,
            splits=SPLITS,
            hours_of=seat_hours,
            share_of=_share,
            total=_totals(found),
            rows_max=ROWS,
            days_max=DAYS,
            names_max=NAMES,
            **tools(request, visit, asked),
        )

    return show


def _download(context: AdminContext, report: Report) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def download(request: Request) -> Response:
        visit = await seen(request)
        if visit.the_tenant is None:
            raise not_found("Say of which tenant.")
        asked, own = asked_of(request, visit.the_tenant, report.path, USUAL_OF_SUMS), report.own(request)
        found = await context.run(_read, context, report, asked, own, visit.now_ms)
        span = "times" if asked.is_chosen else asked.reach.value
        headings, lines = report.file(found, asked)
        return csv_file(file_name("licet", asked.tenant.name, report.word, span), headings, lines)

    return download


def _read(context: AdminContext, report: Report, asked: Asked, own: Query, now_ms: int) -> Any:
    return context.read_now(lambda connection: report.read(connection, asked, now_ms, own))


def _totals(found: Any) -> dict[str, int]:
    """The figures of the headline, of all pools."""

    def total(field: str) -> int:
        return sum(getattr(pool, field, 0) for pool in found.pools)

    fields = ("held_ms", "idle_ms", "overdraft_ms", "true_denials")
    return {field: total(field) for field in fields}


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _read_true_up(connection: Connection, asked: Asked, now_ms: int, _: Query) -> TrueUp:
    zone = ZoneInfo(asked.zone)
    return true_up(connection, asked.tenant, *asked.span(now_ms), now_ms=now_ms, zone=zone)


def _file_of_true_up(found: TrueUp, asked: Asked) -> File:
    headings = ("pool", "from", "until", "seats", "peak", "overdraft", "overdraft_hours", "true_denials")
    return headings, (
        (
            pool.pool,
            moment(day.from_ms, asked.zone),
            moment(day.until_ms, asked.zone),
            day.seats,
            day.peak,
            day.overdraft_peak,
            round(day.overdraft_ms / HOUR_MS, 2),
            day.true_denials,
        )
        for pool in found.pools
        for day in pool.days
    )


def _read_harvest(connection: Connection, asked: Asked, now_ms: int, _: Query) -> Harvest:
    return harvest(connection, asked.tenant, *asked.span(now_ms), now_ms=now_ms)


def _file_of_harvest(found: Harvest, _: Asked) -> File:
    headings = (
        *("pool", "client_id", "user", "user_name", "held_hours", "idle_hours", "idle_share"),
        *("logoffs", "expired", "never_logs_off"),
    )
    return headings, (
        (
            pool.pool,
            it.client_id,
            it.initials,
            it.name,
            round(it.held_ms / HOUR_MS, 2),
            round(it.idle_ms / HOUR_MS, 2),
            it.idle_share,
            it.logoffs,
            it.expired,
            "yes" if it.never_logs_off else "no",
        )
        for pool in found.pools
        for it in pool.clients
    )


def _of_costs(request: Request) -> Query:
    """What costs are split by, and the price as it was typed, where it is one."""
    query = request.query_params
    by = query.get("by", "")
    own = {"by": by if by in set(SplitBy) else SplitBy.COST_CENTRE.value}
    if (price := _price(query.get("price", ""))) is not None:
        own["price"] = f"{price:.2f}"
    return own


def _wrong_price(request: Request) -> str:
    """What is to be told of a price that is none; the costs are then shown without one."""
    text = request.query_params.get("price", "").strip()
    if not text or _price(text) is not None:
        return ""
    return f"A price is a number from 0 to {PRICE_MAX:,.0f}, like 12.50; this is not: {text[:40]!r}."


def _price(text: str) -> float | None:
    try:
        price = float(text[:40])
    except ValueError:
        return None
    return price if isfinite(price) and 0 <= price <= PRICE_MAX else None


def _read_costs(connection: Connection, asked: Asked, now_ms: int, own: Query) -> Costs:
    from_ms, until_ms = asked.span(now_ms)
    cents = cents_of(_price(own.get("price", "")))
    return costs(connection, asked.tenant, SplitBy(own["by"]), from_ms, until_ms, cents, now_ms=now_ms)


def _file_of_costs(found: Costs, _: Asked) -> File:
    return COLUMNS, rows(found)


_REPORTS = (
    Report(
        TRUE_UP,
        "true-up",
        "True-up of which tenant?",
        "reports/true_up.html",
        _read_true_up,
        _file_of_true_up,
    ),
    Report(
        HARVEST,
        "idle",
        "Idle seats of which tenant?",
        "reports/harvest.html",
        _read_harvest,
        _file_of_harvest,
    ),
    Report(
        COSTS,
        "costs",
        "Costs of which tenant?",
        "reports/costs.html",
        _read_costs,
        _file_of_costs,
        _of_costs,
        _wrong_price,
    ),
)
