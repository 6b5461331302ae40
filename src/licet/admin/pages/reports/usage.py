"""Serves the page of usage: how full a pool was, by whom, and how many seats would have been enough.

The figures are those of `licet usage` (`licet.reports.usage`), and so are the files to download
(`licet.reports.chart`). Days and hours are those of the reader's zone.
"""

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.denials import choose, lasted
from licet.admin.pages.downloads import file_name
from licet.admin.pages.frame import link, page, visiting
from licet.admin.pages.reports.asked import HERE, PATH, REACHES, Asked, asked_of, link_of, tools
from licet.admin.problems import Problem, not_found
from licet.formats import counted, seat_hours, sentence
from licet.model import NoSeatReason
from licet.reports.chart import By, ChartsMissing, Form, draw, write_csv
from licet.reports.denials_curve import denials_curve, unavoidable
from licet.reports.denials_picture import HEIGHT, denials_picture
from licet.reports.spans import USUAL_OF_PEAKS
from licet.reports.usage import HeatCell, Peak, PoolUsage, Usage, usage
from licet.reports.usage_summary import NOT_FOR_SEATS, burst_length, minutes, with_seats_sentence

ROWS = 20  # of a table; the file has all
SLIDER_MAX = 100  # how many more seats a slider offers
HEAT_LEVELS = 6
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TYPES = {"csv": "text/csv; charset=utf-8", "png": "image/png", "svg": "image/svg+xml"}


class Heat(NamedTuple):
    """One hour of the week: how full it is, from 0 to `HEAT_LEVELS`, and in words."""

    level: int
    text: str
    denials: int


def router(context: AdminContext) -> APIRouter:
    """`/usage`, and the same as files."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    for kind in _TYPES:
        routes.add_api_route(f"{PATH}/download.{kind}", _download(context, kind), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        if visit.the_tenant is None:
            return choose(request, visit, HERE, PATH, "Usage of which tenant?")
        if (settled := settle_times(request, PATH, visit.now_ms)) is not None:
            return settled
        asked = asked_of(request, visit.the_tenant, PATH, USUAL_OF_PEAKS)
        found = await context.run(read_usage, context, asked, visit.now_ms)
        pool = next(
            (it for it in found.pools if it.pool == asked.pool), found.pools[0] if found.pools else None
        )
        figures = _pool_context(found, pool, asked, visit.now_ms) if pool else {"by": "hour"}
        return page(
            request,
            visit,
            "reports/usage.html",
            here=HERE,
            tenant=visit.the_tenant,
            found=found,
            pool=pool,
            pools=[(it.pool, link_of(visit, asked, pool=it.pool)) for it in found.pools],
            **tools(request, visit, asked),
            span_text=REACHES[asked.reach],
            lasted=lasted,
            download=lambda kind: link_of(
                visit, asked, path=f"{PATH}/download.{kind}", pool=pool.pool if pool else ""
            ),
            denials_link=link(
                visit,
                "/denials",
                pool=pool.pool if pool else "",
                **{"from": found.from_ms, "until": asked.until_ms},
            ),
            **figures,
        )

    return show


def _download(context: AdminContext, kind: str) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def download(request: Request) -> Response:
        visit = await seen(request)
        if visit.the_tenant is None:
            raise not_found("Say whose usage.")
        asked = asked_of(request, visit.the_tenant, PATH, USUAL_OF_PEAKS)
        try:
            content = await context.run(_file, context, asked, visit.now_ms, kind)
        except ChartsMissing as missing:
            raise Problem(409, "not-possible", sentence(str(missing))) from None
        span = "times" if asked.is_chosen else asked.reach.value
        name = file_name("licet", asked.tenant.name, asked.pool, span)
        headers = {
            "content-disposition": f'attachment; filename="{name}.{kind}"',
            "cache-control": "no-store",
        }
        return Response(content, headers=headers, media_type=_TYPES[kind])

    return download


def _file(context: AdminContext, asked: Asked, now_ms: int, kind: str) -> bytes:
    """The files of `licet usage`, in the reader's zone."""
    found = read_usage(context, asked, now_ms)
    by = By.HOUR if asked.is_by_hour(now_ms) else By.DAY
    if kind != "csv":
        return draw(found, form=Form(kind), by=by, pool=asked.pool or None, zone=ZoneInfo(asked.zone))
    file = StringIO(newline="")
    write_csv(file, found, by, asked.pool or None)
    return file.getvalue().encode()


