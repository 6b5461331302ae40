"""Runs `licet usage`: reports peaks, denials and seat-hours in a span of time.

It prints a page for people, JSON with everything, CSV of the peaks, or draws them. Days and hours are those
of this machine's zone. It only reads the store. The figures are those of the dashboard's page.
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.look.spans import Days, From, Until, only_of_a_verb, span_of
from licet.cli.look.usage_costs import PRICE_MAX, show_costs
from licet.cli.options import AsJson, Data, TenantName, exclusive
from licet.cli.output import note, progress, show_json
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import clock_time, local, page, plain, style_of, whose
from licet.clock import SystemClock
from licet.formats import counted, printable, seat_hours
from licet.model import NoSeatReason
from licet.reasons import WHY_DENIED
from licet.reports.forms import By, Form, SplitBy
from licet.reports.spans import USUAL_OF_PEAKS
from licet.units import HOUR_MS

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from licet.reports.usage import Denials, HeatCell, Held, Peak, PoolUsage, Tally, Usage

_LONG_DAYS = 62  # a longer span may take seconds to read
_BARS_MAX = 62  # more days than these are drawn as weeks
_BAR_COLUMNS = (10, 40)  # at least and at most
_FULL, _LINE = "\N{FULL BLOCK}", "\N{BOX DRAWINGS LIGHT VERTICAL}"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHADES, _SHADES_ASCII = " \N{LIGHT SHADE}\N{MEDIUM SHADE}\N{DARK SHADE}\N{FULL BLOCK}", " .:+#"
_HEAT_DAYS_MIN = 3  # with fewer there is nothing to compare
_ROWS_MAX = 10  # of a table; JSON has all


class ShownBy(StrEnum):
    """What `--by` takes: the unit of peaks, or what costs are split by."""

    DAY = By.DAY.value
    HOUR = By.HOUR.value
    GROUP = SplitBy.GROUP.value
    COST_CENTRE = SplitBy.COST_CENTRE.value


PeaksBy = Annotated[
    ShownBy, typer.Option("--by", help="Peaks by day or by hour, or costs by group or by cost centre.")
]
Price = Annotated[
    float | None,
    typer.Option("--price", metavar="PRICE", min=0, max=PRICE_MAX, help="What a seat costs for this span."),
]
CsvFile = Annotated[
    str | None,
    typer.Option("--csv", metavar="FILE", help="Write the peaks, or the costs, as CSV; - is the output."),
]
SvgFile = Annotated[str | None, typer.Option("--svg", metavar="FILE", help="Draw the peaks as SVG.")]
PngFile = Annotated[str | None, typer.Option("--png", metavar="FILE", help="Draw the peaks as PNG.")]


def usage(
    ctx: typer.Context,
    *,
    days: Days = None,
    from_: From = None,
    until: Until = None,
    by: PeaksBy = ShownBy.DAY,
    price: Price = None,
    csv_file: CsvFile = None,
    svg_file: SvgFile = None,
    png_file: PngFile = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Peaks, denials and seat-hours of a span of time.

    Times are local to this machine. The line in the chart is the number of seats. By group or cost centre it
    shows for how long each held seats, with a proportional part of the unused ones; with --price in money.

    Example: [bold]licet usage --from 2026-06-01 --until 2026-06-30 --csv june.csv[/]
    """
    if only_of_a_verb(ctx):
        return
    drawn = ((svg_file, Form.SVG), (png_file, Form.PNG))
    pictures = [(file, form) for file, form in drawn if file is not None]
    exclusive(
        ("--csv", csv_file is not None), ("pictures (--svg, --png)", bool(pictures)), ("--json", as_json)
    )
    if sum(file == "-" for file, _ in pictures) > 1:
        raise WrongUse("only one picture can be the output; name a file for the other")
    if by in {ShownBy.GROUP, ShownBy.COST_CENTRE}:
        exclusive((f"--by {by.value}", True), ("pictures (--svg, --png)", bool(pictures)))
        show_costs(
            SplitBy(by.value), price, (days, from_, until), tenant, data, csv_file=csv_file, as_json=as_json
        )
        return
    if price is not None:
        raise WrongUse("--price is for --by group and --by cost-centre")
    peaks_by = By(by.value)
    found = _read(days, from_, until, tenant, data)
    if as_json:
        show_json(plain(found))
    elif csv_file is not None:
        _write_csv(csv_file, found, peaks_by)
    elif pictures:
        for file, form in pictures:
            _write_picture(file, found, peaks_by, form)
    else:
        console = page()
        console.print(*_drawn(found, peaks_by, console), sep="\n")


def _read(
    days: int | None, from_: str | None, until: str | None, tenant: str | None, data: Path | None
) -> "Usage":
    """The figures of a span. Raises WrongUse, NotFound, StoreUnavailable."""
    from licet.reports.beginnings import made_at_ms
    from licet.reports.usage import usage as read_usage

    now_ms = SystemClock().now_ms()
    from_ms, until_ms = span_of(days, from_, until, now_ms, USUAL_OF_PEAKS)
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        is_long = until_ms - from_ms > _LONG_DAYS * 24 * HOUR_MS
        waiting = progress("reading the journal") if is_long else nullcontext()
        with store.reporting() as connection, waiting:
            if from_ is None:  # Before the tenant was made there was nothing.
                begin_ms = made_at_ms(connection, chosen) or 0
                from_ms = max(from_ms, begin_ms) if begin_ms < until_ms else from_ms
            return read_usage(connection, chosen, from_ms, until_ms, now_ms=now_ms, zone=None)


