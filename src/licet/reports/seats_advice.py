"""Advises how many seats to have: enough for all denials that seats avoid, but for those of one short burst.

A program that starts all of its clients at once, one time in a month, is denied once for each of them. As
many seats as that would stand idle ever after. So where the last denials to be avoided all came within
`BURST_MS`, and only at that one time, they are named beside the advice, with the number of seats that
they would take. A shortage that comes back, however short, is no burst.
"""

from collections.abc import Sequence

from licet.model import Value
from licet.reports.usage_queries import DeniedClient
from licet.units import MINUTE_MS

BURST_MS = 15 * MINUTE_MS  # a guess: clients that start together, and ask again for a while
SEATS_MIN = 2  # a burst that one more seat avoids is not worth a sentence


class Burst(Value, frozen=True, kw_only=True):
    """Denials that came within a short time, once; `seats` are as many as would have avoided them."""

    from_ms: int
    until_ms: int
    denials: int
    seats: int


class Advice(Value, frozen=True, kw_only=True):
    """How many seats to have, and the burst for which these are too few."""

    seats: int
    burst: Burst | None = None


def advise(needs: Sequence[tuple[int, DeniedClient]], least: int) -> Advice:
    """The advice for a pool; `needs` has the seats that each denial needed, `least` is what there was."""
    if not needs:
        return Advice(seats=least)
    numbers = sorted({least, *(seats for seats, _ in needs)}, reverse=True)
    burst: Burst | None = None
    advised = numbers[0]
    for seats in numbers[1:]:
        found = _burst([denial for needed, denial in needs if needed > seats], numbers[0])
        if found is None:
            break
        advised, burst = seats, found
    if burst is None or burst.seats - advised < SEATS_MIN:
        return Advice(seats=numbers[0])
    return Advice(seats=advised, burst=burst)


def _burst(denied: Sequence[DeniedClient], seats: int) -> Burst | None:
    """These denials as a burst; None where they are none."""
    from_ms = min(denial.first_at_ms for denial in denied)
    until_ms = max(denial.last_at_ms for denial in denied)
    if until_ms - from_ms > BURST_MS:
        return None
    times = sum(denial.times for denial in denied)
    return Burst(from_ms=from_ms, until_ms=until_ms, denials=times, seats=seats)
