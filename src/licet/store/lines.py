"""Reads who waits for seats of some pools, and whether any may be free: one cheap read for all who wait.

The result is only a hint when to ask the ledger again: a seat whose row has expired may still be in use
(`licet.ledger.seat_rows`), and the ledger decides who gets a free seat (L19).
"""

from collections.abc import Collection
from typing import Final

from licet.store.contract import PoolLine
from licet.store.rows import PLACE, to_place
from licet.store.snapshots import Ask

EXPIRED_MAX: Final = 1000  # that are counted: as many as may wait in line


_POOLS: Final = (
    "SELECT id, in_use, (SELECT count(*) FROM (SELECT 1 FROM seat WHERE pool_id = pool.id"  # noqa: S608 - names and numbers of our own
    f" AND expires_at_ms <= %d LIMIT {EXPIRED_MAX}) AS expired) FROM pool WHERE id IN (%s)"
)
_COUNTS: Final = "SELECT pool_id, what, in_use FROM seat_count WHERE pool_id IN (%s)"
_PLACES: Final = (
    f"SELECT {PLACE} FROM queue_place WHERE until_ms > %d AND pool_id IN (%s)"  # noqa: S608 - as above
    " ORDER BY pool_id, level DESC, number"
)


def lines_of(ask: Ask, pool_ids: Collection[int], now_ms: int) -> dict[int, PoolLine]:
    """The lines of these pools; without those that are not there any more."""
    ids = ", ".join(str(int(pool_id)) for pool_id in pool_ids)
    found = {
        pool_id: PoolLine(in_use, expired, {}, {}) for pool_id, in_use, expired in ask(_POOLS % (now_ms, ids))
    }
    for pool_id, what, in_use in ask(_COUNTS % ids):
        if pool_id in found:
            found[pool_id].counts[what] = in_use
    for place in map(to_place, ask(_PLACES % (now_ms, ids))):
        if place.pool_id in found:
            found[place.pool_id].places[place.key] = place
    return found