def _write_csv(target: str, found: "Usage", by: By) -> None:
    from licet.reports.chart import write_csv

    if target == "-":
        write_csv(sys.stdout, found, by)
        return
    try:
        with Path(target).open("w", encoding="utf-8", newline="") as file:
            rows = write_csv(file, found, by)
    except OSError as fault:
        raise Refused(f"{target} cannot be written ({fault.strerror})") from None
    note(f"{counted(rows, 'row')} written to {target}")


def _write_picture(target: str, found: "Usage", by: By, form: Form) -> None:
    """Draw the picture into a file; `-` is the output.

    Raises Refused.
    """
    from licet.reports.chart import ChartsMissing, draw

    try:
        with progress("drawing"):
            picture = draw(found, form=form, by=by, zone=None)
    except ChartsMissing as missing:
        raise Refused(str(missing)) from None
    try:
        if target == "-":
            sys.stdout.buffer.write(picture)
            return
        Path(target).write_bytes(picture)
    except OSError as fault:
        raise Refused(f"{target} cannot be written ({fault.strerror})") from None
    note(f"{len(picture):,} bytes written to {target}")


def _drawn(found: "Usage", by: By, console: "Console") -> "list[RenderableType]":
    from rich.text import Text

    from licet.reports.chart import peaks_of
    from licet.reports.usage_summary import answer, true_denials_sentences

    span = f"{local(found.from_ms):%d %b %Y %H:%M} to {local(found.until_ms):%d %b %Y %H:%M}"
    parts: list[RenderableType] = [Text(f"{found.tenant}, {span}", "bold")]
    for pool in found.pools:
        parts += [Text(), Text(_sentence(pool, found.until_ms))]
        if pool.peak or pool.denials:
            parts += _chart(*_few(peaks_of(pool, by), by), console)
            parts += [
                Text(),
                Text(answer(found, pool)),
                *(Text(it) for it in true_denials_sentences(pool.true_denials)),
                *_burst(pool, found.until_ms),
                *_curve(pool, console),
            ]
            parts += _heat(pool, console)
        parts += _tables(pool, found.until_ms)
    if found.unlicensed.grants or found.unlicensed.endings:
        parts += [Text(), Text(f"without a seat: {_tally_text(found.unlicensed)}")]
    return parts


def _sentence(pool: "PoolUsage", now_ms: int) -> str:
    """The answer as one sentence."""
    seats = "of a pool that is no more" if pool.seats is None else f"of {counted(pool.seats, 'seat')}"
    at = f" at {clock_time(pool.peak_at_ms, now_ms)}" if pool.peak else ""
    denials = counted(sum(denial.times for denial in pool.denials), "denial")
    idle = f" ({pool.idle_share:.0%} idle)" if pool.idle_ms else ""
    true = pool.true_denials.turned_away
    denials += f" ({true:,} true)" if true else ""
    return f"{pool.pool}: peak {pool.peak:,} {seats}{at}, {denials}, {_hours(pool.held)} seat-hours{idle}"


def _hours(held: "Iterable[Held]") -> str:
    return seat_hours(sum(user.held_ms for user in held))


def _few(peaks: "Sequence[Peak]", by: By) -> "tuple[Sequence[Peak], str]":
    """As many as can be shown, weeks instead of very many days, and the format of their begin."""
    if by is By.HOUR:
        return peaks, "%a %d %b %H:%M"
    if len(peaks) <= _BARS_MAX:
        return peaks, "%a %d %b"
    weeks = groupby(peaks, key=lambda peak: local(peak.from_ms).isocalendar()[:2])
    return [_together(list(days)) for _, days in weeks], "week of %d %b %Y"


def _together(peaks: "Sequence[Peak]") -> "Peak":
    from licet.reports.usage import Peak

    return Peak(
        from_ms=peaks[0].from_ms,
        until_ms=peaks[-1].until_ms,
        peak=max(peak.peak for peak in peaks),
        seats=peaks[-1].seats,
        denials=sum(peak.denials for peak in peaks),
        turned_away=sum(peak.turned_away for peak in peaks),
    )


