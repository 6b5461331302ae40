"""Draws a usage report as a picture, with peaks as bars, seats as a line, denials as marks; or writes CSV.

The page and the command line draw the same. The same report is the same picture, to the byte: nothing in it
depends on when or where it was drawn. matplotlib is an extra, and imported when the first picture is drawn.
Its settings are global to the process, so one picture is drawn at a time.
"""

import csv
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TextIO

from licet.extras import how_to_install
from licet.formats import csv_cell, instant
from licet.reports.forms import By as By  # noqa: PLC0414 - with what it is a part of
from licet.reports.forms import Form as Form  # noqa: PLC0414 - as above
from licet.reports.usage import Peak, PoolUsage, Usage
from licet.reports.usage_summary import answer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POOLS_MAX = 12  # in one picture; more are too many to compare

_INK, _PALE, _GRID = "#1f2933", "#52606d", "#e4e7eb"
_BAR, _SEATS, _DENIED = "#3b82c4", "#1f2933", "#c0262d"
_BARS_MAX = 120  # more have no gaps between them, or they would be thinner than a line
_WIDTH_IN, _POOL_IN, _DPI = 10.0, 3.6, 144
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _PALE,
    "axes.edgecolor": _GRID,
    "xtick.color": _PALE,
    "ytick.color": _PALE,
    "svg.fonttype": "path",  # looks the same wherever it is shown
    "svg.hashsalt": "licet",
}
_LEGEND = ("peak", "seats", "denials")
# By year, month, day, hour, minute and second; and the first of each within the larger unit.
_TICKS = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M"]
_FIRST_TICKS = ["", "%b %Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]
_LOCK = threading.Lock()


class ChartsMissing(Exception):
    """matplotlib is not installed; the text says what to do."""


def write_csv(file: TextIO, found: Usage, by: By, pool: str | None = None) -> int:
    """Write the peaks of a report as CSV, of one pool or of all; return how many rows."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("tenant", "pool", "from", "until", "peak", "seats", "denials", "true_denials"))
    rows = [
        (
            found.tenant,
            of.pool,
            instant(step.from_ms),
            instant(step.until_ms),
            step.peak,
            step.seats,
            step.denials,
            step.turned_away,
        )
        for of in found.pools
        if pool in {None, of.pool}
        for step in peaks_of(of, by)
    ]
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return len(rows)


def peaks_of(pool: PoolUsage, by: By) -> Sequence[Peak]:
    """The parts of a report that bars or rows show."""
    return pool.days if by is By.DAY else pool.hours


def draw(
    found: Usage,
    *,
    form: Form,
    by: By = By.DAY,
    pool: str | None = None,
    zone: tzinfo | None = UTC,
) -> bytes:
    """The picture of a report: of one pool, or of all, one below the other.

    Times are by the clocks of `zone`; None is the zone of this machine. Raises ChartsMissing.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - seconds, and an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above
    except ModuleNotFoundError as missing:
        raise ChartsMissing(
            f"pictures need an extra ({missing.name} is missing): {how_to_install('charts')}"
        ) from None
    pools = [of for of in found.pools if pool in {None, of.pool}][:POOLS_MAX]
    with _LOCK, mpl.rc_context(_STYLE):
        height = _POOL_IN * max(1, len(pools)) + 0.4
        figure = Figure(figsize=(_WIDTH_IN, height), layout="constrained", facecolor="white")
        figure.suptitle(_title(found, zone), x=0.01, ha="left", fontsize=11, color=_PALE)
        panels = figure.subplots(max(1, len(pools)), squeeze=False)[:, 0]
        for panel, of in zip(panels, pools, strict=False):
            _draw_pool(panel, found, of, by, zone)
        if not pools:
            panels[0].set_axis_off()
            panels[0].text(0.5, 0.5, "no pool", ha="center", color=_PALE)
        return _written(figure, form)


def _title(found: Usage, zone: tzinfo | None) -> str:
    span = " to ".join(f"{_moment(ms, zone):%d %b %Y %H:%M}" for ms in (found.from_ms, found.until_ms))
    return f"{found.tenant}, {span} {_moment(found.until_ms, zone):%Z}".rstrip()


def _draw_pool(axes: "Axes", found: Usage, pool: PoolUsage, by: By, zone: tzinfo | None) -> None:
    peaks = peaks_of(pool, by)
    axes.set_title(f"{pool.pool}: {answer(found, pool)}", loc="left", fontsize=12, fontweight="bold", pad=26)
    edges = [_moment(peak.from_ms, zone) for peak in peaks] + [
        _moment(peak.until_ms, zone) for peak in peaks[-1:]
    ]
    if len(edges) > 1 and edges[-1] > edges[0]:
        _draw_peaks(axes, peaks, edges, by)
        _draw_seats(axes, peaks, edges)
        _draw_denials(axes, peaks, edges)
        axes.set_xlim(edges[0], edges[-1])  # type: ignore[arg-type]
    _scale(axes, peaks, zone)
    handles, labels = axes.get_legend_handles_labels()
    ordered = sorted(zip(labels, handles, strict=True), key=lambda entry: _LEGEND.index(entry[0].split()[0]))
    if ordered:
        axes.legend(
            [handle for _, handle in ordered],
            [label for label, _ in ordered],
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=3,
            frameon=False,
            fontsize=9,
            borderaxespad=0.2,
            borderpad=0,
        )


def _draw_peaks(axes: "Axes", peaks: Sequence[Peak], edges: Sequence[datetime], by: By) -> None:
    label, heights = f"peak of each {by}", [peak.peak for peak in peaks]
    if len(peaks) > _BARS_MAX:
        axes.stairs(heights, edges, fill=True, color=_BAR, label=label)  # type: ignore[arg-type]
        return
    widths = [0.8 * (until - begin) for begin, until in pairwise(edges)]
    starts = [begin + width / 8 for begin, width in zip(edges, widths, strict=False)]
    axes.bar(starts, heights, widths, align="edge", color=_BAR, label=label)  # type: ignore[arg-type]


def _draw_seats(axes: "Axes", peaks: Sequence[Peak], edges: Sequence[datetime]) -> None:
    seats = [peak.seats for peak in peaks]
    axes.stairs(seats, edges, baseline=None, color=_SEATS, linewidth=1.6, label="seats")  # type: ignore[arg-type]


def _draw_denials(axes: "Axes", peaks: Sequence[Peak], edges: Sequence[datetime]) -> None:
    """A mark above each bar in which there were any, larger where there were more."""
    denied = [
        (begin + (until - begin) / 2, max(peak.peak, peak.seats), peak.denials)
        for peak, begin, until in zip(peaks, edges, edges[1:], strict=False)
        if peak.denials
    ]
    if not denied:
        return
    most = max(times for _, _, times in denied)
    lift = max(1.0, 0.08 * max(height for _, height, _ in denied))
    axes.scatter(
        [at for at, _, _ in denied],  # type: ignore[arg-type]
        [height + lift * 0.6 for _, height, _ in denied],
        s=[20 + 60 * times / most for _, _, times in denied],
        marker="v",
        color=_DENIED,
        label=f"denials ({sum(times for _, _, times in denied):,})",
        zorder=3,
    )


def _scale(axes: "Axes", peaks: Iterable[Peak], zone: tzinfo | None) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - as `draw`
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as `draw`

    most = max((max(peak.peak, peak.seats) for peak in peaks), default=0)
    axes.set_ylim(0, max(1.0, most * 1.2) + 0.2)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_ylabel("seats in use")
    clock = zone or _machine_zone()
    locator = AutoDateLocator(tz=clock, minticks=4, maxticks=10)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(  # type: ignore[no-untyped-call]
            locator, tz=clock, formats=_TICKS, zero_formats=_FIRST_TICKS, show_offset=False
        )
    )
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _machine_zone() -> tzinfo:
    from dateutil.tz import tzlocal  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with matplotlib

    zone: tzinfo = tzlocal()
    return zone


def _moment(ms: int, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(ms / 1000, zone) if zone else datetime.fromtimestamp(ms / 1000).astimezone()


def _written(figure: "Figure", form: Form) -> bytes:
    file = BytesIO()
    if form is Form.SVG:
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "Licet"})
    else:
        figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": "Licet"})
    return file.getvalue()
