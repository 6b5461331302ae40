"""Counts committed events of this process, for the metrics.

The journal has all of it by minute and client, for everybody and for years. This is what one process did
since it started, and costs next to nothing: a batch is counted at once, and only once it is committed.
"""

from collections import Counter
from collections.abc import Sequence

from licet.ledger.book import Change, GrantDenied, SessionEnded, SessionRenewed, SessionStarted

GRANTED = "granted"
RENEWED = "renewed"
DENIED = "denied "  # and why
ENDED = "ended "  # and why
COLLIDED = "collided "  # and how


def count(happened: Counter[str], changes: Sequence[Change]) -> None:
    """Add what was committed."""
    kinds = Counter(map(type, changes))  # in C: what a grant changes is not looked at one by one
    if (granted := kinds[SessionStarted]) > 0:
        happened[GRANTED] += granted
    if (renewed := kinds[SessionRenewed]) > 0:
        happened[RENEWED] += renewed
    if SessionEnded in kinds or GrantDenied in kinds:
        for change in changes:
            if isinstance(change, SessionEnded):
                happened[ENDED + change.reason] += 1
            elif isinstance(change, GrantDenied):
                happened[DENIED + change.reason] += 1


def taken(happened: Counter[str], collisions: Counter[str]) -> dict[str, int]:
    """What was counted so far, and begin again: so a process tells another one what is new.

    `collisions` are a store's; nobody else may count meanwhile.
    """
    found = dict(happened)
    happened.clear()
    if collisions:
        found |= {COLLIDED + name: times for name, times in collisions.items()}
        collisions.clear()
    return found
