"""Draws denials against seats as the parts of an SVG that a template writes.

Each number of seats has a column, as high as the denials that there would have been with it. Its lower
part are those that no seat avoids, in a pattern; above them are those that more seats would have avoided.
The number of seats that there are, and the advised one, are marked. Where something stands from left to
right is a share of the width, in per cent, and in height it is pixels. The table below has the figures.
It is pure.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from licet.reports.denials_curve import avoidable_curve, few_points, unavoidable
from licet.reports.usage import PoolUsage, Remaining

HEIGHT = 160  # pixels of the plot; the numbers of seats stand below
COLUMNS_MAX = 120  # that differ; more are narrower than a pixel on a phone
_LEVELS_MAX = 4
_TICKS_MAX = 10
_ROOM = 1.25  # above the highest column, for two rows of words
_CLOSE = 30.0  # per cent of the width within which two words would cover each other on a phone
_RIGHT = 60.0  # from here on a word stands on the left of its line
_ROWS = (10, 26)  # pixels from the top


class Column(NamedTuple):
    """A rectangle of one kind: `avoidable` or `never`."""

    kind: str
    x: float
    width: float
    y: float
    height: float


class Mark(NamedTuple):
    """A number of seats that is marked, with its words; `anchor` is on which side of the line they stand."""

    x: float
    y: float
    text: str
    anchor: str
    is_advised: bool


class Word(NamedTuple):
    """A number at an axis."""

    at: float
    text: str


class DenialsPicture(NamedTuple):
    """All that a template writes."""

    columns: tuple[Column, ...]
    marks: tuple[Mark, ...]
    levels: tuple[Word, ...]
    ticks: tuple[Word, ...]


def denials_picture(pool: PoolUsage) -> DenialsPicture | None:
    """The picture of one pool; None where more seats would have avoided nothing."""
    points = few_points(avoidable_curve(pool), COLUMNS_MAX, pool.advice.seats)
    if len(points) < 2:  # noqa: PLR2004 - a curve has two points
        return None
    never = sum(denial.times for denial in unavoidable(pool))
    now = pool.seats if pool.seats is not None else points[0].seats
    first, last = points[0].seats, max(points[-1].seats, now) + 1
    highest = points[0].denials + never
    top = highest * _ROOM

    def x(seats: float) -> float:
        return round(100 * (seats - first) / (last + 1 - first), 3)

    def y(denials: float) -> float:
        return round(HEIGHT * (1 - denials / top), 1)

    columns = [
        Column("avoidable", x(begin), round(x(end) - x(begin), 3), y(never + left), round(y(0) - y(left), 1))
        for begin, end, left in _runs(points, last)
        if left
    ]
    if never:
        columns.append(Column("never", 0.0, 100.0, y(never), round(y(0) - y(never), 1)))
    return DenialsPicture(
        columns=tuple(columns),
        marks=tuple(_marks(x(now + 0.5), now, x(pool.advice.seats + 0.5), pool.advice.seats)),
        levels=tuple(Word(y(number), f"{number:,}") for number in round_numbers(0, highest, _LEVELS_MAX)),
        ticks=tuple(
            Word(x(number + 0.5), f"{number:,}") for number in round_numbers(first, last, _TICKS_MAX)
        ),
    )


def _runs(points: Sequence[Remaining], last: int) -> Iterator[tuple[int, int, int]]:
    """From which number of seats until which there are how many denials."""
    for point, following in pairwise(points):
        yield point.seats, following.seats, point.denials
    yield points[-1].seats, last + 1, points[-1].denials


def _marks(now_x: float, now: int, advised_x: float, advised: int) -> Iterator[Mark]:
    if now == advised:
        yield Mark(now_x, _ROWS[0], f"{now:,} now and advised", _anchor(now_x), is_advised=True)
        return
    yield Mark(now_x, _ROWS[0], f"{now:,} now", _anchor(now_x), is_advised=False)
    row = _ROWS[1] if abs(advised_x - now_x) < _CLOSE else _ROWS[0]
    yield Mark(advised_x, row, f"{advised:,} advised", _anchor(advised_x), is_advised=True)


def _anchor(x: float) -> str:
    return "end" if x > _RIGHT else "start"


def round_numbers(first: int, last: int, most: int) -> Iterator[int]:
    """Round numbers from `first` to `last`, at most one more than `most`."""
    size = 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if (last - first) // step <= most:
                yield from range(-(-first // step) * step, last + 1, step)
                return
        size *= 10