def read_usage(context: AdminContext, asked: Asked, now_ms: int) -> Usage:
    """The figures of `licet usage`."""
    zone = ZoneInfo(asked.zone)
    from_ms, until_ms = asked.span(now_ms)
    return context.read_now(
        lambda connection: usage(connection, asked.tenant, from_ms, until_ms, now_ms=now_ms, zone=zone)
    )


def _pool_context(found: Usage, pool: PoolUsage, asked: Asked, now_ms: int) -> dict[str, Any]:
    by_hour = asked.is_by_hour(now_ms)
    peaks = pool.hours if by_hour else pool.days
    enough = pool.remaining[-1].seats if pool.remaining else pool.seats or 0
    seats = asked.seats if asked.seats is not None else pool.advice.seats if pool.denied else enough
    first = min(pool.seats or 0, seats)
    most = max(enough + 3, seats, (pool.seats or 0) + 5)  # a little more than is needed
    return {
        "by": "hour" if by_hour else "day",
        "peaks": peaks,
        "chart": _chart(peaks, pool),
        "seats": seats,
        "sentence": sentence(with_seats_sentence(found, pool, seats)),
        "slider": {
            "least": first,
            "most": min(most, first + SLIDER_MAX),
            "answers": [
                sentence(with_seats_sentence(found, pool, seats))
                for seats in range(first, min(most, first + SLIDER_MAX) + 1)
            ],
        },
        "curve": denials_curve(pool),
        "picture": denials_picture(pool),
        "picture_height": HEIGHT,
        "never": [(NOT_FOR_SEATS[NoSeatReason(it.reason)], it.times) for it in unavoidable(pool)],
        "burst_length": burst_length,
        "heat": _heat(pool),
        "weekdays": _WEEKDAYS,
        "rows_max": ROWS,
        "hours_of": seat_hours,
        "share_of": _share,
        "minutes": minutes,
        "unlicensed": found.unlicensed,
    }


def _chart(peaks: Sequence[Peak], pool: PoolUsage) -> dict[str, Any]:
    """Peaks as bars, seats as a line, denials as marks where the seats ended."""
    return {
        "at": [peak.from_ms // 1000 for peak in peaks],
        "unit": "seats",
        "rest": f"Peak {pool.peak:,}, {counted(pool.denied, 'denial')}: point at a bar for its figures.",
        "series": [
            {"label": "peak", "kind": "bars", "values": [peak.peak for peak in peaks]},
            {"label": "seats", "kind": "limit", "values": [peak.seats for peak in peaks]},
            {
                "label": "denials",
                "kind": "marks",
                "values": [peak.denials or None for peak in peaks],
                "places": [max(peak.seats, peak.peak) if peak.denials else None for peak in peaks],
            },
        ],
    }


def _heat(pool: PoolUsage) -> list[list[Heat | None]]:
    """Weekdays by hours: the mean of the peaks, as a share of the seats or of the highest peak."""
    most = max([pool.seats or 0, *(cell.peak for cell in pool.heat), 1])
    cells: dict[tuple[int, int], HeatCell] = {(cell.weekday, cell.hour): cell for cell in pool.heat}
    return [[_heat_of(cells.get((day, hour)), most) for hour in range(24)] for day in range(7)]


def _heat_of(cell: HeatCell | None, most: int) -> Heat | None:
    if cell is None:
        return None
    level = min(HEAT_LEVELS, -(-round(cell.mean * 100) * HEAT_LEVELS // (most * 100)))
    hour = f"{_WEEKDAYS[cell.weekday]} {cell.hour:02}:00"
    denials = f", {counted(cell.denials, 'denial')}" if cell.denials else ""
    return Heat(
        level, f"{hour}: {cell.mean:.1f} seats on average, {cell.peak} at most{denials}", cell.denials
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
