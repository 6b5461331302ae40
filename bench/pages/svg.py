"""Draws charts as SVG that follow light and dark: bars, and lines over a logarithmic axis.

A library for charts would bring a hundred megabytes for two kinds of chart, and cannot follow the reader's
colour scheme.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

COLOURS = 5  # of series; further series have no colour of their own
_WIDTH = 720
_LEFT, _RIGHT = 250, 130  # margins of a chart of bars, for labels and values
_BAR, _GAP, _TOP = 16, 14, 52
_PLOT_HEIGHT, _PLOT_LEFT, _PLOT_RIGHT, _PLOT_BOTTOM = 260, 62, 170, 48
_STYLE = """\
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-weight:600;font-size:15px}.small{font-size:12px;fill:#59636e}
.axis{stroke:#59636e}.grid{stroke:#d1d9e0}
.c0{fill:#0969da;stroke:#0969da}.c1{fill:#bc4c00;stroke:#bc4c00}.c2{fill:#1a7f37;stroke:#1a7f37}
.c3{fill:#8250df;stroke:#8250df}.c4{fill:#6e7781;stroke:#6e7781}
.line{fill:none;stroke-width:2}.spread{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.small{fill:#9198a1}.axis{stroke:#9198a1}.grid{stroke:#3d444d}.spread{stroke:#e6edf3}
.c0{fill:#4493f8;stroke:#4493f8}.c1{fill:#f0883e;stroke:#f0883e}.c2{fill:#3fb950;stroke:#3fb950}
.c3{fill:#ab7df8;stroke:#ab7df8}.c4{fill:#9198a1;stroke:#9198a1}}"""


class Bar(NamedTuple):
    """A bar: its label, the number of its series, its value with the text beside it, and its extremes."""

    label: str
    series: int
    value: float
    text: str
    least: float | None = None
    most: float | None = None


class Line(NamedTuple):
    """A series of points (x, y); each x is above 0."""

    name: str
    points: Sequence[tuple[float, float]]


def bars(title: str, names: Sequence[str], rows: Sequence[Bar]) -> str:
    """A chart of bars, one below another; a repeated label is written once.

    `names` are those of the series in their order, '' of one that has no bars.
    """
    most = max((row.most or row.value for row in rows), default=0) or 1.0
    height = _TOP + sum(_BAR + (_GAP if _is_last(rows, at) else 2) for at in range(len(rows)))
    body, y = [*_legend(names)], _TOP
    for at, bar in enumerate(rows):
        body += _bar(
            bar, y, (_WIDTH - _LEFT - _RIGHT) / most, named=at == 0 or rows[at - 1].label != bar.label
        )
        y += _BAR + (_GAP if _is_last(rows, at) else 2)
    return _document(title, height, body)


def _is_last(rows: Sequence[Bar], at: int) -> bool:
    """Whether a bar is the last one with its label."""
    return at + 1 == len(rows) or rows[at + 1].label != rows[at].label


def _bar(bar: Bar, y: float, scale: float, *, named: bool) -> Iterator[str]:
    if named:
        yield _text(_LEFT - 8, y + 12, bar.label, anchor="end")
    width = max(1.0, bar.value * scale)
    yield f'<rect class="c{bar.series % COLOURS}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'
    end = width
    if bar.least is not None and bar.most is not None:
        end, middle = max(end, bar.most * scale), y + _BAR / 2
        yield (
            f'<line class="spread" x1="{_LEFT + bar.least * scale:.1f}" y1="{middle}"'
            f' x2="{_LEFT + bar.most * scale:.1f}" y2="{middle}"/>'
        )
    yield _text(_LEFT + end + 6, y + 12, bar.text, css="small")


def lines(title: str, across: str, up: str, series: Sequence[Line]) -> str:
    """A chart of lines over a logarithmic axis `across`, from 0 `up`."""
    points = [point for line in series for point in line.points]
    x_least, x_most = min(x for x, _ in points), max(x for x, _ in points)
    step = _step(max(y for _, y in points))
    y_most = step * math.ceil(max(y for _, y in points) / step)
    plot = _Plot(math.log10(x_least), max(math.log10(x_most), math.log10(x_least) + 0.1), y_most)
    body = [*_grid(plot, step, sorted({x for x, _ in points}))]
    for number, line in enumerate(series):
        body += _line(plot, number, line)
    body += _names(plot, series)
    body.append(_text(_PLOT_LEFT, _TOP - 10, up, css="small"))
    body.append(_text(_WIDTH - _PLOT_RIGHT, _TOP + _PLOT_HEIGHT + 38, across, css="small", anchor="end"))
    return _document(title, _TOP + _PLOT_HEIGHT + _PLOT_BOTTOM, body)


class _Plot(NamedTuple):
    """The scales from values to positions in the chart."""

    x_least: float
    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        share = (math.log10(value) - self.x_least) / (self.x_most - self.x_least)
        return _PLOT_LEFT + share * (_WIDTH - _PLOT_LEFT - _PLOT_RIGHT)

    def y(self, value: float) -> float:
        return _TOP + _PLOT_HEIGHT * (1 - value / self.y_most)


def _grid(plot: _Plot, step: float, values: Sequence[float]) -> Iterator[str]:
    bottom = plot.y(0)
    for number in range(round(plot.y_most / step) + 1):
        y = plot.y(number * step)
        css = "axis" if number == 0 else "grid"
        yield f'<line class="{css}" x1="{_PLOT_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _PLOT_RIGHT}" y2="{y:.1f}"/>'
        yield _text(_PLOT_LEFT - 6, y + 4, f"{number * step:,.4g}", css="small", anchor="end")
    for value in values:
        x = plot.x(value)
        yield f'<line class="axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>'
        yield _text(x, bottom + 18, _short(value), css="small", anchor="middle")


def _line(plot: _Plot, number: int, line: Line) -> Iterator[str]:
    css = f"c{number % COLOURS}"
    spots = [(plot.x(x), plot.y(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    yield f'<polyline class="{css} line" style="fill:none" points="{path}"/>'
    for x, y in spots:
        yield f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'


def _names(plot: _Plot, series: Sequence[Line]) -> Iterator[str]:
    """The names of the series at the ends of their lines, moved apart where they would overlap."""
    at = -math.inf
    ends = sorted((plot.y(line.points[-1][1]), number, line.name) for number, line in enumerate(series))
    for end, number, name in ends:
        at = max(end + 4, at + 16)
        x = _WIDTH - _PLOT_RIGHT + 8
        yield f'<rect class="c{number % COLOURS}" x="{x}" y="{at - 10:.1f}" width="10" height="10"/>'
        yield _text(x + 15, at, name)


def _step(most: float) -> float:
    """The distance of grid lines: a round number that gives a few lines."""
    power = 10.0 ** math.floor(math.log10(most or 1.0))
    return next(power * part for part in (0.2, 0.25, 0.5, 1.0, 2.0) if most <= 6 * power * part)


def _short(value: float) -> str:
    """A number in short form: 1k for a thousand, 1M for a million."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = 0.0
    for number, name in enumerate(names):
        if not name:
            continue
        yield f'<rect class="c{number % COLOURS}" x="{x}" y="30" width="10" height="10"/>'
        yield _text(x + 15, 40, name)
        x += 32 + 7.2 * len(name)


def _text(x: float, y: float, text: str, *, css: str = "", anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _document(title: str, height: float, body: Sequence[str]) -> str:
    box = f'viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">'
    parts = [head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>"]
    return "\n".join([*parts, _text(0, 16, title, css="title"), *body, "</svg>\n"])
