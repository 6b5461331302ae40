"""Counts committed events of this process, for the metrics.

The journal has all of them by minute and client, of all processes and for years. These counters have what one
process committed since it started, and cost next to nothing: each batch is counted once, after its COMMIT.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from licet.ledger.again import Again
from licet.ledger.book import Change, GrantDenied, PlaceLeft, SessionEnded, SessionRenewed, SessionStarted
from licet.ledger.denied_again import DeniedAgain

GRANTED = "granted"
RENEWED = "renewed"
DENIED = "denied "  # and why
ENDED = "ended "  # and why
SERVED = "served in line"
LEFT = "left the line"
WAITED_MS = "waited in line ms"  # of those who were served
WAITED = "waited in line, up to bound "  # of those who were served, and the number of one of `WAITED_S`
COLLIDED = "collided "  # and how

# Bounds of how long somebody waited in line: from a seat that was about to be free to one of an hour.
WAITED_S: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1200, 3600)


def count(
    counted: Counter[str],
    changes: Sequence[Change],
    repeated: Sequence[Again] = (),
    denied: Sequence[DeniedAgain] = (),
) -> None:
    """Add what was committed; what is `repeated`, and what is `denied` again, is in no change."""
    if denied:
        counted.update([DENIED + it.full.denied.reason for it in denied])
    if repeated:
        _count_repeated(counted, repeated)
    if not changes:
        return
    kinds = Counter(map(type, changes))  # in C, so that changes are not counted one by one
    if (granted := kinds[SessionStarted]) > 0:
        counted[GRANTED] += granted
    if (renewed := kinds[SessionRenewed]) > 0:
        counted[RENEWED] += renewed
    if PlaceLeft in kinds:
        _count_left(counted, changes)
    if SessionEnded in kinds:
        counted.update([ENDED + it.reason for it in changes if isinstance(it, SessionEnded)])
    if GrantDenied in kinds:
        counted.update([DENIED + it.reason for it in changes if isinstance(it, GrantDenied)])


def _count_repeated(counted: Counter[str], repeated: Sequence[Again]) -> None:
    granted = [it.session for it in repeated].count(None)
    for name, times in ((GRANTED, granted), (RENEWED, len(repeated) - granted)):
        if times:
            counted[name] += times


def _count_left(counted: Counter[str], changes: Sequence[Change]) -> None:
    for change in changes:
        if isinstance(change, PlaceLeft):
            counted[SERVED if change.is_served else LEFT] += 1
            if change.is_served:
                waited_ms = change.at_ms - change.place.since_ms
                counted[WAITED_MS] += waited_ms
                counted[f"{WAITED}{bisect_left(WAITED_S, waited_ms / 1000)}"] += 1


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