def _chart(peaks: "Sequence[Peak]", form: str, console: "Console") -> "Iterable[Text]":
    """A bar a peak, with the line of the seats."""
    from rich.text import Text

    most = max((max(peak.peak, peak.seats) for peak in peaks), default=0)
    least, widest = _BAR_COLUMNS
    columns = max(least, min(widest, console.width - len(f"{local(0):{form}}") - 30))
    full, line = ("#", "|") if console.options.ascii_only else (_FULL, _LINE)
    for peak in peaks:
        length, at = (-(-number * columns // most) if most else 0 for number in (peak.peak, peak.seats))
        bar = (full * length).ljust(columns)
        text = Text(f"{local(peak.from_ms):{form}}  ", no_wrap=True)
        text.append(bar[:at], style_of(peak.peak, peak.seats)).append(line, "dim")
        text.append(bar[at:], "red").append(f"  {peak.peak:>{len(str(most))},}")
        if peak.denials:
            text.append(f"  {counted(peak.denials, 'denial')}", "red")
        yield text


def _burst(pool: "PoolUsage", now_ms: int) -> "Iterable[Text]":
    """What the advice leaves out."""
    from rich.text import Text

    from licet.reports.usage_summary import burst_sentences

    if pool.advice.burst is not None:
        yield Text(burst_sentences(pool.advice.burst, lambda at_ms: clock_time(at_ms, now_ms)))


def _curve(pool: "PoolUsage", console: "Console") -> "Iterable[Text]":
    """The denials that more seats would avoid, one bar for each number; a mark at what is advised."""
    from rich.text import Text

    from licet.reports.denials_curve import denials_curve

    points = denials_curve(pool)
    full = "#" if console.options.ascii_only else _FULL
    for at, point in enumerate(points):
        if not at:
            yield Text()
            yield Text(f"{'seats':>9}  denials", "dim")
        bar = full * -(-point.denials * _BAR_COLUMNS[1] // points[0].denials)
        mark = "  <- advised" if point.seats == pool.advice.seats and pool.advice.burst else ""
        yield Text(f"{point.seats:>9,}  {point.denials:>7,}  {bar}".rstrip() + mark, no_wrap=True)


def _heat(pool: "PoolUsage", console: "Console") -> "Iterable[Text]":
    """The mean of the peaks of each hour of the week, as shades; only for several days."""
    from rich.text import Text

    if len(pool.days) < _HEAT_DAYS_MIN:
        return
    shades = _SHADES_ASCII if console.options.ascii_only else _SHADES
    most = max([pool.seats or 0, *(cell.peak for cell in pool.heat)])
    cells = {(cell.weekday, cell.hour): cell for cell in pool.heat}
    yield Text()
    yield Text(
        f"mean of the peaks by hour, {shades[1]} is some and {shades[-1]} is {counted(most, 'seat')}", "dim"
    )
    yield Text("     " + "    ".join(f"{hour:02}" for hour in range(0, 24, 3)), "dim")
    for weekday, name in enumerate(_WEEKDAYS):
        row = "".join(_shade(cells.get((weekday, hour)), most, shades) * 2 for hour in range(24))
        yield Text(f"{name}  {row}".rstrip(), no_wrap=True)


def _shade(cell: "HeatCell | None", most: int, shades: str) -> str:
    """Blank only for none."""
    if cell is None or not cell.mean:
        return " "
    return shades[max(1, round(cell.mean / most * (len(shades) - 1)))]


def _tables(pool: "PoolUsage", now_ms: int) -> "Iterable[RenderableType]":
    from rich.text import Text

    if pool.held:
        yield Text()
        yield _held_table(pool.held)
    if pool.denials:
        yield Text()
        yield _denials_table(pool.denials, now_ms)
    if pool.sessions.grants or pool.sessions.endings:
        yield Text()
        yield Text(_tally_text(pool.sessions))


def _held_table(held: "Sequence[Held]") -> Any:
    columns = {"user": "left", "client": "left", "seat-hours": "right", "share": "right", "idle": "right"}
    table = _table(columns)
    total = sum(user.held_ms for user in held)
    for user in held[:_ROWS_MAX]:
        share = f"{100 * user.held_ms / total:.0f} %"
        idle = f"{100 * user.idle_ms / user.held_ms:.0f} %"
        client = printable(user.client_id)
        table.add_row(whose(user.initials, user.name), client, _hours([user]), share, idle)
    _add_rest(table, held)
    return table


def _denials_table(denials: "Sequence[Denials]", now_ms: int) -> Any:
    table = _table(
        {
            "user": "left",
            "client": "left",
            "denied": "right",
            "why": "left",
            "first": "right",
            "last": "right",
        }
    )
    for denial in denials[:_ROWS_MAX]:
        first, last = (clock_time(ms, now_ms) for ms in (denial.first_at_ms, denial.last_at_ms))
        why = WHY_DENIED[NoSeatReason(denial.reason)]
        client = printable(denial.client_id)
        table.add_row(denial.initials, client, f"{denial.times:,}", why, first, last)
    _add_rest(table, denials)
    return table


def _table(columns: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading, justify in columns.items():
        is_name = heading in {"user", "client"}
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=not is_name)
    return table


def _add_rest(table: Any, rows: Sequence[object]) -> None:
    if len(rows) > _ROWS_MAX:
        table.add_row("...", f"{len(rows) - _ROWS_MAX:,} more: --json")


def _tally_text(tally: "Tally") -> str:
    endings = ", ".join(f"{times:,} {reason}" for reason, times in tally.endings.items())
    return f"{counted(tally.grants, 'session')} begun" + (f"; ended: {endings}" if endings else "")
