"""Computes the denials that would remain with more seats: the curve that shows how many to have.

The figures are those of the replay in `seats_needed.py`. Denials that no seat avoids (an expired licence, a
client that an administrator suspended) are kept apart: they are the same whatever the number of seats.
"""

from collections import Counter
from collections.abc import Sequence

from licet.model import Value
from licet.reports.seats_needed import SPARED
from licet.reports.usage import PoolUsage, Remaining

POINTS_MAX = 12  # that are shown; a guess: as many lines as one reads at a glance


class Unavoidable(Value, frozen=True, kw_only=True):
    """How many denials of a pool had a reason that no seat avoids."""

    reason: str
    times: int


def unavoidable(pool: PoolUsage) -> tuple[Unavoidable, ...]:
    """The denials that no seat avoids, the most frequent reason first."""
    times: Counter[str] = Counter()
    for denial in pool.denials:
        if denial.reason not in SPARED:
            times[denial.reason] += denial.times
    return tuple(Unavoidable(reason=reason, times=number) for reason, number in times.most_common())


def avoidable_curve(pool: PoolUsage) -> Sequence[Remaining]:
    """Seats and the denials that still more would avoid; the last point has none, and the first may be it."""
    others = sum(denial.times for denial in unavoidable(pool))
    return [Remaining(seats=point.seats, denials=point.denials - others) for point in pool.remaining]


def denials_curve(pool: PoolUsage, points_max: int = POINTS_MAX) -> Sequence[Remaining]:
    """The curve as a few points; empty where more seats would avoid nothing.

    Where there are more than `points_max` steps, some in between are left out, but never what is advised.
    """
    points = avoidable_curve(pool)
    return few_points(points, points_max, pool.advice.seats) if len(points) > 1 else ()


def few_points(points: Sequence[Remaining], points_max: int, kept: int) -> Sequence[Remaining]:
    """At most so many of these points: the first, the last, the one with `kept` seats, and some between."""
    if len(points) <= points_max:
        return points
    last = len(points) - 1
    chosen = _spread(last, points_max)
    at = next((number for number, point in enumerate(points) if point.seats == kept), 0)
    if at not in chosen:
        chosen = sorted({*_spread(last, points_max - 1), at})
    return [points[number] for number in chosen]


def _spread(last: int, count: int) -> list[int]:
    return [round(number * last / (count - 1)) for number in range(count)]
