"""Counts committed events of this process, for the metrics.

The journal has all of them by minute and client, of all processes and for years. These counters have what one
process committed since it started, and cost next to nothing: each batch is counted once, after its COMMIT.
"""

from collections import Counter
from collections.abc import Sequence

from licet.ledger.book import Change, GrantDenied, PlaceLeft, SessionEnded, SessionRenewed, SessionStarted

GRANTED = "granted"
RENEWED = "renewed"
DENIED = "denied "  # and why
ENDED = "ended "  # and why
SERVED = "served in line"
LEFT = "left the line"
WAITED_MS = "waited in line ms"  # of those who were served
COLLIDED = "collided "  # and how


def count(counted: Counter[str], changes: Sequence[Change], repeated: int = 0) -> None:
    """Add what was committed; `repeated` grants are in no change (`licet.ledger.again`)."""
    if repeated:
        counted[GRANTED] += repeated
    kinds = Counter(map(type, changes))  # in C, so that changes are not counted one by one
    if (granted := kinds[SessionStarted]) > 0:
        counted[GRANTED] += granted
    if (renewed := kinds[SessionRenewed]) > 0:
        counted[RENEWED] += renewed
    if PlaceLeft in kinds:
        _count_left(counted, changes)
    if SessionEnded in kinds or GrantDenied in kinds:
        for change in changes:
            if isinstance(change, SessionEnded):
                counted[ENDED + change.reason] += 1
            elif isinstance(change, GrantDenied):
                counted[DENIED + change.reason] += 1


def _count_left(counted: Counter[str], changes: Sequence[Change]) -> None:
    for change in changes:
        if isinstance(change, PlaceLeft):
            counted[SERVED if change.is_served else LEFT] += 1
            if change.is_served:
                counted[WAITED_MS] += change.at_ms - change.place.since_ms


def taken(counted: Counter[str], collisions: Counter[str]) -> dict[str, int]:
    """Return what was counted since the last call, and reset: so one process reports to another.

    `collisions` are a store's. No other thread may count meanwhile.
    """
    found = dict(counted)
    counted.clear()
    if collisions:
        found |= {COLLIDED + name: times for name, times in collisions.items()}
        collisions.clear()
    return found
