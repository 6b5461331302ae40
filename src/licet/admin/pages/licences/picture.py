"""Draws how many seats are signed for a pool, and when, as the parts of an SVG that a template writes.

    picture(signed, span(pools, now_ms), zone, in_use=4, limit=None)

The rules:

- Where something stands in time is a share of the width, in per cent, and in height it is pixels: so the
  picture is as wide as the screen, and its words are as large on a phone.
- The pictures of a page have one span of time, so that they can be compared. It contains now, and the steps
  of a year before and of three years to come; the table beside a picture has all.
- What is drawn in a colour has a word or a pattern as well.

Days are those of the reader's zone. It is pure.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import NamedTuple

from licet.formats import moment_of
from licet.licences.steps import SignedSeats, Step
from licet.units import DAY_MS

HEIGHT = 128  # pixels of the plot; the words of the time axis stand below
BACK_MS, AHEAD_MS = 366 * DAY_MS, 3 * 366 * DAY_MS  # the farthest that is drawn
LEAST_BACK_MS, LEAST_AHEAD_MS = 14 * DAY_MS, 90 * DAY_MS
_MARGIN = 0.06  # of the span, behind its last step
_LEVELS_MAX = 4  # of the axis of seats
_TICKS_MAX = 8  # of the axis of time; on a phone each second one is left out
_LABEL_FROM = 9.0  # per cent of the width that a step needs for its number
_WORD = 4.0  # per cent of the width that half a word of the time axis takes
_ROOM = 1.15  # above the highest step, for its number
_MONTHS = (1, 2, 3, 6, 12)

_Height = Callable[[float], float]  # how far from the top a number of seats is


class Span(NamedTuple):
    """The time that the pictures of a page show."""

    from_ms: int
    to_ms: int
    now_ms: int

    def share(self, at_ms: int) -> float:
        """Where an instant is, in per cent; what is outside is at the edge."""
        share = (at_ms - self.from_ms) / (self.to_ms - self.from_ms)
        return round(100 * min(1.0, max(0.0, share)), 3)


class Band(NamedTuple):
    """A rectangle: `given`, `overdraft` or `grace`."""

    kind: str
    x: float
    width: float
    y: float
    height: float


class Line(NamedTuple):
    """A piece of the outline."""

    x1: float
    x2: float
    y1: float
    y2: float


class Tick(NamedTuple):
    """A mark of an axis, with its word. Each second one of the time axis is `is_minor`."""

    at: float
    text: str
    is_minor: bool = False
    anchor: str = "middle"


class Picture(NamedTuple):
    """All that a template writes. `in_use_y` and `limit_y` are None where there is nothing to show."""

    bands: tuple[Band, ...]
    outline: tuple[Line, ...]
    numbers: tuple[Tick, ...]
    numbers_y: tuple[float, ...]
    levels: tuple[Tick, ...]
    ticks: tuple[Tick, ...]
    now_x: float
    in_use_y: float | None
    limit_y: float | None
    has_more: bool  # steps beyond what is drawn


class _Part(NamedTuple):
    """A step as far as it is drawn."""

    step: Step
    from_x: float
    to_x: float


def span(pools: Iterable[SignedSeats], now_ms: int) -> Span:
    """The span of time for these pools."""
    steps = [step.from_ms for pool in pools for step in pool.steps if step.from_ms >= 0]
    near = [at_ms for at_ms in steps if now_ms - BACK_MS <= at_ms <= now_ms + AHEAD_MS]
    from_ms = min([now_ms - LEAST_BACK_MS, *near])
    to_ms = max([now_ms + LEAST_AHEAD_MS, *near])
    margin_ms = round(_MARGIN * (to_ms - from_ms))
    return Span(max(0, from_ms - margin_ms // 2), to_ms + margin_ms, now_ms)


def picture(signed: SignedSeats, drawn: Span, zone: tzinfo, *, in_use: int, limit: int | None) -> Picture:
    """The picture of one pool; `limit` is what the set-up leaves to it."""
    parts = [*_parts(signed, drawn)]
    highest = max([1, in_use, *(part.step.signed for part in parts)])
    top = highest * _ROOM

    def y(count: float) -> float:
        return round(HEIGHT * (1 - count / top), 1)

    now_x = drawn.share(drawn.now_ms)
    numbers = [(at, part.step.signed) for part in parts if (at := _number_at(part, now_x)) is not None]
    return Picture(
        bands=tuple(Band(kind, *place) for part in parts for kind, *place in _bands(part, y)),
        outline=tuple(_outline(parts, y)),
        numbers=tuple(Tick(at, f"{count:,}") for at, count in numbers),
        numbers_y=tuple(y(count) for _, count in numbers),
        levels=tuple(Tick(y(count), f"{count:,}") for count in _levels(highest)),
        ticks=tuple(_ticks(drawn, zone)),
        now_x=now_x,
        in_use_y=y(in_use) if in_use else None,
        limit_y=None if limit is None else y(limit),
        has_more=any(step.from_ms > drawn.to_ms for step in signed.steps),
    )


def _parts(signed: SignedSeats, drawn: Span) -> Iterator[_Part]:
    ends = [step.from_ms for step in signed.steps[1:]]
    for step, end_ms in zip(signed.steps, [*ends, drawn.to_ms], strict=True):
        from_x, to_x = drawn.share(step.from_ms), drawn.share(end_ms)
        if to_x > from_x:
            yield _Part(step, from_x, to_x)


def _bands(part: _Part, y: _Height) -> Iterator[tuple[str, float, float, float, float]]:
    """From the ground up: the seats, the overdraft; and over them those that are in grace."""
    step, width = part.step, round(part.to_x - part.from_x, 3)
    for kind, low, high in (
        ("given", 0, step.seats),
        ("overdraft", step.seats, step.signed),
        ("grace", step.signed - step.in_grace, step.signed),
    ):
        if high > low:
            yield kind, part.from_x, width, y(high), round(y(low) - y(high), 1)


def _outline(parts: list[_Part], y: _Height) -> Iterator[Line]:
    for part in parts:
        if part.step.signed:
            yield Line(part.from_x, part.to_x, y(part.step.signed), y(part.step.signed))
    for before, part in pairwise(parts):
        if before.step.signed != part.step.signed:
            yield Line(part.from_x, part.from_x, y(before.step.signed), y(part.step.signed))


def _number_at(part: _Part, now_x: float) -> float | None:
    """Where the number of a step stands; None where it has no room, as beside the word "now"."""
    from_x, to_x = part.from_x, part.to_x
    if from_x < now_x < to_x:
        from_x, to_x = (now_x, to_x) if to_x - now_x >= now_x - from_x else (from_x, now_x)
    at = round((from_x + to_x) / 2, 3)
    has_room = to_x - from_x >= _LABEL_FROM and abs(at - now_x) >= _LABEL_FROM
    return at if part.step.signed and has_room else None


def _levels(highest: int) -> Iterator[int]:
    """The numbers of the axis of seats: round ones, a few."""
    size = 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if highest // step <= _LEVELS_MAX:
                yield from range(0, highest + 1, step)
                return
        size *= 10


def _ticks(drawn: Span, zone: tzinfo) -> Iterator[Tick]:
    """The first days of months, of quarters or of years, in the reader's zone."""
    first = moment_of(drawn.from_ms).astimezone(zone)
    last = moment_of(drawn.to_ms).astimezone(zone)
    months = (last.year - first.year) * 12 + last.month - first.month
    step = next((it for it in _MONTHS if months // it <= _TICKS_MAX), _MONTHS[-1])
    month = first.year * 12 + first.month - 1
    seen: set[bool] = set()
    for index in range(month, month + months + 1):
        begin = datetime(index // 12, index % 12 + 1, 1, tzinfo=zone)
        at_ms = round(begin.timestamp() * 1000)
        if index % step or not drawn.from_ms < at_ms < drawn.to_ms:
            continue
        at, is_minor = drawn.share(at_ms), index // step % 2 == 1
        anchor = "start" if at < _WORD else "end" if at > 100 - _WORD else "middle"
        has_year = begin.month == 1 or is_minor not in seen
        yield Tick(at, f"{begin:%b %Y}" if has_year else f"{begin:%b}", is_minor, anchor)
        seen.add(is_minor)
