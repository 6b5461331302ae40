"""Asks PostgreSQL what the options of pools count, and who waits in line."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from licet.ledger.prefetch import Need
from licet.store.postgres.arrays import numbers, texts
from licet.store.postgres.connection import DriverConnection
from licet.store.rows import PLACE

# How many seats are counted so, in rows of the shape of a place.
_COUNTS = """
SELECT found.pool_id, found.what, found.in_use::bigint, NULL::bigint, 0, 0::bigint, 0::bigint, 0::bigint
FROM unnest(%s::bigint[], %s::text[]) AS asked (pool_id, what)
CROSS JOIN LATERAL (
  SELECT * FROM seat_count AS it WHERE it.pool_id = asked.pool_id AND it.what = asked.what OFFSET 0
) AS found
"""
_COUNTS_AND_PLACES = f"{_COUNTS} UNION ALL SELECT {PLACE} FROM queue_place WHERE pool_id = ANY(%s::bigint[])"


def load_options(raw: DriverConnection, need: Need) -> Iterable[tuple[Any, ...]]:
    """Ask what is counted by options, and who waits; the result is there after the pipeline's sync."""
    if not (need.counts or need.queues):
        return ()
    asked = [*_pairs(need.counts), numbers(need.queues)]
    return raw.execute(_COUNTS_AND_PLACES.encode(), asked, prepare=True, binary=True)


def load_counts(raw: DriverConnection, names: Mapping[int, Collection[str]]) -> Iterable[tuple[Any, ...]]:
    """Ask how many seats of these pools are counted so."""
    return raw.execute(_COUNTS.encode(), _pairs(names), prepare=True, binary=True)


def _pairs(counts: Mapping[int, Collection[str]]) -> list[str]:
    pairs = [(pool_id, what) for pool_id, names in counts.items() for what in names]
    return [numbers(pool_id for pool_id, _ in pairs), texts(what for _, what in pairs)]
