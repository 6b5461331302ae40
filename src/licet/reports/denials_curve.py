"""Computes the denials that would remain with more seats: the curve that shows how many to buy.

The figures are those of the replay in `seats_needed.py`. Denials that no seat avoids (an expired licence, a
client that an administrator suspended) are left out, as in the sentence beside it.
"""

from collections.abc import Sequence

from licet.reports.seats_needed import SPARED
from licet.reports.usage import PoolUsage, Remaining

POINTS_MAX = 12  # that are shown; a guess: as many lines as one reads at a glance


def denials_curve(pool: PoolUsage, points_max: int = POINTS_MAX) -> Sequence[Remaining]:
    """Seats and denials, from the current seats up to where more would not help; empty where none would.

    Where there are more than `points_max` steps, some in between are left out.
    """
    others = sum(denial.times for denial in pool.denials if denial.reason not in SPARED)
    points = [Remaining(seats=point.seats, denials=point.denials - others) for point in pool.remaining]
    if len(points) == 1:
        return ()
    if len(points) <= points_max:
        return points
    last = len(points) - 1
    return [points[round(number * last / (points_max - 1))] for number in range(points_max)]
